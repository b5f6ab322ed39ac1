package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/translog"
)

func discloseCommand() *cli.Command {
	return &cli.Command{
		Name: "disclose", Usage: "make a file that shows values of one call's parameters to an auditor", ArgsUsage: "ID",
		Description: "The file shows the value at each --pointer, a JSON Pointer that begins with /arguments or\n" +
			"/input_responses, and nothing else of the parameters; with --all it shows all of them. It holds the entry\n" +
			"and, with --receipt, the proof that it is in a log. The journal has the salt, and the parameters if it was\n" +
			"told to keep them; else they come from --args and --input-responses, and have to be those of the call.\n\nEXAMPLE\n" +
			"  touchmark evidence disclose --evidence journal --args args.json --pointer /arguments/path --out shown.json 0190...",
		Flags: append(vaultFlags(),
			evidenceFlag(),
			&cli.StringSliceFlag{Name: "pointer", Usage: "show the value at `POINTER`: /arguments/path, /arguments/list/0"},
			&cli.BoolFlag{Name: "all", Usage: "show all parameters; that takes the record's salt"},
			&cli.PathFlag{Name: "args", Usage: "the arguments of the call, JSON in `FILE`"},
			&cli.PathFlag{Name: "input-responses", Usage: "its input responses, JSON in `FILE`"},
			&cli.PathFlag{Name: "receipt", Usage: "put in the proof that the entry is in a log, from `FILE`"},
			outFlag(), forceFlag(),
		),
		Action: evidenceDisclose,
	}
}

func evidenceDisclose(ctx *cli.Context) error {
	if err := wantArgs(ctx, "ID"); err != nil {
		return err
	}
	if err := required(ctx, "evidence"); err != nil {
		return err
	}
	pointers := ctx.StringSlice("pointer")
	if len(pointers) == 0 && !ctx.Bool("all") {
		return hint(usagef("%s needs --pointer, or --all", commandName(ctx)), "see: %s --help", commandName(ctx))
	}
	opening, entry, err := openParameters(ctx)
	if err != nil {
		return err
	}
	x := &evidence.Exhibit{Entry: entry}
	for _, pointer := range pointers {
		d, err := evidence.Disclose(opening.Salt, &opening.Params, pointer)
		if err != nil {
			return err
		}
		x.Disclosures = append(x.Disclosures, d)
	}
	if ctx.Bool("all") {
		x.Opening = opening
	}
	if x.Receipt, err = readReceipt(ctx); err != nil {
		return err
	}
	text, err := x.MarshalJSON()
	if err != nil {
		return err
	}
	return consoleOf(ctx).writeOutput(ctx.Path("out"), append(text, '\n'), modeSecret, ctx.Bool("force"))
}

// openParameters returns the salt and the parameters of the record that was asked for, which commits to them.
func openParameters(ctx *cli.Context) (*evidence.Opening, []byte, error) {
	dir := ctx.Path("evidence")
	stored, err := evidence.FindRecord(dir, ctx.Args().First())
	if err != nil {
		if codeOf(err) == exitInternal { // not the id of any record
			err = malformed(err)
		}
		return nil, nil, hint(err, "list the records with: touchmark evidence list --evidence %s", dir)
	}
	e, err := evidence.ParseEntry(stored.Entry)
	if err != nil {
		return nil, nil, err
	}
	decision := e.Record.Decision
	if decision == nil {
		return nil, nil, hint(usagef("record %s is no decision, and has no parameters", e.Record.ID), "list the decisions with: touchmark evidence list --evidence %s", dir)
	}
	private, err := openPrivate(ctx, stored)
	if err != nil {
		return nil, nil, err
	}
	o := &evidence.Opening{Salt: private.Salt}
	if o.Params, err = readParameters(ctx, private); err != nil {
		return nil, nil, err
	}
	commitment, form := evidence.Commit(o.Salt, &o.Params)
	if commitment != decision.ParamsCommitment || form != decision.ParamsForm {
		err = &evidence.RejectedError{Code: evidence.CodeCommitmentMismatch, Reason: "these are not the parameters of the recorded call"}
		return nil, nil, hint(err, "give --args and --input-responses the JSON that was sent, without what the call did not have")
	}
	return o, stored.Entry, nil
}

func openPrivate(ctx *cli.Context, stored *evidence.StoredRecord) (*evidence.Private, error) {
	p, err := stored.OpenPrivate(nil)
	if errors.Is(err, evidence.ErrPrivateSealed) {
		v, verr := openVault(ctx)
		if verr != nil {
			return nil, verr
		}
		p, err = stored.OpenPrivate(v)
	}
	return p, undeterminedErased(err)
}

// undeterminedErased makes no verdict of what cannot be told any more.
func undeterminedErased(err error) error {
	if err != nil && (errors.Is(err, evidence.ErrPrivateErased) || codeOf(err) == exitInternal) {
		return undeterminedf("%v", err)
	}
	return err
}

