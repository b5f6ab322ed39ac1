package domain

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/internal/safehttp"
)

// The address is judged, whatever the name is, and whatever stands beside it in the answer.
func TestHTTP01Addresses(t *testing.T) {
	var reached atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }))
	defer s.Close()
	for name, addrs := range map[string][]string{
		"this network":            {"0.0.0.0"},
		"unspecified":             {"::"},
		"private 10":              {"10.0.0.1"},
		"private 172":             {"172.16.0.1"},
		"private 192":             {"192.168.1.1"},
		"carrier-grade NAT":       {"100.64.0.1"},
		"Alibaba metadata":        {"100.100.100.200"},
		"link-local":              {"169.254.1.1"},
		"metadata":                {"169.254.169.254"},
		"Azure metadata":          {"168.63.129.16"},
		"AWS metadata over IPv6":  {"fd00:ec2::254"},
		"multicast":               {"224.0.0.1"},
		"multicast IPv6":          {"ff02::1"},
		"broadcast":               {"255.255.255.255"},
		"reserved":                {"240.0.0.1"},
		"benchmarking":            {"198.18.0.1"},
		"documentation":           {"192.0.2.1"},
		"mapped private":          {"::ffff:10.0.0.1"},
		"mapped metadata":         {"::ffff:169.254.169.254"},
		"compatible":              {"::127.0.0.1"},
		"translated":              {"::ffff:0:127.0.0.1"},
		"NAT64 loopback":          {"64:ff9b::7f00:1"},
		"NAT64 private":           {"64:ff9b::a00:1"},
		"NAT64 local use":         {"64:ff9b:1::7f00:1"},
		"6to4":                    {"2002:7f00:1::1"},
		"Teredo":                  {"2001::1"},
		"ISATAP":                  {"2600::5efe:7f00:1"},
		"unique local":            {"fc00::1"},
		"link-local IPv6":         {"fe80::1"},
		"link-local with zone":    {"fe80::1%lo"},
		"loopback with zone":      {"::1%lo"},
		"site-local":              {"fec0::1"},
		"private after loopback":  {"127.0.0.1", "10.0.0.1"},
		"private before loopback": {"10.0.0.1", "127.0.0.1"},
		"private as the last":     append(strings.Fields(strings.Repeat("127.0.0.1 ", 12)), "fd00::1"),
		"public on the test port": {"1.1.1.1"},
	} {
		t.Run(name, func(t *testing.T) {
			v := validatorFor(t, s, at(addrs...))
			err := v.HTTP01(t.Context(), testDomain, testToken, testContent)
			wantCode(t, err, CodeChallengeAddressRefused, false)
			if _, ok := errors.AsType[*safehttp.AddrError](err); !ok {
				t.Error("no AddrError in it")
			}
		})
	}
	if n := reached.Load(); n != 0 {
		t.Errorf("%d requests arrived", n)
	}
}

// Without the unsafe option loopback is refused like the rest, also behind a public address.
func TestHTTP01StrictRefusesLoopback(t *testing.T) {
	for _, addrs := range [][]string{{"127.0.0.1"}, {"127.1.2.3"}, {"::1"}, {"::ffff:127.0.0.1"}, {"1.1.1.1", "127.0.0.1"}, {"2606:4700::1", "::1"}} {
		v, err := New(&Config{Resolver: at(addrs...)})
		if err != nil {
			t.Fatal(err)
		}
		wantCode(t, v.HTTP01(t.Context(), testDomain, testToken, testContent), CodeChallengeAddressRefused, false)
	}
}

// What was judged is what is dialled: a name is looked up once for a validation, and another answer the next time
// is judged anew.
func TestHTTP01Rebinding(t *testing.T) {
	var lookups, reached atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		reached.Add(1)
		io.WriteString(w, testContent)
	}))
	defer s.Close()
	v := validatorFor(t, s, names{ip: func(host string) ([]netip.Addr, error) {
		if host != testDomain+"." {
			t.Errorf("asked for %q", host)
		}
		if lookups.Add(1) == 1 {
			return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
		}
		return []netip.Addr{netip.MustParseAddr("10.0.0.1")}, nil
	}})
	if err := v.HTTP01(t.Context(), testDomain, testToken, testContent); err != nil {
		t.Error(err)
	}
	if n := lookups.Load(); n != 1 {
		t.Errorf("%d look-ups for one validation", n)
	}
	wantCode(t, v.HTTP01(t.Context(), testDomain, testToken, testContent), CodeChallengeAddressRefused, false)
	if lookups.Load() != 2 || reached.Load() != 1 {
		t.Errorf("%d look-ups, %d requests: a connection was used again", lookups.Load(), reached.Load())
	}
}

