package policy

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
	"go.yaml.in/yaml/v3"

	"github.com/touchmark-dev/touchmark/guard"
)

// An Engine is a policy in another language. It can be tried with the calls that are for files of this one.
type Engine interface {
	Try(c *Call) (guard.Decision, error) // an error: it could not be told
	RuleIDs() []string                   // in the order of the file
}

// TestEngine tries cases, as [Policy.Test] does. What cannot be told is denied.
func TestEngine(e Engine, cases []Case) *Report {
	ids := e.RuleIDs()
	report := &Report{Cases: len(cases), Rules: len(ids)}
	decided := make(map[string]bool)
	for i := range cases {
		c := &cases[i]
		d, err := e.Try(c.Call)
		name, code, cause := answer(d, c.Call.Caller.Level)
		if err != nil {
			name, code, cause = DecisionName(guard.Deny), guard.CodePolicyIndeterminate, guard.CausePolicyError
		}
		decided[d.Rule] = true
		if name != c.Expect || c.Rule != "" && c.Rule != d.Rule {
			report.Failures = append(report.Failures, Failure{Case: c, Answer: name, Rule: d.Rule, Code: code, Cause: cause})
		}
	}
	for _, id := range ids {
		if !decided[id] {
			report.Uncovered = append(report.Uncovered, id)
		}
	}
	return report
}

// CallOf returns what policies look at of in.
func CallOf(in *guard.Input) *Call {
	var c Call
	c.fill(in)
	return &c
}

// UsualMethod is the method by which a capability of a kind is used, "" where there are several.
func UsualMethod(kind guard.Kind) string { return uses(kind) }

// Capabilities are what a file says that capabilities are.
type Capabilities struct {
	policy *Policy      // without rules
	values []labelValue // by their numbers
}

// ParseCapabilities reads a file with the members version and capabilities of a policy file, and no other. The error
// is an *[Error].
func ParseCapabilities(data []byte) (*Capabilities, error) {
	root, list, err := parseVersioned(data, "capabilities")
	switch {
	case err != nil:
		return nil, err
	case list == nil:
		return nil, at(root, "the file has no capabilities")
	}
	f := &file{policy: &Policy{}, canonical: map[string]any{"version": FormatVersion}}
	if err := f.readCapabilities(list); err != nil {
		return nil, err
	}
	if err := f.policy.compile(f.canonical); err != nil {
		return nil, &Error{Reason: err.Error()}
	}
	c := &Capabilities{policy: f.policy, values: make([]labelValue, f.policy.labels.count)}
	for v, i := range f.policy.labels.numbers {
		c.values[i] = v
	}
	return c, nil
}

// parseVersioned reads a file that has the members version and one other, and returns its root and that member,
// which is nil where it is missing.
func parseVersioned(data []byte, member string) (root, value *yaml.Node, err error) {
	root, err = parseYAML(data)
	if err != nil {
		return nil, nil, err
	}
	var version *yaml.Node
	err = mapping(root, "the file", func(name string, _, v *yaml.Node) (bool, error) {
		switch name {
		case "version":
			version = v
		case member:
			value = v
		default:
			return false, nil
		}
		return true, nil
	})
	if err == nil && (version == nil || version.ShortTag() != "!!int" || version.Value != "1") {
		err = at(root, "the file is not of version 1; write \"version: %d\"", FormatVersion)
	}
	return root, value, err
}

// Canonical returns the RFC 8785 form of what was read.
func (c *Capabilities) Canonical() []byte { return c.policy.Canonical() }

// A CapabilityInfo is what is known of one capability: all values of its labels, and its risk tags.
type CapabilityInfo struct {
	Labels   map[string][]string
	RiskTags []string
}

// Describe returns what the file says of a capability, nil if no entry matches it.
func (c *Capabilities) Describe(what guard.Capability) *CapabilityInfo {
	kind := c.policy.kinds[what.Kind]
	if kind == nil || !validName(what.Name) {
		return nil
	}
	q := question{call: Call{Capability: what}}
	c.policy.describe(&q, kind)
	if !q.declared {
		return nil
	}
	out := &CapabilityInfo{Labels: make(map[string][]string), RiskTags: []string{}}
	for i, v := range c.values {
		var one bitset
		one.add(i)
		switch {
		case q.labels.and(one).empty():
		case v.name == "":
			out.RiskTags = append(out.RiskTags, v.value)
		default:
			out.Labels[v.name] = append(out.Labels[v.name], v.value)
		}
	}
	slices.Sort(out.RiskTags)
	return out
}

// ParseConstraints reads constraints from a JSON object, for a server that enforces those that are named
// (section 6 of spec/policy.md). The error is an *[Error].
func ParseConstraints(data []byte, enforces []string) (*guard.Constraints, error) {
	plain := jsontext.Value(bytes.Clone(data))
	if err := plain.Canonicalize(jsontext.CanonicalizeRawInts(false)); err != nil {
		return nil, &Error{Reason: fmt.Sprintf("constraints: %v", err)}
	}
	root, err := parseYAML(plain)
	if err != nil {
		return nil, err
	}
	c, _, err := (&file{enforces: enforces}).readConstraints(root)
	return c, err
}

// ValidID reports whether a rule can have this id.
func ValidID(id string) bool {
	_, err := identifier(&yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: id})
	return err == nil
}
