package tesseralog_test

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/client"
	"golang.org/x/mod/sumdb/note"

	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/tesseralog"
	"github.com/touchmark-dev/touchmark/translog/tlogclient"
)

// The two checkpoints, in the order of spec/serving.md section 4.
var checkpoints = []string{tlogclient.CosignedName, "checkpoint"}

// A copying makes a copy of a log: between says what happens while it is at work.
type copying func(t *testing.T, log, to string, between func())

// copyInOrder is section 4 of spec/serving.md, in Go.
func copyInOrder(t *testing.T, log, to string, between func()) {
	t.Helper()
	aside := map[string][]byte{}
	for _, name := range checkpoints {
		text, err := os.ReadFile(filepath.Join(log, name))
		if err == nil {
			aside[name] = text
		} else if !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
	for range 5 {
		between()
		if !copyTiles(t, log, to, aside["checkpoint"], between) {
			break
		}
	}
	for _, name := range checkpoints {
		if text, ok := aside[name]; ok {
			publish(t, filepath.Join(to, name), text)
		}
	}
}

// copyTiles copies what is signed, and reports whether something has gone meanwhile.
func copyTiles(t *testing.T, log, to string, aside []byte, between func()) (again bool) {
	t.Helper()
	var names []string
	err := filepath.WalkDir(filepath.Join(log, "tile"), func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			again = true
			return nil
		}
		if err == nil && !d.IsDir() {
			name, relative := filepath.Rel(log, path)
			names, err = append(names, name), relative
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	shown, err := os.ReadFile(filepath.Join(log, "checkpoint"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		between()
		if !signed(t, name, aside, shown) {
			continue
		}
		err := copyFile(filepath.Join(log, name), filepath.Join(to, name))
		if again = again || errors.Is(err, fs.ErrNotExist); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
	return again
}

// signed reports whether checkpoints cover a tile: the one that was put aside, or the one that is shown now for a full one.
func signed(t *testing.T, name string, aside, shown []byte) bool {
	t.Helper()
	level, rest, _ := strings.Cut(strings.TrimPrefix(name, "tile/"), "/")
	index, width, partial := strings.Cut(rest, ".p/")
	if !partial {
		width, aside = "256", shown
	}
	number := func(s string) uint64 {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		return n
	}
	if level == "entries" {
		level = "0"
	}
	size := number(strings.Split(string(aside), "\n")[1])
	return number(strings.NewReplacer("x", "", "/", "").Replace(index))*256+number(width) <= size>>(8*number(level))
}

// copyFile copies what is not there.
func copyFile(from, to string) error {
	if _, err := os.Stat(to); err == nil {
		return nil
	}
	text, err := os.ReadFile(from)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(to), 0o755)
	}
	if err == nil {
		err = os.WriteFile(to+".new", text, 0o644)
	}
	if err != nil {
		return err
	}
	return os.Rename(to+".new", to)
}

func publish(t *testing.T, name string, text []byte) {
	t.Helper()
	if err := os.WriteFile(name+".new", text, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		t.Fatal(err)
	}
}

// copyAsDocumented runs the commands of spec/serving.md section 4.
func copyAsDocumented(t *testing.T, log, to string, between func()) {
	t.Helper()
	if _, err := exec.LookPath("rsync"); err != nil {
		t.Skip("rsync is not installed")
	}
	text, err := os.ReadFile("../../spec/serving.md")
	if err != nil {
		t.Fatal(err)
	}
	_, script, _ := strings.Cut(string(text), "```sh\n")
	script, _, found := strings.Cut(script, "```")
	if !found || !strings.Contains(script, "rsync") {
		t.Fatal("the commands are not in spec/serving.md")
	}
	between()
	cmd := exec.Command("sh", "-c", script)
	cmd.Env = append(os.Environ(), "LOG="+log, "COPY="+to, "ASIDE="+filepath.Join(filepath.Dir(to), "aside"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

var copyings = map[string]copying{"in order": copyInOrder, "as documented": copyAsDocumented}

// plain serves the copy as any server of files would.
func plain(t *testing.T, dir string) string {
	t.Helper()
	server := httptest.NewServer(http.FileServer(http.Dir(dir)))
	t.Cleanup(server.Close)
	return server.URL
}

// TestCopy: a copy on a plain server of files verifies, with our client and with somebody else's.
func TestCopy(t *testing.T) {
	for name, copying := range copyings {
		t.Run(name, func(t *testing.T) {
			cfg := newConfig(t)
			create(t, cfg)
			grow(t, cfg, interopSize)
			to := filepath.Join(t.TempDir(), "copy")
			copying(t, cfg.Dir, to, func() {})
			if _, err := os.Stat(filepath.Join(to, ".state")); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("what is not for readers was copied: %v", err)
			}
			url := plain(t, to)
			if _, err := receipts(t, url, cfg); err != nil {
				t.Error(err)
			}
			others(t, url, cfg)
		})
	}
}

// TestCopyOfNothing: a log without entries is copied as it is, and again once it has some.
func TestCopyOfNothing(t *testing.T) {
	cfg := newConfig(t)
	create(t, cfg)
	if err := os.Remove(filepath.Join(cfg.Dir, "tile")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), "copy")
	copyAsDocumented(t, cfg.Dir, to, func() {})
	want, err := os.ReadFile(filepath.Join(cfg.Dir, "checkpoint"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(to, "checkpoint")); err != nil || string(got) != string(want) {
		t.Errorf("the copy's checkpoint is %q, %v", got, err)
	}
	grow(t, cfg, 10)
	copyAsDocumented(t, cfg.Dir, to, func() {})
	if size, err := receipts(t, plain(t, to), cfg); err != nil || size != 10 {
		t.Errorf("a copy of %d entries: %v", size, err)
	}
}

// receipts makes and verifies receipts with our client, and returns the size of the log.
func receipts(t *testing.T, url string, cfg *tesseralog.Config) (uint64, error) {
	policy, err := translog.ParsePolicy([]byte("log " + cfg.Signer.VerifierKey() + "\nquorum none\n"))
	if err != nil {
		return 0, err
	}
	source, err := tlogclient.HTTP(&tlogclient.HTTPConfig{Prefix: url})
	if err != nil {
		return 0, err
	}
	c := tlogclient.New(source, policy)
	cp, err := c.Checkpoint(t.Context())
	if err != nil {
		return 0, err
	}
	for _, index := range []uint64{0, cp.Size() / 3, cp.Size() / 2, cp.Size() - 1} { // the last is what a bad copy lacks
		entry, err := c.Entry(t.Context(), cp, index)
		if err != nil {
			return 0, fmt.Errorf("entry %d of %d: %w", index, cp.Size(), err)
		}
		receipt, err := c.Prove(t.Context(), cp, index, translog.LeafHash(entry))
		if err != nil {
			return 0, fmt.Errorf("entry %d of %d: %w", index, cp.Size(), err)
		}
		if _, err := policy.Verify(fmt.Appendf(nil, "entry %d", index), receipt); err != nil {
			return 0, fmt.Errorf("entry %d of %d: %w", index, cp.Size(), err)
		}
	}
	return cp.Size(), nil
}

// others proves an entry with tessera's client.
func others(t *testing.T, prefix string, cfg *tesseralog.Config) {
	t.Helper()
	u, err := url.Parse(prefix + "/")
	if err != nil {
		t.Fatal(err)
	}
	fetcher, err := client.NewHTTPFetcher(u, nil)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := note.NewVerifier(cfg.Signer.VerifierKey())
	if err != nil {
		t.Fatal(err)
	}
	cp, _, _, err := client.FetchCheckpoint(t.Context(), fetcher.ReadCheckpoint, verifier, cfg.Signer.Name())
	if err != nil {
		t.Fatal(err)
	}
	builder, err := client.NewProofBuilder(t.Context(), cp.Size, fetcher.ReadTile)
	if err != nil {
		t.Fatal(err)
	}
	index := cp.Size - 1
	bundle, err := client.GetEntryBundle(t.Context(), fetcher.ReadEntryBundle, index/256, cp.Size)
	if err != nil {
		t.Fatal(err)
	}
	hashes, err := builder.InclusionProof(t.Context(), index)
	if err != nil {
		t.Fatal(err)
	}
	leaf := rfc6962.DefaultHasher.HashLeaf(bundle.Entries[index%256])
	if err := proof.VerifyInclusion(rfc6962.DefaultHasher, index, cp.Size, leaf, hashes, cp.Hash); err != nil {
		t.Error(err)
	}
}

// TestCopyWhileItGrows: a copy in the documented order verifies at any time, whatever was appended while it was made; one
// that is made the other way round does not.
func TestCopyWhileItGrows(t *testing.T) {
	for name, copying := range copyings {
		t.Run(name, func(t *testing.T) {
			cfg := newConfig(t)
			create(t, cfg)
			grow(t, cfg, 250)
			to := filepath.Join(t.TempDir(), "copy")
			copying(t, cfg.Dir, to, func() {})
			url := plain(t, to)
			stop, readers := make(chan struct{}), sync.WaitGroup{}
			readers.Go(func() { // a reader looks all the while
				for {
					select {
					case <-stop:
						return
					default:
						if _, err := receipts(t, url, cfg); err != nil {
							t.Error(err)
							return
						}
					}
				}
			})
			size, grown := uint64(250), 0
			for range 4 {
				once := false
				copying(t, cfg.Dir, to, func() {
					if !once {
						once = true
						grown++
						grow(t, cfg, 100+grown)
					}
				})
				next, err := receipts(t, url, cfg)
				if err != nil || next < size {
					t.Errorf("the copy went from %d to %d: %v", size, next, err)
				}
				size = next
			}
			close(stop)
			readers.Wait()
			others(t, url, cfg)
		})
	}
	t.Run("the other way round", func(t *testing.T) {
		cfg := newConfig(t)
		create(t, cfg)
		grow(t, cfg, 250)
		to := filepath.Join(t.TempDir(), "copy")
		copyInOrder(t, cfg.Dir, to, func() {})
		grow(t, cfg, 100) // after the tiles were copied
		text, err := os.ReadFile(filepath.Join(cfg.Dir, "checkpoint"))
		if err != nil {
			t.Fatal(err)
		}
		publish(t, filepath.Join(to, "checkpoint"), text)
		policy, err := translog.ParsePolicy([]byte("log " + cfg.Signer.VerifierKey() + "\nquorum none\n"))
		if err != nil {
			t.Fatal(err)
		}
		source, err := tlogclient.HTTP(&tlogclient.HTTPConfig{Prefix: plain(t, to)})
		if err != nil {
			t.Fatal(err)
		}
		c := tlogclient.New(source, policy)
		cp, err := c.Checkpoint(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var unread *tlogclient.SourceError
		if _, err := c.Entry(t.Context(), cp, cp.Size()-1); !errors.As(err, &unread) {
			t.Errorf("an entry that was not copied: %v", err)
		}
	})
}

// TestCopyOnlyWhatIsSigned: tiles that lie in the directory before they are signed are not in the copy. Others come in their
// place, and the copy has these.
func TestCopyOnlyWhatIsSigned(t *testing.T) {
	for name, copying := range copyings {
		t.Run(name, func(t *testing.T) {
			cfg := newConfig(t)
			create(t, cfg)
			grow(t, cfg, 300)
			unsigned := map[string]string{}
			for _, path := range []string{"tile/0/001", "tile/entries/001", "tile/0/001.p/60", "tile/entries/001.p/60", "tile/0/x001/002", "tile/1/000", "tile/1/000.p/2", "tile/0/000.tmp"} {
				unsigned[path] = filepath.Join(cfg.Dir, path)
				if err := os.MkdirAll(filepath.Dir(unsigned[path]), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(unsigned[path], []byte("of nobody's"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			to := filepath.Join(t.TempDir(), "copy")
			if name == "in order" {
				delete(unsigned, "tile/0/000.tmp") // its names are those of the engine
				if err := os.Remove(filepath.Join(cfg.Dir, "tile/0/000.tmp")); err != nil {
					t.Fatal(err)
				}
			}
			copying(t, cfg.Dir, to, func() {})
			for path := range unsigned {
				if _, err := os.Stat(filepath.Join(to, path)); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%s, which nobody has signed, was copied: %v", path, err)
				}
			}
			for _, path := range []string{"tile/0/000", "tile/entries/001.p/44", "tile/1/000.p/1"} {
				if _, err := os.Stat(filepath.Join(to, path)); err != nil {
					t.Error(err)
				}
			}
			url := plain(t, to)
			if _, err := receipts(t, url, cfg); err != nil {
				t.Error(err)
			}
			for _, name := range unsigned {
				if err := os.Remove(name); err != nil {
					t.Fatal(err)
				}
			}
			grow(t, cfg, 300)
			copying(t, cfg.Dir, to, func() {})
			if size, err := receipts(t, url, cfg); err != nil || size != 600 {
				t.Errorf("a copy of %d entries: %v", size, err)
			}
			others(t, url, cfg)
		})
	}
}

// TestCopyWhilePartialsGo: what the copy needs of a partial tile that goes while it is made is in the full one.
func TestCopyWhilePartialsGo(t *testing.T) {
	cfg := newConfig(t)
	create(t, cfg)
	grow(t, cfg, 300)
	to := filepath.Join(t.TempDir(), "copy")
	turns := 0
	copyInOrder(t, cfg.Dir, to, func() {
		if turns++; turns != 3 { // after the list was made
			return
		}
		grow(t, cfg, 300)
		for _, path := range []string{"tile/0/001.p", "tile/entries/001.p"} {
			if err := os.RemoveAll(filepath.Join(cfg.Dir, path)); err != nil {
				t.Fatal(err)
			}
		}
	})
	if size, err := receipts(t, plain(t, to), cfg); err != nil || size != 300 {
		t.Errorf("a copy of %d entries: %v", size, err)
	}
}
