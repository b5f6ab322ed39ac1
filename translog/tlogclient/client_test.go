package tlogclient_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/tlogclient"
	"github.com/touchmark-dev/touchmark/translog/translogtest"
)

// sources returns the log read from its directory and over HTTP.
func sources(t *testing.T, l *tiledLog) map[string]tlogclient.Source {
	t.Helper()
	server := httptest.NewServer(http.StripPrefix("/calls", tlogclient.Handler(l.dir)))
	t.Cleanup(server.Close)
	remote, err := tlogclient.HTTP(&tlogclient.HTTPConfig{Prefix: server.URL + "/calls/"})
	if err != nil {
		t.Fatal(err)
	}
	return map[string]tlogclient.Source{"dir": tlogclient.Dir(l.dir), "http": remote}
}

func TestClient(t *testing.T) {
	sizes := []int{1, 2, 255, 256, 257, 700}
	l := tiled(t, sizes...)
	for name, source := range sources(t, l) {
		t.Run(name, func(t *testing.T) {
			c := tlogclient.New(source, l.Policy())
			latest, err := c.Checkpoint(t.Context())
			if err != nil || latest.Tree() != l.cps[700].Tree() {
				t.Fatalf("Checkpoint: %v", err)
			}
			for _, size := range sizes {
				cp := l.cps[size]
				for index := 0; index < size; index += 1 + size/9 {
					checkEntry(t, c, l, cp, index)
				}
				checkEntry(t, c, l, cp, size-1)
				if proof, err := c.Consistency(t.Context(), cp, latest); err != nil {
					t.Errorf("Consistency from %d: %v (%d hashes)", size, err, len(proof))
				}
			}
		})
	}
}

func checkEntry(t *testing.T, c *tlogclient.Client, l *tiledLog, cp *translog.Checkpoint, index int) {
	t.Helper()
	entry, err := c.Entry(t.Context(), cp, uint64(index))
	if err != nil || !bytes.Equal(entry, l.entries[index]) {
		t.Fatalf("Entry(%d) of %d = %q, %v", index, cp.Size(), entry, err)
	}
	for _, hint := range []uint64{0, uint64(index), uint64(index) + 300, 1 << 60} {
		proof, err := c.ProveEntry(t.Context(), cp, entry, hint)
		if err != nil {
			t.Fatalf("ProveEntry(%d) of %d: %v", index, cp.Size(), err)
		}
		if in, err := l.Policy().Verify(entry, proof); err != nil || in.Index() != uint64(index) {
			t.Fatalf("the proof of entry %d of %d: %v", index, cp.Size(), err)
		}
	}
}

func TestBeyondTheTree(t *testing.T) {
	l := tiled(t, 5, 9)
	c := tlogclient.New(tlogclient.Dir(l.dir), l.Policy())
	if _, err := c.Entry(t.Context(), l.cps[5], 5); err == nil {
		t.Error("Entry 5 of a tree of 5 was returned, because the log has it")
	}
	if _, err := c.Prove(t.Context(), l.cps[5], 5, translog.LeafHash(l.entries[5])); err == nil {
		t.Error("entry 5 was proven in a tree of 5")
	}
	if _, err := c.ProveEntry(t.Context(), l.cps[5], l.entries[5], 5); !errors.Is(err, tlogclient.ErrNotFound) {
		t.Errorf("ProveEntry = %v, want ErrNotFound", err)
	}
	if _, err := c.Consistency(t.Context(), l.cps[9], l.cps[5]); translog.CodeOf(err) != translog.CodeRolledBack {
		t.Errorf("Consistency backwards = %v", err)
	}
}

// TestPartialTileMayVanish: once the full tile is there, a log may remove the
// partial ones that older checkpoints named.
func TestPartialTileMayVanish(t *testing.T) {
	l := tiled(t, 100, 700)
	for _, gone := range []string{"tile/0/000.p", "tile/entries/000.p"} {
		l.remove(t, gone)
	}
	for name, source := range sources(t, l) {
		t.Run(name, func(t *testing.T) {
			checkEntry(t, tlogclient.New(source, l.Policy()), l, l.cps[100], 42)
		})
	}
	l.remove(t, "tile/0/000")
	_, err := tlogclient.New(tlogclient.Dir(l.dir), l.Policy()).Entry(t.Context(), l.cps[100], 42)
	if err == nil || translog.CodeOf(err) != "" {
		t.Errorf("a tile that is gone: %v, want an error that is no verdict", err)
	}
}

