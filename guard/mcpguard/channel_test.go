package mcpguard_test

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/guardtest"
	"github.com/touchmark-dev/touchmark/guard/mcpguard"
	"github.com/touchmark-dev/touchmark/serververify/mcpverify"
	"github.com/touchmark-dev/touchmark/serververify/workload"
	"github.com/touchmark-dev/touchmark/serververify/workload/workloadtest"
)

// svids are one end of TLS in one trust domain.
type svids struct {
	own    *tls.Certificate
	domain *workloadtest.Domain
}

func (s svids) X509SVID() (*tls.Certificate, error) { return s.own, nil }

func (s svids) X509Authorities(string) ([]*x509.Certificate, error) {
	return []*x509.Certificate{s.domain.Root}, nil
}

func mutual(own *tls.Certificate, d *workloadtest.Domain) *workload.TLSConfig {
	return &workload.TLSConfig{SVIDs: svids{own, d}, Authorize: workload.AuthorizeVerified()}
}

// overTLS serves an MCP server that knows its callers by certificate.
func overTLS(t *testing.T, d *workloadtest.Domain, h http.Handler) (url string) {
	t.Helper()
	s, err := workload.NewServer(mutual(d.SVID("/mcp"), d), h)
	if err != nil {
		t.Fatal(err)
	}
	s.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = s.ServeTLS(ln, "", "") }() // it ends with Close
	t.Cleanup(func() { _ = s.Close() })
	return "https://" + ln.Addr().String()
}

func httpOf(t *testing.T, own *tls.Certificate, d *workloadtest.Domain) *http.Client {
	t.Helper()
	c, err := workload.NewClient(mutual(own, d))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// bind gives an agent of w a badge that is bound by change.
func bind(t *testing.T, w *guardtest.World, change func(*badge.Template)) *mcpverify.Caller {
	t.Helper()
	ada := w.NewAgent("did:web:agents.example:ada", badge.LevelDomain)
	doc, err := did.NewDocument(ada.DID, did.DocumentKey{Fragment: "key-1", Key: ada.Public()})
	if err != nil {
		t.Fatal(err)
	}
	cfg := w.CA.Config()
	cfg.Resolver = did.StaticResolver{ada.DID: doc}
	if w.Badges, err = badge.NewVerifier(cfg); err != nil {
		t.Fatal(err)
	}
	token := w.CA.Issue(ada.Agent, badge.LevelDomain, func(x *badge.Template) {
		x.Assurance, x.ConfirmationKeyID = badge.AssurancePossession, ada.DID.String()+"#key-1"
		change(x)
	})
	return &mcpverify.Caller{Badge: func(context.Context) (string, error) { return token, nil }, Key: ada.Key, Server: w.Server}
}

// TestBoundBadges: a badge that is bound to a certificate, or to a SPIFFE ID, is good on a channel that shows it
// and on no other, in both generations of the protocol.
func TestBoundBadges(t *testing.T) {
	d := workloadtest.NewDomain(t, "example.org")
	mine, renewed, other := d.SVID("/agent/ada"), d.SVID("/agent/ada"), d.SVID("/agent/eve")
	sum := sha256.Sum256(mine.Leaf.Raw)
	byCertificate := func(x *badge.Template) { x.CertificateSHA256 = sum[:] }
	byID := func(x *badge.Template) { x.SPIFFEID = d.ID("/agent/ada") }
	for _, test := range []struct {
		name  string
		bind  func(*badge.Template)
		with  *tls.Certificate // nil: without TLS
		cause string
	}{
		{"certificate", byCertificate, mine, ""},
		{"certificate, renewed", byCertificate, renewed, guard.CauseOtherCertificate},
		{"certificate, another client", byCertificate, other, guard.CauseOtherCertificate},
		{"certificate, no TLS", byCertificate, nil, guard.CauseNoCertificate},
		{"ID", byID, mine, ""},
		{"ID, renewed", byID, renewed, ""},
		{"ID, another client", byID, other, guard.CauseOtherSPIFFEID},
		{"ID, no TLS", byID, nil, guard.CauseNoCertificate},
		{"neither", func(*badge.Template) {}, other, ""},
	} {
		for _, version := range []string{withSessions, withoutSessions} {
			t.Run(test.name+" "+version, func(t *testing.T) {
				w := guardtest.New(t)
				caller := bind(t, w, test.bind)
				s := newServer(nil)
				a := mcpguard.Protect(s, w.Guard())
				transport := &mcp.StreamableClientTransport{DisableStandaloneSSE: true}
				opts := &mcp.StreamableHTTPOptions{Stateless: version == withoutSessions}
				want := evidence.Channel{}
				if test.with == nil {
					transport.Endpoint = serve(t, s, a, opts)
				} else {
					transport.Endpoint = overTLS(t, d, a.Handler(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return s }, opts)))
					transport.HTTPClient = httpOf(t, test.with, d)
					want = evidence.Channel{
						Scheme: "spiffe", Subject: test.with.Leaf.URIs[0].String(), Certificate: sha256.Sum256(test.with.Leaf.Raw),
					}
				}
				session := dial(t, newClient(anonymous), signed(t, caller, transport), version)
				_, err := call(t, session, "c_level2")
				switch {
				case test.cause == "" && err != nil:
					t.Error(err)
				case test.cause != "":
					if denial := denialOf(t, err); denial.ReasonCode != string(guard.CodeChannelMismatch) || denial.Cause != test.cause {
						t.Errorf("refused with %+v, want %s", denial, test.cause)
					}
				}
				all := w.Recorder.Decisions()
				if got := all[len(all)-1]; got.Channel != want || got.DenyCause != test.cause {
					t.Errorf("the record says %+v and %q, want %+v and %q", got.Channel, got.DenyCause, want, test.cause)
				}
				checkClosed(t, w)
			})
		}
	}
}

