package domain

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	testDomain = "api.acme.com"
	testToken  = "LoqXcYV8NzbLsXh8uDCcd6MNwXF4W7noWXFZAfHkxZs"
	testPrint  = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
)

var testContent = Content(testToken, testPrint)

// names is a Resolver that answers from functions.
type names struct {
	ip  func(host string) ([]netip.Addr, error)
	txt func(name string) ([]string, error)
}

func (n names) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	return n.ip(host)
}
func (n names) LookupTXT(_ context.Context, name string) ([]string, error) { return n.txt(name) }

// at is a Resolver for which every name has these addresses.
func at(addrs ...string) names {
	return names{ip: func(string) ([]netip.Addr, error) {
		var out []netip.Addr
		for _, a := range addrs {
			out = append(out, netip.MustParseAddr(a))
		}
		return out, nil
	}}
}

// newValidator returns a Validator that reaches handler by every name.
func newValidator(t *testing.T, handler http.HandlerFunc) *Validator {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return validatorFor(t, s, at("127.0.0.1"))
}

func validatorFor(t *testing.T, s *httptest.Server, r Resolver) *Validator {
	t.Helper()
	port := uint16(s.Listener.Addr().(*net.TCPAddr).Port)
	v, err := New(&Config{Resolver: r, UnsafeAllowLoopback: true, UnsafePort: port})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func wantCode(t *testing.T, err error, code Code, isUndetermined bool) {
	t.Helper()
	e, ok := err.(*Error) //nolint:errorlint // Validator promises the type itself
	if !ok || e.Code != code || e.Undetermined != isUndetermined {
		t.Errorf("%v, want %s (undetermined: %v)", err, code, isUndetermined)
	}
}

// A dnsServer answers over UDP on loopback, from records that a test gives it.
type dnsServer struct {
	conn    net.PacketConn
	mu      sync.Mutex
	answers map[string][]answer // by "type name."
	rcode   byte                // of every answer, when not 0
}

// An answer is one resource record.
type answer struct {
	name string // with final dot
	typ  uint16
	data []byte
}

const (
	typeA     = 1
	typeCNAME = 5
	typeTXT   = 16
	typeAAAA  = 28
)

// newDNS starts a server and returns it with a resolver of the standard library that asks it.
func newDNS(t *testing.T) (*dnsServer, *net.Resolver) {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &dnsServer{conn: conn, answers: make(map[string][]answer)}
	done := make(chan struct{})
	go func() { defer close(done); s.serve() }()
	t.Cleanup(func() { conn.Close(); <-done })
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", conn.LocalAddr().String())
	}
	return s, &net.Resolver{PreferGo: true, Dial: dial}
}

func (s *dnsServer) add(typ uint16, name string, answers ...answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers[fmt.Sprint(typ, " ", name)] = answers
}

func (s *dnsServer) serve() {
	buf := make([]byte, 4096)
	for {
		n, from, err := s.conn.ReadFrom(buf)
		if err != nil {
			return
		}
		if reply := s.reply(buf[:n]); reply != nil {
			s.conn.WriteTo(reply, from)
		}
	}
}

func (s *dnsServer) reply(query []byte) []byte {
	name, end := "", 12
	for query[end] != 0 {
		size := int(query[end])
		name += string(query[end+1:end+1+size]) + "."
		end += 1 + size
	}
	typ := binary.BigEndian.Uint16(query[end+1:])
	s.mu.Lock()
	defer s.mu.Unlock()
	answers, ok := s.answers[fmt.Sprint(typ, " ", strings.ToLower(name))]
	rcode := s.rcode
	if !ok && rcode == 0 && !s.knows(name) {
		rcode = 3 // NXDOMAIN
	}
	out := append([]byte{query[0], query[1], 0x81, 0x80 | rcode, 0, 1, 0, byte(len(answers)), 0, 0, 0, 0}, query[12:end+5]...)
	for _, a := range answers {
		out = append(out, wireName(a.name)...)
		out = binary.BigEndian.AppendUint16(out, a.typ)
		out = append(out, 0, 1, 0, 0, 0, 0) // IN, TTL 0
		out = binary.BigEndian.AppendUint16(out, uint16(len(a.data)))
		out = append(out, a.data...)
	}
	return out
}

func (s *dnsServer) knows(name string) bool {
	for key := range s.answers {
		if strings.HasSuffix(key, " "+name) {
			return true
		}
	}
	return false
}

func wireName(name string) []byte {
	var out []byte
	for label := range strings.SplitSeq(strings.TrimSuffix(name, "."), ".") {
		out = append(append(out, byte(len(label))), label...)
	}
	return append(out, 0)
}

// txt is the data of a TXT record of several strings.
func txt(parts ...string) []byte {
	var out []byte
	for _, p := range parts {
		out = append(append(out, byte(len(p))), p...)
	}
	return out
}

// within fails the test when f takes longer than a minute, which none of the bounds of this package is.
func within(t *testing.T, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatal("it does not end")
	}
}
