package tour

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/guard"
)

func TestTour(t *testing.T) {
	var out bytes.Buffer
	var taken []string
	err := Run(t.Context(), &Options{
		Dir: t.TempDir(), Out: &out, OnStep: func(s StepResult) { taken = append(taken, s.Name) },
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	if !slices.Equal(taken, StepNames()) {
		t.Errorf("steps %q were reported, want %q", taken, StepNames())
	}
	if strings.Count(out.String(), Banner) != 2 {
		t.Error("the tour is not labelled as a demonstration at both ends")
	}
}

// A sabotage breaks the world before one step. The step named must notice.
type sabotage struct {
	name   string
	before string
	fails  string
	do     func(t *testing.T, w *world)
}

var sabotages = []sabotage{
	{"a key file is there already", "keys", "keys", func(t *testing.T, w *world) {
		writeFile(t, w.path("editor.jwk"), nil)
	}},
	{"the reader's document is another party's", "documents", "documents", func(t *testing.T, w *world) {
		doc, err := did.NewDocument(did.MustParse("did:web:stranger.example"), did.DocumentKey{Key: newKey(t).Public()})
		if err != nil {
			t.Fatal(err)
		}
		w.documents["/agents/reader/did.json"] = doc
	}},
	{"the reader's badge is signed by a stranger", "badges", "badges", func(t *testing.T, w *world) {
		token, err := w.issue(&badge.IssuerKey{Issuer: issuer, KeyID: "issuer-1", Signer: newKey(t)}, w.reader())
		if err != nil {
			t.Fatal(err)
		}
		w.reader().badge = token
	}},
	{"the log was begun before", "server", "server", func(t *testing.T, w *world) {
		writeFile(t, w.path("log.state"), []byte("something"))
	}},
	{"the server's badge is an agent's", "server", "verify-server", func(_ *testing.T, w *world) {
		w.server.badge = w.reader().badge
	}},
	{"the guard only watches", "server", "calls", func(_ *testing.T, w *world) {
		w.loosen = func(c *guard.Config) { c.UnsafeShadow = true }
	}},
	{"the guard takes badges without proofs", "server", "stolen-badge", func(_ *testing.T, w *world) {
		w.loosen = func(c *guard.Config) { c.AllowBearerUnsafe = true }
	}},
	{"nobody is in the middle", "relayed-proof", "relayed-proof", func(_ *testing.T, w *world) {
		w.intercept = func() error { return nil }
	}},
	{"the badge is not tampered with", "tampered-badge", "tampered-badge", func(_ *testing.T, w *world) {
		w.tamper = func(token string) string { return token }
	}},
	{"a receipt is there already", "publish", "publish", func(t *testing.T, w *world) {
		writeFile(t, w.path("receipts", "0004.json"), nil)
	}},
	{"two receipts change places", "verify-offline", "verify-offline", func(t *testing.T, w *world) {
		swap(t, w.path("receipts", "0003.json"), w.path("receipts", "0005.json"))
	}},
	{"a receipt is missing", "verify-offline", "verify-offline", func(t *testing.T, w *world) {
		if err := os.Remove(w.path("receipts", "0007.json")); err != nil {
			t.Fatal(err)
		}
	}},
	{"the checkpoints do not belong together", "verify-offline", "verify-offline", func(t *testing.T, w *world) {
		swap(t, w.path("checkpoint"), w.path("checkpoint.early"))
	}},
	{"the record is not rewritten", "tampered-record", "tampered-record", func(_ *testing.T, w *world) {
		w.rewrite = func(entry []byte) []byte { return entry }
	}},
	{"the stranger's log has the genuine key", "forged-log", "forged-log", func(_ *testing.T, w *world) {
		w.forgeKey = func(string) string { return w.logKey }
	}},
	{"the second log is the first", "forged-log", "forged-log", func(_ *testing.T, w *world) {
		w.fork = func(genuine, _ [][]byte) [][]byte { return genuine }
	}},
}

func TestTourNoticesSabotage(t *testing.T) {
	noticed := map[string]bool{}
	for _, s := range sabotages {
		t.Run(s.name, func(t *testing.T) {
			err := Run(t.Context(), &Options{Dir: t.TempDir(), testOnlyBefore: func(step string, w *world) {
				if step == s.before {
					s.do(t, w)
				}
			}})
			var failed *StepError
			if !errors.As(err, &failed) || failed.Step != s.fails {
				t.Fatalf("got %v, want step %q to fail", err, s.fails)
			}
			t.Log(err)
		})
		noticed[s.fails] = true
	}
	for _, name := range StepNames() {
		if !noticed[name] {
			t.Errorf("nothing was broken to make step %q fail", name)
		}
	}
}

func TestRunNeedsADirectory(t *testing.T) {
	if err := Run(t.Context(), &Options{}); err == nil {
		t.Error("no error")
	}
}

func newKey(t *testing.T) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func writeFile(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func swap(t *testing.T, a, b string) {
	t.Helper()
	for _, move := range [][2]string{{a, a + ".moved"}, {b, a}, {a + ".moved", b}} {
		if err := os.Rename(move[0], move[1]); err != nil {
			t.Fatal(err)
		}
	}
}
