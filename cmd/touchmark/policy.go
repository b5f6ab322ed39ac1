package main

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/touchmark-dev/touchmark/guard/policy"
)

func policyCommand() *cli.Command {
	return &cli.Command{
		Name: "policy", Usage: "check, explain, test, replay and import policy files",
		Subcommands: []*cli.Command{
			{
				Name: "check", Usage: "read a policy file as a server would, and report rules that do nothing", ArgsUsage: "FILE",
				Description: "Rules that can never change a decision, and rules that contradict each other, are\n" +
					"reported with their lines; with --strict they are refused.\n\n" +
					"EXAMPLE\n  touchmark policy check --strict policy.yaml",
				Flags: []cli.Flag{
					enforcesFlag(),
					&cli.BoolFlag{Name: "strict", Usage: "refuse a file about which something is reported"},
				},
				Action: policyCheck,
			},
			{
				Name: "explain", Usage: "say which rule decides about a call, and why each other one does not", ArgsUsage: "FILE",
				Description: "The exit code is 0 if the call is allowed, and 1 if it is not. spec/policy.md section 9\n" +
					"has the members of a call.\n\n" +
					"EXAMPLE\n" +
					"  echo '{\"tool\": \"read_file\", \"caller\": {\"level\": 2, \"did\": \"did:web:a.example\"}}' |\n" +
					"      touchmark policy explain policy.yaml --call -",
				Flags: []cli.Flag{
					enforcesFlag(),
					&cli.PathFlag{Name: "call", Usage: "the call, in `FILE`"},
				},
				Action: policyExplain,
			},
			{
				Name: "test", Usage: "try a file of cases, and report the rules that decide none", ArgsUsage: "FILE CASES",
				Description: "EXAMPLE\n  touchmark policy test policy.yaml cases.yaml\n\nwith cases.yaml as in\n" +
					"  version: 1\n  cases:\n    - name: a stranger may not read\n      call: {tool: read_file}\n      expect: deny",
				Flags:  append(engineFlags(), enforcesFlag()),
				Action: policyTest,
			},
			policyReplayCommand(),
			policyImportCommand(),
		},
	}
}

func enforcesFlag() cli.Flag {
	return &cli.StringSliceFlag{Name: "enforces", Usage: "take constraint `NAME` for enforced, as where the policy will be used"}
}

// Codes of verdicts on policies (spec/policy.md section 9).
const (
	codePolicyFindings = "POLICY_FINDINGS"
	codePolicyCases    = "POLICY_CASES_FAILED"
)

// readRules reads the policy that a command is about. What cannot be read is malformed, not refused.
func readRules(ctx *cli.Context, name string) (*policy.Policy, error) {
	text, err := consoleOf(ctx).readInput(name)
	if err != nil {
		return nil, err
	}
	cfg := &policy.Config{Enforces: ctx.StringSlice("enforces")}
	p, err := cfg.Parse(text)
	return p, inFile(name, err)
}

// inFile says which file the error of a parser is about.
func inFile(name string, err error) error {
	if err == nil {
		return nil
	}
	err = usagef("%s: %v", name, err)
	if strings.Contains(err.Error(), "nothing here enforces") {
		return hint(err, "to read it as such a server would: --enforces %s", strings.Join(policy.ConstraintNames(), " --enforces "))
	}
	return err
}

type shadowJSON struct {
	Rule string `json:"rule"`
	Line int    `json:"line"`
}

type findingJSON struct {
	Kind      string `json:"kind"`
	Rule      string `json:"rule,omitempty"` // none for an entry of actors
	Line      int    `json:"line"`
	Other     string `json:"other,omitempty"`
	OtherLine int    `json:"other_line,omitempty"`
	Text      string `json:"text"`
}

