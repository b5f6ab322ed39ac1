package policy

import (
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/guard"
)

// A condition is one of those that must all hold for a rule to match.
type condition struct {
	name  string // as in the file: "caller.did"
	value any    // as in the compiled form
	line  int

	what      attribute
	negated   bool
	globs     []glob
	set       uint64 // verbs, levels, actors, assurances
	uids      []uint32
	keys      bitset // labels: those with the name that the condition is about
	want      bitset // labels: those of them that it admits; risk tags: those that it asks for
	windows   []window
	test      *test
	callers   [][]condition // alternatives
	inListing truth         // arguments: what it comes to where nothing has arguments yet
}

type attribute uint8

const (
	aboutVerb attribute = iota
	aboutAnonymous
	aboutLevel
	aboutActor
	aboutBadgeActor
	aboutUID
	aboutMethod
	aboutServer
	aboutEnvironment
	aboutTenant
	aboutDID
	aboutIssuer
	aboutAssurance
	aboutSPIFFE
	aboutLabel
	aboutTags
	aboutTime
	aboutCaller
	aboutClaims
	aboutArguments
)

// A question is a call with what was found out about it while it was decided.
type question struct {
	call     Call        // and not a pointer to one: the JSON parser's parameters escape, and would take it along
	require  badge.Level // that the capability's annotation asks for
	actor    guard.Actor // by all sources: ActorUnclear if they disagree
	args     document
	claims   document
	labels   bitset
	declared bool // the policy file says what the capability is
	now      time.Time
	clock    func() time.Time
}

func (c *condition) holds(q *question) truth {
	t := c.evaluate(q)
	if c.negated && t != unknown {
		return yes - t
	}
	return t
}

func (c *condition) evaluate(q *question) truth {
	switch caller := &q.call.Caller; c.what {
	case aboutVerb:
		return c.inSet(uint(q.call.Verb), q.call.Verb == guard.Discover || q.call.Verb == guard.Invoke)
	case aboutAnonymous:
		return truthOf(caller.Level == badge.LevelNone)
	case aboutLevel:
		return c.inSet(uint(caller.Level), caller.Level != badge.LevelNone)
	case aboutActor:
		i := actorIndex(q.actor)
		return c.inSet(i, i != 0)
	case aboutBadgeActor:
		i := actorIndex(guard.Actor(caller.BadgeActor))
		return c.inSet(i, i != 0)
	case aboutUID:
		return c.isUID(caller)
	case aboutMethod:
		return c.isMethod(&q.call)
	case aboutServer:
		return c.text(q.call.Facts.Server)
	case aboutEnvironment:
		return c.text(q.call.Facts.Environment)
	case aboutTenant:
		return c.text(q.call.Facts.Tenant)
	case aboutDID:
		return c.text(caller.DID)
	case aboutIssuer:
		return c.text(caller.Issuer)
	case aboutAssurance:
		return c.text(caller.Assurance)
	case aboutSPIFFE:
		return c.text(caller.SPIFFEID)
	case aboutLabel:
		return c.isLabelled(q)
	case aboutTags:
		return c.isTagged(q)
	case aboutTime:
		return truthOf(c.inWindow(q.time()))
	case aboutCaller:
		return c.anyCaller(q)
	case aboutClaims:
		return c.test.holds(&q.claims)
	case aboutArguments:
		if q.call.Verb == guard.Discover {
			return c.inListing
		}
		return c.test.holds(&q.args)
	}
	return unknown
}

func (c *condition) inSet(i uint, known bool) truth {
	if !known || i > 63 {
		return unknown
	}
	return truthOf(c.set&(1<<i) != 0)
}

func (c *condition) text(s string) truth {
	if s == "" {
		return unknown
	}
	return truthOf(anyOf(c.globs, s))
}

func (c *condition) isUID(caller *Caller) truth {
	if !caller.HasUID {
		return unknown
	}
	for _, uid := range c.uids {
		if uid == caller.UID {
			return yes
		}
	}
	return no
}

// isMethod takes an entry of a list for what it will be used by, so that a rule for a use hides it, or shows it.
func (c *condition) isMethod(call *Call) truth {
	t := c.text(call.Method)
	if t == no && call.Verb == guard.Discover {
		if use := uses(call.Capability.Kind); use != "" {
			t = c.text(use)
		}
	}
	return t
}

// isLabelled holds if all values that the capability has of a label are admitted. If some are, it depends.
func (c *condition) isLabelled(q *question) truth {
	has := q.labels.and(c.keys)
	admitted := q.labels.and(c.want)
	switch {
	case !q.declared || has.empty():
		return unknown
	case admitted == has:
		return yes
	case admitted.empty():
		return no
	}
	return unknown
}

// isTagged holds if the capability has all the tags. A tag that the file gives to nothing is not known to be absent
// from anything.
func (c *condition) isTagged(q *question) truth {
	if !q.declared || c.keys.empty() {
		return unknown
	}
	return truthOf(q.labels.and(c.want) == c.want)
}

func (c *condition) anyCaller(q *question) truth {
	best := no
	for _, alternative := range c.callers {
		best = max(best, all(alternative, q))
	}
	return best
}

// all is what conditions come to that must all hold.
func all(conditions []condition, q *question) truth {
	least := yes
	for i := range conditions {
		if least = min(least, conditions[i].holds(q)); least == no {
			return no
		}
	}
	return least
}

func (q *question) time() time.Time {
	if q.now.IsZero() {
		if q.now = q.call.Time; q.now.IsZero() {
			q.now = q.clock()
		}
		q.now = q.now.UTC()
	}
	return q.now
}

// A window is a part of the week, in UTC: the days of a set, from a minute of the day to before another.
type window struct {
	days     uint8 // bit 0: Sunday
	from, to int
}

func (c *condition) inWindow(t time.Time) bool {
	minute := t.Hour()*60 + t.Minute()
	for _, w := range c.windows {
		if w.days&(1<<t.Weekday()) != 0 && w.from <= minute && minute < w.to {
			return true
		}
	}
	return false
}

// actors are the classes, in an order of their own.
var actors = [...]guard.Actor{guard.ActorHuman, guard.ActorSupervisedAI, guard.ActorAutomation, guard.ActorServiceAccount}

// actorIndex counts from 1; 0 is no class that there is.
func actorIndex(a guard.Actor) uint {
	for i := range actors {
		if actors[i] == a {
			return uint(i) + 1
		}
	}
	return 0
}