// TestLyingSource changes one resource at a time; nothing false comes out.
func TestLyingSource(t *testing.T) {
	flip := func(at int) func([]byte) []byte {
		return func(data []byte) []byte { data[at] ^= 1; return data }
	}
	for name, lie := range map[string]struct {
		path   string
		change func([]byte) []byte
	}{
		"a leaf hash beside the path":  {"tile/0/000.p/11", flip(5 * 32)},
		"an entry":                     {"tile/entries/000.p/11", flip(2 + 4*9 + 6)},
		"the checkpoint's root":        {"checkpoint", flip(30)},
		"a tile cut short":             {"tile/0/000.p/11", func(d []byte) []byte { return d[:9*32] }},
		"a tile of odd length":         {"tile/0/000.p/11", func(d []byte) []byte { return d[:len(d)-1] }},
		"a tile too large":             {"tile/0/000.p/11", func(d []byte) []byte { return make([]byte, 8193) }},
		"a bundle cut within an entry": {"tile/entries/000.p/11", func(d []byte) []byte { return d[:2+4*9+5] }},
		"a bundle cut between entries": {"tile/entries/000.p/11", func(d []byte) []byte { return d[:2*9] }},
	} {
		t.Run(name, func(t *testing.T) {
			l := tiled(t, 11)
			l.change(t, lie.path, lie.change)
			c := tlogclient.New(tlogclient.Dir(l.dir), l.Policy())
			cp, err := c.Checkpoint(t.Context())
			if err == nil {
				_, err = c.Entry(t.Context(), cp, 4)
			}
			if err == nil {
				t.Error("the lie was believed")
			}
		})
	}
}

// TestHiddenEntry: a source cannot make an entry vanish by giving another hash.
func TestHiddenEntry(t *testing.T) {
	l := tiled(t, 300)
	c := tlogclient.New(tlogclient.Dir(l.dir), l.Policy())
	if _, err := c.ProveEntry(t.Context(), l.cps[300], []byte("never appended"), 270); !errors.Is(err, tlogclient.ErrNotFound) {
		t.Errorf("ProveEntry = %v, want ErrNotFound", err)
	}
	l.change(t, "tile/0/000", func(d []byte) []byte { d[7*32] ^= 1; return d })
	_, err := c.ProveEntry(t.Context(), l.cps[300], l.entries[7], 0)
	if errors.Is(err, tlogclient.ErrNotFound) || translog.CodeOf(err) != translog.CodeInclusionInvalid {
		t.Errorf("ProveEntry of a hidden entry = %v, want %s", err, translog.CodeInclusionInvalid)
	}
}

