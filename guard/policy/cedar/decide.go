package cedar

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/x/exp/batch"

	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/policy"
)

// maxErrors is how many policies an error names.
const maxErrors = 3

func (p *Policy) decide(ctx context.Context, c *policy.Call) (guard.Decision, error) {
	unknown := guard.Decision{Version: p.version}
	q, err := p.ask(c)
	if err != nil {
		return unknown, err
	}
	found, err := p.authorize(ctx, c, q)
	if err != nil {
		return unknown, err
	}
	if len(found.Errors) > 0 {
		return unknown, indeterminate(found.Errors)
	}
	return p.decision(found.Reasons, q), nil
}

// authorize evaluates all policies. In a list nothing has arguments yet: a permit is taken as if its conditions on
// them held, a forbid as if they did not.
func (p *Policy) authorize(ctx context.Context, c *policy.Call, q *question) (cedar.Diagnostic, error) {
	about := all{p, c.Capability.Kind == guard.KindMethod}
	if c.Verb == guard.Invoke || !p.asks.arguments {
		_, found := cedar.Authorize(about, &q.entities, q.request())
		return found, nil
	}
	q.context[attrArguments] = batch.Ignore()
	r := q.request()
	var found cedar.Diagnostic
	err := batch.Authorize(ctx, about, &q.entities, batch.Request{
		Principal: r.Principal, Action: r.Action, Resource: r.Resource, Context: r.Context,
	}, func(one batch.Result) error {
		found = one.Diagnostic
		return nil
	})
	if err != nil {
		return found, fmt.Errorf("cedar: %w", err)
	}
	return found, nil
}

// indeterminate says which policies could not be evaluated. Each could have forbidden.
func indeterminate(errs []cedar.DiagnosticError) error {
	slices.SortFunc(errs, func(a, b cedar.DiagnosticError) int { return a.Position.Offset - b.Position.Offset })
	var text strings.Builder
	for i, e := range errs {
		if i == maxErrors {
			fmt.Fprintf(&text, "; and %d more", len(errs)-i)
			break
		}
		if i > 0 {
			text.WriteString("; ")
		}
		why := strings.TrimPrefix(e.Message, fmt.Sprintf("while evaluating policy `%s`: ", e.PolicyID))
		fmt.Fprintf(&text, "policy %q, line %d, cannot be evaluated: %s", e.PolicyID, e.Position.Line, why)
	}
	return errors.New("cedar: " + text.String())
}

// decision is what the policies that were satisfied come to, by steps 1, 2 and 4 of spec/policy.md section 5.
func (p *Policy) decision(reasons []cedar.DiagnosticReason, q *question) guard.Decision {
	d := guard.Decision{NoRule: true, Version: p.version}
	best := -1
	for _, reason := range reasons {
		i := p.index[reason.PolicyID]
		if best == -1 || p.before(i, best) {
			best = i
		}
		d.Constraints = guard.Tighter(d.Constraints, p.rules[i].constraints)
	}
	if best != -1 {
		r := &p.rules[best]
		d.NoRule, d.Kind, d.Rule, d.MinLevel, d.Anonymous = false, r.decision, r.id, r.minLevel, r.anonymous
	}
	if d.Kind == guard.Deny {
		d.Constraints = nil
	}
	if q.about != nil {
		d.About = &guard.Description{RiskTags: q.about.RiskTags, Labels: make(map[string]string)}
		for name, values := range q.about.Labels {
			d.About.Labels[name] = strings.Join(values, ",")
		}
	}
	return d
}

// before reports whether policy i goes before policy j: the stricter decision, then the one that asks for less, then
// the first in the file.
func (p *Policy) before(i, j int) bool {
	a, b := &p.rules[i], &p.rules[j]
	switch {
	case a.decision != b.decision:
		return a.decision < b.decision
	case a.anonymous != b.anonymous:
		return a.anonymous
	case a.minLevel != b.minLevel:
		return b.minLevel.AtLeast(a.minLevel)
	}
	return i < j
}

func reason(err error) string {
	var e *policy.Error
	if errors.As(err, &e) {
		return e.Reason
	}
	return err.Error()
}
