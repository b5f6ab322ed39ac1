package main

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/translog/translogtest"
)

// TestTileServerBounds: net/http waits for ever for the next request of a
// connection, and for the rest of a body, unless it is told not to.
func TestTileServerBounds(t *testing.T) {
	s := tileServer(readerHandler(t.TempDir()))
	if s.ReadTimeout <= 0 || s.ReadHeaderTimeout <= 0 || s.WriteTimeout <= 0 || s.IdleTimeout <= 0 || s.MaxHeaderBytes <= 0 {
		t.Errorf("times %v, %v, %v, %d bytes of header", s.ReadTimeout, s.WriteTimeout, s.IdleTimeout, s.MaxHeaderBytes)
	}
}

// TestSlowHeaders: who sends a header octet by octet does not keep the connection.
func TestSlowHeaders(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := tileServer(readerHandler(t.TempDir()))
	go func() { _ = s.Serve(ln) }()
	defer s.Close()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(100 * time.Millisecond):
				_, _ = c.Write([]byte("x"))
			}
		}
	}()
	_ = c.SetReadDeadline(time.Now().Add(10 * readHeaderTimeout))
	if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the connection is still open after %v", 10*readHeaderTimeout)
	}
}

// TestLogThatCannotBeRead: a server of tiles that fails says nothing about the log.
func TestLogThatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, data []byte) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	l := translogtest.NewLog("log.example/failing")
	var notes [][]byte
	for _, entry := range []string{"one", "two", "three"} {
		if _, err := l.Append(t.Context(), [][]byte{[]byte(entry)}); err != nil {
			t.Fatal(err)
		}
		cp, err := l.Checkpoint(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		notes = append(notes, cp.Note())
	}
	policy := write("policy", []byte("log "+l.VerifierKey()+"\nquorum none\n"))
	older, entry := write("older", notes[0]), write("entry", []byte("two"))
	for name, tile := range map[string]http.HandlerFunc{
		"error":      func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
		"odd length": func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, 97)) },
		"too short":  func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, 32)) },
		"nothing":    http.NotFound,
	} {
		mux := http.NewServeMux()
		mux.HandleFunc("/checkpoint", func(w http.ResponseWriter, _ *http.Request) { w.Write(notes[2]) })
		mux.Handle("/tile/", tile)
		server := httptest.NewServer(mux)
		defer server.Close()
		for _, args := range [][]string{{"prove", "--entry", entry}, {"consistency", "--older", older}} {
			args = append([]string{"touchmark", "log"}, append(args, "--log", server.URL, "--policy", policy)...)
			want := exitUndetermined
			if name == "odd length" {
				want = exitRejected // three hashes, which do not add up to the root
			}
			if got := run(args); got != want {
				t.Errorf("%s: exit code %d, want %d, of %s", name, got, want, strings.Join(args[:3], " "))
			}
		}
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }))
	defer server.Close()
	if got := run([]string{"touchmark", "log", "checkpoint", "--log", server.URL, "--policy", policy}); got != exitUndetermined {
		t.Errorf("no checkpoint: exit code %d", got)
	}
}
