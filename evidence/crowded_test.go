package evidence

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/translogtest"
)

// A crowdedLog is a shared log in memory. What is submitted waits in a queue until publish, or for ever if it is lost.
type crowdedLog struct {
	*translogtest.Log

	mu      sync.Mutex
	known   map[[32]byte][]byte // by identity
	queue   [][]byte
	entries [][]byte
	others  int

	refuse  func(n int) error // the n-th leaf, before it is taken
	taken   atomic.Int64
	again   atomic.Int64 // leaves that were there
	looks   atomic.Int64 // at the checkpoint
	from    []uint64     // of searches
	signer  *translog.Signer
	lose    bool
	reverse bool
}

func newCrowdedLog(signer *translog.Signer) *crowdedLog {
	return &crowdedLog{Log: translogtest.NewLogFor(signer), signer: signer, known: make(map[[32]byte][]byte)}
}

func logSigner(t testing.TB) *translog.Signer {
	t.Helper()
	skey, _, err := translog.GenerateKey("log.example/crowded")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := translog.ParseSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func (c *crowdedLog) Checkpoint(ctx context.Context) (*translog.Checkpoint, error) {
	c.looks.Add(1)
	return c.Log.Checkpoint(ctx)
}

func (c *crowdedLog) Submit(_ context.Context, identities [][32]byte, leaves [][]byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, leaf := range leaves {
		if c.refuse != nil {
			if err := c.refuse(int(c.taken.Load())); err != nil {
				return i, err
			}
		}
		switch there, ok := c.known[identities[i]]; {
		case ok && !bytes.Equal(there, leaf):
			return i, &translog.RejectedError{Code: translog.CodeForked, Reason: "another entry"}
		case ok:
			c.again.Add(1)
		default:
			c.known[identities[i]] = bytes.Clone(leaf)
			c.queue = append(c.queue, c.known[identities[i]])
		}
		c.taken.Add(1)
	}
	return len(leaves), nil
}

// publish puts what waits into the tree, with an entry of somebody else before each.
func (c *crowdedLog) publish() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lose {
		clear(c.known)
		c.queue = nil
	}
	for i := range c.queue {
		if c.reverse {
			i = len(c.queue) - 1 - i
		}
		c.others++
		for _, e := range [][]byte{fmt.Appendf(nil, "of somebody else %d", c.others), c.queue[i]} {
			if _, err := c.Append(context.Background(), [][]byte{e}); err != nil {
				panic(err)
			}
			c.entries = append(c.entries, e)
		}
	}
	c.queue = nil
}

func (c *crowdedLog) Continue(ctx context.Context, older, newer *translog.Checkpoint, visit func(uint64, [32]byte)) error {
	from := uint64(0)
	if older != nil && older.Size() > 0 {
		if _, err := c.Consistency(ctx, older, newer); err != nil {
			return err
		}
		from = older.Size()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := from; i < newer.Size(); i++ {
		visit(i, translog.LeafHash(c.entries[i]))
	}
	return nil
}

// publishing publishes again and again until the test ends.
func (c *crowdedLog) publishing(t *testing.T) {
	t.Helper()
	stop := make(chan struct{})
	t.Cleanup(func() { close(stop) })
	go func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
				c.publish()
			}
		}
	}()
}

func sharedConfig(t testing.TB) (*LedgerConfig, *crowdedLog) {
	t.Helper()
	cfg, _ := ledgerConfig(t)
	log := newCrowdedLog(logSigner(t))
	cfg.Log, cfg.Shared, cfg.Promise = nil, log, true
	return cfg, log
}

// once wants each record of the journal to be in the log once, and returns how many there are.
func (c *crowdedLog) once(t *testing.T, cfg *LedgerConfig) int {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	n := make(map[string]int)
	for _, e := range c.entries {
		n[string(e)]++
	}
	records := 0
	for r, err := range ReadJournal(cfg.Dir, 0) {
		if err != nil {
			t.Fatal(err)
		}
		if got := n[string(cfg.LogForm.Leaf(r.Entry))]; got != 1 {
			t.Errorf("record %d is in the log %d times", r.Sequence, got)
		}
		records++
	}
	return records
}
