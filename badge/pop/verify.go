package pop

import (
	"context"
	"crypto"
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/jwk"
	"github.com/touchmark-dev/touchmark/internal/jws"
)

// Presented is a call proof together with what it is compared with. All of it but Proof and TxnID comes from
// what the server verified itself, or is about to execute.
type Presented struct {
	Proof string // the JWS; empty when the caller sent none
	TxnID string // that the caller sent beside the proof

	Call *Call // what the server will execute

	// Of the verified badge:
	Key          crypto.PublicKey
	BadgeID      string
	Subject      did.DID
	BadgeExpires time.Time // required: a proof is worth nothing without its badge

	// HTTPMethod and HTTPURI are compared with htm and htu. Empty stands for POST and [TargetURI].
	HTTPMethod string
	HTTPURI    string
}

// A Proof is a call proof that was verified and used up: only [Verifier.Verify] makes one that says anything.
type Proof struct {
	claims    claims
	tokenHash [32]byte
}

// HopID returns the claim hop_id.
func (p *Proof) HopID() string { return p.claims.HopID }

// TxnID returns the claim txn_id, which is the one sent beside the proof.
func (p *Proof) TxnID() string { return p.claims.TxnID }

// ParentHopHash returns the claim parent_hop_hash, "" when there is none. Its form was checked; whether there
// is such a hop is for an audit to say.
func (p *Proof) ParentHopHash() string { return p.claims.ParentHopHash }

// CallHash returns the claim call_hash.
func (p *Proof) CallHash() string { return p.claims.CallHash }

// TokenHash returns the SHA-256 of the proof as it was presented.
func (p *Proof) TokenHash() [32]byte { return p.tokenHash }

// IssuedAt returns the claim iat.
func (p *Proof) IssuedAt() time.Time { return time.Unix(p.claims.IssuedAt, 0).UTC() }

// ExpiresAt returns the claim exp.
func (p *Proof) ExpiresAt() time.Time { return time.Unix(p.claims.Expires, 0).UTC() }

// Verify checks a call proof by the steps of spec/call-proof.md section 5, in their order, and uses it up: the
// same proof is refused from then on. A [*RejectedError] says that it was refused; any other error, that the
// replay store or the caller could not tell. There is a Proof only with a nil error.
func (v *Verifier) Verify(ctx context.Context, p *Presented) (*Proof, error) {
	if p.Call == nil || p.Key == nil || p.Subject.IsZero() || p.BadgeID == "" || p.BadgeExpires.IsZero() {
		return nil, errors.New("call proof: internal error: presented without a call or without a verified badge")
	}
	if p.Proof == "" {
		return nil, refuse(CodeMissing, "", "the call carries a badge and no proof of its key")
	}
	m, c, rejected := parse(p.Proof, v.window)
	if rejected != nil {
		return nil, rejected
	}
	if rejected := c.checkBadge(p); rejected != nil {
		return nil, rejected
	}
	if err := m.Verify(p.Key); err != nil {
		rejected := c.refuse(CodeSignatureInvalid, "", "not signed by the key of badge %q", p.BadgeID)
		rejected.err = err
		return nil, rejected
	}
	if rejected := v.checkTime(c, p.BadgeExpires); rejected != nil {
		return nil, rejected
	}
	if rejected := v.checkCall(c, p); rejected != nil {
		return nil, rejected
	}
	if err := v.use(ctx, c, p); err != nil {
		return nil, err
	}
	return &Proof{claims: *c, tokenHash: jws.TokenHash(p.Proof)}, nil
}

// checkBadge compares the proof with the transaction and the badge that came with it.
func (c *claims) checkBadge(p *Presented) *RejectedError {
	switch {
	case c.TxnID != p.TxnID:
		return c.refuse(CodeTxnMismatch, "txn_id", "another transaction than the one sent beside the proof")
	case c.BadgeID != p.BadgeID:
		return c.refuse(CodeBadgeMismatch, "badge_jti", "%q where badge %q was presented", c.BadgeID, p.BadgeID)
	case c.Issuer != p.Subject.String():
		return c.refuse(CodeBadgeMismatch, "iss", "%.200q where the badge is of %q", c.Issuer, p.Subject)
	}
	return nil
}

func (v *Verifier) checkTime(c *claims, badgeExpires time.Time) *RejectedError {
	now := v.now().Unix()
	switch {
	case c.IssuedAt > now+v.skew:
		return c.refuse(CodeNotYetValid, "iat", "signed %d s from now: set the caller's clock", c.IssuedAt-now)
	case now >= c.Expires+v.skew:
		return c.refuse(CodeExpired, "exp", "expired %d s ago: sign each call when it is sent", now-c.Expires)
	case c.IssuedAt >= badgeExpires.Unix():
		return c.refuse(CodeExpired, "iat", "signed after the badge expired: get a new badge")
	case c.IssuedAt < v.started-v.skew:
		return c.refuse(CodeExpired, "iat", "signed before this server began to remember proofs: sign the call again")
	}
	return nil
}

// checkCall compares the proof with the server and with the call that it is going to execute.
func (v *Verifier) checkCall(c *claims, p *Presented) *RejectedError {
	method, uri := orDefault(p.HTTPMethod, DefaultHTTPMethod), p.HTTPURI
	if uri == "" {
		uri = string(appendEscaped(slices.Clip(v.uri), p.Call.Method, "/"))
	}
	switch {
	case c.Server != v.server:
		return c.refuse(CodeServerMismatch, "srv", "for the server %.200q, this is %q", c.Server, v.server)
	case !slices.Contains(v.audiences, c.Audience):
		return c.refuse(CodeServerMismatch, "target_aud", "for %.200q, which is not this server", c.Audience)
	case c.HTTPMethod != method:
		return c.refuse(CodeTargetMismatch, "htm", "%.40q where the call was made by %.40q", c.HTTPMethod, method)
	case c.HTTPURI != uri:
		return c.refuse(CodeTargetMismatch, "htu", "%.200q where %.200q is called", c.HTTPURI, uri)
	}
	hash, err := p.Call.Hash(c.salt())
	if err != nil {
		rejected := c.refuse(CodeParamsMismatch, "call_hash", "the call has no canonical form: %v", err)
		rejected.err = err
		return rejected
	}
	if subtle.ConstantTimeCompare([]byte(hash), []byte(c.CallHash)) != 1 {
		return c.refuse(CodeParamsMismatch, "call_hash", "another target, or other parameters, than those that were signed")
	}
	return nil
}

// use is the last step: what fails before it leaves no trace, and so cannot fill the store.
func (v *Verifier) use(ctx context.Context, c *claims, p *Presented) error {
	thumbprint, err := jwk.Thumbprint(p.Key)
	if err != nil {
		return fmt.Errorf("call proof: %w", err)
	}
	key := ReplayKey{KeyThumbprint: thumbprint, HopID: c.HopID, Subject: p.Subject}
	until := time.Unix(c.Expires+v.skew, 0)
	switch err := v.replay.Use(ctx, key, until); {
	case err == nil:
		return nil
	case errors.Is(err, ErrReplayed):
		return c.refuse(CodeReplayed, "hop_id", "the proof was used before: sign each call anew")
	case errors.Is(err, ErrFull):
		return c.refuse(CodeReplayStoreFull, "", "too many proofs in flight to remember one more: %v", err)
	default:
		return fmt.Errorf("call proof: replay store: %w", err)
	}
}
