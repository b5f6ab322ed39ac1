package translog_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"testing"
	"time"

	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/merkle/testonly"
	"golang.org/x/mod/sumdb/note"

	"github.com/touchmark-dev/touchmark/internal/floor"
	"github.com/touchmark-dev/touchmark/translog"
)

// BenchmarkVerifyAtMillion verifies, offline, a proof of an entry among
// 1,000,000. x-floor is the ratio to one Ed25519 verification of the checkpoint
// and 20 node hashes, measured in turn with it: medians.
func BenchmarkVerifyAtMillion(b *testing.B) {
	const size, index = 1_000_000, 654_321
	tree := testonly.New(rfc6962.DefaultHasher)
	for i := range size {
		tree.AppendData(fmt.Appendf(nil, "entry %d", i))
	}
	hashes, err := tree.InclusionProof(index, size)
	if err != nil {
		b.Fatal(err)
	}
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		b.Fatal(err)
	}
	signer, err := translog.NewSigner("log.example/million", private)
	if err != nil {
		b.Fatal(err)
	}
	text := fmt.Sprintf("%s\n%d\n%s\n", signer.Name(), size, base64.StdEncoding.EncodeToString(tree.Hash()))
	raw, err := note.Sign(&note.Note{Text: text}, signer)
	if err != nil {
		b.Fatal(err)
	}
	proof := &translog.Proof{Index: index, Checkpoint: raw}
	for _, h := range hashes {
		proof.Hashes = append(proof.Hashes, [32]byte(h))
	}
	file, err := proof.MarshalText()
	if err != nil {
		b.Fatal(err)
	}
	policy, err := translog.ParsePolicy(fmt.Appendf(nil, "log %s\nquorum none\n", signer.VerifierKey()))
	if err != nil {
		b.Fatal(err)
	}
	entry := fmt.Appendf(nil, "entry %d", index)
	signature := ed25519.Sign(private, []byte(text))

	var turns floor.Turns
	b.ReportAllocs()
	for b.Loop() {
		start := time.Now()
		p, err := translog.ParseProof(file)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := policy.Verify(entry, p); err != nil {
			b.Fatal(err)
		}
		middle := time.Now()
		if !ed25519.Verify(public, []byte(text), signature) {
			b.Fatal("the floor's signature is none")
		}
		node := hashes[0]
		for range 20 {
			node = rfc6962.DefaultHasher.HashChildren(node, hashes[1])
		}
		turns.Add(time.Since(middle), middle.Sub(start))
	}
	b.ReportMetric(turns.Ratio(), "x-floor")
	b.ReportMetric(float64(turns.Ours()), "ns/proof")
	b.ReportMetric(float64(turns.Floor()), "floor-ns")
	b.ReportMetric(float64(len(file)), "B/proof")
}
