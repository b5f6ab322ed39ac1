package serververify

import (
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"net/http"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/did"
)

// A Binding says what a server's proof is bound to besides nonce, DID and
// badge.
type Binding string

// The bindings (spec/server-identity.md section 4.1 says what each proves).
const (
	// BindingTLS: the origin, and the exporter of the TLS connection.
	BindingTLS Binding = "tls-exporter"
	// BindingUnix: the path of a unix socket, and pid and uid of the client as
	// the server's kernel reports them.
	BindingUnix Binding = "unix-peer"
	// BindingLaunch: a secret that the client gave to the process it started.
	BindingLaunch Binding = "stdio-launch"
	// BindingSPKI: the origin, and the public key of the certificate that the
	// client sees, where a proxy ends TLS. It is weaker than BindingTLS: who has
	// the certificate's key, such as the proxy itself, can pass proofs on. Both
	// sides have to ask for it.
	BindingSPKI Binding = "tls-server-spki"
	// BindingStdio: nothing; the client launched the process it talks to.
	BindingStdio Binding = "stdio"
	// BindingNone: the origin, on plain http to a loopback address. It
	// verifies nobody.
	BindingNone Binding = "none"
)

// A Server is a server that was verified; only [Verifier.Verify] and
// [Verifier.VerifyStdio] make one that says anything.
type Server struct {
	State    State // StateVerified, or StateDeclared under UnsafeAllowPlainHTTP
	DID      did.DID
	Level    badge.Level
	Endpoint string // for stdio what the client calls the process, or ""
	Origin   string // "" for stdio, unix:/PATH for a unix socket
	Binding  Binding
	BadgeID  string
	Issuer   string    // of the badge
	Domain   string    // that the issuer validated, "" below level 2
	Expires  time.Time // when the badge ends
	Until    time.Time // when the verification has to be made again

	// KeyID is the DID URL of the key that the server proved to hold, and
	// KeyThumbprint the key's RFC 7638 thumbprint.
	KeyID         string
	KeyThumbprint string

	// Certificate is the one of the connection, nil where there is no TLS.
	Certificate *Certificate

	// Peer is the process that listens on the unix socket, nil elsewhere.
	Peer *UnixPeer

	// PublishedProof says what became of the published proof. Nothing follows
	// from it.
	PublishedProof PublishedResult

	key    crypto.PublicKey
	target *target
}

// A Certificate identifies the certificate of a TLS server, by the SHA-256 of
// all of it and of its public key (SubjectPublicKeyInfo).
type Certificate struct {
	SHA256 [32]byte
	SPKI   [32]byte
}

func (c *Certificate) spki() string { return base64.RawURLEncoding.EncodeToString(c.SPKI[:]) }

// CertificateOf returns the hashes of c.
func CertificateOf(c *x509.Certificate) *Certificate {
	return &Certificate{SHA256: sha256.Sum256(c.Raw), SPKI: sha256.Sum256(c.RawSubjectPublicKeyInfo)}
}

// Fresh reports whether the verification that made s may still be relied on.
// The client of s sees to it by itself.
func (v *Verifier) Fresh(s *Server) bool { return v.cfg.Time().Before(s.Until) }

// Client returns a client that reaches this server and no other: every request
// must go to the verified origin, and to the endpoint's path when the DID has
// one. It follows no redirects and verifies each connection, before it sends a
// request on it and again when the verification has aged; the DID must stay
// the same. Requests fail with an [*UntrustedError] or [*UndeterminedError]
// when that fails. It returns nil for a server that was verified over stdio.
func (s *Server) Client() *http.Client {
	if s.target == nil {
		return nil
	}
	return newClient(s.target)
}

// Verify connects to the server at endpoint, an https URL, and establishes who
// it is (spec/server-identity.md section 5). No badge and no credential of the
// caller is sent. The error is an [*UntrustedError], an [*UndeterminedError],
// or says what is wrong with endpoint.
func (v *Verifier) Verify(ctx context.Context, endpoint string) (*Server, error) {
	e, err := v.parseEndpoint(endpoint)
	if err != nil {
		return nil, err
	}
	return v.verify(ctx, e)
}

// Client returns a client for all servers that [Verifier.Verify] has accepted,
// each of them under the rules of [Server.Client]; a request to any other URL
// fails before anything is sent. Prefer [Server.Client] where one server is
// meant.
func (v *Verifier) Client() *http.Client { return newClient(v) }
