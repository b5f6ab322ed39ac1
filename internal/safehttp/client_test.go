package safehttp_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/internal/safehttp"
	"github.com/touchmark-dev/touchmark/internal/safehttp/safehttptest"
)

var loopback4 = netip.MustParseAddr("127.0.0.1")

// serve starts a server and returns the configuration that reaches it.
func serve(t *testing.T, h http.HandlerFunc) (*safehttptest.Server, *safehttp.Config) {
	t.Helper()
	s := safehttptest.NewServer(t, h, "host.example")
	return s, &safehttp.Config{
		Policy:  safehttp.Policy{UnsafeAllowLoopback: true},
		RootCAs: s.Roots,
		Timeout: time.Minute,
	}
}

func get(t *testing.T, cfg *safehttp.Config, url string) ([]byte, error) {
	t.Helper()
	client := safehttp.NewClient(cfg)
	defer client.CloseIdleConnections()
	return safehttp.Get(t.Context(), client, url, 1000)
}

func hello(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") }

func TestGet(t *testing.T) {
	s, cfg := serve(t, hello)
	for _, url := range []string{s.URL("/"), fmt.Sprintf("https://127.0.0.1:%d/", s.Port)} {
		body, err := get(t, cfg, url)
		if err != nil || string(body) != "hello" {
			t.Errorf("Get(%s) = %q, %v", url, body, err)
		}
	}
}

func TestKnownFault14LoopbackIsNotDialled(t *testing.T) {
	var reached atomic.Int32
	s, cfg := serve(t, func(http.ResponseWriter, *http.Request) { reached.Add(1) })
	cfg.Policy = safehttp.Policy{AllowPorts: []uint16{s.Port}}
	for _, host := range []string{
		"localhost", "127.0.0.1", "[::1]", "0.0.0.0", "[::]", "[::ffff:127.0.0.1]", "[64:ff9b::7f00:1]",
	} {
		_, err := get(t, cfg, fmt.Sprintf("https://%s:%d/", host, s.Port))
		var refused *safehttp.AddrError
		if !errors.As(err, &refused) {
			t.Errorf("Get from %s: %v, want an AddrError", host, err)
		}
	}
	if n := reached.Load(); n != 0 {
		t.Errorf("%d requests arrived", n)
	}
}

// A name whose second answer is another address gets no second chance: it is
// looked up once for a connection, what was judged is what is dialled, and the
// next connection is judged anew.
func TestRebindingName(t *testing.T) {
	s, cfg := serve(t, hello)
	var lookups atomic.Int32
	cfg.Lookup = func(context.Context, string) ([]netip.Addr, error) {
		if lookups.Add(1) == 1 {
			return []netip.Addr{loopback4}, nil
		}
		return []netip.Addr{netip.MustParseAddr("10.0.0.1")}, nil
	}
	url := fmt.Sprintf("https://host.example:%d/", s.Port)
	if _, err := get(t, cfg, url); err != nil {
		t.Error(err)
	}
	if n := lookups.Load(); n != 1 {
		t.Errorf("%d look-ups for one connection", n)
	}
	_, err := get(t, cfg, url)
	var refused *safehttp.AddrError
	if !errors.As(err, &refused) {
		t.Errorf("second answer: %v, want an AddrError", err)
	}
}

func TestMixedAnswerIsRefusedWhole(t *testing.T) {
	s, cfg := serve(t, hello)
	for _, second := range []string{"10.0.0.1", "169.254.169.254", "fd00::1", "::ffff:10.0.0.1"} {
		cfg.Lookup = func(context.Context, string) ([]netip.Addr, error) {
			return []netip.Addr{loopback4, netip.MustParseAddr(second)}, nil
		}
		_, err := get(t, cfg, fmt.Sprintf("https://host.example:%d/", s.Port))
		var refused *safehttp.AddrError
		if !errors.As(err, &refused) {
			t.Errorf("answer with %s: %v, want an AddrError", second, err)
		}
	}
}

func TestMappedAnswerIsJudgedUnmapped(t *testing.T) {
	s, cfg := serve(t, hello)
	cfg.Lookup = func(context.Context, string) ([]netip.Addr, error) {
		return []netip.Addr{netip.MustParseAddr("::ffff:127.0.0.1")}, nil
	}
	if _, err := get(t, cfg, fmt.Sprintf("https://host.example:%d/", s.Port)); err != nil {
		t.Error(err)
	}
}

func TestLookupFailures(t *testing.T) {
	for want, lookup := range map[string]func(context.Context, string) ([]netip.Addr, error){
		"no such host":     func(context.Context, string) ([]netip.Addr, error) { return nil, errors.New("no such host") },
		"has no addresses": func(context.Context, string) ([]netip.Addr, error) { return nil, nil },
	} {
		_, err := get(t, &safehttp.Config{Lookup: lookup}, "https://host.example/")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// An address in a URL, and localhost, are no questions for DNS.
func TestNotLookedUp(t *testing.T) {
	s, cfg := serve(t, hello)
	cfg.Lookup = func(_ context.Context, host string) ([]netip.Addr, error) {
		t.Errorf("%q is looked up", host)
		return nil, nil
	}
	for _, url := range []string{s.URL("/"), fmt.Sprintf("https://127.0.0.1:%d/", s.Port)} {
		if _, err := get(t, cfg, url); err != nil {
			t.Error(err)
		}
	}
}

// All addresses of a name are judged, and no more than eight are tried.
func TestManyAddresses(t *testing.T) {
	s, cfg := serve(t, hello)
	s.Close() // nothing listens
	var addrs []netip.Addr
	for i := range 20 {
		addrs = append(addrs, netip.AddrFrom4([4]byte{127, 0, 0, byte(i + 1)}))
	}
	cfg.Lookup = func(context.Context, string) ([]netip.Addr, error) { return addrs, nil }
	url := fmt.Sprintf("https://host.example:%d/", s.Port)
	_, err := get(t, cfg, url)
	if err == nil || strings.Count(err.Error(), "connection refused") != 8 {
		t.Errorf("%v, want eight attempts", err)
	}
	addrs = append(addrs, netip.MustParseAddr("10.0.0.1"))
	var refused *safehttp.AddrError
	if _, err := get(t, cfg, url); !errors.As(err, &refused) {
		t.Errorf("%v, want an AddrError for the last address", err)
	}
}

func TestDefaults(t *testing.T) {
	if d := safehttp.NewClient(&safehttp.Config{}).Timeout; d != safehttp.DefaultTimeout {
		t.Errorf("a zero Timeout is %v", d)
	}
	if d := safehttp.NewClient(&safehttp.Config{Timeout: time.Second}).Timeout; d != time.Second {
		t.Errorf("a Timeout of 1s is %v", d)
	}
}

func TestSecondAddressIsTried(t *testing.T) {
	s, cfg := serve(t, hello)
	cfg.Lookup = func(context.Context, string) ([]netip.Addr, error) {
		return []netip.Addr{netip.IPv6Loopback(), loopback4}, nil // the server is on 127.0.0.1 alone
	}
	if _, err := get(t, cfg, fmt.Sprintf("https://host.example:%d/", s.Port)); err != nil {
		t.Error(err)
	}
}

func TestRedirectIsNotFollowed(t *testing.T) {
	var followed atomic.Bool
	for _, code := range []int{301, 302, 303, 307, 308} {
		s, cfg := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/target" {
				followed.Store(true)
			}
			http.Redirect(w, r, "/target", code)
		})
		_, err := get(t, cfg, s.URL("/"))
		var status *safehttp.StatusError
		if !errors.As(err, &status) || status.Code != code {
			t.Errorf("redirect %d: %v", code, err)
		}
	}
	if followed.Load() {
		t.Error("a redirect was followed")
	}
}

