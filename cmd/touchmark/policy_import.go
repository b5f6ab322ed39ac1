package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/guard/policy"
)

func policyImportCommand() *cli.Command {
	return &cli.Command{
		Name: "import", Usage: "turn a published shape of policy into a policy file", ArgsUsage: "FILE",
		Description: "Two shapes are read: roles with grants and _methods, and rules on labels, risk tags and\n" +
			"server lists. Whatever is not carried over as it stood is reported with its line.\n\n" +
			"EXAMPLE\n  touchmark policy import rbac.yaml --min-level 2 --member 'sre=did:web:ops.example.com:*' --out policy.yaml",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "min-level", Usage: "ask for badges of `LEVEL` wherever the policy does not deny"},
			&cli.StringSliceFlag{Name: "member", Usage: "give a role to the callers whose DID fits a pattern, as `ROLE=PATTERN`"},
			&cli.PathFlag{Name: "out", Usage: "write the policy to `FILE`"},
			&cli.BoolFlag{Name: "strict", Usage: "write nothing if something is changed or dropped"},
			forceFlag(),
		},
		Action: policyImport,
	}
}

// codePolicyImport is the verdict on a source that is not carried over.
const codePolicyImport = "POLICY_NOT_IMPORTED"

func policyImport(ctx *cli.Context) error {
	if err := wantArgs(ctx, "FILE"); err != nil {
		return err
	}
	im, err := importConfig(ctx)
	if err != nil {
		return err
	}
	con, name := consoleOf(ctx), ctx.Args().First()
	text, err := con.readInput(name)
	if err != nil {
		return err
	}
	done, err := im.Read(text)
	if err != nil {
		return hint(inFile(name, err), "see: touchmark policy import --help")
	}
	refused := refusedImport(ctx, done)
	if out := ctx.Path("out"); refused == nil && out != "" && out != "-" {
		if err := con.writeOutput(out, done.File, 0o644, ctx.Bool("force")); err != nil {
			return err
		}
	}
	if err := printImport(con, name, done, refused != nil, ctx.Path("out")); err != nil {
		return err
	}
	return refused
}

func importConfig(ctx *cli.Context) (*policy.Import, error) {
	im := &policy.Import{Members: make(map[string][]string)}
	if s := ctx.String("min-level"); s != "" {
		var err error
		if im.MinLevel, err = badge.ParseLevel(s); err != nil {
			return nil, malformed(err)
		}
	}
	for _, m := range ctx.StringSlice("member") {
		role, pattern, ok := strings.Cut(m, "=")
		if !ok || role == "" || !strings.HasPrefix(pattern, "did:") {
			return nil, usagef("--member %q is not ROLE=PATTERN with a pattern of DIDs", m)
		}
		im.Members[role] = append(im.Members[role], pattern)
	}
	return im, nil
}

// refusedImport says why nothing is written, nil if it is.
func refusedImport(ctx *cli.Context, done *policy.Imported) error {
	lost := slices.ContainsFunc(done.Notes, func(n policy.Note) bool { return n.Kind != policy.NoteNeeded })
	switch {
	case done.File == nil:
		return rejectedf("%s: no rule could be carried over", ctx.Args().First())
	case lost && ctx.Bool("strict"):
		return rejectedf("%s: not everything could be carried over, and with --strict nothing is", ctx.Args().First())
	}
	return nil
}

type noteJSON struct {
	Line int    `json:"line"`
	Kind string `json:"kind"`
	Text string `json:"text"`
}

func printImport(con *console, name string, done *policy.Imported, refused bool, out string) error {
	result := struct {
		Verdict string     `json:"verdict"`
		Code    string     `json:"code,omitempty"`
		Policy  string     `json:"policy,omitempty"`
		Out     string     `json:"out,omitempty"`
		Report  []noteJSON `json:"report"`
	}{Verdict: verdictAccepted, Out: out, Report: []noteJSON{}}
	switch {
	case refused:
		result.Verdict, result.Code, result.Out = verdictRejected, codePolicyImport, ""
	case out == "" || out == "-":
		result.Policy, result.Out = string(done.File), ""
	}
	for _, n := range done.Notes {
		result.Report = append(result.Report, noteJSON{n.Line, string(n.Kind), n.Text})
		if !con.json { // the report is a result: --quiet does not silence it
			fmt.Fprintln(con.err, remark(fmt.Sprintf("%s:%d: %s: %s", name, n.Line, n.Kind, n.Text)))
		}
	}
	switch {
	case con.json:
		return con.line(result)
	case result.Policy != "":
		return con.result(nil, result.Policy)
	}
	return nil
}
