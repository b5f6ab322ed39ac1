package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/touchmark-dev/touchmark/evidence/rfc006"
)

func evidenceImportCommand() *cli.Command {
	return &cli.Command{
		Name: "import", Usage: "check the records of other tools, line by line", ArgsUsage: "FILE|-",
		Description: "--format rfc006 is the evidence of the published CapiscIO tools: a JSON object on each line. For each line it says\n" +
			"whether it has the published form, is in doubt, or is refused, with the code (spec/evidence-index.md section 7).\n" +
			"These records are neither signed nor chained. Accepted means that the form is right: who wrote a record, whether it\n" +
			"was changed and what is missing, nobody can tell. Nothing goes into a journal.\n\n" +
			"EXAMPLE\n  touchmark evidence import --format rfc006 --json 2026-05-06.jsonl",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "format", Usage: "`F`: rfc006"},
		},
		Action: evidenceImport,
	}
}

// An importLine is what is said of one line.
type importLine struct {
	Line    int            `json:"line"`
	Verdict rfc006.Verdict `json:"verdict"`
	Code    rfc006.Code    `json:"code,omitempty"`
	Reason  string         `json:"reason,omitempty"`
	Notes   []rfc006.Code  `json:"notes,omitempty"`
	Signed  bool           `json:"signed"`  // never
	Chained bool           `json:"chained"` // never
	Record  *rfc006.Record `json:"record,omitempty"`
}

func (l *importLine) text() string {
	out := fmt.Sprintf("%6d %-12s", l.Line, l.Verdict)
	if l.Code != "" {
		out += fmt.Sprintf(" %s: %s", l.Code, l.Reason)
	}
	for _, n := range l.Notes {
		out += " " + string(n)
	}
	if r := l.Record; r != nil && l.Verdict != rfc006.Rejected {
		out += fmt.Sprintf(" %s %q %s %q", r.Decision, r.Target, r.AuthLevel, r.AgentDID)
		if r.DenyReason != "" {
			out += fmt.Sprintf(" %q", r.DenyReason) // text, in a foreign record
		}
	}
	return strings.TrimRight(out, " ")
}

func evidenceImport(ctx *cli.Context) error {
	if err := wantArgs(ctx, "FILE"); err != nil {
		return err
	}
	if err := required(ctx, "format"); err != nil {
		return err
	}
	if f := ctx.String("format"); f != "rfc006" {
		return usagef("--format %q is not known: rfc006 is", f)
	}
	con := consoleOf(ctx)
	in, err := con.openInput(ctx.Args().First())
	if err != nil {
		return err
	}
	defer in.Close()
	counts := map[rfc006.Verdict]int{}
	for r := rfc006.NewReader(in); ; {
		got, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		counts[got.Verdict]++
		l := &importLine{Line: got.Line, Verdict: got.Verdict, Code: got.Code, Reason: got.Reason, Notes: got.Notes, Record: got.Record}
		if err := con.result(l, l.text()); err != nil {
			return err
		}
	}
	con.note("%d accepted, %d rejected, %d undetermined. The records are neither signed nor chained: who wrote them, whether they "+
		"were changed and what is missing, nobody can tell", counts[rfc006.Accepted], counts[rfc006.Rejected], counts[rfc006.Undetermined])
	switch {
	case counts[rfc006.Rejected] > 0:
		return rejectedf("%d records are rejected", counts[rfc006.Rejected])
	case counts[rfc006.Undetermined] > 0:
		return undeterminedf("%d records are undetermined", counts[rfc006.Undetermined])
	case counts[rfc006.Accepted] == 0:
		return undeterminedf("there are no records")
	}
	return nil
}

// openInput opens a file that is read bit by bit, or standard input for "-".
func (con *console) openInput(name string) (io.ReadCloser, error) {
	if name != "-" {
		return os.Open(name) //nolint:gosec // the operator's
	}
	if con.read {
		return nil, usagef("standard input can be read once: give one of the files a name")
	}
	con.read = true
	return io.NopCloser(con.in), nil
}
