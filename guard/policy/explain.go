package policy

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/guard"
)

// An Explanation says how a policy decides about a call, and what each of its rules had to do with it.
type Explanation struct {
	Decision guard.Decision

	// Answer is what a guard answers this caller, who may not have the level that Decision asks for: one of the four
	// of [DecisionName]. Code and Cause are the guard's, where the answer is not to allow. A guard that enforces no
	// constraints refuses what is allowed with them; an annotation beside the capability can ask for more.
	Answer string
	Code   guard.Code
	Cause  string

	// Actor is the class of the caller by all sources, guard.ActorUnclear if they disagree, and "" if none says. Actors
	// are those of the file, in their order.
	Actor  guard.Actor
	Actors []ActorExplanation

	Rules []RuleExplanation // in their order
}

// A RuleExplanation says what one rule had to do with a decision.
type RuleExplanation struct {
	ID       string
	Line     int
	Decision string // of the rule
	Shadow   bool
	Result   Result
	Why      []string
}

// A Result is what came of a rule.
type Result string

// The results.
const (
	Decided      Result = "decided"
	Overruled    Result = "overruled" // it matches, and another goes before it
	MayMatch     Result = "may match" // it cannot be told, and it changed nothing
	DoesNotMatch Result = "does not match"
	WouldDecide  Result = "would decide" // it is in shadow
	InShadow     Result = "is in shadow" // it matches, or may match, and would change nothing more than others do
)

// Explain decides about c, and says why.
func (p *Policy) Explain(c *Call) *Explanation {
	q := &question{call: *c}
	x := &Explanation{Decision: p.decide(q)}
	x.Answer, x.Code, x.Cause = answer(x.Decision, c.Caller.Level)
	x.Actor, x.Actors = q.actor, p.explainActors(q)
	for i := range p.rules {
		x.Rules = append(x.Rules, p.explainRule(&p.rules[i], q, x.Decision))
	}
	return x
}

func answer(d guard.Decision, level badge.Level) (name string, code guard.Code, cause string) {
	code, cause = d.Against(level)
	switch {
	case code == "":
		return DecisionName(guard.Allow), "", ""
	case code == guard.CodeApprovalRequired:
		return DecisionName(guard.RequireApproval), code, cause
	case d.Kind == guard.AllowWithConstraints && !d.NoRule:
		free := d
		free.Kind, free.Constraints = guard.Allow, nil
		if otherwise, why := free.Against(level); otherwise != "" {
			return DecisionName(guard.Deny), otherwise, why
		}
		return DecisionName(guard.AllowWithConstraints), code, cause
	}
	return DecisionName(guard.Deny), code, cause
}

func (p *Policy) explainRule(r *rule, q *question, d guard.Decision) RuleExplanation {
	x := RuleExplanation{ID: r.id, Line: r.line, Decision: DecisionName(r.decision), Shadow: r.shadow, Result: DoesNotMatch}
	if why := p.aboutOther(r, &q.call); why != "" {
		x.Why = []string{why}
		return x
	}
	t := all(r.conditions, q)
	for i := range r.conditions {
		if c := &r.conditions[i]; c.holds(q) != yes {
			x.Why = append(x.Why, c.explain(q))
		}
	}
	switch {
	case r.shadow && t != no:
		x.Result = InShadow
		if s := d.Shadow; s != nil && s.Rule == r.id {
			x.Result = WouldDecide
			x.Why = append(x.Why, fmt.Sprintf("with the rules in shadow it would be %s", asked(s)))
		}
	case r.id == d.Rule && d.Kind == r.decision && !d.NoRule:
		x.Result = Decided
	case t == yes:
		x.Result = Overruled
		x.Why = []string{p.overruledBy(r, d)}
	case t == unknown:
		x.Result = MayMatch
	}
	return x
}

// asked is an answer with what it asks of the caller.
func asked(s *guard.Shadowed) string {
	switch {
	case s.Kind == guard.Deny:
		return DecisionName(s.Kind)
	case s.Anonymous:
		return DecisionName(s.Kind) + ", for anybody"
	}
	return fmt.Sprintf("%s, from level %v on", DecisionName(s.Kind), s.MinLevel)
}

