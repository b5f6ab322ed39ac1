package main

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/touchmark-dev/touchmark/badge/authority"
	"github.com/touchmark-dev/touchmark/badge/badgetest/authoritytest"
	"github.com/touchmark-dev/touchmark/did"
)

// A world is what the authority of the domain scripts sees: all hosts are one,
// which serves the directory www of the script, and shows its file txt as the TXT
// record of every name.
type world struct {
	docs did.StaticResolver

	mu  sync.Mutex
	dir string // of the script
}

func (w *world) file(name string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return filepath.Join(w.dir, name)
}

func (w *world) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	text, err := os.ReadFile(filepath.Join(w.file("www"), filepath.Clean("/"+r.URL.Path)))
	if err != nil {
		http.NotFound(out, r)
		return
	}
	_, _ = out.Write(text)
}

func (w *world) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
}

func (w *world) LookupTXT(context.Context, string) ([]string, error) {
	text, err := os.ReadFile(w.file("txt"))
	if err != nil {
		return nil, &net.DNSError{IsNotFound: true}
	}
	return []string{strings.TrimSpace(string(text))}, nil
}

// Resolve reads the document from the script's file did.json.
func (w *world) Resolve(_ context.Context, d did.DID) (*did.Document, error) {
	if _, err := d.PublicKey(); err == nil {
		return w.docs.Resolve(context.Background(), d)
	}
	text, err := os.ReadFile(w.file("did.json"))
	if err != nil {
		return nil, &did.ResolveError{DID: d}
	}
	return did.ParseDocument(text, d)
}

// The scripts of testdata/domain, with an authority that finds their domains on
// this machine.
func TestDomainScripts(t *testing.T) {
	w := &world{docs: did.StaticResolver{}}
	server := httptest.NewServer(w)
	t.Cleanup(server.Close)
	a := authoritytest.New(t, func(c *authority.Config) {
		c.DNS, c.Resolver = w, w
		c.UnsafeValidateLoopback = netip.MustParseAddrPort(server.Listener.Addr().(*net.TCPAddr).String()).Port()
	})
	testscript.Run(t, scripts(testscript.Params{
		Dir: "testdata/domain",
		Setup: func(env *testscript.Env) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.dir = env.WorkDir
			env.Setenv("TOUCHMARK_ISSUER", a.Issuer)
			env.Setenv("TOUCHMARK_CA_FILE", "cert.pem")
			cert, err := serverPEM(a)
			if err != nil {
				return err
			}
			for name, text := range map[string]string{"acme.key": a.AccountKeyText(), "cert.pem": cert} {
				if err := os.WriteFile(filepath.Join(env.WorkDir, name), []byte(text), 0o600); err != nil {
					return err
				}
			}
			return nil
		},
	}))
}

// serverPEM is the certificate that the authority's server vouches for itself
// with.
func serverPEM(a *authoritytest.Authority) (string, error) {
	conn, err := tls.Dial("tcp", strings.TrimPrefix(a.Issuer, "https://"), &tls.Config{RootCAs: a.Roots, MinVersion: tls.VersionTLS12})
	if err != nil {
		return "", err
	}
	defer conn.Close()
	raw := conn.ConnectionState().PeerCertificates[0].Raw
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw})), nil
}
