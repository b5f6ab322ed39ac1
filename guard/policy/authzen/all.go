package authzen

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strings"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/guard"
)

// All is a policy that allows what each of several allows, as strictly as the strictest of them: its answer, the
// highest level, and the constraints of all. They are asked in turn, and the later ones only about what the earlier
// ones let this caller do; so let the local policy be the first. Where one has no rule, nothing is allowed, but by an
// annotation where the others allow plainly. Whether the answer is final is asked of all that are [guard.FinalPolicy]. The
// class of actor that one of them found is a fact for those after it.
func All(local guard.Policy, further ...guard.Policy) guard.Policy {
	return &combined{append([]guard.Policy{local}, further...)}
}

type combined struct{ policies []guard.Policy }

var (
	_ guard.Policy          = (*combined)(nil)
	_ guard.Versioned       = (*combined)(nil)
	_ guard.Constrainer     = (*combined)(nil)
	_ guard.DiscoveryPolicy = (*combined)(nil)
	_ guard.ListPolicy      = (*combined)(nil)
	_ guard.FinalPolicy     = (*combined)(nil)
)

// Decide implements [guard.Policy].
func (c *combined) Decide(ctx context.Context, in *guard.Input) (guard.Decision, error) {
	var d guard.Decision
	for i, p := range c.policies {
		next, err := p.Decide(ctx, told(in, d))
		next.Version = versionOf(p, next)
		if i == 0 {
			d = next
		} else {
			d = both(d, next)
		}
		if err != nil || settled(d, in) {
			d.Final = d.Final || (&combined{c.policies[i+1:]}).Final(in)
			return d, err
		}
	}
	return d, nil
}

// Final implements [guard.FinalPolicy].
func (c *combined) Final(in *guard.Input) bool {
	return slices.ContainsFunc(c.policies, func(p guard.Policy) bool {
		f, ok := p.(guard.FinalPolicy)
		return ok && f.Final(in)
	})
}

// told is a question for a policy that is asked after others, which know the class of the caller.
func told(in *guard.Input, d guard.Decision) *guard.Input {
	if d.Actor == "" || d.Actor == in.Facts.Actor {
		return in
	}
	next := *in
	next.Facts.Actor, next.Facts.Disputed = d.Actor, !d.Actor.Known()
	if next.Facts.Disputed {
		next.Facts.Actor = ""
	}
	return &next
}

// DecideAll decides about the entries of a list.
func (c *combined) DecideAll(ctx context.Context, ins []*guard.Input) ([]guard.Decision, []error) {
	decisions, errs := make([]guard.Decision, len(ins)), make([]error, len(ins))
	places := make([]int, len(ins)) // of those about which nothing is settled
	for i := range places {
		places[i] = i
	}
	for n, p := range c.policies {
		asked := make([]*guard.Input, len(places))
		for k, i := range places {
			asked[k] = told(ins[i], decisions[i])
		}
		next, failed := decideAll(ctx, p, asked)
		var open []int
		for k, i := range places {
			next[k].Version = versionOf(p, next[k])
			if errs[i] = failed[k]; n == 0 {
				decisions[i] = next[k]
			} else {
				decisions[i] = both(decisions[i], next[k])
			}
			if errs[i] == nil && !settled(decisions[i], ins[i]) {
				open = append(open, i)
			} else if !decisions[i].Final {
				decisions[i].Final = (&combined{c.policies[n+1:]}).Final(ins[i])
			}
		}
		places = open
	}
	return decisions, errs
}

func decideAll(ctx context.Context, p guard.Policy, ins []*guard.Input) ([]guard.Decision, []error) {
	if l, ok := p.(guard.ListPolicy); ok && len(ins) > 0 {
		return l.DecideAll(ctx, ins)
	}
	decisions, errs := make([]guard.Decision, len(ins)), make([]error, len(ins))
	for i, in := range ins {
		decisions[i], errs[i] = p.Decide(ctx, in)
	}
	return decisions, errs
}

