package policy

import (
	"strings"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/guard"
)

// A recorded call is one as far as its record tells.
type recorded struct {
	question
	hidden  uint64   // attributes that the record does not tell
	missing []string // what would have to be known of the call as a whole
}

func (r *recorded) hide(a attribute)       { r.hidden |= 1 << a }
func (r *recorded) hides(a attribute) bool { return r.hidden&(1<<a) != 0 }
func (r *recorded) lacks(what string)      { r.missing = append(r.missing, what) }
func hashed(text string) bool              { return strings.HasPrefix(text, "sha256:") }
func (r *recorded) show(a attribute, s string, into *string) {
	if hashed(s) {
		r.hide(a)
		return
	}
	*into = s
}

// recall makes a call of a record.
func (r *replayer) recall(record *evidence.Record) *recorded {
	d, p := record.Decision, r.policy
	out := &recorded{}
	c := &out.call
	c.Verb, c.Time = guard.Invoke, record.Time
	c.Capability = guard.Capability{Kind: guard.Kind(d.Capability), Name: d.Target}
	if hashed(d.Target) {
		out.lacks("the name of the capability")
	}
	if c.Method = d.Method; hashed(d.Method) {
		out.lacks("the method")
	}
	out.recallCaller(d)
	for _, a := range []attribute{aboutArguments, aboutClaims, aboutTenant} {
		out.hide(a)
	}
	if c.Facts.Server = p.server; p.server == "" {
		out.hide(aboutServer)
	}
	if c.Facts.Environment = p.environment; p.environment == "" {
		out.hide(aboutEnvironment)
	}
	out.clock = p.clock
	r.recallActor(d, out)
	return out
}

func (r *recorded) recallCaller(d *evidence.Decision) {
	c := &r.call.Caller
	if d.Caller.Auth == evidence.AuthBadge {
		if l, err := badge.ParseLevel(d.Caller.Level); err == nil {
			c.Level = l
		} else {
			r.lacks("the level of the badge")
		}
		c.DID, c.Assurance = d.Caller.DID.String(), d.Caller.Assurance
		r.show(aboutIssuer, d.Caller.Issuer, &c.Issuer)
		if c.Level != badge.LevelSelfSigned {
			r.hide(aboutBadgeActor)
		}
	}
	if !hashed(d.Channel.Subject) {
		c.fillChannel(d.Channel.Scheme, d.Channel.Subject)
		return
	}
	r.hide(aboutSPIFFE)
	r.hide(aboutUID)
}

// recallActor finds out of which class the caller is by p, where it can be told: the record has the class by all the
// sources of then.
func (r *replayer) recallActor(d *evidence.Decision, out *recorded) {
	said, may := r.policy.sayActors(out)
	own, told := r.ownActor(d, out)
	if own == "" && len(said) > 0 {
		told = false // its sources may have disagreed
	}
	out.call.Facts.Actor = own
	for _, a := range said {
		if out.actor == "" || out.actor == a {
			out.actor = a
			continue
		}
		out.actor = guard.ActorUnclear // for certain, whatever else is said
		return
	}
	switch {
	case may:
		out.hide(aboutActor)
	case !told && (len(said) == 0 || guard.Actor(d.Actor) != out.actor):
		out.hide(aboutActor) // the server itself may have said a class, or one that differs
	case own == "" || own == out.actor:
	case out.actor == "":
		out.actor = own
	default:
		out.actor = guard.ActorUnclear
	}
}

// sayActors returns the classes that entries give for certain, and whether others may.
func (p *Policy) sayActors(out *recorded) (said []guard.Actor, may bool) {
	for i := range p.actors {
		lo, hi := out.all(p.actors[i].conditions)
		if lo == yes {
			said = append(said, p.actors[i].actor)
		}
		may = may || lo < hi && hi == yes
	}
	return said, may
}

// ownActor is the class that the server knew by itself, if the policy of then added nothing to it.
func (r *replayer) ownActor(d *evidence.Decision, out *recorded) (own guard.Actor, told bool) {
	for _, before := range []*Policy{r.config.Before, r.policy} {
		if before == nil || before.version != d.PolicyVersion {
			continue
		}
		if said, may := before.sayActors(out); len(said) == 0 && !may {
			return guard.Actor(d.Actor), true
		}
	}
	return "", false
}
