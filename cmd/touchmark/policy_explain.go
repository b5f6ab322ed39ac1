package main

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/policy"
)

type ruleJSON struct {
	ID       string   `json:"id"`
	Line     int      `json:"line"`
	Decision string   `json:"decision"`
	Shadow   bool     `json:"shadow,omitempty"`
	Result   string   `json:"result"`
	Why      []string `json:"why,omitempty"`
}

// wouldJSON is what the rules in shadow would have decided.
type wouldJSON struct {
	Rule     string `json:"rule"`
	Decision string `json:"decision"`
}

type actorJSON struct {
	Line    int      `json:"line"`
	Actor   string   `json:"actor"`
	Matches bool     `json:"matches"`
	Why     []string `json:"why,omitempty"`
}

func policyExplain(ctx *cli.Context) error {
	if err := wantArgs(ctx, "FILE"); err != nil {
		return err
	}
	if err := required(ctx, "call"); err != nil {
		return err
	}
	p, err := readRules(ctx, ctx.Args().First())
	if err != nil {
		return err
	}
	text, err := consoleOf(ctx).readInput(ctx.Path("call"))
	if err != nil {
		return err
	}
	call, err := policy.ParseCall(text)
	if err != nil {
		return inFile(ctx.Path("call"), err)
	}
	x := p.Explain(call)
	if err := printExplanation(consoleOf(ctx), p, x); err != nil {
		return err
	}
	if !allowed(x.Answer) {
		return rejectedf("the call is not allowed: %s", reasonOf(x))
	}
	return nil
}

func allowed(answer string) bool {
	return answer == policy.DecisionName(guard.Allow) || answer == policy.DecisionName(guard.AllowWithConstraints)
}

func reasonOf(x *policy.Explanation) string {
	if x.Cause != "" {
		return fmt.Sprintf("%s/%s", x.Code, x.Cause)
	}
	return string(x.Code)
}

func printExplanation(con *console, p *policy.Policy, x *policy.Explanation) error {
	result := struct {
		Verdict  string     `json:"verdict"`
		Code     string     `json:"code,omitempty"`
		Cause    string     `json:"cause,omitempty"`
		Answer   string     `json:"answer"`
		Rule     string     `json:"rule,omitempty"`
		MinLevel string     `json:"min_level,omitempty"`
		Version  string     `json:"policy_version"`
		Final    bool       `json:"final,omitempty"` // enforced in shadow mode too
		Shadow   *wouldJSON `json:"shadow,omitempty"`
		Actor    string     `json:"actor,omitempty"`

		Actors []actorJSON `json:"actors,omitempty"`
		Rules  []ruleJSON  `json:"rules"`
	}{
		Verdict: verdictRejected, Code: string(x.Code), Cause: x.Cause, Answer: x.Answer, Rule: x.Decision.Rule,
		Version: p.Version(), Rules: []ruleJSON{}, Final: x.Decision.Final, Actor: string(x.Actor),
	}
	if allowed(x.Answer) {
		result.Verdict, result.Code, result.Cause = verdictAccepted, "", ""
	}
	if !x.Decision.NoRule && x.Decision.Kind != guard.Deny && !x.Decision.Anonymous {
		result.MinLevel = x.Decision.MinLevel.String()
	}
	var text strings.Builder
	fmt.Fprintf(&text, "answer          %s\n", x.Answer)
	for _, line := range [][2]string{{"rule", result.Rule}, {"code", result.Code}, {"cause", result.Cause}, {"min_level", result.MinLevel}, {"actor", result.Actor}} {
		if line[1] != "" {
			fmt.Fprintf(&text, "%-16s%s\n", line[0], line[1])
		}
	}
	fmt.Fprintf(&text, "policy_version  %s\n", p.Version())
	if s := x.Decision.Shadow; s != nil {
		result.Shadow = &wouldJSON{s.Rule, policy.DecisionName(s.Kind)}
		fmt.Fprintf(&text, "in shadow       %s by %s\n", result.Shadow.Decision, s.Rule)
	}
	if result.Final {
		text.WriteString("final           enforced in shadow mode, too\n")
	}
	for _, a := range x.Actors {
		result.Actors = append(result.Actors, actorJSON{a.Line, string(a.Actor), a.Matches, a.Why})
		matches := "matches"
		if !a.Matches {
			matches = "does not match"
		}
		fmt.Fprintf(&text, "line %d: actor %s %s\n", a.Line, a.Actor, matches)
		for _, why := range a.Why {
			fmt.Fprintf(&text, "  %s\n", why)
		}
	}
	for _, r := range x.Rules {
		result.Rules = append(result.Rules, ruleJSON{r.ID, r.Line, r.Decision, r.Shadow, string(r.Result), r.Why})
		fmt.Fprintf(&text, "line %d: rule %q (%s) %s\n", r.Line, r.ID, r.Decision, r.Result)
		for _, why := range r.Why {
			fmt.Fprintf(&text, "  %s\n", why)
		}
	}
	return con.result(result, text.String())
}
