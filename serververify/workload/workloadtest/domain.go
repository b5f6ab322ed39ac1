// Package workloadtest has trust domains and a Workload API for tests. Start with
// [NewDomain] and [NewAPI].
package workloadtest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"math/big"
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// A Domain is a trust domain: an authority that signs X.509-SVIDs, JWT-SVIDs and
// other certificates.
type Domain struct {
	Name string
	Root *x509.Certificate

	t      testing.TB
	key    *ecdsa.PrivateKey
	jwtKey *ecdsa.PrivateKey
}

// NewDomain makes a trust domain with keys of its own.
func NewDomain(t testing.TB, name string) *Domain {
	t.Helper()
	d := &Domain{Name: name, t: t, key: newKey(t), jwtKey: newKey(t)}
	tmpl := template(24 * time.Hour)
	tmpl.Subject = pkix.Name{CommonName: name}
	tmpl.IsCA, tmpl.BasicConstraintsValid = true, true
	tmpl.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	tmpl.URIs = []*url.URL{{Scheme: "spiffe", Host: name}}
	d.Root = d.sign(tmpl, tmpl, d.key.Public())
	return d
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func template(ttl time.Duration) *x509.Certificate {
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		panic("workloadtest: internal error: " + err.Error())
	}
	now := time.Now()
	return &x509.Certificate{SerialNumber: serial, NotBefore: now.Add(-time.Minute), NotAfter: now.Add(ttl)}
}

func (d *Domain) sign(tmpl, parent *x509.Certificate, pub crypto.PublicKey) *x509.Certificate {
	d.t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, pub, d.key)
	if err != nil {
		d.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		d.t.Fatal(err)
	}
	return cert
}

// ID returns the SPIFFE ID of a path such as "/agent".
func (d *Domain) ID(path string) string { return "spiffe://" + d.Name + path }

// Issue signs a certificate after change has named it. It is for both ends of TLS
// and good for ttl.
func (d *Domain) Issue(ttl time.Duration, change func(*x509.Certificate)) *tls.Certificate {
	d.t.Helper()
	key, tmpl := newKey(d.t), template(ttl)
	tmpl.KeyUsage = x509.KeyUsageDigitalSignature
	tmpl.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	change(tmpl)
	leaf := d.sign(tmpl, d.Root, key.Public())
	return &tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}
}

// SVID signs an X.509-SVID that is good for an hour.
func (d *Domain) SVID(path string) *tls.Certificate {
	d.t.Helper()
	return d.Issue(time.Hour, func(c *x509.Certificate) { c.URIs = []*url.URL{{Scheme: "spiffe", Host: d.Name, Path: path}} })
}

// Loopback signs a certificate for 127.0.0.1 and a name.
func (d *Domain) Loopback(dns string) *tls.Certificate {
	d.t.Helper()
	return d.Issue(time.Hour, func(c *x509.Certificate) {
		c.DNSNames, c.IPAddresses = []string{dns}, []net.IP{net.IPv4(127, 0, 0, 1)}
	})
}

// JWTKeyID is the id of the key that signs JWT-SVIDs.
const JWTKeyID = "jwt-1"

// JWT signs a JWT-SVID after change has been at its claims, which may be nil.
func (d *Domain) JWT(path string, audience []string, change func(map[string]any)) string {
	d.t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: d.jwtKey, KeyID: JWTKeyID}},
		new(jose.SignerOptions).WithType("JWT"))
	if err != nil {
		d.t.Fatal(err)
	}
	claims := map[string]any{
		"sub": d.ID(path), "aud": audience, "iat": time.Now().Unix(), "exp": time.Now().Add(5 * time.Minute).Unix(),
	}
	if change != nil {
		change(claims)
	}
	token, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		d.t.Fatal(err)
	}
	return token
}

// JWKS returns the keys of JWT-SVIDs as the Workload API sends them.
func (d *Domain) JWKS() []byte {
	d.t.Helper()
	text, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: d.jwtKey.Public(), KeyID: JWTKeyID, Use: "jwt-svid"}}})
	if err != nil {
		d.t.Fatal(err)
	}
	return text
}

// JWTKeys returns them by id.
func (d *Domain) JWTKeys() map[string]crypto.PublicKey {
	return map[string]crypto.PublicKey{JWTKeyID: d.jwtKey.Public()}
}
