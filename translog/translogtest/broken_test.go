package translogtest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/translogtest"
)

// A broken engine does one thing wrong.
type broken struct {
	translogtest.Engine
	append      func(ctx context.Context, e translogtest.Engine, entries [][]byte) (uint64, error)
	entry       func(ctx context.Context, e translogtest.Engine, index uint64) ([]byte, error)
	prove       func(proof *translog.Proof)
	consistency func(ctx context.Context, e translogtest.Engine, older, newer *translog.Checkpoint) ([][32]byte, error)
	checkpoint  func(ctx context.Context, e translogtest.Engine) (*translog.Checkpoint, error)
	await       func(ctx context.Context, e translogtest.Engine) (*translog.Checkpoint, error)
	close       func() error
}

func (b *broken) Append(ctx context.Context, entries [][]byte) (uint64, error) {
	if b.append == nil {
		return b.Engine.Append(ctx, entries)
	}
	return b.append(ctx, b.Engine, entries)
}

func (b *broken) Entry(ctx context.Context, index uint64) ([]byte, error) {
	if b.entry == nil {
		return b.Engine.Entry(ctx, index)
	}
	return b.entry(ctx, b.Engine, index)
}

func (b *broken) Prove(ctx context.Context, cp *translog.Checkpoint, index uint64) (*translog.Proof, error) {
	proof, err := b.Engine.Prove(ctx, cp, index)
	if err == nil && b.prove != nil {
		b.prove(proof)
	}
	return proof, err
}

func (b *broken) Consistency(ctx context.Context, older, newer *translog.Checkpoint) ([][32]byte, error) {
	if b.consistency == nil {
		return b.Engine.Consistency(ctx, older, newer)
	}
	return b.consistency(ctx, b.Engine, older, newer)
}

func (b *broken) Checkpoint(ctx context.Context) (*translog.Checkpoint, error) {
	if b.checkpoint == nil {
		return b.Engine.Checkpoint(ctx)
	}
	return b.checkpoint(ctx, b.Engine)
}

func (b *broken) AwaitPublished(ctx context.Context, index uint64) (*translog.Checkpoint, error) {
	if b.await == nil {
		return b.Engine.AwaitPublished(ctx, index)
	}
	return b.await(ctx, b.Engine)
}

func (b *broken) Close(ctx context.Context) error {
	if b.close != nil {
		return b.close()
	}
	return b.Engine.Close(ctx)
}

// with installs the engine in memory, made worse.
func with(breakIt func(*broken)) func(*testing.T) *translogtest.Installation {
	return func(*testing.T) *translogtest.Installation {
		b := &broken{Engine: translogtest.NewLog("log.example/broken")}
		breakIt(b)
		return &translogtest.Installation{Open: func(context.Context) (translogtest.Engine, error) { return b, nil }}
	}
}

func onFile(fault string) func(*testing.T) *translogtest.Installation {
	return func(t *testing.T) *translogtest.Installation { return installFile(t, fault) }
}

// twoOf is a memory that two have open, each of whom writes what it likes.
func twoOf(breakIt func(*broken)) func(*testing.T) *translogtest.Installation {
	return func(*testing.T) *translogtest.Installation {
		log := translogtest.NewLog("log.example/two")
		return &translogtest.Installation{ManyWriters: true, Open: func(context.Context) (translogtest.Engine, error) {
			b := &broken{Engine: log}
			b.close = func() error {
				b.append = func(context.Context, engine, [][]byte) (uint64, error) { return 0, translogtest.ErrClosed }
				return nil
			}
			if breakIt != nil {
				breakIt(b)
			}
			return b, nil
		}}
	}
}

type engine = translogtest.Engine