// readParameters returns the parameters that were kept, or those in the files.
func readParameters(ctx *cli.Context, private *evidence.Private) (evidence.Params, error) {
	p := evidence.Params{}
	if !ctx.IsSet("args") && !ctx.IsSet("input-responses") {
		if private.Arguments != "" {
			p.Arguments = json.RawMessage(private.Arguments)
		}
		if private.InputResponses != "" {
			p.InputResponses = json.RawMessage(private.InputResponses)
		}
		return p, nil
	}
	for name, text := range map[string]*json.RawMessage{"args": &p.Arguments, "input-responses": &p.InputResponses} {
		if !ctx.IsSet(name) {
			continue
		}
		data, err := consoleOf(ctx).readInput(ctx.Path(name))
		if err != nil {
			return p, err
		}
		*text = data
	}
	return p, nil
}

// readReceipt returns the text of the proof that --receipt names.
func readReceipt(ctx *cli.Context) (string, error) {
	if !ctx.IsSet("receipt") {
		return "", nil
	}
	text, err := consoleOf(ctx).readInput(ctx.Path("receipt"))
	if err != nil {
		return "", err
	}
	_, err = translog.ParseProof(text)
	return string(text), err
}

// A shownLine is the answer about a disclosure file.
type shownLine struct {
	Verdict    string         `json:"verdict"`
	Record     *recordLine    `json:"record"`
	Server     string         `json:"server"`
	Shown      []shownValue   `json:"shown"`
	Parameters *shownAll      `json:"parameters,omitempty"`
	Log        *shownLogEntry `json:"log,omitempty"`
}

type shownValue struct {
	Pointer string          `json:"pointer"`
	Path    []evidence.Step `json:"path"` // tells members from elements
	Value   json.RawMessage `json:"value"`
}

// shownAll is the parameters as they were sent.
type shownAll struct {
	Arguments      string `json:"arguments,omitempty"`
	InputResponses string `json:"input_responses,omitempty"`
}

type shownLogEntry struct {
	Origin       string `json:"origin"`
	Index        uint64 `json:"index"`
	Size         uint64 `json:"size"`
	Cosignatures int    `json:"cosignatures"`
}

// verifyDisclosure checks a file that evidence disclose made.
func verifyDisclosure(ctx *cli.Context) error {
	if ctx.Args().Present() || ctx.Bool("partial") {
		return usagef("--disclosure has the entry: give no FILE and no --partial")
	}
	con := consoleOf(ctx)
	keys, err := evidenceKeys(ctx)
	if err != nil {
		return err
	}
	text, err := con.readInput(ctx.Path("disclosure"))
	if err != nil {
		return err
	}
	x, err := evidence.ParseExhibit(text)
	if err != nil {
		return err
	}
	entry, err := x.Verify(keys)
	if err != nil {
		return err
	}
	r := entry.Record()
	line := &shownLine{Verdict: verdictAccepted, Record: describeRecord(r), Server: r.Server.String(), Shown: []shownValue{}}
	for _, d := range x.Disclosures {
		line.Shown = append(line.Shown, shownValue{d.Pointer(), d.Path, d.Value})
	}
	if o := x.Opening; o != nil {
		line.Parameters = &shownAll{string(o.Params.Arguments), string(o.Params.InputResponses)}
	}
	if line.Log, err = verifyShownReceipt(ctx, x); err != nil {
		return err
	}
	return con.result(line, line.text())
}

// verifyShownReceipt checks the receipt in the file. One that is there is not passed over.
func verifyShownReceipt(ctx *cli.Context, x *evidence.Exhibit) (*shownLogEntry, error) {
	if x.Receipt == "" {
		if ctx.Bool("allow-no-receipt") {
			return nil, nil //nolint:nilnil // as was asked for
		}
		return nil, hint(undeterminedf("the file has no receipt: it does not show that the record is in a log"), "--allow-no-receipt does with what the server signed")
	}
	policy, err := readPolicy(ctx)
	if err != nil {
		return nil, err
	}
	proof, err := translog.ParseProof([]byte(x.Receipt))
	if err != nil {
		return nil, err
	}
	in, _, err := evidence.VerifyReceipt(policy, x.Entry, proof)
	if err != nil {
		return nil, err
	}
	cp := in.Checkpoint()
	return &shownLogEntry{cp.Origin(), in.Index(), cp.Size(), len(cp.Cosignatures())}, nil
}

func (l *shownLine) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "accepted: signed by %s\n%s\n", l.Server, l.Record.text())
	for _, s := range l.Shown {
		fmt.Fprintf(&b, "%s is %s\n", quoteUnlessWord(s.Pointer), s.Value)
	}
	if p := l.Parameters; p != nil {
		fmt.Fprintf(&b, "all arguments: %s\nall input responses: %s\n", oneLine(p.Arguments), oneLine(p.InputResponses))
	}
	if l.Log == nil {
		return b.String() + "not shown: that the record is in a log"
	}
	fmt.Fprintf(&b, "entry %d of %d in %s", l.Log.Index, l.Log.Size, l.Log.Origin)
	return b.String()
}

// oneLine keeps parameters from passing for lines that are not theirs.
func oneLine(text string) string {
	var b bytes.Buffer
	switch {
	case text == "":
		return "none"
	case json.Compact(&b, []byte(text)) != nil:
		return strconv.Quote(text)
	}
	return b.String()
}
