// Package tour walks through the whole chain on one machine, from a badge to a
// proof of what was done with it, and shows that the attacks that the chain is
// there for fail.
//
// Everything runs in this process and on loopback, with the packages that users
// import. It is a demonstration: the keys are made for it and thrown away,
// unless the directory is kept.
package tour

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/touchmark-dev/touchmark/cmd/touchmark/internal/logs"
	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/translog"
)

// Options say where a tour takes place.
type Options struct {
	// Dir is an empty directory for everything the tour makes. Required.
	Dir string

	// Out hears the narration; nil discards it.
	Out io.Writer

	// OnStep is told of each step that held. It may be nil.
	OnStep func(StepResult)

	// OpenLog makes a log with tiles in dir, and opens it; nil means the embedded engine. Its checkpoints should come
	// several times a second.
	OpenLog func(ctx context.Context, dir string, signer *translog.Signer) (logs.Log, error)

	// LogForm is what the log holds of each record.
	LogForm evidence.LogForm

	// testOnlyBefore runs before each step. Tests break the world with it and
	// see the step fail.
	testOnlyBefore func(step string, w *world)
}

// A StepResult is one step that held.
type StepResult struct {
	Name     string        `json:"step"`
	Title    string        `json:"title"`
	Found    []string      `json:"found"`
	Duration time.Duration `json:"duration_ns"`
}

// A StepError says which step did not hold.
type StepError struct {
	Step string
	Err  error
}

func (e *StepError) Error() string { return fmt.Sprintf("step %q did not hold: %v", e.Step, e.Err) }
func (e *StepError) Unwrap() error { return e.Err }

// stepTime bounds a step. On a machine with nothing else to do none takes a
// second.
const stepTime = 30 * time.Second

type step struct {
	name  string
	title string
	run   func(ctx context.Context, w *world) error
}

// steps are the tour. Each one rests on those before it.
var steps = [...]step{
	{"keys", "Make keys for a badge issuer, a log, a server and three agents", makeKeys},
	{"documents", "Publish DID documents over TLS on loopback, and resolve them", publishDocuments},
	{"badges", "Issue badges of levels 0, 2 and 3, and verify them", issueBadges},
	{"server", "Start an MCP server with a guard, a journal and a log", startServer},
	{"verify-server", "Let each agent verify the server before it says who it is", verifyServer},
	{"calls", "Call tools that need levels 0, 2 and 3 as each agent", makeCalls},
	{"stolen-badge", "ATTACK: use a badge without its key", stealBadge},
	{"relayed-proof", "ATTACK: stand between agent and server with a trusted certificate", relayProof},
	{"tampered-badge", "ATTACK: raise the level inside a badge", tamperBadge},
	{"publish", "Publish the log and save a receipt for every record", publishLog},
	{"verify-offline", "Stop everything; verify records, chain, inclusion and consistency from files", verifyOffline},
	{"tampered-record", "ATTACK: rewrite a denial as an allowance", tamperRecord},
	{"forged-log", "ATTACK: show auditors another log", forgeLog},
}

// StepNames returns the names of the steps in their order.
func StepNames() []string {
	names := make([]string, 0, len(steps))
	for i := range steps {
		names = append(names, steps[i].name)
	}
	return names
}

// Banner labels everything that a tour shows.
const Banner = "DEMO: throw-away keys, loopback only. Nothing here is to be trusted elsewhere."

// Run takes the tour. The error is a *[StepError] for the first step that did
// not hold; nil means that all of them did.
func Run(ctx context.Context, o *Options) (err error) {
	if o == nil || o.Dir == "" {
		return errors.New("tour: no directory to take place in")
	}
	w := newWorld(o)
	defer func() { err = errors.Join(err, w.stop(context.WithoutCancel(ctx))) }()
	w.say("%s\n", Banner)
	for i := range steps {
		if err := w.take(ctx, &steps[i], i+1); err != nil {
			return err
		}
	}
	w.say("\nEvery step held. %s\n", Banner)
	return nil
}

func (w *world) take(ctx context.Context, s *step, number int) error {
	w.say("\n%2d. %s\n", number, s.title)
	w.found = nil
	if w.o.testOnlyBefore != nil {
		w.o.testOnlyBefore(s.name, w)
	}
	ctx, cancel := context.WithTimeout(ctx, stepTime)
	defer cancel()
	started := time.Now()
	if err := s.run(ctx, w); err != nil {
		return &StepError{Step: s.name, Err: err}
	}
	if w.o.OnStep != nil {
		w.o.OnStep(StepResult{Name: s.name, Title: s.title, Found: w.found, Duration: time.Since(started)})
	}
	return nil
}

// find narrates one thing that held.
func (w *world) find(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	w.found = append(w.found, text)
	w.say("    %s\n", text)
}

func (w *world) say(format string, args ...any) {
	if w.o.Out != nil {
		fmt.Fprintf(w.o.Out, format, args...)
	}
}