// TestChannelOfEachRequest: within a session the channel is that of the connection of each request, not of the one
// that opened it; and no header says what a channel did not.
func TestChannelOfEachRequest(t *testing.T) {
	d := workloadtest.NewDomain(t, "example.org")
	w := guardtest.New(t)
	caller := bind(t, w, func(x *badge.Template) { x.SPIFFEID = d.ID("/agent/ada") })
	s, opts := newServer(nil), &mcp.StreamableHTTPOptions{}
	a := mcpguard.Protect(s, w.Guard())
	url := overTLS(t, d, a.Handler(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return s }, opts)))
	swap := &switchable{now: httpOf(t, d.SVID("/agent/ada"), d).Transport}
	transport := &mcp.StreamableClientTransport{Endpoint: url, HTTPClient: &http.Client{Transport: swap}, DisableStandaloneSSE: true}
	session := dial(t, newClient(anonymous), signed(t, caller, transport), withSessions)
	if _, err := call(t, session, "c_level2"); err != nil {
		t.Fatal(err)
	}
	swap.now = httpOf(t, d.SVID("/agent/eve"), d).Transport // between calls
	_, err := call(t, session, "c_level2")
	if denial := denialOf(t, err); denial.Cause != guard.CauseOtherSPIFFEID {
		t.Errorf("a session that another client took over: %+v", denial)
	}
}

// switchable changes the connections of a client, and claims in a header to be somebody.
type switchable struct{ now http.RoundTripper }

func (s *switchable) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("X-Forwarded-Client-Cert", "URI=spiffe://example.org/agent/ada")
	r.Header.Set("Touchmark-Ticket", "x")
	return s.now.RoundTrip(r)
}

// TestUnixChannel: the peer of a socket is in the record, and stands for no certificate.
func TestUnixChannel(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("who is at the other end of a socket is asked of Linux alone")
	}
	path := t.TempDir() + "/run/mcp.sock"
	ln, err := workload.ListenUnix(&workload.UnixConfig{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	w := guardtest.New(t)
	caller := bind(t, w, func(x *badge.Template) { x.SPIFFEID = "spiffe://example.org/agent/ada" })
	s, opts := newServer(nil), &mcp.StreamableHTTPOptions{Stateless: true}
	a := mcpguard.Protect(s, w.Guard())
	server := workload.NewUnixServer(a.Handler(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return s }, opts)))
	go func() { _ = server.Serve(ln) }() // it ends with Close
	t.Cleanup(func() { _ = server.Close() })
	client, err := workload.NewUnixClient(&workload.UnixDialConfig{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.CloseIdleConnections)
	reach := func() mcp.Transport {
		return &mcp.StreamableClientTransport{Endpoint: "http://localhost/", HTTPClient: client, DisableStandaloneSSE: true}
	}
	session := dial(t, newClient(anonymous), signed(t, callerOf(w), reach()), withoutSessions)
	if _, err := call(t, session, "c_level2"); err != nil {
		t.Error(err)
	}
	want := evidence.Channel{Scheme: "unix", Subject: "uid:" + strconv.Itoa(os.Geteuid())}
	all := w.Recorder.Decisions()
	if got := all[len(all)-1].Channel; got != want {
		t.Errorf("the record says %+v, want %+v", got, want)
	}
	bound := dial(t, newClient(anonymous), signed(t, caller, reach()), withoutSessions)
	_, err = call(t, bound, "c_level2")
	if denial := denialOf(t, err); denial.Cause != guard.CauseNoCertificate {
		t.Errorf("a bound badge: %+v", denial)
	}
}