// The parts of the conformance test that each broken engine fails, at least.
var brokenEngines = map[string]struct {
	install func(*testing.T) *translogtest.Installation
	fails   []string
}{
	"duplicates": {with(func(b *broken) {
		b.append = func(ctx context.Context, e engine, entries [][]byte) (uint64, error) {
			if len(entries) > 0 && bytes.Contains(entries[0], []byte("entry 3 ")) {
				entries = append([][]byte{entries[0]}, entries...)
			}
			return e.Append(ctx, entries)
		}
	}), []string{"AppendKeepsOrder"}},
	"duplicates when it is full": {onFile("takes what does not fit"), []string{"FullStorage"}},
	"reorders": {with(func(b *broken) {
		b.append = func(ctx context.Context, e engine, entries [][]byte) (uint64, error) {
			entries = slices.Clone(entries)
			slices.Reverse(entries)
			return e.Append(ctx, entries)
		}
	}), []string{"AppendKeepsOrder", "ConcurrentAppendsStayTogether"}},
	"drops duplicates": {with(func(b *broken) {
		b.append = func(ctx context.Context, e engine, entries [][]byte) (uint64, error) {
			return e.Append(ctx, slices.CompactFunc(slices.Clone(entries), bytes.Equal))
		}
	}), []string{"Duplicates"}},
	"answers beyond the end": {with(func(b *broken) {
		b.entry = func(ctx context.Context, e engine, index uint64) ([]byte, error) {
			entry, _ := e.Entry(ctx, index)
			return entry, nil
		}
	}), []string{"EmptyLog", "AppendKeepsOrder"}},
	"keeps the caller's slice": {with(func(b *broken) {
		var kept [][]byte
		b.append = func(ctx context.Context, e engine, entries [][]byte) (uint64, error) {
			kept = append(kept, entries...)
			return e.Append(ctx, entries)
		}
		b.entry = func(_ context.Context, _ engine, index uint64) ([]byte, error) { return kept[index], nil }
	}), []string{"AppendCopiesItsInput"}},
	"appends what it refuses": {with(func(b *broken) {
		b.append = func(ctx context.Context, e engine, entries [][]byte) (uint64, error) {
			first, err := e.Append(ctx, entries)
			if err != nil && len(entries) > 1 {
				_, _ = e.Append(ctx, entries[:1])
			}
			return first, err
		}
	}), []string{"RefusedAppendLeavesNoTrace"}},
	"cuts what is long": {with(func(b *broken) {
		b.append = func(ctx context.Context, e engine, entries [][]byte) (uint64, error) {
			entries = slices.Clone(entries)
			for i := range entries {
				entries[i] = entries[i][:min(len(entries[i]), 1<<15)]
			}
			return e.Append(ctx, entries)
		}
	}), []string{"LargestEntry"}},
	"mixes calls": {with(func(b *broken) {
		var calls atomic.Int32
		first, second := make(chan struct{}), make(chan struct{}) // closed when these calls have one entry in
		b.append = func(ctx context.Context, e engine, entries [][]byte) (at uint64, err error) {
			call := calls.Add(1)
			if call > 1 {
				<-first
			}
			for i, entry := range entries {
				index, err := e.Append(context.WithoutCancel(ctx), [][]byte{entry})
				if err != nil {
					return 0, err
				}
				if i > 0 {
					continue
				}
				switch at = index; call {
				case 1:
					close(first)
					<-second
				case 2:
					close(second)
				}
			}
			return at, nil
		}
	}), []string{"ConcurrentAppendsStayTogether"}},
	"appends after it said no": {with(func(b *broken) {
		var late [][]byte
		b.append = func(ctx context.Context, e engine, entries [][]byte) (uint64, error) {
			first, err := e.Append(ctx, entries)
			switch {
			case errors.Is(err, context.DeadlineExceeded):
				late = entries
			case late != nil:
				_, _ = e.Append(context.WithoutCancel(ctx), late)
				late = nil
			}
			return first, err
		}
	}), []string{"CanceledAppendIsSettled"}},
	"gives a wrong proof": {with(func(b *broken) {
		b.prove = func(proof *translog.Proof) {
			if len(proof.Hashes) > 2 {
				proof.Hashes[1][7] ^= 1
			}
		}
	}), []string{"ProofsVerify"}},
	"proves another entry": {with(func(b *broken) { b.prove = func(proof *translog.Proof) { proof.Index ^= 1 } }),
		[]string{"ProofsVerify", "Duplicates"}},
	"proves everything consistent": {with(func(b *broken) {
		b.consistency = func(context.Context, engine, *translog.Checkpoint, *translog.Checkpoint) ([][32]byte, error) {
			return nil, nil
		}
	}), []string{"ConsistencyVerifies", "CheckpointsGrow"}},
	"has a wrong tile": {onFile("has a wrong tile"), []string{"ProofsAtEverySize"}},
	"does not wait": {with(func(b *broken) {
		b.await = func(ctx context.Context, e engine) (*translog.Checkpoint, error) {
			return e.Checkpoint(context.WithoutCancel(ctx)) // the test may have no time left
		}
	}), []string{"AwaitEndsWithContext"}},
	"is never closed": {with(func(b *broken) { b.close = func() error { return nil } }), []string{"AppendAfterClose"}},
	"goes back": {with(func(b *broken) {
		var first *translog.Checkpoint
		grown := false // beyond the first
		b.checkpoint = func(ctx context.Context, e engine) (*translog.Checkpoint, error) {
			cp, err := e.Checkpoint(ctx)
			switch {
			case err != nil:
			case grown:
				return first, nil
			case first == nil && cp.Size() > 0:
				first = cp
			case first != nil:
				grown = cp.Size() > first.Size()
			}
			return cp, err
		}
	}), []string{"CheckpointsGrow"}},
	"loses the last":      {onFile("loses the last"), []string{"Restart", "Killed"}},
	"acknowledges first":  {onFile("acknowledges first"), []string{"Killed"}},
	"no lock":             {onFile("no lock"), []string{"SecondWriterRefused"}},
	"waits for the clock": {onFile("waits for the clock"), []string{"ClockSetBack"}},
	"two overwrite each other": {twoOf(func(b *broken) {
		n := 0
		b.append = func(ctx context.Context, e engine, entries [][]byte) (uint64, error) {
			if n++; n == 7 {
				return 0, nil
			}
			return e.Append(ctx, entries)
		}
	}), []string{"TwoWriters"}},
}

func TestTwoWritersInMemory(t *testing.T) { translogtest.TestInstallation(t, twoOf(nil)) }

// TestBroken wants every part of the conformance test to fail with an engine that does wrong what the part is about.
func TestBroken(t *testing.T) {
	shown := map[string]bool{}
	for name, b := range brokenEngines {
		for _, check := range b.fails {
			shown[check] = true
			t.Run(fmt.Sprintf("%s, %s", name, check), func(t *testing.T) {
				t.Parallel()
				if said := translogtest.Failure(t, check, b.install(t), 10*time.Second); said == "" {
					t.Error("passed")
				} else {
					first, _, _ := strings.Cut(said, "\n")
					t.Log(first)
				}
			})
		}
	}
	for _, check := range translogtest.Checks() {
		if !shown[check] {
			t.Errorf("no engine fails %s", check)
		}
	}
}
