package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/touchmark-dev/touchmark/serververify"
	"github.com/touchmark-dev/touchmark/serververify/pin"
)

// A console is the program's side of its terminal. Results go to out, and with
// --json nothing else does; everything said about the work goes to err.
type console struct {
	in    io.Reader
	out   io.Writer
	err   io.Writer
	path  []string // of the command that was asked for
	child []string // the command line behind "--"

	home    string   // the directory that --home or the configuration names
	globals []string // the flags of every command that stand on the command line
	read    bool     // standard input was read: there is nothing left in it
	printed bool     // a result went to out
	stream  bool     // out belongs to a protocol, and nothing else goes there

	json    bool
	quiet   bool
	verbose bool
}

// consoleKey is where the app keeps its console.
const consoleKey = "console"

func newConsole(in io.Reader, out, errOut io.Writer) *console {
	return &console{in: in, out: out, err: errOut}
}

// consoleOf returns the console of a running command.
func consoleOf(ctx *cli.Context) *console {
	return ctx.App.Metadata[consoleKey].(*console)
}

// begin reads the flags that concern the console.
func (con *console) begin(ctx *cli.Context) error {
	con.json, con.quiet, con.verbose = ctx.Bool("json"), ctx.Bool("quiet"), ctx.Bool("verbose")
	return nil
}

// note says something about the work, unless it is to be quiet.
func (con *console) note(format string, args ...any) {
	if !con.quiet {
		fmt.Fprintln(con.err, remark(fmt.Sprintf(format, args...)))
	}
}

// result prints what a command came to: v as one JSON object, or the text.
func (con *console) result(v any, text string) error {
	if con.json {
		return con.line(v)
	}
	if isTerminal(con.out) {
		text = printable(text)
	}
	_, err := fmt.Fprintln(con.out, strings.TrimSuffix(text, "\n"))
	return err
}

// line prints one JSON object on a line of its own.
func (con *console) line(v any) error {
	con.printed = true
	var text strings.Builder
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return err
	}
	_, err := io.WriteString(con.out, printableJSON(text.String()))
	return err
}

// finish explains an error and returns the exit code for it. With --json it
// also prints the verdict that the error is, unless a result was printed.
func (con *console) finish(err error) exitCode {
	if err == nil {
		return exitOK
	}
	if text := err.Error(); text != "" {
		con.explain(err)
	}
	if con.json && !con.printed && !con.stream {
		if printErr := con.line(verdictOf(err)); printErr != nil {
			con.explain(printErr)
			return exitInternal
		}
	}
	return codeOf(err)
}

// explain says what went wrong and what to do next.
func (con *console) explain(err error) {
	fmt.Fprintf(con.err, "touchmark: %s\n", remark(err.Error()))
	for _, step := range nextSteps(err) {
		fmt.Fprintf(con.err, "  %s\n", remark(step))
	}
}

// A verdict is the answer of a command that judges.
type verdict struct {
	Verdict string `json:"verdict"` // accepted, rejected, undetermined
	Code    string `json:"code,omitempty"`
	Reason  string `json:"reason,omitempty"`

	// Of a server that was examined.
	State   string `json:"state,omitempty"`
	DID     string `json:"did,omitempty"`
	Badge   string `json:"badge,omitempty"` // "valid" when it was verified before the refusal
	BadgeID string `json:"badge_jti,omitempty"`
	Level   string `json:"level,omitempty"`

	// Digests, when its tools are not those that were approved.
	ToolsApproved string `json:"tools_approved,omitempty"`
	ToolsOffered  string `json:"tools_offered,omitempty"`
}

// The verdicts.
const (
	verdictAccepted     = "accepted"
	verdictRejected     = "rejected"
	verdictUndetermined = "undetermined" // nothing was judged: exit codes 2, 3 and 4
)

func verdictOf(err error) verdict {
	v := verdict{Verdict: verdictUndetermined, Code: reasonCode(err), Reason: err.Error()}
	if codeOf(err) == exitRejected {
		v.Verdict = verdictRejected
	}
	var tools *pin.ToolsError
	if errors.As(err, &tools) {
		v.ToolsApproved, v.ToolsOffered = tools.Approved, tools.Offered
	}
	var untrusted *serververify.UntrustedError
	if errors.As(err, &untrusted) {
		v.State = string(untrusted.State)
		if !untrusted.DID.IsZero() {
			v.DID = untrusted.DID.String()
		}
		if untrusted.BadgeValid {
			v.Badge, v.BadgeID, v.Level = "valid", untrusted.BadgeID, untrusted.Level.String()
		}
	}
	return v
}

// maxInputBytes bounds a file that is read whole.
const maxInputBytes = 64 << 20

// readInput reads a file, or standard input for "-".
func (con *console) readInput(name string) ([]byte, error) {
	if name == "-" {
		if con.read {
			return nil, usagef("standard input can be read once: give one of the files a name")
		}
		con.read = true
		return readBounded(con.in, "standard input")
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readBounded(f, name)
}

func readBounded(r io.Reader, name string) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxInputBytes+1))
	if err == nil && len(data) > maxInputBytes {
		err = usagef("%s is longer than %d bytes", name, maxInputBytes)
	}
	return data, err
}

// readToken reads a badge or another token: a file, or "-".
func (con *console) readToken(name string) (string, error) {
	data, err := con.readInput(name)
	return strings.TrimSpace(string(data)), err
}

// Modes of the files that commands write.
const (
	modeSecret os.FileMode = 0o600
	modePublic os.FileMode = 0o644
)

// writeOutput writes a new file; "-" and "" are standard output. It replaces a
// file only with force, and then in one step.
func (con *console) writeOutput(name string, data []byte, mode os.FileMode, force bool) error {
	if name == "-" || name == "" {
		con.printed = true
		if isTerminal(con.out) {
			data = []byte(printable(string(data)))
		}
		_, err := con.out.Write(data)
		return err
	}
	if err := free(name, force); err != nil {
		return err
	}
	if force {
		return replaceFile(name, data, mode)
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err != nil {
		err = errors.Join(err, os.Remove(name))
	}
	return err
}

// artifact writes what a command made to the file that --out names, else to
// standard output; with --json the object that describes it goes there.
func (con *console) artifact(ctx *cli.Context, data []byte, v any) error {
	out := ctx.Path("out")
	if con.json && (out == "" || out == "-") {
		return con.line(v)
	}
	if err := con.writeOutput(out, data, modePublic, ctx.Bool("force")); err != nil || !con.json {
		return err
	}
	return con.line(v)
}

// free refuses the name of a file that must not be written.
func free(name string, force bool) error {
	info, err := os.Lstat(name)
	switch {
	case err != nil:
		return nil // whatever it is, writing says it better
	case info.IsDir():
		return usagef("%s is a directory, and no name for a file", name)
	case !force:
		return hint(usagef("%s is there already", name), "--force replaces it")
	}
	return nil
}

func replaceFile(name string, data []byte, mode os.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".touchmark-*")
	if err != nil {
		return fmt.Errorf("replacing %s: %w", name, err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	if err := errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}
