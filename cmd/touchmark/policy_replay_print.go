package main

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/touchmark-dev/touchmark/guard/policy"
)

type replayJSON struct {
	Verdict   string `json:"verdict"`
	Code      string `json:"code,omitempty"`
	Version   string `json:"policy_version"`
	Verified  bool   `json:"verified"`
	Records   int    `json:"records"`
	Decisions int    `json:"decisions"`

	Same      int    `json:"same"`
	Stricter  int    `json:"stricter"`
	Looser    int    `json:"looser"`
	OtherRule int    `json:"other_rule"`
	Untold    int    `json:"untold"`
	Elsewhere int    `json:"not_by_rules"`
	Lists     int    `json:"lists"`
	Counted   uint64 `json:"counted_refusals"`

	Changes []changeJSON `json:"changes"`
	Missing []countJSON  `json:"missing"`
	Before  []countJSON  `json:"before"`
}

type changeJSON struct {
	From     string `json:"from"`
	To       string `json:"to"`
	FromRule string `json:"from_rule,omitempty"`
	ToRule   string `json:"to_rule,omitempty"`
	Count    int    `json:"count"`
	First    uint64 `json:"first_seq"`
	FirstID  string `json:"first_id"`
}

type countJSON struct {
	What  string `json:"what"`
	Count int    `json:"count"`
}

func countsJSON(all []policy.ReplayCount) []countJSON {
	out := make([]countJSON, 0, len(all))
	for _, c := range all {
		out = append(out, countJSON(c))
	}
	return out
}

func printReplay(ctx *cli.Context, p *policy.Policy, r *policy.Replay) error {
	out := replayJSON{
		Verdict: verdictAccepted, Version: p.Version(), Verified: ctx.IsSet("did-document"), Records: r.Records, Decisions: r.Decisions,
		Same: r.Same, Stricter: r.Stricter, Looser: r.Looser, OtherRule: r.OtherRule, Untold: r.Untold, Elsewhere: r.Elsewhere,
		Lists: r.Lists, Counted: r.Counted, Changes: make([]changeJSON, 0, len(r.Changes)),
		Missing: countsJSON(r.Missing), Before: countsJSON(r.Before),
	}
	var verdict error
	switch name := ctx.Args().First(); {
	case !ctx.Bool("strict"):
	case r.Stricter+r.Looser > 0:
		out.Verdict, out.Code = verdictRejected, codePolicyReplay
		verdict = rejectedf("%s would have answered %d of %d decisions otherwise", name, r.Stricter+r.Looser, r.Decisions)
	case r.Untold > 0:
		out.Verdict, out.Code = verdictUndetermined, codePolicyReplay
		verdict = undeterminedf("%s: of %d of %d decisions it cannot be told", name, r.Untold, r.Decisions)
	}
	for _, c := range r.Changes {
		out.Changes = append(out.Changes, changeJSON(c))
	}
	if err := consoleOf(ctx).result(out, replayText(&out)); err != nil {
		return err
	}
	return verdict
}

func replayText(r *replayJSON) string {
	var text strings.Builder
	verified := "not verified"
	if r.Verified {
		verified = "their signatures verified"
	}
	fmt.Fprintf(&text, "policy_version  %s\nrecords         %d, %s\n", r.Version, r.Records, verified)
	for _, line := range []struct {
		name  string
		count uint64
		what  string
	}{
		{"decisions", uint64(r.Decisions), "by rules"}, {"same", uint64(r.Same), ""}, {"stricter", uint64(r.Stricter), ""},
		{"looser", uint64(r.Looser), ""}, {"other rule", uint64(r.OtherRule), "and the same answer"},
		{"not told", uint64(r.Untold), ""}, {"not by rules", uint64(r.Elsewhere), "and the same by any"},
		{"lists", uint64(r.Lists), "whose entries are not recorded"}, {"counted", r.Counted, "refused attempts without a record of their own"},
	} {
		fmt.Fprintln(&text, strings.TrimSpace(fmt.Sprintf("%-16s%d %s", line.name, line.count, line.what)))
	}
	for _, c := range r.Changes {
		fmt.Fprintf(&text, "%d: %s by %s, then; now %s by %s; first: %d %s\n",
			c.Count, c.From, ruleOrNone(c.FromRule), c.To, ruleOrNone(c.ToRule), c.First, c.FirstID)
	}
	for _, m := range r.Missing {
		fmt.Fprintf(&text, "%d: not told without %s\n", m.Count, m.What)
	}
	return text.String()
}

func ruleOrNone(id string) string {
	switch id {
	case "":
		return "no rule"
	case policy.UntoldRule:
		return "a rule that cannot be told"
	}
	return fmt.Sprintf("%q", id)
}