// settled reports whether the caller is refused whatever the others say.
func settled(d guard.Decision, in *guard.Input) bool {
	if d.NoRule {
		return in.Require == badge.LevelNone // without an annotation there is no rule at all
	}
	if d.Kind == guard.AllowWithConstraints {
		d.Kind = guard.Allow
	}
	d.Constraints = nil
	level := badge.LevelNone
	if in.Caller != nil {
		level = in.Caller.Level()
	}
	code, _ := d.Against(level)
	return code != "" && code != guard.CodeApprovalRequired
}

// both is the stricter of two answers, in each of their parts.
func both(a, b guard.Decision) guard.Decision {
	d := a
	d.Version = joined(a.Version, b.Version)
	d.Final = a.Final || b.Final
	if b.Shadow != nil && (a.Shadow == nil || b.Shadow.Kind < a.Shadow.Kind) {
		d.Shadow = b.Shadow
	}
	if d.Actor == "" {
		d.Actor = b.Actor
	} else if b.Actor != "" && a.Actor != b.Actor {
		d.Actor = guard.ActorUnclear
	}
	if d.About == nil {
		d.About = b.About
	}
	switch {
	case a.NoRule && b.NoRule:
		return d
	case a.NoRule || b.NoRule:
		return oneRule(d, a, b)
	}
	if b.Kind < a.Kind {
		d.Kind, d.Rule = b.Kind, b.Rule
	}
	d.MinLevel = max(minimum(a), minimum(b))
	d.Anonymous = d.MinLevel == badge.LevelNone
	if d.Constraints = guard.Tighter(a.Constraints, b.Constraints); d.Constraints != nil && d.Kind == guard.Allow {
		d.Kind = guard.AllowWithConstraints
	}
	if d.Kind == guard.Deny {
		d.Constraints = nil
	}
	return d
}

// oneRule is the answer where one of two has no rule: an annotation may be the rule beside a plain yes, and else nothing
// is allowed.
func oneRule(d, a, b guard.Decision) guard.Decision {
	other := a
	if a.NoRule {
		other = b
	}
	d.Kind, d.MinLevel, d.Anonymous, d.Constraints = guard.Deny, badge.LevelNone, false, nil
	plain := other.Kind == guard.Allow && other.Constraints == nil && minimum(other) == badge.LevelNone
	if d.NoRule, d.Rule = plain, ""; !plain {
		d.Rule = other.Rule
	}
	return d
}

// minimum is the level that an answer asks for: LevelNone for none, and for one that nobody reaches the highest.
func minimum(d guard.Decision) badge.Level {
	if d.MinLevel == badge.LevelNone && !d.Anonymous && d.Kind != guard.Deny {
		return guard.LevelUnsatisfiable
	}
	return d.MinLevel
}

func versionOf(p guard.Policy, d guard.Decision) string {
	if v, ok := p.(guard.Versioned); ok && d.Version == "" {
		return v.Version()
	}
	return d.Version
}

// maxJoined is the longest text that a record has for a version. A longer one is recorded as its digest.
const maxJoined = 256

const joinedPrefix = "all "

func joined(versions ...string) string {
	for i := range versions {
		versions[i] = strings.TrimPrefix(versions[i], joinedPrefix)
	}
	text := joinedPrefix + strings.Join(versions, ", ")
	if len(text) <= maxJoined {
		return text
	}
	sum := sha256.Sum256([]byte(text))
	return "sha256:" + base64.RawURLEncoding.EncodeToString(sum[:])
}

// Version names the versions of all.
func (c *combined) Version() string {
	versions := make([]string, len(c.policies))
	for i, p := range c.policies {
		versions[i] = versionOf(p, guard.Decision{})
	}
	return joined(versions...)
}

// RequireDiscoveryProof reports whether one of them asks for a call proof on discovery too.
func (c *combined) RequireDiscoveryProof() bool {
	return slices.ContainsFunc(c.policies, func(p guard.Policy) bool {
		d, ok := p.(guard.DiscoveryPolicy)
		return ok && d.RequireDiscoveryProof()
	})
}

// Constraints returns the names of the constraints that one of them can ask for.
func (c *combined) Constraints() []string {
	var names []string
	for _, p := range c.policies {
		if one, ok := p.(guard.Constrainer); ok {
			names = append(names, one.Constraints()...)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
