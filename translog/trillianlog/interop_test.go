package trillianlog_test

import (
	"fmt"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/api"
	"github.com/transparency-dev/tessera/client"
	"github.com/transparency-dev/tessera/fsck"
	"golang.org/x/mod/sumdb/note"

	"github.com/touchmark-dev/touchmark/translog/tlogclient"
	"github.com/touchmark-dev/touchmark/translog/trillianlog/trilliantest"
)

// The readers here use none of our code on the way from the bytes that we publish to the verdict: they are those that
// the embedded engine is read with.
func TestOthersReadIt(t *testing.T) {
	const size = 700
	r := trilliantest.Start(t, trilliantest.PostgreSQL(t))
	cfg := newConfig(t, r)
	l := open(t, cfg)
	mustAppend(t, l, numbered(0, 3))
	if _, err := l.AwaitPublished(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, l, numbered(3, size-3))
	closeLog(t, l)

	verifier, err := note.NewVerifier(cfg.Signer.VerifierKey())
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(tlogclient.Handler(cfg.Dir))
	t.Cleanup(server.Close)
	prefix, err := url.Parse(server.URL + "/")
	if err != nil {
		t.Fatal(err)
	}
	fetcher, err := client.NewHTTPFetcher(prefix, nil)
	if err != nil {
		t.Fatal(err)
	}
	tracker, err := client.NewLogStateTracker(t.Context(), fetcher.ReadTile, nil, verifier, cfg.Signer.Name(),
		client.UnilateralConsensus(fetcher.ReadCheckpoint))
	if err != nil {
		t.Fatal(err)
	}
	latest := tracker.Latest()
	if latest.Size != size {
		t.Fatalf("%d entries, want %d", latest.Size, size)
	}
	builder, err := client.NewProofBuilder(t.Context(), latest.Size, fetcher.ReadTile)
	if err != nil {
		t.Fatal(err)
	}
	for _, index := range []uint64{0, 2, 255, 256, 699} {
		hashes, err := builder.InclusionProof(t.Context(), index)
		if err != nil {
			t.Fatal(err)
		}
		leaf := rfc6962.DefaultHasher.HashLeaf(fmt.Appendf(nil, "entry %d", index))
		if err := proof.VerifyInclusion(rfc6962.DefaultHasher, index, latest.Size, leaf, hashes, latest.Hash); err != nil {
			t.Errorf("entry %d: %v", index, err)
		}
	}
	check := fsck.New(cfg.Signer.Name(), verifier, client.FileFetcher{Root: cfg.Dir}, leafHashes, fsck.Opts{N: 1})
	done := make(chan error, 1)
	go func() { done <- check.Check(t.Context()) }()
	select { // it hangs on a log that is wrong
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Error("fsck does not end")
	}
}

func leafHashes(bundle []byte) ([][]byte, error) {
	var b api.EntryBundle
	if err := b.UnmarshalText(bundle); err != nil {
		return nil, err
	}
	leaves := make([][]byte, len(b.Entries))
	for i, e := range b.Entries {
		leaves[i] = rfc6962.DefaultHasher.HashLeaf(e)
	}
	return leaves, nil
}
