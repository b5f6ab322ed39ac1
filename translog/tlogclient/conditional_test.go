package tlogclient_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/touchmark-dev/touchmark/translog/tlogclient"
)

// TestConditionalRequests: who has a resource is told so, in either representation, and nobody else.
func TestConditionalRequests(t *testing.T) {
	l := tiled(t, 300, 600)
	l.write(t, "tile/entries/001", bytes.Repeat([]byte("large"), 1<<15))
	h := tlogclient.Handler(l.dir)
	for _, path := range []string{"/checkpoint", "/tile/0/000", "/tile/0/001.p/44", "/tile/entries/000", "/tile/entries/001"} {
		for _, accept := range []string{"identity", "gzip"} {
			first := request(h, http.MethodGet, path, http.Header{"Accept-Encoding": {accept}})
			tag, modified := first.Header.Get("Etag"), first.Header.Get("Last-Modified")
			if len(tag) < 4 || (modified == "") != (path == "/checkpoint") {
				t.Errorf("%s, %s: ETag %q, Last-Modified %q", path, accept, tag, modified)
			}
			for _, method := range []string{http.MethodGet, http.MethodHead} {
				again := request(h, method, path, http.Header{"Accept-Encoding": {accept}, "If-None-Match": {`"x", ` + tag}})
				body, _ := io.ReadAll(again.Body)
				if again.StatusCode != http.StatusNotModified || len(body) != 0 || again.Header.Get("Etag") != tag || again.Header.Get("Cache-Control") == "" {
					t.Errorf("%s %s, %s: status %d, %d bytes, ETag %q", method, path, accept, again.StatusCode, len(body), again.Header.Get("Etag"))
				}
			}
			if other := request(h, http.MethodGet, path, http.Header{"Accept-Encoding": {accept}, "If-None-Match": {`"x"`}}); other.StatusCode != http.StatusOK {
				t.Errorf("%s, %s: status %d for who has another", path, accept, other.StatusCode)
			}
			if modified == "" {
				continue
			}
			if since := request(h, http.MethodGet, path, http.Header{"Accept-Encoding": {accept}, "If-Modified-Since": {modified}}); since.StatusCode != http.StatusNotModified {
				t.Errorf("%s, %s: status %d since %s", path, accept, since.StatusCode, modified)
			}
		}
	}
	before := request(h, http.MethodGet, "/checkpoint", nil).Header.Get("Etag")
	l.write(t, "checkpoint", []byte("another"))
	if res := request(h, http.MethodGet, "/checkpoint", http.Header{"If-None-Match": {before}}); res.StatusCode != http.StatusOK {
		t.Errorf("another checkpoint: status %d", res.StatusCode)
	}
}

// TestRanges are of the octets as they are, whatever the client could decode.
func TestRanges(t *testing.T) {
	l := tiled(t, 300)
	h := tlogclient.Handler(l.dir)
	for _, path := range []string{"/checkpoint", "/tile/0/000", "/tile/entries/000"} {
		want, err := os.ReadFile(filepath.Join(l.dir, path))
		if err != nil {
			t.Fatal(err)
		}
		res := request(h, http.MethodGet, path, http.Header{"Range": {"bytes=3-9"}, "Accept-Encoding": {"gzip"}})
		if body, _ := io.ReadAll(res.Body); res.StatusCode != http.StatusPartialContent || !bytes.Equal(body, want[3:10]) {
			t.Errorf("%s: status %d, %d bytes", path, res.StatusCode, len(body))
		}
		tag := res.Header.Get("Etag")
		res = request(h, http.MethodGet, path, http.Header{"Range": {"bytes=0-0,2-2,4-4"}})
		if body, _ := io.ReadAll(res.Body); res.StatusCode != http.StatusOK || !bytes.Equal(body, want) {
			t.Errorf("%s: status %d, %d bytes for several ranges", path, res.StatusCode, len(body))
		}
		res = request(h, http.MethodGet, path, http.Header{"Range": {"bytes=3-"}, "If-Range": {tag[:len(tag)-1] + `-gzip"`}})
		if body, _ := io.ReadAll(res.Body); res.StatusCode != http.StatusOK || !bytes.Equal(body, want) {
			t.Errorf("%s: status %d, %d bytes for who has a part of something else", path, res.StatusCode, len(body))
		}
		if res := request(h, http.MethodGet, path, http.Header{"Range": {"bytes=99999999-"}}); res.StatusCode != http.StatusRequestedRangeNotSatisfiable {
			t.Errorf("%s: status %d beyond the end", path, res.StatusCode)
		}
	}
}

