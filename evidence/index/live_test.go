package index

import (
	"crypto/ed25519"
	"strings"
	"sync"
	"testing"

	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/evidence"
)

// TestLive: while a ledger writes, several readers with one index find every record up to some number, and in the end all.
func TestLive(t *testing.T) {
	dir := t.TempDir()
	key := ed25519.NewKeyFromSeed([]byte(strings.Repeat("k", 32)))
	server := did.FromKey(key.Public().(ed25519.PublicKey))
	ledger, err := evidence.Open(t.Context(), &evidence.LedgerConfig{
		Dir: dir, Server: server, Key: key, KeyID: server.KeyURL(), AllowNoLog: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	var readers sync.WaitGroup
	done := make(chan struct{})
	for range 3 {
		readers.Go(func() {
			for ended := false; !ended; {
				select {
				case <-done:
					ended = true
				default:
				}
				readLive(t, dir)
			}
		})
	}
	const calls = 60
	for range calls {
		ack, err := ledger.Record(t.Context(), &evidence.Draft{Decision: &evidence.Decision{
			Caller: evidence.Caller{Auth: evidence.AuthAnonymous}, Method: "tools/call", Capability: "tool", Target: "read_file",
			Kind: evidence.Allow, PolicyVersion: "p", Tenant: "acme",
		}})
		if err == nil {
			_, err = ledger.Record(t.Context(), &evidence.Draft{Outcome: &evidence.Outcome{
				DecisionID: ack.ID, DecisionSequence: ack.Sequence, Status: evidence.OutcomeOK,
			}})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := ledger.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	close(done)
	readers.Wait()
	x := openIndex(t, dir)
	if got := seqs(t, x.Find(t.Context(), &Query{Filter: Filter{Tenant: "acme", Outcomes: true}})); len(got) != 2*calls {
		t.Errorf("%d records", len(got))
	}
}

// readLive wants all records up to some number.
func readLive(t *testing.T, dir string) {
	x, err := Open(t.Context(), &Config{Journal: dir})
	if err != nil {
		t.Error(err)
		return
	}
	defer x.Close()
	next := uint64(0)
	for hit, err := range x.Find(t.Context(), &Query{}) {
		if err != nil {
			t.Error(err)
			return
		}
		if hit.Record.Sequence != next {
			t.Errorf("record %d, want %d", hit.Record.Sequence, next)
			return
		}
		next++
	}
}
