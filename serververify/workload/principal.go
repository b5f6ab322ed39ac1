package workload

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/touchmark-dev/touchmark/serververify"
)

// The schemes of a [Principal].
const (
	SchemeX509    = "x509"     // a certificate below a configured root
	SchemeSPIFFE  = "spiffe"   // an X.509-SVID
	SchemeJWTSVID = "jwt-svid" // a JWT-SVID: whoever has the token is its bearer
	SchemeUnix    = "unix"     // what the kernel says of the peer of a socket
)

// A Principal is who is at the other end of a channel. Only verification makes
// one that says anything; the zero Principal has no scheme and no subject.
type Principal struct {
	scheme   string
	subject  string
	id       spiffeid.ID
	cert     *x509.Certificate
	expires  time.Time
	audience []string // of a JWT-SVID: its audience
	peer     *unixConn
}

// Evidence is what a [Principal] rests on. Members that its scheme does not have
// are zero.
type Evidence struct {
	Scheme            string    `json:"scheme"`
	Subject           string    `json:"subject"`
	CertificateSHA256 string    `json:"certificate_sha256,omitempty"` // "sha256:" and unpadded base64url of the DER
	Serial            string    `json:"serial,omitempty"`             // of the certificate, decimal
	NotAfter          time.Time `json:"not_after,omitzero"`           // of the certificate or the token
	SPIFFEID          string    `json:"spiffe_id,omitempty"`
	TrustDomain       string    `json:"trust_domain,omitempty"`
	Audience          []string  `json:"audience,omitempty"` // of the token
	PID               int       `json:"pid,omitempty"`
	UID               *uint32   `json:"uid,omitempty"`
	GID               *uint32   `json:"gid,omitempty"`

	// PIDHeld says that the kernel gave a handle on the process, so that PID is
	// that process as long as the Principal is good.
	PIDHeld bool `json:"pid_held,omitempty"`
}

// Scheme returns one of the constants of this package; with [Principal.Subject]
// it makes a Principal a guard.ChannelIdentity.
func (p *Principal) Scheme() string { return p.scheme }

// Subject names the principal in the form of its scheme: a SPIFFE ID; "uid:1000";
// of a certificate its first name, as "uri:...", "dns:...", "email:..." or
// "ip:...", or without any "cert:sha256:...".
func (p *Principal) Subject() string { return p.subject }

// SPIFFEID returns the SPIFFE ID of an X.509-SVID or a JWT-SVID, and "" for other
// schemes.
func (p *Principal) SPIFFEID() string {
	if p.id.IsZero() {
		return ""
	}
	return p.id.String()
}

// TrustDomain returns the trust domain of [Principal.SPIFFEID], or "".
func (p *Principal) TrustDomain() string { return p.id.TrustDomain().Name() }

// CertificateSHA256 returns the SHA-256 of the certificate with which the peer
// authenticated, and false for schemes without one.
func (p *Principal) CertificateSHA256() (sum [32]byte, ok bool) {
	if p.cert == nil {
		return sum, false
	}
	return sha256.Sum256(p.cert.Raw), true
}

// UnixPeer returns the credentials of the peer of a unix socket.
func (p *Principal) UnixPeer() (peer serververify.UnixPeer, ok bool) {
	if p.peer == nil {
		return peer, false
	}
	return p.peer.cred, true
}

// ExpiresAt returns when the certificate or token expires; zero for a unix peer.
func (p *Principal) ExpiresAt() time.Time { return p.expires }

// Evidence returns what the principal rests on.
func (p *Principal) Evidence() Evidence {
	e := Evidence{
		Scheme: p.scheme, Subject: p.subject, SPIFFEID: p.SPIFFEID(), TrustDomain: p.TrustDomain(),
		NotAfter: p.expires, Audience: slices.Clone(p.audience),
	}
	if sum, ok := p.CertificateSHA256(); ok {
		e.CertificateSHA256, e.Serial = hashText(sum), p.cert.SerialNumber.String()
	}
	if p.peer != nil {
		c := p.peer.cred
		e.PID, e.UID, e.GID, e.PIDHeld = c.PID, &c.UID, &c.GID, p.peer.pidfd != nil
	}
	return e
}

// check says whether the principal is still who it was when it was verified: a
// connection may live longer than a certificate, and than the process that
// opened it.
func (p *Principal) check(now time.Time) error {
	if !p.expires.IsZero() && !now.Before(p.expires) {
		return fmt.Errorf("workload: the certificate or token of %q expired at %s; reconnect with a fresh one",
			p.subject, p.expires.UTC().Format(time.RFC3339))
	}
	if p.peer != nil && p.peer.ended() {
		return fmt.Errorf("workload: process %d, which opened the connection, has ended; its pid may be another's", p.peer.cred.PID)
	}
	return nil
}

// ErrNoIdentity says that a channel authenticates nobody.
var ErrNoIdentity = errors.New("workload: the channel authenticates nobody")

func hashText(sum [32]byte) string {
	return "sha256:" + base64.RawURLEncoding.EncodeToString(sum[:])
}

// fromChain makes the Principal of a certificate that was verified up to a
// configured root.
func fromChain(leaf *x509.Certificate) *Principal {
	return &Principal{scheme: SchemeX509, subject: nameOf(leaf), cert: leaf, expires: leaf.NotAfter}
}

// nameOf is what records call a certificate. Rules look at all of its names.
func nameOf(c *x509.Certificate) string {
	switch {
	case len(c.URIs) > 0:
		return "uri:" + c.URIs[0].String()
	case len(c.DNSNames) > 0:
		return "dns:" + c.DNSNames[0]
	case len(c.EmailAddresses) > 0:
		return "email:" + c.EmailAddresses[0]
	case len(c.IPAddresses) > 0:
		return "ip:" + ipText(c.IPAddresses[0])
	}
	return "cert:" + hashText(sha256.Sum256(c.Raw))
}

func ipText(ip net.IP) string { return ip.String() }

func unixSubject(uid uint32) string { return "uid:" + strconv.FormatUint(uint64(uid), 10) }