// TestMissingTiles: what cannot be read is an error and no verdict.
func TestMissingTiles(t *testing.T) {
	l := tiled(t, 5, 300)
	c := tlogclient.New(tlogclient.Dir(l.dir), l.Policy())
	older, newer := l.cps[5], l.cps[300]
	l.change(t, "tile/0/001.p/44", func(d []byte) []byte { return d[:32*40] })
	checks := map[string]func() error{
		"Find in a tile cut short": func() error {
			_, err := c.Find(t.Context(), newer, translog.LeafHash([]byte("never appended")), 0)
			return err
		},
		"Root of a tile cut short":        func() error { _, err := c.Root(t.Context(), 300); return err },
		"Consistency of a tile cut short": func() error { _, err := c.Consistency(t.Context(), older, newer); return err },
	}
	for name, check := range checks {
		if err := check(); !errors.As(err, new(*tlogclient.SourceError)) || errors.Is(err, tlogclient.ErrNotFound) || translog.CodeOf(err) != "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	l.remove(t, "tile/0")
	l.remove(t, "checkpoint")
	checks["Checkpoint"] = func() error { _, err := c.Checkpoint(t.Context()); return err }
	checks["Prove"] = func() error { _, err := c.Prove(t.Context(), newer, 7, [32]byte{}); return err }
	for name, check := range checks {
		if err := check(); !errors.Is(err, fs.ErrNotExist) || !errors.As(err, new(*tlogclient.SourceError)) || translog.CodeOf(err) != "" {
			t.Errorf("%s, gone: %v", name, err)
		}
	}
}

func TestRoot(t *testing.T) {
	l := tiled(t, 5, 256, 300)
	c := tlogclient.New(tlogclient.Dir(l.dir), l.Policy())
	for size, cp := range l.cps {
		if root, err := c.Root(t.Context(), uint64(size)); err != nil || root != cp.Root() {
			t.Errorf("Root(%d) = %x, %v", size, root, err)
		}
	}
	empty, err := translogtest.NewLog("log.example/empty").Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if root, err := c.Root(t.Context(), 0); err != nil || root != empty.Root() {
		t.Errorf("Root(0) = %x, %v", root, err)
	}
}

func TestDirEndsWithContext(t *testing.T) {
	l := tiled(t, 5)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := tlogclient.Dir(l.dir).Checkpoint(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Checkpoint = %v", err)
	}
}

// TestForkedLog: the checkpoint is signed, the tiles are another tree's.
func TestForkedLog(t *testing.T) {
	l := tiled(t, 6, 11)
	fork := l.Fork()
	if _, err := fork.Append(t.Context(), [][]byte{[]byte("elsewhere")}); err != nil {
		t.Fatal(err)
	}
	forked, err := fork.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Append(t.Context(), [][]byte{[]byte("here")}); err != nil {
		t.Fatal(err)
	}
	here, err := l.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c := tlogclient.New(tlogclient.Dir(l.dir), l.Policy())
	_, err = c.Consistency(t.Context(), here, forked)
	var r *translog.RejectedError
	if !errors.As(err, &r) || r.Code != translog.CodeForked || !bytes.Equal(r.Older, here.Note()) || !bytes.Equal(r.Checkpoint, forked.Note()) {
		t.Errorf("Consistency = %v, want %s with both checkpoints", err, translog.CodeForked)
	}
}

func TestOtherPolicy(t *testing.T) {
	l := tiled(t, 3)
	c := tlogclient.New(tlogclient.Dir(l.dir), translogtest.NewLog("log.example/tiled").Policy())
	if _, err := c.Checkpoint(t.Context()); translog.CodeOf(err) != translog.CodeCheckpointSignatureInvalid {
		t.Errorf("Checkpoint under another key: %v", err)
	}
	// A checkpoint that another policy accepted is judged again.
	if _, err := c.Entry(t.Context(), l.cps[3], 1); translog.CodeOf(err) != translog.CodeCheckpointSignatureInvalid {
		t.Errorf("Entry under another key: %v", err)
	}
}

func TestHTTPSource(t *testing.T) {
	for _, bad := range []string{"", "log.example", "ftp://log.example/", "https:///x", "https://log.example/?q", "http://a b/"} {
		if _, err := tlogclient.HTTP(&tlogclient.HTTPConfig{Prefix: bad}); err == nil || !strings.Contains(err.Error(), "URL") {
			t.Errorf("HTTP(%q) = %v", bad, err)
		}
	}
	answers := map[string]func(w http.ResponseWriter, r *http.Request){
		"not found": http.NotFound,
		"redirect":  func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) },
		"error":     func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
		"endless":   func(w http.ResponseWriter, r *http.Request) { w.Write(make([]byte, translog.MaxCheckpointBytes+1)) },
	}
	for name, answer := range answers {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(answer))
			defer server.Close()
			prefix := strings.Replace(server.URL, "http://", "http://reader:hunter2@", 1)
			source, err := tlogclient.HTTP(&tlogclient.HTTPConfig{Prefix: prefix})
			if err != nil {
				t.Fatal(err)
			}
			_, err = source.Checkpoint(t.Context())
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the password is in %q", err)
			}
			if err == nil || errors.Is(err, fs.ErrNotExist) != (name == "not found") {
				t.Errorf("Checkpoint = %v", err)
			}
		})
	}
	source, err := tlogclient.HTTP(&tlogclient.HTTPConfig{Prefix: "http://127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := source.Checkpoint(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Checkpoint = %v, want context.Canceled", err)
	}
}

// TestPitfallBundleOfNothing: eight million empty entries fit into a bundle, and
// tessera's reader makes a slice of each.
func TestPitfallBundleOfNothing(t *testing.T) {
	l := tiled(t, 11)
	l.change(t, "tile/entries/000.p/11", func([]byte) []byte { return make([]byte, 1<<24) })
	c := tlogclient.New(tlogclient.Dir(l.dir), l.Policy())
	if n := testing.AllocsPerRun(1, func() {
		if _, err := c.StoredEntry(t.Context(), 4, 11); err != nil {
			t.Error(err)
		}
	}); n > 1000 {
		t.Errorf("%v allocations", n)
	}
}
