package trillianlog_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/transparency-dev/formats/log"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/api"
	"github.com/transparency-dev/tessera/client"
	"github.com/transparency-dev/tessera/fsck"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/touchmark-dev/touchmark/translog/tlogclient"
	"github.com/touchmark-dev/touchmark/translog/trillianlog"
	"github.com/touchmark-dev/touchmark/translog/trillianlog/trilliantest"
)

// A log of one writer; that of several is read in TestSharedWriters.
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
	othersRead(t, cfg, size)
}

// othersRead has a log of so many entries read as it is served, by readers that use none of our code on the way from the
// bytes that we publish to the verdict: they are those that the embedded engine is read with.
func othersRead(t *testing.T, cfg *trillianlog.Config, size uint64) {
	t.Helper()
	verifier, err := note.NewVerifier(cfg.Signer.VerifierKey())
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(tlogclient.Handler(cfg.Dir))
	defer server.Close()
	tesseraReads(t, server.URL+"/", verifier, size)
	xmodReads(t, server.URL+"/", verifier, size)

	check := fsck.New(cfg.Signer.Name(), verifier, client.FileFetcher{Root: cfg.Dir}, leafHashes, fsck.Opts{N: 1})
	done := make(chan error, 1)
	go func() { done <- check.Check(t.Context()) }()
	select { // it hangs on a log that is wrong
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
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

// tesseraReads has the client of tessera prove entries of every part of the tree.
func tesseraReads(t *testing.T, prefix string, verifier note.Verifier, size uint64) {
	t.Helper()
	at, err := url.Parse(prefix)
	if err != nil {
		t.Fatal(err)
	}
	fetcher, err := client.NewHTTPFetcher(at, nil)
	if err != nil {
		t.Fatal(err)
	}
	tracker, err := client.NewLogStateTracker(t.Context(), fetcher.ReadTile, nil, verifier, verifier.Name(),
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
	for index := uint64(0); index < size; index += 17 {
		hashes, err := builder.InclusionProof(t.Context(), index)
		if err != nil {
			t.Fatal(err)
		}
		bundle, err := client.GetEntryBundle(t.Context(), fetcher.ReadEntryBundle, index/256, size)
		if err != nil {
			t.Fatal(err)
		}
		leaf := rfc6962.DefaultHasher.HashLeaf(bundle.Entries[index%256])
		if err := proof.VerifyInclusion(rfc6962.DefaultHasher, index, latest.Size, leaf, hashes, latest.Hash); err != nil {
			t.Errorf("entry %d: %v", index, err)
		}
	}
}

// xmodReads has golang.org/x/mod/sumdb/tlog, which holds each tile against the root, prove the same entries.
func xmodReads(t *testing.T, prefix string, verifier note.Verifier, size uint64) {
	t.Helper()
	cp, _, _, err := log.ParseCheckpoint(get(t, prefix+"checkpoint"), verifier.Name(), verifier)
	if err != nil {
		t.Fatal(err)
	}
	tree := tlog.Tree{N: int64(cp.Size), Hash: tlog.Hash(cp.Hash)}
	reader := tlog.TileHashReader(tree, xmodTiles{t, prefix})
	for index := int64(0); index < int64(size); index += 17 {
		record, err := tlog.ProveRecord(tree.N, index, reader)
		if err != nil {
			t.Fatal(err)
		}
		hashes, err := reader.ReadHashes([]int64{tlog.StoredHashIndex(0, index)})
		if err != nil {
			t.Fatal(err)
		}
		if err := tlog.CheckRecord(record, tree.N, tree.Hash, index, hashes[0]); err != nil {
			t.Errorf("entry %d: %v", index, err)
		}
	}
	for older := int64(1); older < int64(size); older += 131 {
		root, err := tlog.TreeHash(older, reader)
		if err != nil {
			t.Fatal(err)
		}
		p, err := tlog.ProveTree(tree.N, older, reader)
		if err != nil {
			t.Fatal(err)
		}
		if err := tlog.CheckTree(p, tree.N, tree.Hash, older, root); err != nil {
			t.Errorf("tree of %d: %v", older, err)
		}
	}
}

// xmodTiles are our tiles as x/mod asks for them.
type xmodTiles struct {
	t      *testing.T
	prefix string
}

func (xmodTiles) Height() int { return 8 }

func (r xmodTiles) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	data := make([][]byte, len(tiles))
	for i, tile := range tiles {
		path := strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
		if full := strings.Index(path, ".p/"); full >= 0 && missing(r.t, r.prefix+path) {
			path = path[:full]
		}
		data[i] = get(r.t, r.prefix+path)
		if len(data[i]) < 32*tile.W {
			return nil, fmt.Errorf("%s has %d bytes", path, len(data[i]))
		}
		data[i] = data[i][:32*tile.W]
	}
	return data, nil
}

func (xmodTiles) SaveTiles([]tlog.Tile, [][]byte) {}

func missing(t *testing.T, at string) bool {
	t.Helper()
	res, err := http.Get(at) //nolint:gosec,noctx // the test's own server
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	return res.StatusCode == http.StatusNotFound
}

func get(t *testing.T, at string) []byte {
	t.Helper()
	res, err := http.Get(at) //nolint:gosec,noctx // the test's own server
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v", at, res.Status, err)
	}
	return data
}
