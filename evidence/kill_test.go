package evidence

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/tesseralog"
)

// kills is how often TestKilledProcess kills. 0 means 10, or 50 in a soak.
var kills = flag.Int("touchmark.kills", 0, "how often TestKilledProcess kills its process (default 10, in a soak 50)")

// killDirVar tells the process of TestKilledProcess where to work.
const killDirVar = "TOUCHMARK_TEST_KILL_DIR"

// killWriters is how many goroutines of the killed process record at once.
const killWriters = 64

// openKilled opens the log and the ledger of TestKilledProcess in a directory.
func openKilled(ctx context.Context, dir string) (*Ledger, *tesseralog.Log, error) {
	skey, err := os.ReadFile(filepath.Join(dir, "log-key"))
	if err != nil {
		return nil, nil, err
	}
	signer, err := translog.ParseSigner(string(skey))
	if err != nil {
		return nil, nil, err
	}
	cfg := &tesseralog.Config{Dir: filepath.Join(dir, "log"), StatePath: filepath.Join(dir, "state", "checkpoint"), Signer: signer}
	if _, err := os.Stat(cfg.StatePath); errors.Is(err, fs.ErrNotExist) {
		if err := tesseralog.Create(ctx, cfg); err != nil {
			return nil, nil, err
		}
	}
	log, err := tesseralog.Open(ctx, cfg)
	if err != nil {
		return nil, nil, err
	}
	s := newTestSigner("ledger")
	l, err := Open(ctx, &LedgerConfig{
		Dir: filepath.Join(dir, "evidence"), Server: s.did, Key: s.key, KeyID: s.kid, Log: log,
		Backlog: 1 << 20, BacklogBytes: 1 << 30, SegmentBytes: 2 << 20,
	})
	if err != nil {
		return nil, nil, errors.Join(err, log.Close(ctx))
	}
	return l, log, nil
}

// TestKilledProcess starts a process that records from 64 goroutines and writes each acknowledgement to a pipe, and
// kills it with SIGKILL at a random moment, 10 times (50 with TOUCHMARK_SOAK=1, or as -touchmark.kills says). After
// each, every record that was acknowledged is in the journal once, and after shipping in the log once, at its place.
// That an acknowledged record survives the power, too, is for TestJournalCrashes and TestLedgerCrashes to show.
func TestKilledProcess(t *testing.T) {
	t.Parallel()
	rounds := *kills
	if rounds == 0 {
		rounds = 10
		if soak() {
			rounds = 50
		}
	}
	k := &killTest{T: t, dir: t.TempDir(), acked: map[string]uint64{}}
	t.Cleanup(func() { // what Tessera has under way in the background may outlast its log for a moment
		for range 1200 {
			if os.RemoveAll(k.dir) == nil {
				break
			}
			time.Sleep(50 * time.Millisecond)
		}
	})
	skey, _, err := translog.GenerateKey("log.example/killed")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(k.dir, "log-key"), []byte(skey), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(k.dir, "state"), 0o700); err != nil {
		t.Fatal(err)
	}
	if k.chain, err = NewChain(&ChainConfig{Keys: newTestSigner("ledger").keys}); err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for round := range rounds {
		k.runAndKill(time.Duration(rng.IntN(400)) * time.Millisecond)
		k.check(round)
		if t.Failed() {
			return
		}
	}
	t.Logf("%d kills, %d records, %d acknowledged decisions, %d of unknown outcome", rounds, k.next, k.total, k.unknown)
}

type killTest struct {
	*testing.T
	dir   string
	acked map[string]uint64 // sequence numbers by id, of the last round

	chain          *Chain
	next           uint64 // record to read next
	total, unknown int
}

// runAndKill notes acknowledgements until the process is killed, this long after the first of them.
func (k *killTest) runAndKill(after time.Duration) {
	k.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		k.Fatal(err)
	}
	defer read.Close()
	cmd := exec.Command(os.Args[0], "-test.run=^TestKilledProcessHelper$", "-test.count=1")
	cmd.Env = append(os.Environ(), killDirVar+"="+k.dir)
	cmd.ExtraFiles = []*os.File{write}
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		k.Fatal(err)
	}
	write.Close()
	clear(k.acked)
	started := false
	for lines := bufio.NewScanner(read); lines.Scan(); {
		if !started {
			started = true
			time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
		}
		var id string
		var seq uint64
		if _, err := fmt.Sscan(lines.Text(), &id, &seq); err != nil {
			k.Fatalf("acknowledgement %q: %v", lines.Text(), err)
		}
		k.acked[id] = seq
	}
	if err := cmd.Wait(); err == nil || !started {
		k.Fatalf("the process ended by itself: %v\n%s", err, output.Bytes())
	}
}

// check opens what the process left, and compares.
func (k *killTest) check(round int) {
	k.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	l, log, err := openKilled(ctx, k.dir)
	if err != nil {
		k.Fatalf("round %d: %v", round, err)
	}
	if err := l.Flush(ctx); err != nil {
		k.Fatal(err)
	}
	missing := len(k.acked)
	for r, err := range l.Entries(k.next) {
		if err != nil {
			k.Fatal(err)
		}
		e, err := k.chain.Add(r.Entry)
		if err != nil {
			k.Fatal(err)
		}
		if logged, err := log.Entry(ctx, r.Sequence); err != nil || !bytes.Equal(logged, r.Entry) {
			k.Fatalf("round %d: entry %d of the log is not the record: %v", round, r.Sequence, err)
		}
		if seq, ok := k.acked[e.Record().ID]; ok {
			missing--
			if seq != r.Sequence {
				k.Errorf("round %d: record %d was acknowledged as %d", round, r.Sequence, seq)
			}
		}
		if o := e.Record().Outcome; o != nil && o.Status == OutcomeUnknown {
			k.unknown++
		}
		k.next++
	}
	size, err := log.Size(ctx)
	if err != nil || missing != 0 || size != k.next || len(k.chain.Summary().Open) != 0 {
		k.Errorf("round %d: %d of %d acknowledged records are missing, the log has %d of %d, %v, open: %d",
			round, missing, len(k.acked), size, k.next, err, len(k.chain.Summary().Open))
	}
	k.total += len(k.acked)
	if err := errors.Join(l.Close(ctx), log.Close(ctx)); err != nil {
		k.Fatal(err)
	}
}

// TestKilledProcessHelper is the process that TestKilledProcess kills; by itself it tests nothing.
func TestKilledProcessHelper(t *testing.T) {
	dir := os.Getenv(killDirVar)
	if dir == "" {
		return
	}
	l, _, err := openKilled(context.Background(), dir)
	if err != nil {
		t.Fatal(err)
	}
	pipe := os.NewFile(3, "acknowledgements")
	var wg sync.WaitGroup
	for range killWriters {
		wg.Go(func() {
			for i := 0; ; i++ {
				ack, err := l.Record(context.Background(), decisionDraft([]DecisionKind{Allow, Deny}[i%2], "read"))
				if err != nil {
					t.Error(err)
					return
				}
				// One write of less than PIPE_BUF is not mixed with others.
				if _, err := fmt.Fprintf(pipe, "%s %d\n", ack.ID, ack.Sequence); err != nil {
					t.Error(err)
					return
				}
				switch i % 4 {
				case 0:
					_, err = l.Record(context.Background(), outcomeDraft(ack))
				case 2:
					err = l.Enqueue(context.Background(), outcomeDraft(ack))
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}
