package witness_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/storage/posix"

	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/tesseralog"
	"github.com/touchmark-dev/touchmark/translog/tlogclient"
	"github.com/touchmark-dev/touchmark/translog/witness"
)

const origin = "log.example/published"

func newSigner(t *testing.T, name string, seed byte) *translog.Signer {
	t.Helper()
	s, err := translog.NewSigner(name, ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, 32)))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func parse(t *testing.T, text string) *translog.Policy {
	t.Helper()
	p, err := translog.ParsePolicy([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// A setting is a real log, three witnesses of it, and a policy with a quorum of
// two.
type setting struct {
	cfg     *tesseralog.Config
	servers []*httptest.Server
	text    string // of the policy
	policy  *translog.Policy
}

func newSetting(t *testing.T) *setting {
	t.Helper()
	dir := t.TempDir()
	t.Cleanup(func() { removeAll(t, dir) })
	s := &setting{cfg: &tesseralog.Config{
		Dir: filepath.Join(dir, "log"), StatePath: filepath.Join(dir, "state"),
		Signer: newSigner(t, origin, 1), CheckpointInterval: 100 * time.Millisecond,
	}}
	s.text = "log " + s.cfg.Signer.VerifierKey() + "\n"
	for i := range 3 {
		key, err := witness.NewKey(newSigner(t, fmt.Sprintf("w.example/%d", i), byte(10+i)))
		if err != nil {
			t.Fatal(err)
		}
		cfg := &witness.Config{Dir: filepath.Join(dir, fmt.Sprint(i)), Key: key, Logs: parse(t, "log "+s.cfg.Signer.VerifierKey()+"\nquorum none\n")}
		if err := witness.Create(cfg.Dir, key); err != nil {
			t.Fatal(err)
		}
		w, err := witness.Open(cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { w.Close() })
		server := httptest.NewServer(w)
		t.Cleanup(server.Close)
		s.servers = append(s.servers, server)
		s.text += fmt.Sprintf("witness w%d %s %s\n", i, key.VerifierKey(), server.URL)
	}
	s.text += "group two 2 w0 w1 w2\nquorum two\n"
	s.policy = parse(t, s.text)
	return s
}

// removeAll removes a directory in which Tessera, which says nobody when it has ended, may still make a file.
func removeAll(t *testing.T, dir string) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		err := os.RemoveAll(dir)
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

// patience is how long what is under way may take on a busy machine.
const patience = 2 * time.Minute

func (s *setting) publisher(t *testing.T) *witness.Publisher {
	t.Helper()
	source := tlogclient.Dir(s.cfg.Dir)
	collector, err := witness.NewCollector(&witness.CollectorConfig{
		Policy: s.policy, Proof: tlogclient.New(source, s.policy).ConsistencyHashes, Grace: -1, Timeout: patience,
	})
	if err != nil {
		t.Fatal(err)
	}
	return &witness.Publisher{
		Log: source, Policy: s.policy, Collector: collector,
		Path: filepath.Join(s.cfg.Dir, tlogclient.CosignedName), Interval: 50 * time.Millisecond,
	}
}

// grow appends n entries and waits until the log has signed them.
func (s *setting) grow(t *testing.T, n int) {
	t.Helper()
	l, err := tesseralog.Open(t.Context(), s.cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close(context.WithoutCancel(t.Context()))
	var entries [][]byte
	for i := range n {
		entries = append(entries, fmt.Appendf(nil, "%d at %v", i, time.Now().UnixNano()))
	}
	first, err := l.Append(t.Context(), entries)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.AwaitPublished(t.Context(), first+uint64(n)-1); err != nil {
		t.Fatal(err)
	}
}

// size returns what readers get under the policy and without witnesses.
func (s *setting) sizes(t *testing.T) (cosigned, own uint64) {
	t.Helper()
	server := httptest.NewServer(tlogclient.Handler(s.cfg.Dir))
	defer server.Close()
	source, err := tlogclient.HTTP(&tlogclient.HTTPConfig{Prefix: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	cp, err := tlogclient.New(source, s.policy.LogsOnly()).Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	own = cp.Size()
	cp, err = tlogclient.New(source, s.policy).Checkpoint(t.Context())
	switch {
	case translog.CodeOf(err) == translog.CodeWitnessQuorum: // nothing was cosigned
		return 0, own
	case err != nil:
		t.Fatal(err)
	}
	return cp.Size(), own
}

func wantSizes(t *testing.T, s *setting, cosigned, own uint64) {
	t.Helper()
	if c, o := s.sizes(t); c != cosigned || o != own {
		t.Errorf("%d entries are cosigned and %d are signed, want %d and %d", c, o, cosigned, own)
	}
}

// A quorum of 2 of 3: with one witness dead publishing goes on, with two it
// stops, while the log itself goes on.
func TestPublish(t *testing.T) {
	s := newSetting(t)
	if err := tesseralog.Create(t.Context(), s.cfg); err != nil {
		t.Fatal(err)
	}
	p := s.publisher(t)
	publish := func() error { _, err := p.Publish(t.Context()); return err }
	s.grow(t, 300)
	wantSizes(t, s, 0, 300)
	if err := publish(); err != nil {
		t.Fatal(err)
	}
	wantSizes(t, s, 300, 300)
	if cp, err := p.Publish(t.Context()); cp != nil || err != nil {
		t.Errorf("published again: %v, %v", cp, err)
	}

	s.servers[1].Close()
	s.grow(t, 5)
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		err := publish()
		if err == nil {
			break
		}
		if time.Now().After(end) { // a witness that nobody waited for is busy until its request has ended
			t.Fatal(err)
		}
	}
	wantSizes(t, s, 305, 305)

	s.servers[2].Close()
	s.grow(t, 5)
	if err := publish(); translog.CodeOf(err) != translog.CodeWitnessQuorum {
		t.Fatalf("published without a quorum: %v", err)
	}
	wantSizes(t, s, 305, 310)

	// A receipt for an entry that is cosigned; none for one that is not.
	client := tlogclient.New(tlogclient.Dir(s.cfg.Dir), s.policy)
	cp, err := client.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	entry, err := client.Entry(t.Context(), cp, 304)
	if err != nil {
		t.Fatal(err)
	}
	proof, err := client.Prove(t.Context(), cp, 304, translog.LeafHash(entry))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.policy.Verify(entry, proof); err != nil {
		t.Error(err)
	}
	if _, err := client.Entry(t.Context(), cp, 305); err == nil {
		t.Error("an entry that nobody cosigned is proven")
	}
}

// What does not continue the published checkpoint is not even shown to witnesses.
func TestPublishRefusesAnotherLog(t *testing.T) {
	s := newSetting(t)
	if err := tesseralog.Create(t.Context(), s.cfg); err != nil {
		t.Fatal(err)
	}
	s.grow(t, 9)
	p := s.publisher(t)
	if _, err := p.Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	published, err := os.ReadFile(p.Path)
	if err != nil {
		t.Fatal(err)
	}
	// The same key signs another log.
	removeAll(t, s.cfg.Dir)
	if err := os.Remove(s.cfg.StatePath); err != nil {
		t.Fatal(err)
	}
	if err := tesseralog.Create(t.Context(), s.cfg); err != nil {
		t.Fatal(err)
	}
	s.grow(t, 9)
	if err := os.WriteFile(p.Path, published, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		_, err = p.Publish(t.Context())
		if code := translog.CodeOf(err); code != translog.CodeForked {
			t.Errorf("got %v", err)
		}
	}
	s.grow(t, 3)
	if _, err := p.Publish(t.Context()); translog.CodeOf(err) != translog.CodeConsistencyInvalid {
		t.Errorf("got %v", err)
	}
	if now, _ := os.ReadFile(p.Path); !bytes.Equal(now, published) {
		t.Error("what is published has changed")
	}
	// Without it, the witnesses remember.
	if err := os.Remove(p.Path); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Publish(t.Context()); translog.CodeOf(err) != translog.CodeWitnessQuorum {
		t.Errorf("got %v", err)
	}
}

func TestPublisherRun(t *testing.T) {
	s := newSetting(t)
	if err := tesseralog.Create(t.Context(), s.cfg); err != nil {
		t.Fatal(err)
	}
	s.grow(t, 2)
	p := s.publisher(t)
	ctx, cancel := context.WithCancel(t.Context())
	seen := make(chan uint64)
	p.OnPublish = func(cp *translog.Checkpoint) {
		select {
		case seen <- cp.Size():
		case <-ctx.Done():
		}
	}
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	if n := <-seen; n != 2 {
		t.Errorf("published %d", n)
	}
	s.grow(t, 2)
	for n := uint64(2); n < 4; { // the log may have signed a tree of 3 between them
		size := <-seen
		if size <= n || size > 4 {
			t.Fatalf("published %d after %d", size, n)
		}
		n = size
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// Tessera's own client of the protocol, against our witnesses.
func TestTesseraAsksOurWitnesses(t *testing.T) {
	s := newSetting(t)
	group, err := tessera.NewWitnessGroupFromPolicy([]byte(s.text))
	if err != nil {
		t.Fatal(err)
	}
	driver, err := posix.New(t.Context(), posix.Config{Path: s.cfg.Dir})
	if err != nil {
		t.Fatal(err)
	}
	opts := tessera.NewAppendOptions().WithCheckpointSigner(s.cfg.Signer).WithCheckpointInterval(100*time.Millisecond).
		WithBatching(16, 10*time.Millisecond).WithShutdownTimeout(patience).
		WithWitnesses(group, &tessera.WitnessOptions{Timeout: patience})
	appender, shutdown, reader, err := tessera.NewAppender(t.Context(), driver, opts)
	if err != nil {
		t.Fatal(err)
	}
	awaiter := tessera.NewPublicationAwaiter(t.Context(), reader.ReadCheckpoint, 20*time.Millisecond)
	for i := range 3 {
		_, raw, err := awaiter.Await(t.Context(), appender.Add(t.Context(), tessera.NewEntry(fmt.Appendf(nil, "entry %d", i))))
		if err != nil {
			t.Fatal(err)
		}
		cp, err := s.policy.VerifyCheckpoint(raw)
		if err != nil {
			t.Fatal(err)
		}
		if len(cp.Cosignatures()) < 2 || slices.ContainsFunc(cp.Cosignatures(), func(c translog.Cosignature) bool { return c.Time.IsZero() }) {
			t.Errorf("got %v", cp.Cosignatures())
		}
	}
	if err := shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}
