package serververify

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/internal/floor"
)

// BenchmarkVerifyFresh verifies a server on a fresh TLS connection, with its
// document and its issuer's keys at hand. The floor is what that cannot do
// without: a TLS handshake, one bare HTTP round trip on it, three Ed25519
// verifications and one signature. Both are measured by turns.
func BenchmarkVerifyFresh(b *testing.B) {
	for name, h2 := range map[string]bool{"h1": false, "h2": true} {
		b.Run(name, func(b *testing.B) { benchmarkVerifyFresh(b, h2) })
	}
}

func benchmarkVerifyFresh(b *testing.B, h2 bool) {
	w := newWorld(b, option{h2: h2, identity: func(c *IdentityConfig) { c.SignsPerSecond, c.SignBurst = 1e9, 1e9 }})
	w.server.Config.Handler = w.identity.Handler(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		io.WriteString(rw, "bare")
	}))
	bare := newBare(b, w)
	v := w.verifier(func(c *Config) {
		c.Time = time.Now
		badges := w.ca.Config()
		badges.CacheEntries = -1 // each badge is one that it has not seen
		var err error
		c.Badges, err = badge.NewVerifier(badges)
		must(b, err)
	})
	var ours, theirs time.Duration
	for b.Loop() {
		start := time.Now()
		srv, err := v.Verify(b.Context(), w.url("/mcp"))
		ours += time.Since(start)
		if err != nil {
			b.Fatal(err)
		}
		srv.Client().CloseIdleConnections()
		start = time.Now()
		cc := bare.exchange(b)
		theirs += time.Since(start)
		cc.Close()
	}
	b.ReportMetric(float64(ours.Nanoseconds())/float64(b.N), "verify-ns/op")
	b.ReportMetric(float64(theirs.Nanoseconds())/float64(b.N), "floor-ns/op")
	b.ReportMetric(float64(ours)/float64(theirs), "x-floor")
}

// A bareClient does what verifying a server cannot do without.
type bareClient struct {
	transport *http.Transport
	addr, url string
	signs     *floor.Ed25519
}

func newBare(b *testing.B, w *world) *bareClient {
	b.Helper()
	signs, err := floor.NewEd25519(500)
	must(b, err)
	addr := w.server.Listener.Addr().String()
	return &bareClient{
		transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "tcp", addr)
			},
			TLSClientConfig:   &tls.Config{RootCAs: w.roots},
			ForceAttemptHTTP2: true,
		},
		addr: w.host(), url: w.url("/bare"), signs: signs,
	}
}

func (c *bareClient) exchange(b *testing.B) *http.ClientConn {
	cc, err := c.transport.NewClientConn(b.Context(), "https", c.addr)
	must(b, err)
	req, err := http.NewRequestWithContext(b.Context(), "GET", c.url, nil)
	must(b, err)
	resp, err := cc.RoundTrip(req)
	must(b, err)
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		b.Fatal(err)
	}
	resp.Body.Close()
	c.signs.Sign()
	for range 3 {
		must(b, c.signs.Verify())
	}
	return cc
}

// BenchmarkRequestOnVerified is what is added to a request on a verified
// connection: finding it, and room on it. There is no cryptography in it.
func BenchmarkRequestOnVerified(b *testing.B) {
	for name, h2 := range map[string]bool{"h1": false, "h2": true} {
		b.Run(name, func(b *testing.B) {
			w := newWorld(b, option{h2: h2, path: []string{"mcp", "fs"}})
			srv, err := w.verifier(func(c *Config) { c.Time = time.Now }).Verify(b.Context(), w.url("/mcp/fs"))
			must(b, err)
			req, err := http.NewRequestWithContext(b.Context(), "POST", w.url("/mcp/fs"), http.NoBody)
			must(b, err)
			b.ReportAllocs()
			for b.Loop() {
				t, err := find(srv.target, req)
				if err != nil {
					b.Fatal(err)
				}
				c, _, err := t.acquire(req.Context())
				if err != nil {
					b.Fatal(err)
				}
				c.cc.Release()
			}
		})
	}
}
