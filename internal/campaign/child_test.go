//go:build linux

package campaign

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/policy"
	"github.com/touchmark-dev/touchmark/translog/translogtest"
)

// childVar tells the process that is killed what to open: a world as JSON.
const childVar = "TOUCHMARK_TEST_CAMPAIGN"

// writers is how many callers a process has at once.
const writers = 256

// rules let everybody read and nobody wipe.
const rules = `version: 1
rules:
  - {id: read, match: {tool: read}, anonymous: true, decision: allow}
`

// A gate is a log that can be held back: appends wait then.
type gate struct {
	translogtest.Engine
	held atomic.Bool
	told atomic.Bool // that something was appended since
}

func (g *gate) Append(ctx context.Context, entries [][]byte) (uint64, error) {
	for g.held.Load() {
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
	first, err := g.Engine.Append(ctx, entries)
	if err == nil && !g.told.Swap(true) {
		fmt.Println("shipping")
	}
	return first, err
}

// TestProcess is the process that TestKilled kills; by itself it tests nothing.
func TestProcess(t *testing.T) {
	text := os.Getenv(childVar)
	if text == "" {
		return
	}
	w := new(world)
	if err := json.Unmarshal([]byte(text), w); err != nil {
		t.Fatal(err)
	}
	w.t = t
	engine, err := w.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{Engine: engine}
	g.told.Store(true)
	ledger := w.ledger(t.Context(), g)
	c := &process{guard: guarded(t, ledger)}
	fmt.Println("open")
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		switch lines.Text() {
		case "go":
			c.start()
		case "hold":
			g.held.Store(true)
			fmt.Println("held")
		case "release":
			g.told.Store(false)
			g.held.Store(false)
		case "stop":
			c.stop()
			if err := ledger.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			fmt.Println("stopped", ledger.Status().Records)
		}
	}
	c.stop()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := errors.Join(ledger.Close(ctx), engine.Close(ctx)); err != nil {
		t.Fatal(err)
	}
}

func guarded(t *testing.T, ledger *evidence.Ledger) *guard.Guard {
	t.Helper()
	p, err := policy.Parse([]byte(rules))
	if err != nil {
		t.Fatal(err)
	}
	g, err := guard.New(&guard.Config{Policy: p, Evidence: ledger})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// A process has callers while it is started.
type process struct {
	guard *guard.Guard
	stops chan struct{}
	wg    sync.WaitGroup
}

func (c *process) start() {
	c.stops = make(chan struct{})
	for range writers {
		c.wg.Go(func() { c.write(c.stops) })
	}
}

func (c *process) stop() {
	if c.stops != nil {
		close(c.stops)
		c.wg.Wait()
		c.stops = nil
	}
}

// write is one caller: each call that the guard let run is acknowledged on the standard output, after its record was.
func (c *process) write(stops <-chan struct{}) {
	for n := 0; ; n++ {
		select {
		case <-stops:
			return
		case <-time.After(rand.N(400 * time.Millisecond)):
		}
		gr, err := c.guard.Check(context.Background(), read(n))
		if err != nil {
			fmt.Println("refused", err)
			continue
		}
		ack := gr.Evidence()
		fmt.Println("ack", ack.ID, ack.Sequence)
		if n%8 == 0 {
			continue // the caller went away: the outcome stays unknown until the next start
		}
		if err := gr.Finish(context.Background(), guard.Outcome{Result: []byte("read")}); err != nil {
			fmt.Println("unfinished", err)
		}
	}
}

func read(n int) *guard.Request {
	return &guard.Request{
		Verb: guard.Invoke, Method: "tools/call", Capability: guard.Capability{Kind: guard.KindTool, Name: "read"},
		Arguments: fmt.Appendf(nil, `{"path":"/data/%d","lines":20}`, n), Transport: "memory",
	}
}
