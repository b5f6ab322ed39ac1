package signing

import (
	"crypto"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/transparency-dev/formats/log"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"

	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/tlogclient"
)

func testKey(t *testing.T) (*translog.Signer, *translog.Policy) {
	t.Helper()
	signer, err := translog.NewSigner("log.example/guard", ed25519.NewKeyFromSeed(make([]byte, 32)))
	if err != nil {
		t.Fatal(err)
	}
	policy, err := translog.ParsePolicy(fmt.Appendf(nil, "log %s\nquorum none\n", signer.VerifierKey()))
	if err != nil {
		t.Fatal(err)
	}
	return signer, policy
}

func emptyText(origin string) []byte {
	return log.Checkpoint{Origin: origin, Hash: rfc6962.DefaultHasher.EmptyRoot()}.Marshal()
}

// checkpointOf returns the checkpoint of the empty tree.
func checkpointOf(t *testing.T, signer *translog.Signer, policy *translog.Policy) *translog.Checkpoint {
	t.Helper()
	raw, err := note.Sign(&note.Note{Text: string(emptyText(signer.Name()))}, signer)
	if err != nil {
		t.Fatal(err)
	}
	cp, err := policy.VerifyCheckpoint(raw)
	if err != nil {
		t.Fatal(err)
	}
	return cp
}

// newGuard guards a log of one entry that was never signed beyond the empty tree.
func newGuard(t *testing.T) (g *Guard, one translog.Tree) {
	t.Helper()
	signer, policy := testKey(t)
	dir := t.TempDir()
	leaf := translog.LeafHash([]byte("entry"))
	if err := os.MkdirAll(filepath.Join(dir, "tile/0/000.p"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "tile/0/000.p/1"), leaf[:], 0o644); err != nil {
		t.Fatal(err)
	}
	empty := checkpointOf(t, signer, policy)
	state := filepath.Join(t.TempDir(), "trusted")
	if err := os.WriteFile(state, empty.Note(), 0o600); err != nil {
		t.Fatal(err)
	}
	return &Guard{
		signer: signer, policy: policy, state: File(state), open: true, trusted: empty,
		client: tlogclient.New(tlogclient.Dir(dir), policy),
	}, translog.Tree{Size: 1, Root: leaf}
}

func (g *Guard) text(tree translog.Tree) []byte {
	return log.Checkpoint{Origin: g.Name(), Size: tree.Size, Hash: tree.Root[:]}.Marshal()
}

func (g *Guard) path() string { return string(g.state.(File)) }

func (g *Guard) stored(t *testing.T) string {
	t.Helper()
	raw, err := os.ReadFile(g.path())
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestGuardSigns(t *testing.T) {
	g, one := newGuard(t)
	for range 2 { // the second is a republication
		sig, err := g.Sign(g.text(one))
		if err != nil {
			t.Fatal(err)
		}
		cp, err := g.verify(g.text(one), sig)
		if err != nil {
			t.Fatal(err)
		}
		if g.stored(t) != string(cp.Note()) || g.trusted.Tree() != one {
			t.Error("the state does not hold what was signed")
		}
	}
}

func TestGuardRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		prepare func(g *Guard)
		text    func(g *Guard, one translog.Tree) []byte
		code    translog.Code
		forGood bool
	}{
		"another root than the tiles have": {
			text: func(g *Guard, one translog.Tree) []byte { return g.text(translog.Tree{Size: 1, Root: [32]byte{1}}) },
			code: translog.CodeConsistencyInvalid, forGood: true,
		},
		"tiles that are not there": {
			text: func(g *Guard, one translog.Tree) []byte { return g.text(translog.Tree{Size: 300}) },
		},
		"another origin": {
			text: func(g *Guard, one translog.Tree) []byte { return emptyText("log.example/other") },
		},
		"an extension line": {
			text: func(g *Guard, one translog.Tree) []byte { return append(g.text(one), "more\n"...) },
		},
		"no checkpoint": {
			text: func(g *Guard, one translog.Tree) []byte { return []byte("anything\n") },
		},
		"before it is open": {
			prepare: func(g *Guard) { g.open = false },
			text:    (*Guard).textOf,
		},
		"after it is dismissed": {
			prepare: func(g *Guard) { g.Dismiss() },
			text:    (*Guard).textOf,
		},
		"a state that somebody else changed": {
			prepare: func(g *Guard) { _ = os.WriteFile(g.path(), []byte("else"), 0o600) },
			text:    (*Guard).textOf, forGood: true,
		},
		"a state that cannot be read": {
			prepare: func(g *Guard) { _ = os.Remove(g.path()) },
			text:    (*Guard).textOf, forGood: true,
		},
		"a state that cannot be written": {
			prepare: func(g *Guard) { _ = os.MkdirAll(g.path()+".tmp/full", 0o700) },
			text:    (*Guard).textOf, forGood: true,
		},
		"a key that fails": {
			prepare: func(g *Guard) { g.signer = badSigner(g.signer, nil) },
			text:    (*Guard).textOf,
		},
		"a key that signs something else": {
			prepare: func(g *Guard) { g.signer = badSigner(g.signer, make([]byte, 64)) },
			text:    (*Guard).textOf,
		},
	} {
		t.Run(name, func(t *testing.T) {
			g, one := newGuard(t)
			before := g.trusted
			if test.prepare != nil {
				test.prepare(g)
			}
			sig, err := g.Sign(test.text(g, one))
			if err == nil || sig != nil {
				t.Fatalf("signed: %x", sig)
			}
			if got := translog.CodeOf(err); got != test.code {
				t.Errorf("got %v, want code %q", err, test.code)
			}
			var rejected *translog.RejectedError
			if errors.As(err, &rejected) && (string(rejected.Older) != string(before.Note()) || len(rejected.Checkpoint) == 0) {
				t.Error("the refusal does not keep both checkpoints")
			}
			if g.trusted != before {
				t.Error("a refused tree is trusted")
			}
			if (g.Verdict() != nil) != test.forGood {
				t.Errorf("refused for good: %v, want %t", g.Verdict(), test.forGood)
			}
			if test.forGood {
				if _, err := g.Sign(g.text(before.Tree())); err == nil {
					t.Error("signed after a refusal for good")
				}
			}
		})
	}
}

func (g *Guard) textOf(tree translog.Tree) []byte { return g.text(tree) }

// A brokenKey fails, or returns a signature of its own.
type brokenKey struct {
	crypto.Signer
	sig []byte
}

func (k *brokenKey) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	if k.sig == nil {
		return nil, errors.New("the key is locked")
	}
	return k.sig, nil
}

func badSigner(like *translog.Signer, sig []byte) *translog.Signer {
	s, err := translog.NewSigner(like.Name(), &brokenKey{ed25519.NewKeyFromSeed(make([]byte, 32)), sig})
	if err != nil {
		panic(err)
	}
	return s
}
