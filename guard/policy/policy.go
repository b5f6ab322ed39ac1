package policy

import (
	"context"
	"crypto/sha256"
	"encoding/base64"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/internal/jcs"
)

// FormatVersion is the value of the member version of the files that this package reads.
const FormatVersion = 1

// A Policy is a set of rules, compiled. It is immutable; make it with [Parse]. It implements [guard.Policy],
// [guard.Versioned] and [guard.DiscoveryPolicy].
type Policy struct {
	rules          []rule
	discoveryProof bool
	canonical      []byte
	version        string
}

var (
	_ guard.Policy          = (*Policy)(nil)
	_ guard.Versioned       = (*Policy)(nil)
	_ guard.DiscoveryPolicy = (*Policy)(nil)
)

type rule struct {
	id        string
	tool      glob
	decision  guard.Answer
	minLevel  badge.Level // LevelNone for deny, and for rules that are open to anonymous callers
	anonymous bool
}

// Version returns the digest of the compiled rules: "sha256:" and the unpadded base64url of the SHA-256 of
// [Policy.Canonical]. Comments, order of members and layout of the file do not change it.
func (p *Policy) Version() string { return p.version }

// Canonical returns the compiled rules in RFC 8785 form (spec/guard.md section 9.4).
func (p *Policy) Canonical() []byte { return append([]byte(nil), p.canonical...) }

// RequireDiscoveryProof reports whether the file asks for a call proof on discovery too.
func (p *Policy) RequireDiscoveryProof() bool { return p.discoveryProof }

// Decide implements [guard.Policy]. It never fails.
func (p *Policy) Decide(_ context.Context, in *guard.Input) (guard.Decision, error) {
	none := guard.Decision{NoRule: true, Version: p.version}
	if in.Capability.Kind != guard.KindTool {
		return none, nil
	}
	var best *rule
	for i := range p.rules {
		r := &p.rules[i]
		if !r.tool.match(in.Capability.Name) {
			continue
		}
		if r.decision == guard.Deny {
			best = r
			break
		}
		if best == nil || r.before(best) {
			best = r
		}
	}
	if best == nil {
		return none, nil
	}
	return guard.Decision{
		Kind: best.decision, Rule: best.id, MinLevel: best.minLevel, Anonymous: best.anonymous, Version: p.version,
	}, nil
}

// before reports whether r goes before other where both match and neither denies: an approval before none,
// then the rule that asks for less. Rules of one decision are alternatives. Of equals the first in the file
// goes before.
func (r *rule) before(other *rule) bool {
	if r.decision != other.decision {
		return r.decision == guard.RequireApproval
	}
	switch {
	case r.anonymous != other.anonymous:
		return r.anonymous
	case r.anonymous:
		return false
	}
	return other.minLevel.AtLeast(r.minLevel) && !r.minLevel.AtLeast(other.minLevel)
}

// compiled is the form that the digest is of.
type compiled struct {
	DiscoveryProof bool           `json:"require_discovery_proof,omitzero"`
	Rules          []compiledRule `json:"rules"`
	Version        int            `json:"version"`
}

type compiledRule struct {
	Anonymous bool          `json:"anonymous,omitzero"`
	Decision  string        `json:"decision"`
	ID        string        `json:"id"`
	Match     compiledMatch `json:"match"`
	MinLevel  string        `json:"min_level,omitempty"`
}

type compiledMatch struct {
	Tool string `json:"tool"`
}

// seal computes the canonical form and its digest.
func (p *Policy) seal() error {
	c := compiled{DiscoveryProof: p.discoveryProof, Rules: make([]compiledRule, len(p.rules)), Version: FormatVersion}
	for i := range p.rules {
		r := &p.rules[i]
		c.Rules[i] = compiledRule{
			Anonymous: r.anonymous, Decision: decisionName(r.decision), ID: r.id, Match: compiledMatch{r.tool.text},
		}
		if r.minLevel != badge.LevelNone {
			c.Rules[i].MinLevel = r.minLevel.String()
		}
	}
	var err error
	if p.canonical, err = jcs.Marshal(c); err != nil {
		return err
	}
	sum := sha256.Sum256(p.canonical)
	p.version = "sha256:" + base64.RawURLEncoding.EncodeToString(sum[:])
	return nil
}

func decisionName(a guard.Answer) string {
	switch a {
	case guard.Allow:
		return "allow"
	case guard.RequireApproval:
		return "require_approval"
	}
	return "deny"
}
