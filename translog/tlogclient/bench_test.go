package tlogclient_test

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/internal/tiles"
	"github.com/touchmark-dev/touchmark/translog/tlogclient"
)

// BenchmarkProveAtMillion proves random entries among 1,000,000 from tiles in a directory: those whose leaf hash is at
// hand, as in an acknowledgement, and those that are read from their bundle before.
func BenchmarkProveAtMillion(b *testing.B) {
	const size = 1_000_000
	dir := b.TempDir()
	w, err := tiles.Open(b.Context(), dir, tiles.Empty())
	if err != nil {
		b.Fatal(err)
	}
	for i := range size {
		if err := w.Add(numbered(i)); err != nil {
			b.Fatal(err)
		}
	}
	tree, err := w.Tree()
	if err != nil {
		b.Fatal(err)
	}
	if err := w.Flush(); err != nil {
		b.Fatal(err)
	}
	cp, policy := signTree(b, tree)
	c := tlogclient.New(tlogclient.Dir(dir), policy)
	for _, read := range []bool{false, true} {
		b.Run(fmt.Sprintf("read=%t", read), func(b *testing.B) {
			for b.Loop() {
				index := rand.Uint64N(size)
				entry := numbered(int(index))
				if read {
					if entry, err = c.StoredEntry(b.Context(), index, size); err != nil {
						b.Fatal(err)
					}
				}
				if _, err := c.Prove(b.Context(), cp, index, translog.LeafHash(entry)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// numbered returns an entry of about the size of a record.
func numbered(i int) []byte { return fmt.Appendf(nil, "entry %0900d", i) }

// signTree signs a tree with a new key.
func signTree(b *testing.B, tree translog.Tree) (*translog.Checkpoint, *translog.Policy) {
	b.Helper()
	skey, vkey, err := translog.GenerateKey("log.example/million")
	if err != nil {
		b.Fatal(err)
	}
	signer, err := translog.ParseSigner(skey)
	if err != nil {
		b.Fatal(err)
	}
	policy, err := translog.ParsePolicy(fmt.Appendf(nil, "log %s\nquorum none\n", vkey))
	if err != nil {
		b.Fatal(err)
	}
	text := fmt.Sprintf("%s\n%d\n%s\n", signer.Name(), tree.Size, base64.StdEncoding.EncodeToString(tree.Root[:]))
	raw, err := note.Sign(&note.Note{Text: text}, signer)
	if err != nil {
		b.Fatal(err)
	}
	cp, err := policy.VerifyCheckpoint(raw)
	if err != nil {
		b.Fatal(err)
	}
	return cp, policy
}
