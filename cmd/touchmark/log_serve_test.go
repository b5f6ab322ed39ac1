package main

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/cmd/touchmark/internal/readers"
)

const largeBundle = 8 << 20

// servedLog serves a log of 256 entries as log serve does, under these limits. It returns the address, and how many
// requests are being answered.
func servedLog(t *testing.T, cfg *readers.Config) (addr string, busy *atomic.Int64) {
	t.Helper()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "tile", "entries"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{
		"checkpoint":       fmt.Appendf(nil, "log.example/large\n256\n%s\n", base64.StdEncoding.EncodeToString(make([]byte, 32))),
		"tile/entries/000": bytes.Repeat([]byte("large"), largeBundle/5),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	limits, err := readers.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	busy = new(atomic.Int64)
	files := readerHandler(dir)
	server := tileServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		busy.Add(1)
		defer busy.Add(-1)
		files.ServeHTTP(w, r)
	}))
	limits.Protect(server)
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(limits.Listener(ln)) }()
	t.Cleanup(func() { _ = server.Close(); <-done })
	return ln.Addr().String(), busy
}

// from connects from a loopback address of its own, 127.0.0.n.
func from(n int) *net.Dialer {
	return &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(n))}}
}

// TestSlowReadersOfFewAddresses: two addresses with as many connections as each may have ask for large bundles, and do not
// read them. Others read large bundles and all else, also when there are no more connections than these.
func TestSlowReadersOfFewAddresses(t *testing.T) {
	const each = readers.DefaultPerAddress
	for _, connections := range []int{readers.DefaultConnections, 2 * each} {
		t.Run(fmt.Sprint(connections, " connections"), func(t *testing.T) {
			addr, busy := servedLog(t, &readers.Config{Connections: connections})
			for i := range 2 * each {
				c, err := from(1+i/each).Dial("tcp", addr)
				if err != nil {
					t.Skipf("this system has one loopback address: %v", err)
				}
				defer c.Close()
				_ = c.(*net.TCPConn).SetReadBuffer(4096)
				io.WriteString(c, "GET /tile/entries/000 HTTP/1.1\r\nHost: a\r\n\r\n") //nolint:errcheck // what is busy says it
			}
			for deadline := time.Now().Add(time.Minute); busy.Load() < 2*each; time.Sleep(time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatalf("%d are being answered", busy.Load())
				}
			}
			client := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DialContext: from(3).DialContext}}
			defer client.CloseIdleConnections()
			for path, want := range map[string]int{"/checkpoint": 0, "/tile/entries/000": largeBundle / 5 * 5} {
				res, err := client.Get("http://" + addr + path)
				if err != nil {
					t.Fatal(err)
				}
				n, err := io.Copy(io.Discard, res.Body)
				res.Body.Close()
				if res.StatusCode != http.StatusOK || err != nil || want > 0 && int(n) != want {
					t.Errorf("%s: status %d, %d bytes, %v", path, res.StatusCode, n, err)
				}
			}
		})
	}
}
