package guard_test

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/guardtest"
)

// floodDirVar tells the process of TestKilledFlood where its journal is.
const floodDirVar = "TOUCHMARK_TEST_FLOOD_DIR"

// openFlooded opens the ledger of TestKilledFlood.
func openFlooded(ctx context.Context, dir string) (*evidence.Ledger, evidence.Keys, error) {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	server := did.FromKey(key.Public().(ed25519.PublicKey))
	l, err := evidence.Open(ctx, &evidence.LedgerConfig{
		Dir: dir, Server: server, Key: key, KeyID: server.KeyURL(), AllowNoLog: true, SegmentBytes: 1 << 20,
	})
	return l, evidence.Keys{server.KeyURL(): key.Public().(ed25519.PublicKey)}, err
}

// TestKilledFlood kills a flooded process with SIGKILL at a random moment, 3 times (40 with TOUCHMARK_SOAK=1). After
// each, every refused caller that was answered is counted in the journal, by the record that it was told.
func TestKilledFlood(t *testing.T) {
	t.Parallel()
	rounds := 3
	if soak() {
		rounds = 40
	}
	rng := rand.New(rand.NewPCG(3, 4))
	dir, answered, counted := t.TempDir(), 0, uint64(0)
	for round := range rounds {
		told := killFlood(t, dir, time.Duration(rng.IntN(400))*time.Millisecond)
		records, all := readFlood(t, dir)
		for id, n := range told {
			if answered += int(n); records[id] < n { //nolint:gosec // few
				t.Fatalf("round %d: %d callers were told the record %s, which counts %d", round, n, id, records[id])
			}
		}
		counted = all
	}
	t.Logf("%d kills: %d refused callers were answered, %d are counted", rounds, answered, counted)
	if answered == 0 {
		t.Error("nobody was answered")
	}
}

// killFlood runs a process, kills it this long after its first answer, and returns how many callers were told which
// record.
func killFlood(t *testing.T, dir string, after time.Duration) map[string]uint64 {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestKilledFloodHelper$", "-test.count=1")
	cmd.Env = append(os.Environ(), floodDirVar+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var kill *time.Timer
	told := map[string]uint64{}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if kill == nil {
			kill = time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
		}
		if id := lines.Text(); len(id) == 36 { // the last line may be cut
			told[id]++
		}
	}
	_ = cmd.Wait() // it was killed
	return told
}

// readFlood opens the journal as a restarted server does, and returns how many refused attempts each record stands for.
func readFlood(t *testing.T, dir string) (records map[string]uint64, all uint64) {
	t.Helper()
	ledger, keys, err := openFlooded(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := ledger.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	chain, err := evidence.NewChain(&evidence.ChainConfig{Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	records = map[string]uint64{}
	for stored, err := range evidence.ReadJournal(dir, 0) {
		if err != nil {
			t.Fatal(err)
		}
		e, err := chain.Add(stored.Entry)
		if err != nil {
			t.Fatal(err)
		}
		switch r := e.Record(); {
		case r.Refusals != nil:
			records[r.ID] = r.Refusals.Count
		case r.Decision != nil:
			records[r.ID] = 1
		}
		all += records[e.Record().ID]
	}
	return records, all
}

// TestKilledFloodHelper is the process that is killed.
func TestKilledFloodHelper(t *testing.T) {
	dir := os.Getenv(floodDirVar)
	if dir == "" {
		t.Skip("started by TestKilledFlood")
	}
	ledger, _, err := openFlooded(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	g, err := guard.New(&guard.Config{
		Policy: levels, Evidence: ledger, Refusals: guard.Refusals{PerSecond: 20, Burst: 20, Interval: 5 * time.Millisecond},
	})
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for range 64 {
		group.Go(func() {
			for {
				_, err := g.Check(t.Context(), guardtest.Call("need2", "{}"))
				fmt.Println(guard.RefusalOf(err).EvidenceID)
			}
		})
	}
	group.Wait()
}
