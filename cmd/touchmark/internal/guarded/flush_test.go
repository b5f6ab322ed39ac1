package guarded

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/internal/durable"
)

const asServer = "TOUCHMARK_TEST_AS_SERVER"

func TestMain(m *testing.M) {
	if os.Getenv(asServer) != "" {
		s := mcp.NewServer(&mcp.Implementation{Name: "upstream", Version: "1"}, nil)
		mcp.AddTool(s, &mcp.Tool{Name: "tool"}, func(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, any, error) {
			return &mcp.CallToolResult{}, nil, nil
		})
		_ = s.Run(context.Background(), &mcp.StdioTransport{}) // until the gateway goes
		return
	}
	os.Exit(m.Run())
}

// A nobody lets nobody do anything.
type nobody struct{}

func (nobody) Decide(context.Context, *guard.Input) (guard.Decision, error) {
	return guard.Decision{Kind: guard.Deny, Rule: "nobody"}, nil
}

// A tally counts the calls that were decided.
type tally struct{ calls atomic.Int64 }

func (o *tally) Begin(_ context.Context, r *guard.Request) guard.Observation {
	if r.Method != "tools/call" {
		return nil
	}
	return &told{o}
}

type told struct{ t *tally }

func (o *told) Context(ctx context.Context) context.Context    { return ctx }
func (o *told) Span() (string, string)                         { return "", "" }
func (o *told) Decided(*guard.Decided)                         { o.t.calls.Add(1) }
func (o *told) Finished(*guard.Outcome, string, time.Duration) {}

type writer struct{ io.Writer }

func (writer) Close() error { return nil }

// The refused attempts of a client that floods and goes are in the journal when the gateway has ended.
func TestFloodAndGone(t *testing.T) {
	t.Setenv(asServer, "1")
	var in bytes.Buffer
	in.WriteString(`{"jsonrpc":"2.0","id":"i","method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}` + "\n" +
		`{"jsonrpc":"2.0","method":"notifications/initialized"}` + "\n")
	for i := range 4 * guard.DefaultRefusalsBurst {
		fmt.Fprintf(&in, `{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"tool","arguments":{}}}`+"\n", i)
	}
	server := did.MustParse("did:web:mcp.example.com")
	seen := &tally{}
	cfg := &Config{
		Identity:    Identity{DID: server, Key: ed25519.NewKeyFromSeed(make([]byte, 32)), KeyID: server.String() + "#key-1"},
		Policy:      nobody{},
		EvidenceDir: t.TempDir(), Observer: seen, Command: []string{os.Args[0]},
		In: &in, Out: writer{io.Discard}, ServerStderr: io.Discard, Logger: slog.New(slog.DiscardHandler),
	}
	if err := Run(t.Context(), cfg); err != nil && !strings.Contains(err.Error(), "EOF") {
		t.Fatal(err)
	}
	var single, counted uint64
	for stored, err := range evidence.ReadJournal(cfg.EvidenceDir, 0) {
		if err != nil {
			t.Fatal(err)
		}
		e, err := evidence.ParseEntry(stored.Entry)
		if err != nil {
			t.Fatal(err)
		}
		if d := e.Record.Decision; d != nil && d.Method == "tools/call" {
			single++
		} else if r := e.Record.Refusals; r != nil {
			counted += r.Count
		}
	}
	t.Logf("%d calls were decided, %d have records, %d are counted", seen.calls.Load(), single, counted)
	if n := uint64(seen.calls.Load()); single+counted < n || counted == 0 { //nolint:gosec // a count
		t.Errorf("%d calls were decided, %d have records, %d are counted", n, single, counted)
	}
}

// A client starts the next gateway before the one that it had has ended.
func TestBeforeTheLastHasEnded(t *testing.T) {
	t.Setenv(asServer, "1")
	server := did.MustParse("did:web:mcp.example.com")
	cfg := &Config{
		Identity: Identity{DID: server, Key: ed25519.NewKeyFromSeed(make([]byte, 32)), KeyID: server.String() + "#key-1"},
		Policy:   nobody{}, EvidenceDir: t.TempDir(), Command: []string{os.Args[0]},
		In: strings.NewReader(""), Out: writer{io.Discard}, ServerStderr: io.Discard, Logger: slog.New(slog.DiscardHandler),
	}
	last, closeLast, err := openEvidence(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() { ended <- Run(t.Context(), cfg) }()
	select {
	case err := <-ended:
		t.Fatalf("it ran, or gave up, while the last one had the journal: %v", err)
	case <-time.After(5 * lockPause):
	}
	if err := closeLast(t.Context()); err != nil {
		t.Fatal(last, err)
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}

	_, closeLast, err = openEvidence(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), lockPause)
	defer cancel()
	if err := Run(ctx, cfg); !errors.Is(err, durable.ErrLocked) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("who is told to end while it waits ends with %v", err)
	}
	if err := closeLast(t.Context()); err != nil {
		t.Fatal(err)
	}
}
