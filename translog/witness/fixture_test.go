package witness

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/transparency-dev/formats/log"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/merkle/testonly"
	"golang.org/x/mod/sumdb/note"

	"github.com/touchmark-dev/touchmark/translog"
)

const origin = "log.example/witnessed"

// now is later than the times of nobody.
var now = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func signer(t testing.TB, name string, seed byte) *translog.Signer {
	t.Helper()
	s, err := translog.NewSigner(name, ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, 32)))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func policyOf(t testing.TB, text string) *translog.Policy {
	t.Helper()
	p, err := translog.ParsePolicy([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// A testLog signs what a test tells it to.
type testLog struct {
	*translog.Signer
	tree *testonly.Tree
}

func newLog(t testing.TB, entries int) *testLog {
	t.Helper()
	l := &testLog{signer(t, origin, 1), testonly.New(rfc6962.DefaultHasher)}
	l.grow(0, entries)
	return l
}

// grow appends entries that depend on fork.
func (l *testLog) grow(fork, n int) {
	for range n {
		l.tree.AppendData(fmt.Appendf(nil, "entry %d of fork %d", l.tree.Size(), fork))
	}
}

func (l *testLog) checkpoint(t testing.TB, size uint64) []byte {
	t.Helper()
	return l.sign(t, size, l.tree.HashAt(size))
}

func (l *testLog) sign(t testing.TB, size uint64, root []byte) []byte {
	t.Helper()
	text := log.Checkpoint{Origin: l.Name(), Size: size, Hash: root}.Marshal()
	raw, err := note.Sign(&note.Note{Text: string(text)}, l)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func (l *testLog) proof(t testing.TB, older, newer uint64) [][32]byte {
	t.Helper()
	hashes, err := l.consistency(t.Context(), older, newer)
	if err != nil {
		t.Fatal(err)
	}
	return hashes
}

func (l *testLog) consistency(_ context.Context, older, newer uint64) ([][32]byte, error) {
	hashes, err := l.tree.ConsistencyProof(older, newer)
	if err != nil {
		return nil, err
	}
	proof := make([][32]byte, len(hashes))
	for i, h := range hashes {
		proof[i] = [32]byte(h)
	}
	return proof, nil
}

func newKey(t testing.TB, name string, seed byte) *Key {
	t.Helper()
	k, err := NewKey(signer(t, name, seed))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// newWitness opens a new witness of the log that newLog makes.
func newWitness(t testing.TB, name string, seed byte, change ...func(*Config)) *Witness {
	t.Helper()
	key := newKey(t, name, seed)
	cfg := &Config{
		Dir: t.TempDir(), Key: key, Time: func() time.Time { return now },
		Logs: policyOf(t, "log "+signer(t, origin, 1).VerifierKey()+"\nquorum none\n"),
	}
	for _, f := range change {
		f(cfg)
	}
	if err := Create(cfg.Dir, key); err != nil {
		t.Fatal(err)
	}
	return open(t, cfg)
}

func open(t testing.TB, cfg *Config) *Witness {
	t.Helper()
	w, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

// post sends a body to a witness and returns what it answers.
func post(t testing.TB, w http.Handler, body []byte) (status int, contentType, answer string) {
	t.Helper()
	rec := httptest.NewRecorder()
	w.ServeHTTP(rec, httptest.NewRequest(http.MethodPost, "/w1/add-checkpoint", bytes.NewReader(body)))
	text, err := io.ReadAll(rec.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	return rec.Code, rec.Header().Get("Content-Type"), string(text)
}

func body(t testing.TB, r *Request) []byte {
	t.Helper()
	b, err := r.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// cosigned has w cosign, and checks what it signed.
func cosigned(t testing.TB, w *Witness, r *Request) {
	t.Helper()
	status, _, line := post(t, w, body(t, r))
	if status != http.StatusOK {
		t.Fatalf("status %d: %s", status, line)
	}
	verify(t, w.cfg.Key, append(bytes.Clone(r.Checkpoint), line...))
}

func verify(t testing.TB, key *Key, raw []byte) {
	t.Helper()
	p := policyOf(t, "log "+signer(t, origin, 1).VerifierKey()+"\nwitness w "+key.VerifierKey()+"\nquorum w\n")
	cp, err := p.VerifyCheckpoint(raw)
	if err != nil {
		t.Fatal(err)
	}
	if !cp.CosignedAt().Equal(now) {
		t.Errorf("cosigned at %v", cp.CosignedAt())
	}
}
