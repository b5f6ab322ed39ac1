package readers

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"
)

var ok = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "fine") }) //nolint:errcheck // a test's own

func limits(t *testing.T, cfg *Config) *Limits {
	t.Helper()
	l, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func ask(h http.Handler, from string, forwarded ...string) *http.Response {
	r := httptest.NewRequest(http.MethodGet, "/checkpoint", nil)
	r.RemoteAddr = from
	for _, f := range forwarded {
		r.Header.Add("X-Forwarded-For", f)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

// TestRate: each address has its own count, which time fills again.
func TestRate(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	l := limits(t, &Config{Rate: 0.5, Burst: 3, Time: func() time.Time { return now }})
	h := l.Handler(ok)
	for i := range 3 {
		if res := ask(h, "192.0.2.1:1000"); res.StatusCode != http.StatusOK {
			t.Errorf("request %d: status %d", i, res.StatusCode)
		}
	}
	for range 2 { // refusals do not count
		res := ask(h, "192.0.2.1:2000")
		if res.StatusCode != http.StatusTooManyRequests || res.Header.Get("Retry-After") != "2" || res.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("status %d, headers %v", res.StatusCode, res.Header)
		}
	}
	if res := ask(h, "192.0.2.2:1000"); res.StatusCode != http.StatusOK {
		t.Errorf("another address: status %d", res.StatusCode)
	}
	now = now.Add(2 * time.Second)
	if res := ask(h, "192.0.2.1:1000"); res.StatusCode != http.StatusOK {
		t.Errorf("after a while: status %d", res.StatusCode)
	}
	var text strings.Builder
	if err := l.WriteMetrics(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`touchmark_log_requests_total{resource="checkpoint",answer="ok"} 5`,
		`touchmark_log_requests_total{resource="checkpoint",answer="too_many_requests"} 2`,
		"touchmark_log_addresses 3\n", "touchmark_log_connections 0\n",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("%q is not in\n%s", want, text.String())
		}
	}
}

// TestAddress: who is counted.
func TestAddress(t *testing.T) {
	l := limits(t, &Config{Proxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}})
	for _, c := range []struct {
		from, forwarded, want string
	}{
		{"192.0.2.1:1", "", "192.0.2.1/32"},
		{"192.0.2.1:1", "198.51.100.1", "192.0.2.1/32"}, // no proxy of ours
		{"[2001:db8:1:2:3::4]:1", "", "2001:db8:1:2::/64"},
		{"[::ffff:192.0.2.1]:1", "", "192.0.2.1/32"},
		{"10.0.0.1:1", "", "10.0.0.1/32"},
		{"10.0.0.1:1", "198.51.100.1", "198.51.100.1/32"},
		{"[::ffff:10.0.0.1]:1", "198.51.100.1", "198.51.100.1/32"},
		{"10.0.0.1:1", "203.0.113.9, 198.51.100.1", "198.51.100.1/32"}, // what stands before it is the reader's word
		{"10.0.0.1:1", "203.0.113.9, 198.51.100.1, 10.0.0.2, fd00::1", "198.51.100.1/32"},
		{"10.0.0.1:1", "203.0.113.9, nonsense", "10.0.0.1/32"},
		{"10.0.0.1:1", "203.0.113.9, nonsense, 10.0.0.7", "10.0.0.7/32"},
		{"10.0.0.1:1", "2001:db8::5", "2001:db8::/64"},
		{"10.0.0.1:1", strings.Repeat("10.0.0.9, ", 100) + "10.0.0.8", "10.0.0.9/32"},
		{"@", "", "invalid Prefix"},
	} {
		r := httptest.NewRequest(http.MethodGet, "/checkpoint", nil)
		r.RemoteAddr = c.from
		if c.forwarded != "" {
			r.Header.Set("X-Forwarded-For", c.forwarded)
		}
		if got := l.address(r).String(); got != c.want {
			t.Errorf("%s for %q: %s, want %s", c.from, c.forwarded, got, c.want)
		}
	}
	r := httptest.NewRequest(http.MethodGet, "/checkpoint", nil)
	r.RemoteAddr = "10.0.0.1:1"
	r.Header["X-Forwarded-For"] = []string{"203.0.113.9", "198.51.100.1"}
	if got := l.address(r).String(); got != "198.51.100.1/32" {
		t.Errorf("of two headers: %s", got)
	}
}