func TestStatusOtherThan200(t *testing.T) {
	for _, code := range []int{201, 204, 206, 400, 403, 404, 500, 503} {
		s, cfg := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) })
		_, err := get(t, cfg, s.URL("/"))
		var status *safehttp.StatusError
		if !errors.As(err, &status) || status.Code != code {
			t.Errorf("status %d: %v", code, err)
		}
	}
}

func TestSchemes(t *testing.T) {
	s, cfg := serve(t, hello)
	client := safehttp.NewClient(cfg)
	for _, url := range []string{"http://" + s.Host + "/", "ftp://" + s.Host + "/", "file:///etc/passwd", "://"} {
		if _, err := safehttp.Get(t.Context(), client, url, 1000); err == nil {
			t.Errorf("Get(%s) succeeded", url)
		}
		if resp, err := client.Get(url); err == nil {
			resp.Body.Close()
			t.Errorf("the bare client fetched %s", url)
		}
	}
}

func TestProxyFromEnvironmentIsNotUsed(t *testing.T) {
	if p := safehttp.NewTransport(&safehttp.Config{}).Proxy; p != nil {
		t.Error("the transport has a proxy function")
	}
}

func TestBodyLimit(t *testing.T) {
	size := 1000
	s, cfg := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.Write(bytes.Repeat([]byte{'x'}, size)) })
	if body, err := get(t, cfg, s.URL("/")); err != nil || len(body) != 1000 {
		t.Errorf("body of the limit: %d bytes, %v", len(body), err)
	}
	size = 1001
	_, err := get(t, cfg, s.URL("/"))
	var large *safehttp.TooLargeError
	if !errors.As(err, &large) || large.Limit != 1000 {
		t.Errorf("body of one byte more: %v", err)
	}
}

