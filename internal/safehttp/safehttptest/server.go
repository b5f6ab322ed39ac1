// Package safehttptest starts HTTPS servers on loopback for tests of what
// fetches through safehttp.
package safehttptest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// A Server is an HTTPS server on 127.0.0.1.
type Server struct {
	*httptest.Server

	Host  string         // localhost:port
	Port  uint16         // the port of Host
	Roots *x509.CertPool // trusts the server's certificate
}

// NewServer starts a server that is closed at the end of the test. Its
// certificate is good for localhost, the loopback addresses and names.
func NewServer(t testing.TB, h http.Handler, names ...string) *Server {
	t.Helper()
	cert, roots := certificate(t, names)
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // refused handshakes are what many tests are about
	s.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	s.StartTLS()
	t.Cleanup(s.Close)
	port := uint16(s.Listener.Addr().(*net.TCPAddr).Port)
	return &Server{Server: s, Host: fmt.Sprintf("localhost:%d", port), Port: port, Roots: roots}
}

// URL returns https://localhost:port followed by path.
func (s *Server) URL(path string) string { return "https://" + s.Host + path }

// DID returns the text of the did:web of the server, with path segments.
func (s *Server) DID(segments ...string) string {
	text := fmt.Sprintf("did:web:localhost%%3A%d", s.Port)
	for _, seg := range segments {
		text += ":" + seg
	}
	return text
}

func certificate(t testing.TB, names []string) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "safehttptest"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(24 * time.Hour),
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		IsCA:                  true,
		DNSNames:              append([]string{"localhost"}, names...),
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: parsed}, roots
}
