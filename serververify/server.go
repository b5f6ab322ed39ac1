package serververify

import (
	"context"
	"net/http"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/did"
)

// A Binding says what a server's proof is bound to besides nonce, DID and
// badge.
type Binding string

// The bindings (spec/server-identity.md section 4).
const (
	// BindingTLS: the origin, and the exporter of the TLS connection.
	BindingTLS Binding = "tls-exporter"
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
	Endpoint string // "" for stdio
	Origin   string // "" for stdio
	Binding  Binding
	BadgeID  string
	Expires  time.Time // when the badge ends
	Until    time.Time // when the verification has to be made again

	target *target
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
