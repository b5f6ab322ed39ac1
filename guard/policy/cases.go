package policy

import (
	"go.yaml.in/yaml/v3"

	"github.com/touchmark-dev/touchmark/guard"
)

// A Case is a call and what a policy is to answer.
type Case struct {
	Name string
	Line int
	Call *Call

	// Expect is the answer, one of the four of [DecisionName].
	Expect string

	// Rule is the id of the rule that is to decide. Empty means any, or none.
	Rule string
}

// MaxCases bounds a file of cases.
const MaxCases = 16384

// ParseCases reads a file of cases (spec/policy.md section 9). The error is an *[Error].
func ParseCases(data []byte) ([]Case, error) {
	root, list, err := parseVersioned(data, "cases")
	switch {
	case err != nil:
		return nil, err
	case list == nil || list.Kind != yaml.SequenceNode || len(list.Content) == 0 || len(list.Content) > MaxCases:
		return nil, at(root, "the file has no list cases of 1 to %d cases", MaxCases)
	}
	cases := make([]Case, len(list.Content))
	for i, n := range list.Content {
		if cases[i], err = readCase(n); err != nil {
			return nil, err
		}
	}
	return cases, nil
}

func readCase(n *yaml.Node) (Case, error) {
	c := Case{Line: n.Line}
	err := mapping(n, "a case", func(name string, _, value *yaml.Node) (known bool, err error) {
		switch name {
		case "name":
			c.Name, err = plainText(value, name)
		case "call":
			c.Call, err = readCall(value)
		case "expect":
			var a guard.Answer
			a, err = decision(value)
			c.Expect = DecisionName(a)
		case "rule":
			c.Rule, err = plainText(value, name)
		default:
			return false, nil
		}
		return true, err
	})
	switch {
	case err != nil:
		return c, err
	case c.Name == "":
		return c, at(n, "a case has no name")
	case c.Call == nil:
		return c, at(n, "a case has no call")
	case c.Expect == "":
		return c, at(n, "a case does not say what to expect")
	}
	return c, nil
}

// A Report is what came of cases.
type Report struct {
	Failures []Failure
	Cases    int

	// Uncovered are the rules that decided no case, nor would have if they were not in shadow, in the order of the file.
	Uncovered []string
	Rules     int
}

// A Failure is a case that came out otherwise.
type Failure struct {
	Case   *Case
	Answer string
	Rule   string // that decided
	Code   guard.Code
	Cause  string
}

// Test tries cases.
func (p *Policy) Test(cases []Case) *Report {
	report := &Report{Cases: len(cases), Rules: len(p.rules)}
	decided := make(map[string]bool)
	for i := range cases {
		c := &cases[i]
		d := p.decide(&question{call: *c.Call})
		name, code, cause := answer(d, c.Call.Caller.Level)
		decided[d.Rule] = true
		if d.Shadow != nil {
			decided[d.Shadow.Rule] = true
		}
		if name != c.Expect || c.Rule != "" && c.Rule != d.Rule {
			report.Failures = append(report.Failures, Failure{Case: c, Answer: name, Rule: d.Rule, Code: code, Cause: cause})
		}
	}
	for i := range p.rules {
		if !decided[p.rules[i].id] {
			report.Uncovered = append(report.Uncovered, p.rules[i].id)
		}
	}
	return report
}
