package evidence_test

import (
	"context"
	"crypto/ed25519"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/internal/floor"
	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/tesseralog"
)

// shipped is how many records BenchmarkShip ships in one turn, in feeder batches of shipBatch.
const (
	shipped   = 8192
	shipBatch = 512
)

// BenchmarkShip lets a ledger bring what is in its journal to an embedded log, and a bare Tessera feeder the same
// entries in batches of the same size, in turns. x-floor is the throughput relative to the bare one, medians.
func BenchmarkShip(b *testing.B) {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		b.Fatal(err)
	}
	self := did.FromKey(key.Public().(ed25519.PublicKey))
	cfg := &evidence.LedgerConfig{Dir: b.TempDir(), Server: self, Key: key, KeyID: self.KeyURL(), AllowNoLog: true}
	entries := fillJournal(b, cfg)
	var turns floor.Turns
	for b.Loop() {
		bare := shipBare(b, entries)
		turns.Add(bare, shipOurs(b, cfg, len(entries)))
	}
	b.ReportMetric(1/turns.Ratio(), "x-floor")
	b.ReportMetric(float64(len(entries))/turns.Ours().Seconds(), "entries/s")
	b.ReportMetric(float64(len(entries))/turns.Floor().Seconds(), "floor-entries/s")
}

// fillJournal makes a journal and returns its entries.
func fillJournal(b *testing.B, cfg *evidence.LedgerConfig) (entries [][]byte) {
	b.Helper()
	l, err := evidence.Open(b.Context(), cfg)
	if err != nil {
		b.Fatal(err)
	}
	draft := &evidence.Draft{Arguments: []byte(`{"path":"/data/report.txt"}`), Decision: &evidence.Decision{
		Caller: evidence.Caller{Auth: evidence.AuthAnonymous}, Method: "tools/call", Capability: "tool", Target: "read_file",
		Kind: evidence.Deny, DenyReason: "TOOL_POLICY_DENIED", PolicyVersion: "v1", Rule: "read", RequestID: "8c0d5d21",
	}}
	var writers sync.WaitGroup
	for range 256 {
		writers.Go(func() {
			for range shipped / 256 {
				if _, err := l.Record(b.Context(), draft); err != nil {
					b.Error(err)
				}
			}
		})
	}
	writers.Wait()
	if err := l.Close(b.Context()); err != nil {
		b.Fatal(err)
	}
	for stored, err := range evidence.ReadJournal(cfg.Dir, 0) {
		if err != nil {
			b.Fatal(err)
		}
		entries = append(entries, slices.Clone(stored.Entry))
	}
	return entries
}

// A stopwatch takes the time from the first append to the end of the one that brings the log to a size.
type stopwatch struct {
	*tesseralog.Log
	until        uint64
	began, ended time.Time
	done         chan struct{}
}

func (s *stopwatch) Append(ctx context.Context, entries [][]byte) (uint64, error) {
	if s.began.IsZero() {
		s.began = time.Now()
	}
	first, err := s.Log.Append(ctx, entries)
	if err == nil && s.ended.IsZero() && first+uint64(len(entries)) >= s.until {
		s.ended = time.Now()
		close(s.done)
	}
	return first, err
}

// shipOurs opens the ledger with a new log, which its feeder fills.
func shipOurs(b *testing.B, cfg *evidence.LedgerConfig, n int) time.Duration {
	b.Helper()
	skey, _, err := translog.GenerateKey("log.example/ship")
	if err != nil {
		b.Fatal(err)
	}
	signer, err := translog.ParseSigner(skey)
	if err != nil {
		b.Fatal(err)
	}
	dir := b.TempDir()
	lc := &tesseralog.Config{Dir: filepath.Join(dir, "log"), StatePath: filepath.Join(dir, "state"), Signer: signer}
	if err := tesseralog.Create(b.Context(), lc); err != nil {
		b.Fatal(err)
	}
	log, err := tesseralog.Open(b.Context(), lc)
	if err != nil {
		b.Fatal(err)
	}
	w := &stopwatch{Log: log, until: uint64(n), done: make(chan struct{})}
	with := *cfg
	with.Log, with.AllowNoLog = w, false
	l, err := evidence.Open(b.Context(), &with)
	if err != nil {
		b.Fatal(err)
	}
	<-w.done
	if err := l.Close(b.Context()); err != nil {
		b.Fatal(err)
	}
	if err := log.Close(b.Context()); err != nil {
		b.Fatal(err)
	}
	for _, path := range []string{dir, filepath.Join(cfg.Dir, "log-checkpoint")} { // the next log is another one
		if err := os.RemoveAll(path); err != nil {
			b.Fatal(err)
		}
	}
	return w.ended.Sub(w.began)
}

func shipBare(b *testing.B, entries [][]byte) time.Duration {
	b.Helper()
	dir := b.TempDir()
	bare, err := floor.NewTesseraFeeder(dir, shipBatch)
	if err != nil {
		b.Fatal(err)
	}
	defer bare.Close()
	began := time.Now()
	for batch := range slices.Chunk(entries, shipBatch) {
		if err := bare.Feed(batch); err != nil {
			b.Fatal(err)
		}
	}
	return time.Since(began)
}
