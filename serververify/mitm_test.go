package serververify

import (
	"crypto/tls"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/touchmark-dev/touchmark/internal/jws"
	"github.com/touchmark-dev/touchmark/internal/mcpwire"
)

// between puts a relay at hostName. It has a certificate that the client
// trusts, passes everything on to the real server, nonces and proofs included,
// and keeps what it saw.
func (w *world) between(h2 bool) (proofs *atomic.Value, requests *atomic.Int32) {
	w.t.Helper()
	proofs, requests = new(atomic.Value), new(atomic.Int32)
	real := &url.URL{Scheme: "https", Host: w.server.Listener.Addr().String()}
	relay := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			requests.Add(1)
			r.SetURL(real)
			r.Out.Host = r.In.Host // the real server sees its own origin
			if w.relayHost != "" {
				r.Out.Host = w.relayHost
			}
		},
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: w.roots, ServerName: hostName}, ForceAttemptHTTP2: h2},
		ModifyResponse: func(r *http.Response) error {
			proofs.Store(r.Header.Get(mcpwire.HeaderServerProof))
			return nil
		},
	}
	addr := strings.Replace(real.Host, "127.0.0.2", "127.0.0.1", 1)
	w.listen(addr, h2, relay)
	w.setAddr("127.0.0.1")
	return proofs, requests
}

// The published proof covers the nonce alone, so that whoever is between
// client and server passes it on, and the server signs whatever string it is
// sent. Ours names the connection it was made on.
func TestKnownFault04RelayedProof(t *testing.T) {
	protocols(t, func(t *testing.T, h2 bool) {
		w := newWorld(t, option{h2: h2})
		v := w.verifier()
		if _, err := v.Verify(t.Context(), w.url("/mcp")); err != nil {
			t.Fatalf("without anybody between: %v", err)
		}
		proofs, _ := w.between(h2)
		_, err := v.Verify(t.Context(), w.url("/mcp"))
		refused := wantRefusal(t, err, CodePoPFailed, StateDeclared)
		if !strings.Contains(refused.Reason, "another connection") || !refused.BadgeValid {
			t.Errorf("refused for another reason: %v", err)
		}

		// The relayed proof is right in everything but the channel: a client
		// that looked at nonce, DID, badge, origin and time alone would take it.
		m, err := jws.Parse(proofs.Load().(string))
		if err != nil {
			t.Fatal(err)
		}
		claims, err := parseProof(m.Payload)
		if err != nil {
			t.Fatal(err)
		}
		e, _ := v.parseEndpoint(w.url("/mcp"))
		ch := &challenge{nonce: claims.nonce, endpoint: &e, channels: []channel{{binding: BindingTLS, digest: claims.exporter}}}
		d := w.identity.Disclose(t.Context())
		d.Proof = m.Token()
		if _, err := v.judge(t.Context(), ch, d); err != nil {
			t.Errorf("the proof is refused on the server's own channel too: %v", err)
		}
	})
}

// A relay that appears after the server was verified gets nothing: each new
// connection is verified before a request is sent on it.
func TestRelayAfterVerification(t *testing.T) {
	protocols(t, func(t *testing.T, h2 bool) {
		w := newWorld(t, option{h2: h2})
		srv, err := w.verifier().Verify(t.Context(), w.url("/mcp"))
		if err != nil {
			t.Fatal(err)
		}
		_, requests := w.between(h2)
		client := srv.Client()
		client.CloseIdleConnections()
		req, _ := http.NewRequest("POST", w.url("/mcp"), strings.NewReader("secret"))
		_, err = client.Do(req)
		wantRefusal(t, err, CodePoPFailed, StateDeclared)
		if n := requests.Load(); n != 1 {
			t.Errorf("%d requests reached the relay, want the challenge alone", n)
		}
	})
}

// What a server signs has a form of its own, with its typ, and holds nothing
// of the client's choosing but 32 bytes that it marks as the nonce.
func TestKnownFault04SigningOracle(t *testing.T) {
	w := newWorld(t, option{})
	for _, nonce := range []string{
		"", "AAAA", "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJ4In0", mcpwire.EncodeNonce([32]byte{}) + "A", strings.Repeat("=", 43),
	} {
		req, _ := http.NewRequest("GET", w.url(mcpwire.DiscoveryPath), nil)
		req.Header.Set(mcpwire.HeaderNonce, nonce)
		resp := w.do(req)
		if resp.StatusCode != http.StatusBadRequest || resp.Header.Get(mcpwire.HeaderServerProof) != "" {
			t.Errorf("nonce %q: status %d", nonce, resp.StatusCode)
		}
	}
	req, _ := http.NewRequest("GET", w.url(mcpwire.DiscoveryPath), nil)
	req.Header.Set(mcpwire.HeaderNonce, NewNonce())
	m, err := jws.Parse(w.do(req).Header.Get(mcpwire.HeaderServerProof))
	if err != nil {
		t.Fatal(err)
	}
	if m.Typ != "touchmark-server-proof+jwt" || m.Kid != w.identity.cfg.KeyID {
		t.Errorf("header %+v", m.Header)
	}
	if _, err := parseProof(m.Payload); err != nil {
		t.Error(err)
	}
}

// do sends a request to the world's server, unverified.
func (w *world) do(req *http.Request) *http.Response {
	w.t.Helper()
	req.Host = strings.TrimPrefix(w.origin(), "https://")
	req.URL.Host = w.server.Listener.Addr().String()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: w.roots, ServerName: hostName}}}
	resp, err := client.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	resp.Body.Close()
	client.CloseIdleConnections()
	return resp
}
