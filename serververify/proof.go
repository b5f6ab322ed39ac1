package serververify

import (
	"crypto"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/touchmark-dev/touchmark/internal/jws"
	"github.com/touchmark-dev/touchmark/internal/mcpwire"
	"github.com/touchmark-dev/touchmark/internal/strictjson"
)

// exporterLabel and exporterBytes are those of tls-exporter in RFC 9266. The
// context there is the empty string, which TLS 1.2 tells from none.
const (
	exporterLabel = "EXPORTER-Channel-Binding"
	exporterBytes = 32
)

// A proofPayload is the payload of a possession proof. Exactly these members
// are present (spec/server-identity.md section 4).
type proofPayload struct {
	BadgeID  *string `json:"badge_jti"`
	Binding  *string `json:"binding"`
	Expires  *int64  `json:"exp"`
	Exporter *string `json:"exporter"`
	IssuedAt *int64  `json:"iat"`
	Issuer   *string `json:"iss"`
	Nonce    *string `json:"nonce"`
	Origin   *string `json:"origin"`
}

// Proof claims are what a proof says, or has to say.
type proofClaims struct {
	issuer   string
	badgeID  string
	nonce    string
	binding  Binding
	origin   string // "" for BindingStdio
	exporter string // unpadded base64url, "" for BindingStdio and BindingNone
	issuedAt int64
	expires  int64
}

func parseProof(payload []byte) (*proofClaims, error) {
	var p proofPayload
	if err := strictjson.UnmarshalStrict(payload, &p); err != nil {
		return nil, err
	}
	for _, m := range []struct {
		name    string
		missing bool
	}{
		{"badge_jti", p.BadgeID == nil},
		{"binding", p.Binding == nil},
		{"exp", p.Expires == nil},
		{"exporter", p.Exporter == nil},
		{"iat", p.IssuedAt == nil},
		{"iss", p.Issuer == nil},
		{"nonce", p.Nonce == nil},
		{"origin", p.Origin == nil},
	} {
		if m.missing {
			return nil, fmt.Errorf("no member %s", m.name)
		}
	}
	return &proofClaims{
		issuer: *p.Issuer, badgeID: *p.BadgeID, nonce: *p.Nonce,
		binding: Binding(*p.Binding), origin: *p.Origin, exporter: *p.Exporter,
		issuedAt: *p.IssuedAt, expires: *p.Expires,
	}, nil
}

// sign makes the proof of c.
func (c *proofClaims) sign(keyID string, key crypto.Signer) (string, error) {
	payload, err := json.Marshal(proofPayload{
		BadgeID: &c.badgeID, Binding: (*string)(&c.binding), Expires: &c.expires, Exporter: &c.exporter,
		IssuedAt: &c.issuedAt, Issuer: &c.issuer, Nonce: &c.nonce, Origin: &c.origin,
	})
	if err != nil {
		return "", err
	}
	return jws.Sign(jws.Header{Typ: mcpwire.TypeServerProof, Kid: keyID}, payload, key)
}

// compare says in what c differs from what a client expects of a proof, "" in
// nothing. Times are judged by judgeTimes.
func (c *proofClaims) compare(want *proofClaims) string {
	switch {
	case c.binding != want.binding:
		return fmt.Sprintf("it is bound by %.40q, not by %q", c.binding, want.binding)
	case c.nonce != want.nonce:
		return "it answers another nonce"
	case c.issuer != want.issuer:
		return fmt.Sprintf("it is of %.200q, not of %q", c.issuer, want.issuer)
	case c.badgeID != want.badgeID:
		return "it is made with another badge"
	case c.origin != want.origin:
		return fmt.Sprintf("it is for the origin %.200q, this is %q", c.origin, want.origin)
	case want.exporter == "" && c.exporter != "":
		return "it names a channel, where there is none"
	case c.exporter != want.exporter:
		return "it was made on another connection: somebody is between this client and the server"
	}
	return ""
}

// judgeTimes holds the proof's times to the client's clock.
func (c *proofClaims) judgeTimes(now time.Time, skew time.Duration) (Code, string) {
	t, slack := now.Unix(), int64(skew/time.Second)
	const year9999 = 253402300799 // keeps the arithmetic below from overflowing
	switch {
	case c.issuedAt <= 0 || c.expires > year9999:
		return CodePoPFailed, "its times are out of range"
	case c.expires <= c.issuedAt:
		return CodePoPFailed, "it ends before it begins"
	case c.expires-c.issuedAt > int64(ProofLifetime/time.Second):
		return CodePoPFailed, fmt.Sprintf("it is good for more than %v", ProofLifetime)
	case c.issuedAt > t+slack:
		return CodePoPFailed, "it is made in the future: compare the clocks"
	case c.expires <= t-slack:
		return CodePoPExpired, "it is too old: compare the clocks"
	}
	return "", ""
}

// An exporterSource is a TLS connection state.
type exporterSource interface {
	ExportKeyingMaterial(label string, context []byte, length int) ([]byte, error)
}

// exporterOf returns the channel binding of a connection in the text form of
// proofs. It fails for TLS 1.2 without extended master secret, and earlier,
// unless the operator has switched that off with GODEBUG=tlsunsafeekm=1.
func exporterOf(cs exporterSource) (text string, err error) {
	// A state that some middleware made up, to say that a proxy ended TLS, has
	// no connection behind it and panics.
	defer func() {
		if recover() != nil {
			err = errors.New("the TLS state is not that of a connection")
		}
	}()
	b, err := cs.ExportKeyingMaterial(exporterLabel, []byte{}, exporterBytes)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(b), nil
}
