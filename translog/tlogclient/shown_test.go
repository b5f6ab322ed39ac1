package tlogclient_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/touchmark-dev/touchmark/translog/tlogclient"
)

// wantServed asks for paths, and wants them served, or as if they were not there.
func wantServed(t *testing.T, h http.Handler, served bool, paths ...string) {
	t.Helper()
	for _, path := range paths {
		for _, header := range []http.Header{nil, {"Accept-Encoding": {"gzip"}}, {"Range": {"bytes=0-3"}}} {
			res := request(h, http.MethodGet, path, header)
			body, _ := io.ReadAll(res.Body)
			cache := res.Header.Get("Cache-Control")
			switch {
			case served && (res.StatusCode/100 != 2 || !strings.HasPrefix(cache, "public")):
				t.Errorf("%s, %v: status %d, Cache-Control %q", path, header, res.StatusCode, cache)
			case !served && (res.StatusCode != http.StatusNotFound || cache != "no-store" || res.Header.Get("Etag") != "" || strings.Contains(string(body), "entry")):
				t.Errorf("%s, %v, which nobody has signed: status %d, Cache-Control %q, %q", path, header, res.StatusCode, cache, body)
			}
		}
	}
}

// show makes the checkpoint of a size the one that is shown, as engines do.
func (l *tiledLog) show(t *testing.T, size int) {
	t.Helper()
	l.write(t, "checkpoint.new", l.cps[size].Note())
	if err := os.Rename(filepath.Join(l.dir, "checkpoint.new"), filepath.Join(l.dir, "checkpoint")); err != nil {
		t.Fatal(err)
	}
}

// TestOnlyWhatIsSigned: tiles that the checkpoint does not cover may become others, and are not served, whole or in part.
func TestOnlyWhatIsSigned(t *testing.T) {
	l := tiled(t, 0, 3, 256, 300, 600)
	h := tlogclient.Handler(l.dir)
	always := []string{"/checkpoint"}
	of3 := []string{"/tile/0/000.p/3", "/tile/entries/000.p/3"}
	of256 := []string{"/tile/0/000", "/tile/entries/000", "/tile/1/000.p/1"}
	of300 := []string{"/tile/0/001.p/44", "/tile/entries/001.p/44"}
	of600 := []string{"/tile/0/001", "/tile/entries/001", "/tile/0/002.p/88", "/tile/entries/002.p/88", "/tile/1/000.p/2"}
	for _, size := range []int{0, 3, 256, 300, 600, 300, 3, 600, 0} { // also back: a directory that was restored shows what it shows
		l.show(t, size)
		wantServed(t, h, true, always...)
		wantServed(t, h, size >= 3, of3...)
		wantServed(t, h, size >= 256, of256...)
		wantServed(t, h, size >= 300, of300...)
		wantServed(t, h, size >= 600, of600...)
	}
	l.show(t, 600)
	for _, path := range []string{"tile/1/000", "tile/0/x001/000", "tile/0/002", "tile/8/000.p/1", "tile/63/000", "tile/entries/002", "tile/0/x000/001"} {
		l.write(t, path, []byte("entry of nobody's"))
		wantServed(t, h, false, "/"+path)
	}
	largest := "/tile/0/x999/x999/x999/x999/x999/x999/999"
	l.write(t, largest, []byte("entry of nobody's"))
	wantServed(t, h, false, largest, largest+".p/255")
}

// TestCheckpointOfTheSameSecond: a checkpoint that looks like the one before is read before anything is refused.
func TestCheckpointOfTheSameSecond(t *testing.T) {
	l := tiled(t, 256, 300)
	l.show(t, 256)
	name := filepath.Join(l.dir, "checkpoint")
	before, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	h := tlogclient.Handler(l.dir)
	wantServed(t, h, true, "/tile/0/000")
	wantServed(t, h, false, "/tile/0/001.p/44")
	l.write(t, "checkpoint", l.cps[300].Note()) // in the same file
	if err := os.Chtimes(name, before.ModTime(), before.ModTime()); err != nil {
		t.Fatal(err)
	}
	wantServed(t, h, true, "/tile/0/001.p/44", "/tile/0/000")
}

// TestNoCheckpoint: without one there is no log to serve.
func TestNoCheckpoint(t *testing.T) {
	l := tiled(t, 300)
	h := tlogclient.Handler(l.dir)
	wantServed(t, h, true, "/tile/0/000")
	for _, text := range []string{
		"", "log.example/tiled", "log.example/tiled\n300", "log.example/tiled\n0300\nx\n", "log.example/tiled\n+300\nx\n",
		"log.example/tiled\n9223372036854775808\nx\n", "log.example/tiled\n300 \nx\n", strings.Repeat("log", 1<<20) + "\n300\nx\n",
	} {
		l.write(t, "checkpoint", []byte(text))
		res := request(h, http.MethodGet, "/tile/0/000", nil)
		if res.StatusCode != http.StatusInternalServerError || res.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%.40q: status %d", text, res.StatusCode)
		}
	}
	l.remove(t, "checkpoint")
	wantServed(t, h, false, "/tile/0/000", "/tile/entries/001.p/44")
}

// TestReplacedUnderReaders: while checkpoints are replaced, whoever has read one gets what it covers.
func TestReplacedUnderReaders(t *testing.T) {
	var sizes []int
	for size := 220; size <= 290; size++ {
		sizes = append(sizes, size)
	}
	l := tiled(t, sizes...)
	l.show(t, sizes[0])
	h := tlogclient.Handler(l.dir)
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for size := 0; size < sizes[len(sizes)-1]; {
				text, _ := io.ReadAll(request(h, http.MethodGet, "/checkpoint", nil).Body)
				if _, err := fmt.Sscanf(string(text), "log.example/tiled\n%d\n", &size); err != nil {
					t.Errorf("%q: %v", text, err)
					return
				}
				path := fmt.Sprintf("/tile/entries/%03d.p/%d", size/256, size%256)
				if size%256 == 0 {
					path = fmt.Sprintf("/tile/entries/%03d", size/256-1)
				}
				if res := request(h, http.MethodGet, path, nil); res.StatusCode != http.StatusOK {
					t.Errorf("%s of a checkpoint of %d entries: status %d", path, size, res.StatusCode)
					return
				}
			}
		})
	}
	for _, size := range sizes {
		l.show(t, size)
	}
	readers.Wait()
}