// The second answer in a DNS packet counts as much as the first, and so does what a CNAME leads to.
func TestHTTP01RealDNS(t *testing.T) {
	s := httptest.NewServer(show(testContent))
	defer s.Close()
	dns, resolver := newDNS(t)
	v := validatorFor(t, s, resolver)
	loopback, private := []byte{127, 0, 0, 1}, []byte{10, 0, 0, 1}
	dns.add(typeA, "good.acme.com.", answer{"good.acme.com.", typeA, loopback})
	dns.add(typeA, "mixed.acme.com.", answer{"mixed.acme.com.", typeA, loopback}, answer{"mixed.acme.com.", typeA, private})
	dns.add(typeA, "six.acme.com.", answer{"six.acme.com.", typeA, loopback})
	dns.add(typeAAAA, "six.acme.com.", answer{"six.acme.com.", typeAAAA, netip.MustParseAddr("fd00::1").AsSlice()})
	dns.add(typeA, "cname.acme.com.", answer{"cname.acme.com.", typeCNAME, wireName("a.intern.evil.com.")},
		answer{"a.intern.evil.com.", typeCNAME, wireName("b.intern.evil.com.")}, answer{"b.intern.evil.com.", typeA, private})
	dns.add(typeA, "cnamegood.acme.com.", answer{"cnamegood.acme.com.", typeCNAME, wireName("lb.acme.com.")}, answer{"lb.acme.com.", typeA, loopback})
	dns.add(typeA, "empty.acme.com.")
	for name, code := range map[string]Code{
		"good.acme.com":      "",
		"cnamegood.acme.com": "",
		"mixed.acme.com":     CodeChallengeAddressRefused,
		"six.acme.com":       CodeChallengeAddressRefused,
		"cname.acme.com":     CodeChallengeAddressRefused,
		"empty.acme.com":     CodeChallengeDNSNotFound,
		"none.acme.com":      CodeChallengeDNSNotFound,
	} {
		err := v.HTTP01(t.Context(), name, testToken, testContent)
		if CodeOf(err) != code {
			t.Errorf("%s: %v, want %q", name, err, code)
		}
	}
}

func TestHTTP01LookupFails(t *testing.T) {
	for _, c := range []struct {
		err          error
		code         Code
		undetermined bool
	}{
		{&net.DNSError{Err: "no such host", Name: "x", IsNotFound: true}, CodeChallengeDNSNotFound, false},
		{&net.DNSError{Err: "server misbehaving", Name: "x", IsTemporary: true}, CodeChallengeDNSFailed, true},
		{&net.DNSError{Err: "i/o timeout", Name: "x", IsTimeout: true}, CodeChallengeTimeout, true},
		{context.DeadlineExceeded, CodeChallengeTimeout, true},
		{errors.New("broken"), CodeChallengeConnectionFailed, true},
		{nil, CodeChallengeDNSNotFound, false}, // no addresses
	} {
		v, err := New(&Config{Resolver: names{ip: func(string) ([]netip.Addr, error) { return nil, c.err }}})
		if err != nil {
			t.Fatal(err)
		}
		wantCode(t, v.HTTP01(t.Context(), testDomain, testToken, testContent), c.code, c.undetermined)
	}
}

// A resolver that never answers is left behind.
func TestHTTP01SlowDNS(t *testing.T) {
	v, err := New(&Config{Resolver: stuck{}, Timeout: 200 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	within(t, func() {
		wantCode(t, v.HTTP01(t.Context(), testDomain, testToken, testContent), CodeChallengeTimeout, true)
		wantCode(t, v.DNS01(t.Context(), testDomain, testContent), CodeChallengeTimeout, true)
	})
}

type stuck struct{}

func (stuck) LookupNetIP(ctx context.Context, _, _ string) ([]netip.Addr, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func (stuck) LookupTXT(ctx context.Context, _ string) ([]string, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}
