package tlogclient_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/translog/tlogclient"
)

func request(h http.Handler, method, path string, header http.Header) *http.Response {
	r := httptest.NewRequest(method, "http://log.example/", nil)
	r.URL.Path = path // as the client sent it, without cleaning
	for k, v := range header {
		r.Header[k] = v
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func TestHandler(t *testing.T) {
	l := tiled(t, 300)
	h := tlogclient.Handler(l.dir)
	for path, want := range map[string]struct{ contentType, cache string }{
		"/checkpoint":            {"text/plain; charset=utf-8", "public, max-age=1, must-revalidate"},
		"/tile/0/000":            {"application/octet-stream", "public, max-age=31536000, immutable"},
		"/tile/entries/000":      {"application/octet-stream", "public, max-age=31536000, immutable"},
		"/tile/0/001.p/44":       {"application/octet-stream", "public, max-age=60"},
		"/tile/entries/001.p/44": {"application/octet-stream", "public, max-age=60"},
		"/tile/1/000.p/1":        {"application/octet-stream", "public, max-age=60"},
	} {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			res := request(h, method, path, nil)
			body, _ := io.ReadAll(res.Body)
			file, err := os.ReadFile(filepath.Join(l.dir, path))
			if err != nil {
				t.Fatal(err)
			}
			if res.StatusCode != http.StatusOK || method == http.MethodGet && string(body) != string(file) {
				t.Errorf("%s %s: status %d, %d bytes", method, path, res.StatusCode, len(body))
			}
			if got := res.Header.Get("Content-Type"); got != want.contentType {
				t.Errorf("%s %s: Content-Type %q", method, path, got)
			}
			if got := res.Header.Get("Cache-Control"); got != want.cache {
				t.Errorf("%s %s: Cache-Control %q", method, path, got)
			}
		}
	}
}

func TestHandlerHidesAllElse(t *testing.T) {
	l := tiled(t, 300)
	l.write(t, ".state/treeState", []byte("secret"))
	l.write(t, "notes.txt", []byte("secret"))
	l.write(t, "../outside", []byte("secret"))
	if err := os.Symlink("../outside", filepath.Join(l.dir, "tile/0/002")); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(l.dir, "tile/0/003"), 0o755); err != nil {
		t.Fatal(err)
	}
	h := tlogclient.Handler(l.dir)
	for _, path := range []string{
		"/", "", "/.state/treeState", "/notes.txt", "/tile", "/tile/", "/tile/0", "/tile/0/", "//checkpoint",
		"/checkpoint/", "/tile/0/../../.state/treeState", "/../outside", "/tile/00/000", "/tile/64/000", "/tile/-1/000",
		"/tile/0/0", "/tile/0/000.p/0", "/tile/0/000.p/256", "/tile/0/001.p/044", "/tile/0/x000/000/", "/tile/0/000.p",
		"/tile/entries/000.p/x", "/tile/0/000\n", "/tile/0/003", "/tile/0/004", "/tile/0/001.p/45",
	} {
		res := request(h, http.MethodGet, path, nil)
		if res.StatusCode != http.StatusNotFound || res.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%q: status %d, Cache-Control %q", path, res.StatusCode, res.Header.Get("Cache-Control"))
		}
	}
	if res := request(h, http.MethodGet, "/tile/0/002", nil); res.StatusCode == http.StatusOK {
		t.Error("a link out of the directory was followed")
	}
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions} {
		if res := request(h, method, "/checkpoint", nil); res.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("%s: status %d", method, res.StatusCode)
		}
	}
}

func TestHandlerOfABrokenDirectory(t *testing.T) {
	l := tiled(t, 300)
	l.remove(t, "tile")
	l.write(t, "tile", []byte("a file"))
	res := request(tlogclient.Handler(l.dir), http.MethodGet, "/tile/0/000", nil)
	body, _ := io.ReadAll(res.Body)
	if res.StatusCode != http.StatusInternalServerError || strings.Contains(string(body), l.dir) {
		t.Errorf("status %d, %q", res.StatusCode, body)
	}
}

