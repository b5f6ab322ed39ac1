package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// servedAuthority makes an authority and serves it until the test is over, with bounds that a test reaches and these flags.
func servedAuthority(t *testing.T, flags ...string) (addr string) {
	t.Helper()
	home := filepath.Join(t.TempDir(), "registry")
	var told bytes.Buffer
	if code := command(t.Context(), io.Discard, &told, "authority", "init", "--out", home, "--issuer", "https://registry.example"); code != exitOK {
		t.Fatal(told.String())
	}
	ctx, stop := context.WithCancel(context.Background())
	out, in := io.Pipe()
	log, ended := &lockedBuffer{}, make(chan exitCode, 1)
	go func() {
		ended <- command(ctx, in, log, append([]string{
			"authority", "serve", "--json", "--home", home, "--listen", "127.0.0.1:0",
			"--max-connections", "2", "--max-connections-per-address", "1", "--rate", "1", "--burst", "2",
		}, flags...)...)
		_ = in.Close()
	}()
	t.Cleanup(func() {
		stop()
		if code := <-ended; code != exitOK {
			t.Errorf("exit code %d: %s", code, log)
		}
	})
	var where struct{ Addr string }
	if err := json.NewDecoder(out).Decode(&where); err != nil {
		t.Fatal(err, log)
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	return where.Addr
}

// pipelined asks so many times at once on a connection, and returns how it was answered.
func pipelined(t *testing.T, conn net.Conn, times int, path string, header ...string) (statuses []int) {
	t.Helper()
	if err := conn.SetDeadline(time.Now().Add(5 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	request := "GET " + path + " HTTP/1.1\r\nHost: registry.example\r\n" + strings.Join(header, "") + "\r\n"
	if _, err := io.WriteString(conn, strings.Repeat(request, times)); err != nil {
		t.Fatal(err)
	}
	answers := bufio.NewReader(conn)
	for range times {
		answer, err := http.ReadResponse(answers, nil)
		if err != nil {
			t.Fatalf("%s: after %v: %v", path, statuses, err)
		}
		_, err = io.Copy(io.Discard, answer.Body)
		_ = answer.Body.Close()
		if err != nil || (answer.StatusCode == http.StatusTooManyRequests) != (answer.Header.Get("Retry-After") != "") {
			t.Errorf("%s: %v, %v", path, answer, err)
		}
		statuses = append(statuses, answer.StatusCode)
	}
	return statuses
}

// oftenAsked is more often than the bounds allow one address, unless each answer takes a second, and not more often than
// its network.
const oftenAsked = 20

// wantBounded wants that the log is read, and not as often as anybody likes, and that the authority itself answers.
func wantBounded(t *testing.T, conn net.Conn, header ...string) {
	t.Helper()
	if got := pipelined(t, conn, oftenAsked, logPrefix+"/checkpoint", header...); got[0] != http.StatusOK || !slices.Contains(got, http.StatusTooManyRequests) {
		t.Errorf("the log: %v", got)
	}
	if got := pipelined(t, conn, oftenAsked, "/healthz", header...); slices.Max(got) != http.StatusOK {
		t.Errorf("the authority: %v", got)
	}
}

// An authority bounds its connections, and what is asked of its log, by who asks.
func TestAuthorityBoundsReaders(t *testing.T) {
	dir := t.TempDir()
	cert, key := makeCertificate(t)
	for name, text := range map[string][]byte{"cert.pem": cert, "cert.key": key} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(cert)
	addr := servedAuthority(t, "--tls-cert", filepath.Join(dir, "cert.pem"), "--tls-key", filepath.Join(dir, "cert.key"))
	dial := func(n int, protocols ...string) (*tls.Conn, error) {
		raw, err := from(n).Dial("tcp", addr)
		if err != nil {
			t.Skipf("this system has one loopback address: %v", err)
		}
		t.Cleanup(func() { _ = raw.Close() })
		if err := raw.SetDeadline(time.Now().Add(5 * time.Minute)); err != nil {
			t.Fatal(err)
		}
		conn := tls.Client(raw, &tls.Config{RootCAs: roots, ServerName: "localhost", MinVersion: tls.VersionTLS13, NextProtos: protocols})
		return conn, conn.Handshake()
	}
	var first *tls.Conn
	for n := 1; n <= 3; n++ { // the third in the place of the first, which is idle
		conn, err := dial(n)
		if err != nil {
			t.Fatalf("from 127.0.0.%d: %v", n, err)
		}
		wantBounded(t, conn)
		if n == 1 {
			if _, err := dial(1); err == nil {
				t.Error("one address has two connections")
			}
			first = conn
		}
	}
	if _, err := first.Read(make([]byte, 1)); err == nil || os.IsTimeout(err) {
		t.Errorf("there are more connections than there may be: %v", err)
	}
	conn, err := dial(4, "h2")
	if err != nil {
		t.Fatal(err)
	}
	if got := concurrentStreams(t, conn); got != maxStreams {
		t.Errorf("%d requests may be under way on a connection", got)
	}
}

// concurrentStreams returns SETTINGS_MAX_CONCURRENT_STREAMS (RFC 9113 section 6.5.2) as a server says it first.
func concurrentStreams(t *testing.T, conn net.Conn) uint32 {
	t.Helper()
	if _, err := io.WriteString(conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"); err != nil {
		t.Fatal(err)
	}
	header := make([]byte, 9)
	if _, err := io.ReadFull(conn, header); err != nil || header[3] != 4 {
		t.Fatalf("no SETTINGS: %x, %v", header, err)
	}
	settings := make([]byte, int(header[1])<<8|int(header[2]))
	if _, err := io.ReadFull(conn, settings); err != nil {
		t.Fatal(err)
	}
	for ; len(settings) >= 6; settings = settings[6:] {
		if settings[0] == 0 && settings[1] == 3 {
			return binary.BigEndian.Uint32(settings[2:])
		}
	}
	return 0
}

// Behind a proxy, who asks is the last one whom the proxy names. Its connections are not bounded: whoever has the proxy wait
// for what he does not send keeps nobody out.
func TestAuthorityBoundsBehindProxy(t *testing.T) {
	addr := servedAuthority(t, "--behind-proxy")
	for range 3 { // of two that there may be of readers
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, "POST /v1/badges/mint HTTP/1.1\r\nHost: registry.example\r\nContent-Length: 100\r\n\r\n{"); err != nil {
			t.Fatal(err)
		}
	}
	for n := range 2 { // both from one address
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		wantBounded(t, conn, fmt.Sprintf("X-Forwarded-For: 198.51.100.1, 203.0.113.%d\r\n", n))
	}
}

// Who does not end does not keep a server from ending.
func TestEndServer(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	asked := make(chan struct{})
	server := tileServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(asked)
		<-r.Context().Done()
	}))
	done := make(chan error, 1)
	go func() { done <- server.Serve(ln) }()
	answered := make(chan error, 1)
	go func() {
		res, err := http.Get("http://" + ln.Addr().String())
		if err == nil {
			_ = res.Body.Close()
		}
		answered <- err
	}()
	<-asked
	if err := endServer(server, time.Millisecond); err != nil {
		t.Errorf("it did not end in order: %v", err)
		_ = server.Close()
	}
	if err := <-answered; err == nil {
		t.Error("it was answered")
	}
	<-done
}