func TestEndlessBody(t *testing.T) {
	s, cfg := serve(t, func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := io.WriteString(w, strings.Repeat("x", 4096)); err != nil {
				return
			}
		}
	})
	var large *safehttp.TooLargeError
	if _, err := get(t, cfg, s.URL("/")); !errors.As(err, &large) {
		t.Error(err)
	}
}

// A compressed answer is not expanded: it is as long as it is on the wire, and
// no document.
func TestCompressedBodyIsNotExpanded(t *testing.T) {
	var bomb bytes.Buffer
	zw := gzip.NewWriter(&bomb)
	zw.Write(make([]byte, 100_000))
	zw.Close()
	s, cfg := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept-Encoding") != "" {
			t.Error("the request asks for compression")
		}
		w.Header().Set("Content-Encoding", "gzip")
		w.Write(bomb.Bytes())
	})
	body, err := get(t, cfg, s.URL("/"))
	if err != nil || !bytes.Equal(body, bomb.Bytes()) {
		t.Errorf("%d bytes, %v", len(body), err)
	}
}

func TestHeaderLimit(t *testing.T) {
	s, cfg := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Long", strings.Repeat("x", 200<<10))
	})
	if _, err := get(t, cfg, s.URL("/")); err == nil {
		t.Error("200 KB of headers are accepted")
	}
}

// hang waits until the client leaves, and does not end the answer then: a
// client that is just leaving would take it for a complete one.
func hang(r *http.Request) {
	<-r.Context().Done()
	panic(http.ErrAbortHandler)
}

func TestTimeouts(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"headers": func(_ http.ResponseWriter, r *http.Request) { hang(r) },
		"body": func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "x")
			w.(http.Flusher).Flush()
			hang(r)
		},
	} {
		s, cfg := serve(t, h)
		cfg.Timeout = 100 * time.Millisecond
		began := time.Now()
		if body, err := get(t, cfg, s.URL("/")); err == nil {
			t.Errorf("%s: no error, body %q", name, body)
		}
		if d := time.Since(began); d > 30*time.Second {
			t.Errorf("%s: took %v", name, d)
		}
	}
}

func TestTLSIsVerified(t *testing.T) {
	s, cfg := serve(t, hello)
	cfg.RootCAs = nil
	if _, err := get(t, cfg, s.URL("/")); err == nil {
		t.Error("a certificate of an unknown authority is accepted")
	}
	cfg.RootCAs = s.Roots
	cfg.Lookup = func(context.Context, string) ([]netip.Addr, error) { return []netip.Addr{loopback4}, nil }
	if _, err := get(t, cfg, fmt.Sprintf("https://other.example:%d/", s.Port)); err == nil {
		t.Error("a certificate for another name is accepted")
	}
}

func TestDialerNetworks(t *testing.T) {
	d := safehttp.NewDialer(&safehttp.Config{})
	for _, c := range [][2]string{{"udp", "1.1.1.1:443"}, {"unix", "/tmp/x"}, {"tcp", "1.1.1.1"}, {"tcp", "1.1.1.1:https"}, {"tcp", "1.1.1.1:70000"}} {
		if conn, err := d.DialContext(t.Context(), c[0], c[1]); err == nil {
			conn.Close()
			t.Errorf("DialContext(%q, %q) succeeded", c[0], c[1])
		}
	}
}