// TestBehindProxy: where each connection is a proxy's, who asks is the last one that it names, or it itself.
func TestBehindProxy(t *testing.T) {
	l := limits(t, &Config{BehindProxy: true, Proxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
	for forwarded, want := range map[string]string{
		"": "192.0.2.1/32", "nonsense": "192.0.2.1/32", "198.51.100.1, 203.0.113.9": "203.0.113.9/32", "198.51.100.1, 10.0.0.7": "198.51.100.1/32",
	} {
		r := httptest.NewRequest(http.MethodGet, "/checkpoint", nil)
		r.RemoteAddr = "192.0.2.1:1"
		r.Header.Set(headerForwarded, forwarded)
		if got := l.address(r).String(); got != want {
			t.Errorf("%q: %s, want %s", forwarded, got, want)
		}
	}
}

// TestNetworks: who has many networks of IPv6 may ask more often than who has one, but not as often as each of them together,
// and does not have others forgotten.
func TestNetworks(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	l := limits(t, &Config{Rate: 1, Burst: 10, Time: func() time.Time { return now }})
	at := func(a, b, c, d byte) netip.Prefix { // of 20a::/16
		return site(netip.AddrFrom16([16]byte{0x20, a, 0, 0, 0, b, c, d, 15: 1}))
	}
	took := func(n int, from func(i int) netip.Prefix) (granted int) {
		for i := range n {
			if l.rates.take(&l.cfg, from(i)) == 0 {
				granted++
			}
		}
		return granted
	}
	for name, c := range map[string]struct {
		from func(i int) netip.Prefix
		want int
	}{
		"64 bits":         {func(int) netip.Prefix { return at(1, 0, 0, 0) }, 10},
		"56 bits":         {func(i int) netip.Prefix { return at(2, 0, 0, byte(i)) }, 40},
		"48 bits":         {func(i int) netip.Prefix { return at(3, 0, byte(i>>8), byte(i)) }, 80},
		"32 bits":         {func(i int) netip.Prefix { return at(5, byte(i>>8), byte(i), 0) }, 640},
		"24 bits of IPv4": {func(i int) netip.Prefix { return site(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})) }, 320},
		"an address":      {func(int) netip.Prefix { return site(netip.AddrFrom4([4]byte{198, 51, 100, 1})) }, 10},
	} {
		if got := took(1<<12, c.from); got != c.want {
			t.Errorf("a network of %s was answered %d times, want %d", name, got, c.want)
		}
	}
	if n := l.rates.len(); n > 1<<12 {
		t.Errorf("%d are remembered", n)
	}
	if got := took(20, func(int) netip.Prefix { return at(4, 0, 0, 0) }); got != 10 {
		t.Errorf("another was answered %d times", got)
	}
	now = now.Add(10 * time.Second)
	if got := took(1<<12, func(i int) netip.Prefix { return at(3, 0, byte(i>>8), byte(i)) }); got != 80 {
		t.Errorf("after ten seconds, a network of 48 bits was answered %d times", got)
	}
}

// TestAddressesAreBounded: a flood of addresses does not fill the memory, and who asks all the while stays counted.
func TestAddressesAreBounded(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	l := limits(t, &Config{Rate: 1, Burst: 1, Time: func() time.Time { return now }})
	eager := netip.MustParsePrefix("192.0.2.1/32")
	l.rates.take(&l.cfg, eager)
	for i := range 5 * maxAddressesRemembered {
		l.rates.take(&l.cfg, netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, 13: byte(i >> 16), byte(i >> 8), byte(i)}), 128))
		if i%maxAddressesRemembered == 0 && l.rates.take(&l.cfg, eager) == 0 {
			t.Fatalf("after %d others: forgotten", i)
		}
	}
	if n := l.rates.len(); n > 2*maxAddressesRemembered {
		t.Errorf("%d addresses are remembered", n)
	}
}

// TestConfig: what could serve nobody is refused.
func TestConfig(t *testing.T) {
	for _, cfg := range []*Config{{Rate: -1}, {Burst: -1}, {Connections: -1}, {PerAddress: -1}} {
		if _, err := New(cfg); err == nil {
			t.Errorf("%+v", cfg)
		}
	}
}

// TestWhatIsCounted: no name of a reader's is a label.
func TestWhatIsCounted(t *testing.T) {
	for path, want := range map[string]string{
		"/checkpoint": "checkpoint", "/checkpoint.cosigned": "checkpoint.cosigned", "/tile/0/000": "tile", "/tile/entries/000": "entries",
		"/verify": "verify", "/other\n": "other", "/": "other", "/tiles": "other",
	} {
		if got := resources[resourceOf(path)]; got != want {
			t.Errorf("%q is counted as %q", path, got)
		}
	}
	for status, want := range map[int]string{0: "ok", 200: "ok", 206: "partial_content", 304: "not_modified", 404: "not_found", 429: "too_many_requests", 503: "unavailable", 500: "other"} {
		if got := answers[answerOf(status)]; got != want {
			t.Errorf("%d is counted as %q", status, got)
		}
	}
}