func policyCheck(ctx *cli.Context) error {
	if err := wantArgs(ctx, "FILE"); err != nil {
		return err
	}
	p, err := readRules(ctx, ctx.Args().First())
	if err != nil {
		return err
	}
	result := struct {
		Verdict  string        `json:"verdict"`
		Code     string        `json:"code,omitempty"`
		Version  string        `json:"policy_version"`
		Rules    int           `json:"rules"`
		InShadow []shadowJSON  `json:"in_shadow,omitempty"`
		Findings []findingJSON `json:"findings"`
	}{Verdict: verdictAccepted, Version: p.Version(), Rules: p.Len(), Findings: []findingJSON{}}
	var text strings.Builder
	fmt.Fprintf(&text, "policy_version  %s\nrules           %d\n", p.Version(), p.Len())
	for _, r := range p.InShadow() {
		result.InShadow = append(result.InShadow, shadowJSON{r.ID, r.Line})
		fmt.Fprintf(&text, "line %d: rule %q is in shadow\n", r.Line, r.ID)
	}
	for _, f := range p.Findings() {
		result.Findings = append(result.Findings, findingJSON{string(f.Kind), f.Rule, f.Line, f.Other, f.At, f.Text})
		what := fmt.Sprintf("rule %q", f.Rule)
		if f.Rule == "" {
			what = "the entry of actors"
		}
		fmt.Fprintf(&text, "line %d: %s is %s: %s\n", f.Line, what, f.Kind, f.Text)
	}
	refused := ctx.Bool("strict") && len(result.Findings) > 0
	if refused {
		result.Verdict, result.Code = verdictRejected, codePolicyFindings
	}
	if err := consoleOf(ctx).result(result, text.String()); err != nil {
		return err
	}
	if refused {
		return rejectedf("%s: in %d places it is not what it seems to be", ctx.Args().First(), len(result.Findings))
	}
	return nil
}

type failureJSON struct {
	Name   string `json:"name"`
	Line   int    `json:"line"`
	Want   string `json:"want"`
	Answer string `json:"answer"`
	Rule   string `json:"rule,omitempty"`
	Code   string `json:"code,omitempty"`
	Cause  string `json:"cause,omitempty"`
}

func policyTest(ctx *cli.Context) error {
	if err := wantArgs(ctx, "FILE", "CASES"); err != nil {
		return err
	}
	p, err := readTested(ctx, ctx.Args().First())
	if err != nil {
		return err
	}
	text, err := consoleOf(ctx).readInput(ctx.Args().Get(1))
	if err != nil {
		return err
	}
	cases, err := policy.ParseCases(text)
	if err != nil {
		return inFile(ctx.Args().Get(1), err)
	}
	report := p.Test(cases)
	if err := printReport(consoleOf(ctx), p.Version(), report); err != nil {
		return err
	}
	if n := len(report.Failures); n > 0 {
		return rejectedf("%d of %d cases failed", n, report.Cases)
	}
	return nil
}

func printReport(con *console, version string, report *policy.Report) error {
	result := struct {
		Verdict   string        `json:"verdict"`
		Code      string        `json:"code,omitempty"`
		Version   string        `json:"policy_version"`
		Cases     int           `json:"cases"`
		Failures  []failureJSON `json:"failures"`
		Rules     int           `json:"rules"`
		Uncovered []string      `json:"uncovered"`
	}{
		Verdict: verdictAccepted, Version: version, Cases: report.Cases, Failures: []failureJSON{},
		Rules: report.Rules, Uncovered: append([]string{}, report.Uncovered...),
	}
	if len(report.Failures) > 0 {
		result.Verdict, result.Code = verdictRejected, codePolicyCases
	}
	var text strings.Builder
	for _, f := range report.Failures {
		want := f.Case.Expect
		if f.Case.Rule != "" {
			want += " by " + f.Case.Rule
		}
		result.Failures = append(result.Failures, failureJSON{f.Case.Name, f.Case.Line, want, f.Answer, f.Rule, string(f.Code), f.Cause})
		fmt.Fprintf(&text, "line %d: %s: want %s, got %s", f.Case.Line, f.Case.Name, want, f.Answer)
		if f.Rule != "" {
			fmt.Fprintf(&text, " by %s", f.Rule)
		}
		if f.Cause != "" {
			fmt.Fprintf(&text, " (%s)", f.Cause)
		}
		text.WriteByte('\n')
	}
	fmt.Fprintf(&text, "cases     %d, %d failed\nrules     %d, %d decided a case\n",
		report.Cases, len(report.Failures), report.Rules, report.Rules-len(report.Uncovered))
	for _, id := range report.Uncovered {
		fmt.Fprintf(&text, "no case   %s\n", id)
	}
	return con.result(result, text.String())
}
