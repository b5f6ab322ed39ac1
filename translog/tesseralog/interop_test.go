package tesseralog_test

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/transparency-dev/formats/log"
	fproof "github.com/transparency-dev/formats/proof"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/api"
	"github.com/transparency-dev/tessera/client"
	"github.com/transparency-dev/tessera/fsck"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/touchmark-dev/touchmark/translog/tesseralog"
	"github.com/touchmark-dev/touchmark/translog/tlogclient"
)

// The readers of this file use none of our code on the way from the bytes that
// we publish to the verdict.

const interopSize = 700

// published returns a log with interopSize entries, served over HTTP.
func published(t *testing.T) (cfg *tesseralog.Config, verifier note.Verifier, prefix *url.URL) {
	t.Helper()
	cfg = newConfig(t)
	create(t, cfg)
	grow(t, cfg, 3)
	grow(t, cfg, interopSize-3)
	verifier, err := note.NewVerifier(cfg.Signer.VerifierKey())
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(tlogclient.Handler(cfg.Dir))
	t.Cleanup(server.Close)
	prefix, err = url.Parse(server.URL + "/")
	if err != nil {
		t.Fatal(err)
	}
	return cfg, verifier, prefix
}

func TestTesseraClientReadsIt(t *testing.T) {
	cfg, verifier, prefix := published(t)
	fetcher, err := client.NewHTTPFetcher(prefix, nil)
	if err != nil {
		t.Fatal(err)
	}
	consensus := client.UnilateralConsensus(fetcher.ReadCheckpoint)
	tracker, err := client.NewLogStateTracker(t.Context(), fetcher.ReadTile, nil, verifier, cfg.Signer.Name(), consensus)
	if err != nil {
		t.Fatal(err)
	}
	if latest := tracker.Latest(); latest.Size != interopSize {
		t.Fatalf("size %d, want %d", latest.Size, interopSize)
	}
	grow(t, cfg, 400)
	if _, hashes, _, err := tracker.Update(t.Context()); err != nil || len(hashes) == 0 {
		t.Errorf("Update = %v, with %d hashes", err, len(hashes))
	}
	builder, err := client.NewProofBuilder(t.Context(), tracker.Latest().Size, fetcher.ReadTile)
	if err != nil {
		t.Fatal(err)
	}
	latest := tracker.Latest()
	for _, index := range []uint64{0, 255, 256, 699, 1099} {
		hashes, err := builder.InclusionProof(t.Context(), index)
		if err != nil {
			t.Fatal(err)
		}
		leaf := rfc6962.DefaultHasher.HashLeaf(fmt.Appendf(nil, "entry %d", index))
		if err := proof.VerifyInclusion(rfc6962.DefaultHasher, index, latest.Size, leaf, hashes, latest.Hash); err != nil {
			t.Errorf("entry %d: %v", index, err)
		}
	}
}

func TestFsckFindsNothing(t *testing.T) {
	cfg, verifier, _ := published(t)
	hashes := func(bundle []byte) ([][]byte, error) {
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
	check := fsck.New(cfg.Signer.Name(), verifier, client.FileFetcher{Root: cfg.Dir}, hashes, fsck.Opts{N: 1})
	done := make(chan error, 1)
	go func() { done <- check.Check(t.Context()) }()
	select { // it hangs on a log that is wrong
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(2 * time.Minute):
		t.Error("fsck does not end")
	}
}

// xmodTiles reads our tiles for golang.org/x/mod/sumdb/tlog, which checks them
// against the root.
type xmodTiles struct{ dir string }

func (xmodTiles) Height() int { return 8 }

func (r xmodTiles) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	data := make([][]byte, len(tiles))
	for i, tile := range tiles {
		path := filepath.Join(r.dir, strings.Replace(tile.Path(), "tile/8/", "tile/", 1))
		b, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) && tile.W < 256 {
			full := tile
			full.W = 256
			path = filepath.Join(r.dir, strings.Replace(full.Path(), "tile/8/", "tile/", 1))
			if b, err = os.ReadFile(path); err == nil {
				b = b[:32*tile.W]
			}
		}
		if err != nil {
			return nil, err
		}
		data[i] = b
	}
	return data, nil
}

func (xmodTiles) SaveTiles([]tlog.Tile, [][]byte) {}

func TestXModReadsIt(t *testing.T) {
	cfg, verifier, _ := published(t)
	cp, _, _, err := log.ParseCheckpoint([]byte(read(t, cfg.Dir, "checkpoint")), cfg.Signer.Name(), verifier)
	if err != nil {
		t.Fatal(err)
	}
	tree := tlog.Tree{N: int64(cp.Size), Hash: tlog.Hash(cp.Hash)}
	reader := tlog.TileHashReader(tree, xmodTiles{cfg.Dir})
	for _, index := range []int64{0, 1, 255, 256, 511, interopSize - 1} {
		record, err := tlog.ProveRecord(tree.N, index, reader)
		if err != nil {
			t.Fatal(err)
		}
		leaf := tlog.RecordHash(fmt.Appendf(nil, "entry %d", index))
		if err := tlog.CheckRecord(record, tree.N, tree.Hash, index, leaf); err != nil {
			t.Errorf("entry %d: %v", index, err)
		}
	}
}

// TestOthersVerifyOurProofs: a receipt goes through formats, note and merkle alone.
func TestOthersVerifyOurProofs(t *testing.T) {
	cfg, verifier, _ := published(t)
	l := open(t, cfg)
	defer closeLog(t, l)
	cp, err := l.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, index := range []uint64{0, 2, 255, 256, interopSize - 1} {
		ours, err := l.Prove(t.Context(), cp, index)
		if err != nil {
			t.Fatal(err)
		}
		text, err := ours.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var theirs fproof.TLogProof
		if err := theirs.Unmarshal(text); err != nil {
			t.Fatal(err)
		}
		parsed, _, _, err := log.ParseCheckpoint(theirs.Checkpoint, cfg.Signer.Name(), verifier)
		if err != nil {
			t.Fatal(err)
		}
		var hashes [][]byte
		for _, h := range theirs.Hashes {
			hashes = append(hashes, h[:])
		}
		leaf := rfc6962.DefaultHasher.HashLeaf(fmt.Appendf(nil, "entry %d", index))
		if err := proof.VerifyInclusion(rfc6962.DefaultHasher, theirs.Index, parsed.Size, leaf, hashes, parsed.Hash); err != nil {
			t.Errorf("entry %d: %v", index, err)
		}
	}
}