func TestHandlerCompressesEntries(t *testing.T) {
	l := tiled(t, 300)
	h := tlogclient.Handler(l.dir)
	want, err := os.ReadFile(filepath.Join(l.dir, "tile/entries/000"))
	if err != nil {
		t.Fatal(err)
	}
	for accept, compressed := range map[string]bool{
		"gzip": true, "br, gzip;q=0.5": true, "GZIP": true, "gzip;q=0": false, "gzip; q=0.0": false, "identity": false, "": false,
	} {
		res := request(h, http.MethodGet, "/tile/entries/000", http.Header{"Accept-Encoding": {accept}})
		var body io.Reader = res.Body
		if (res.Header.Get("Content-Encoding") == "gzip") != compressed {
			t.Errorf("Accept-Encoding %q: Content-Encoding %q", accept, res.Header.Get("Content-Encoding"))
			continue
		}
		if compressed {
			if body, err = gzip.NewReader(body); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := io.ReadAll(body); err != nil || string(got) != string(want) {
			t.Errorf("Accept-Encoding %q: %d bytes, %v", accept, len(got), err)
		}
	}
	if res := request(h, http.MethodGet, "/tile/0/000", http.Header{"Accept-Encoding": {"gzip"}}); res.Header.Get("Content-Encoding") != "" {
		t.Error("hashes, which cannot be compressed, were")
	}
}

// TestNamedPipe: opening one waits for a writer, and no context ends that.
func TestNamedPipe(t *testing.T) {
	l := tiled(t, 3)
	l.remove(t, "checkpoint")
	pipe := filepath.Join(l.dir, "checkpoint")
	if err := exec.Command("mkfifo", pipe).Run(); err != nil {
		t.Skipf("no named pipes here: %v", err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if res := request(tlogclient.Handler(l.dir), http.MethodGet, "/checkpoint", nil); res.StatusCode != http.StatusNotFound {
			t.Errorf("status %d", res.StatusCode)
		}
		if _, err := tlogclient.Dir(l.dir).Checkpoint(t.Context()); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Checkpoint = %v", err)
		}
	}()
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		if w, err := os.OpenFile(pipe, os.O_RDWR, 0); err == nil { // lets the goroutine go
			defer w.Close()
		}
		t.Error("waits for a writer")
	}
}

// slowWriter blocks its request until released.
type slowWriter struct {
	http.ResponseWriter
	arrived chan<- struct{}
	release <-chan struct{}
}

func (w slowWriter) Write(b []byte) (int, error) {
	select {
	case w.arrived <- struct{}{}:
		<-w.release
	case <-w.release: // further writes
	}
	return w.ResponseWriter.Write(b)
}

// slow are clients that ask and do not read.
type slow struct {
	h                      http.Handler
	arrived, release, done chan struct{}
	n                      int
}

func slowReaders(t *testing.T, h http.Handler) *slow {
	t.Helper()
	return &slow{h, make(chan struct{}), make(chan struct{}), make(chan struct{}), 0}
}

// begin returns when the answer is being sent.
func (s *slow) begin(path, accept string) {
	s.n++
	go func() {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.Header.Set("Accept-Encoding", accept)
		s.h.ServeHTTP(slowWriter{httptest.NewRecorder(), s.arrived, s.release}, r)
		s.done <- struct{}{}
	}()
	<-s.arrived
}

// end has all of them read, and waits for that.
func (s *slow) end() {
	close(s.release)
	for range s.n {
		<-s.done
	}
}

// TestSlowReaders: however many there are, of large bundles or of anything else, they keep nobody from anything.
func TestSlowReaders(t *testing.T) {
	l := tiled(t, 300)
	l.write(t, "tile/entries/000", bytes.Repeat([]byte("large"), 1<<15))
	h := tlogclient.Handler(l.dir)
	wait := slowReaders(t, h)
	for range 150 { // of each
		wait.begin("/tile/entries/000", "identity")
		wait.begin("/checkpoint", "identity")
	}
	for _, path := range []string{"/checkpoint", "/tile/0/000", "/tile/entries/001.p/44", "/tile/entries/000"} {
		if res := request(h, http.MethodGet, path, nil); res.StatusCode != http.StatusOK {
			t.Errorf("%s beside slow readers: status %d", path, res.StatusCode)
		}
	}
	wait.end()
}

// TestReadingIsBounded: when the files themselves are slow, what is too much is told to come again.
func TestReadingIsBounded(t *testing.T) {
	l := tiled(t, 3)
	h := tlogclient.Handler(l.dir)
	release := tlogclient.Reading(h)
	res := request(h, http.MethodGet, "/checkpoint", nil)
	if res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" || res.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("status %d, headers %v", res.StatusCode, res.Header)
	}
	release()
	if res := request(h, http.MethodGet, "/checkpoint", nil); res.StatusCode != http.StatusOK {
		t.Errorf("afterwards: status %d", res.StatusCode)
	}
}