// aboutOther says why a rule is about another method, kind or name, and "" if it is not.
func (p *Policy) aboutOther(r *rule, c *Call) string {
	if p.methods != nil && !p.methods[c.Method] {
		return fmt.Sprintf("_methods denies %q before any rule is asked", c.Method)
	}
	for _, kind := range r.kindsOf() {
		if kind != c.Capability.Kind {
			continue
		}
		if !anyOf(r.patterns(), c.Capability.Name) {
			return fmt.Sprintf("%s: want %s, got %q", kind, quotedValue(r.canonical["match"].(map[string]any)[memberOf(kind)]), c.Capability.Name)
		}
		return ""
	}
	if r.kind == "" {
		return "it names no capability, and only one that names custom_method opens a method that is not of the standard"
	}
	return fmt.Sprintf("it is about a %s, got a %s", r.kind, c.Capability.Kind)
}

func memberOf(kind guard.Kind) string {
	for member, k := range kindNames {
		if k == kind {
			return member
		}
	}
	return ""
}

func (p *Policy) overruledBy(r *rule, d guard.Decision) string {
	for i := range p.rules {
		by := &p.rules[i]
		switch {
		case by.id != d.Rule:
		case by.decision != r.decision:
			return fmt.Sprintf("rule %q goes before it: %s before %s", by.id, DecisionName(by.decision), DecisionName(r.decision))
		case by.minLevel != r.minLevel || by.anonymous != r.anonymous:
			return fmt.Sprintf("rule %q asks for less", by.id)
		default:
			return fmt.Sprintf("rule %q stands before it in the file and asks for the same", by.id)
		}
	}
	return ""
}

// explain says what a condition that does not hold wants, and what it got.
func (c *condition) explain(q *question) string {
	want := quotedValue(c.value)
	if got := c.got(q); got != "" {
		return fmt.Sprintf("%s (line %d): want %s, got %s", c.name, c.line, want, got)
	}
	if c.holds(q) == unknown {
		return fmt.Sprintf("%s (line %d): want %s; that is not known", c.name, c.line, want)
	}
	return fmt.Sprintf("%s (line %d): want %s", c.name, c.line, want)
}

// got is what the call has, "" where it has nothing, or too much to tell.
func (c *condition) got(q *question) string {
	call := &q.call
	texts := map[attribute]string{
		aboutMethod: call.Method, aboutServer: call.Facts.Server, aboutEnvironment: call.Facts.Environment,
		aboutTenant: call.Facts.Tenant, aboutActor: string(q.actor), aboutBadgeActor: call.Caller.BadgeActor, aboutDID: call.Caller.DID,
		aboutIssuer: call.Caller.Issuer, aboutAssurance: call.Caller.Assurance, aboutSPIFFE: call.Caller.SPIFFEID,
	}
	switch s := texts[c.what]; {
	case s != "":
		return fmt.Sprintf("%q", s)
	case c.what == aboutLevel && call.Caller.Level != badge.LevelNone:
		return call.Caller.Level.String()
	case c.what == aboutUID && call.Caller.HasUID:
		return fmt.Sprint(call.Caller.UID)
	case c.what == aboutTime:
		return q.time().Format("Mon 15:04 UTC")
	case c.what == aboutArguments && call.Verb != guard.Discover:
		return c.test.got(&q.args)
	case c.what == aboutClaims:
		return c.test.got(&q.claims)
	}
	return ""
}

func (t *test) got(d *document) string {
	switch {
	case len(d.text) == 0:
		return "nothing"
	case !d.valid():
		return "what is not JSON by strict rules"
	}
	value, ambiguous := d.find(t.tokens)
	switch {
	case ambiguous:
		return "members whose names differ in case alone"
	case value == nil:
		return "nothing there"
	}
	return string(value)
}

// quotedValue writes a value of the compiled form on one line.
func quotedValue(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return "?"
	}
	return strings.ReplaceAll(string(text), ",", ", ")
}