// TestRepresentations: each has its tag, caches are told that there are two, and HEAD says what GET would.
func TestRepresentations(t *testing.T) {
	l := tiled(t, 300)
	h := tlogclient.Handler(l.dir)
	plain := request(h, http.MethodGet, "/tile/entries/000", nil)
	zipped := request(h, http.MethodGet, "/tile/entries/000", http.Header{"Accept-Encoding": {"gzip"}})
	head := request(h, http.MethodHead, "/tile/entries/000", http.Header{"Accept-Encoding": {"gzip"}})
	for _, name := range []string{"Etag", "Content-Encoding", "Content-Length", "Vary", "Cache-Control", "Last-Modified"} {
		if zipped.Header.Get(name) != head.Header.Get(name) {
			t.Errorf("%s is %q for GET and %q for HEAD", name, zipped.Header.Get(name), head.Header.Get(name))
		}
	}
	if plain.Header.Get("Etag") == zipped.Header.Get("Etag") || plain.Header.Get("Vary") != "Accept-Encoding" || zipped.Header.Get("Vary") != "Accept-Encoding" {
		t.Errorf("%v and %v", plain.Header, zipped.Header)
	}
	if body, _ := io.ReadAll(zipped.Body); zipped.Header.Get("Content-Length") != strconv.Itoa(len(body)) {
		t.Errorf("%d bytes, Content-Length %q", len(body), zipped.Header.Get("Content-Length"))
	}
}

// TestCompressionIsBounded: what would cost much is sent as it is.
func TestCompressionIsBounded(t *testing.T) {
	l := tiled(t, 300)
	large := bytes.Repeat([]byte("large"), 200<<10)
	l.write(t, "tile/entries/000", large)
	h := tlogclient.Handler(l.dir)
	wantPlain(t, h, large)
	l.write(t, "tile/entries/000", large[:400<<10])
	wantGzip(t, h, large[:400<<10])
}

func wantPlain(t *testing.T, h http.Handler, want []byte) {
	t.Helper()
	res := request(h, http.MethodGet, "/tile/entries/000", http.Header{"Accept-Encoding": {"gzip"}})
	if body, _ := io.ReadAll(res.Body); res.Header.Get("Content-Encoding") != "" || !bytes.Equal(body, want) {
		t.Errorf("Content-Encoding %q, %d bytes", res.Header.Get("Content-Encoding"), len(body))
	}
}

func wantGzip(t *testing.T, h http.Handler, want []byte) {
	t.Helper()
	res := request(h, http.MethodGet, "/tile/entries/000", http.Header{"Accept-Encoding": {"gzip"}})
	z, err := gzip.NewReader(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(z); err != nil || !bytes.Equal(body, want) {
		t.Errorf("%d bytes, %v", len(body), err)
	}
}

// TestCompressedIsBounded: clients that ask for compressed bundles and do not read them take so much memory and no more;
// others get the bundle as it is meanwhile.
func TestCompressedIsBounded(t *testing.T) {
	l := tiled(t, 300)
	large := bytes.Repeat([]byte("large"), 20<<10)
	l.write(t, "tile/entries/000", large)
	h := tlogclient.Handler(l.dir)
	wait := slowReaders(t, h)
	for range tlogclient.MaxCompressed {
		wait.begin("/tile/entries/000", "gzip")
	}
	wantPlain(t, h, large)
	wait.end()
	wantGzip(t, h, large)
}

// TestCompressingIsBounded: so many bundles are compressed at a time, and what finds no place is sent as it is.
func TestCompressingIsBounded(t *testing.T) {
	l := tiled(t, 300)
	large := bytes.Repeat([]byte("large"), 20<<10)
	l.write(t, "tile/entries/000", large)
	h := tlogclient.Handler(l.dir)
	release := tlogclient.Compressing(h)
	wantPlain(t, h, large)
	release()
	wantGzip(t, h, large)
}
