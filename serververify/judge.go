package serververify

import (
	"context"
	"crypto"
	"errors"
	"fmt"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/jws"
	"github.com/touchmark-dev/touchmark/internal/mcpwire"
)

// A challenge is what a client knows of an exchange by itself, without the
// server's word.
type challenge struct {
	nonce    string
	endpoint *endpoint // nil over stdio
	process  string    // what the client calls the process, over stdio
	pin      did.DID   // who it has to be, zero for anybody
	channels []channel // what the proof can be bound to here

	certificate *Certificate
	peer        *UnixPeer
}

// judge decides who a server is, from what it disclosed in answer to a
// challenge (spec/server-identity.md section 5). What can be decided without
// asking others comes first, what makes the client fetch something that the
// server names comes last.
func (v *Verifier) judge(ctx context.Context, ch *challenge, d Disclosure) (*Server, error) {
	j := &judgement{v: v, ch: ch, disclosed: d}
	for _, step := range []func(context.Context) error{
		j.identity, j.place, j.badgeHolds, j.level, j.proofHolds, j.keyIsTheirs,
	} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	s := j.server()
	if err := v.admit(ctx, s); err != nil {
		return nil, err
	}
	return s, nil
}

type judgement struct {
	v         *Verifier
	ch        *challenge
	disclosed Disclosure

	did   did.DID
	badge *badge.Badge
	bound channel // that the proof names
	kid   did.URL

	published PublishedResult
}

// refuse returns the refusal of a server that named a DID.
func (j *judgement) refuse(code Code, format string, args ...any) *UntrustedError {
	e := &UntrustedError{Code: code, State: StateDeclared, Reason: fmt.Sprintf(format, args...), DID: j.did}
	if j.badge != nil {
		e.BadgeValid, e.BadgeID, e.Level = true, j.badge.ID(), j.badge.Level()
		e.PublishedProof = j.published
	}
	return e
}

func (j *judgement) identity(context.Context) error {
	if j.disclosed.DID == "" {
		return &UntrustedError{Code: CodeIdentityMissing, State: StateUnverified, Reason: "it names no DID"}
	}
	d, err := did.Parse(j.disclosed.DID)
	if err != nil {
		return &UntrustedError{Code: CodeIdentityMissing, State: StateUnverified, Reason: "it names no DID that can be used: " + err.Error(), err: err}
	}
	j.did = d
	if !j.ch.pin.IsZero() && d != j.ch.pin {
		return j.refuse(CodeDIDMismatch, "it was %q before", j.ch.pin)
	}
	return nil
}

func (j *judgement) place(context.Context) error {
	if j.ch.endpoint == nil {
		return nil
	}
	if code, reason := j.ch.endpoint.bind(j.did); code != "" {
		return j.refuse(code, "%s", reason)
	}
	return nil
}

func (j *judgement) badgeHolds(ctx context.Context) error {
	if j.disclosed.Badge == "" {
		return j.refuse(CodeBadgeMissing, "it shows no badge")
	}
	b, err := j.v.cfg.Badges.Verify(ctx, j.disclosed.Badge)
	if err != nil {
		return j.badgeError(err)
	}
	if b.Subject() != j.did {
		return j.refuse(CodeDIDMismatch, "its badge is about %q", b.Subject())
	}
	j.badge = b
	if j.v.cfg.CheckPublishedProof && j.disclosed.Published != "" {
		j.published = judgePublished(b.Key(), j.did, j.ch.nonce, j.disclosed.Published)
	}
	return nil
}

func (j *judgement) badgeError(err error) error {
	var rejected *badge.RejectedError
	if errors.As(err, &rejected) {
		code := CodeBadgeInvalid
		switch rejected.Code {
		case badge.CodeRevoked, badge.CodeAgentDisabled:
			code = CodeBadgeRevoked
		case badge.CodeIssuerUntrusted:
			code = CodeIssuerUntrusted
		}
		e := j.refuse(code, "%s", err)
		e.err = err
		return e
	}
	code := CodeRevocationCheckFailed
	switch badge.CodeOf(err) {
	case badge.CodeDIDResolutionFailed:
		code = CodeDIDResolutionFailed
	case badge.CodeKeyFetchFailed:
		code = CodeKeyFetchFailed
	}
	return &UndeterminedError{Code: code, Reason: err.Error(), DID: j.did, err: err}
}

func (j *judgement) level(context.Context) error {
	if !j.badge.Level().AtLeast(j.v.cfg.MinLevel) {
		return j.refuse(CodeTrustInsufficient, "its badge is of level %s, level %s is asked for", j.badge.Level(), j.v.cfg.MinLevel)
	}
	return nil
}

// proofHolds checks the proof against the challenge and the badge's key.
func (j *judgement) proofHolds(context.Context) error {
	if j.disclosed.Proof == "" {
		return j.refuse(CodePoPFailed, "it does not prove possession of its key")
	}
	m, err := jws.Parse(j.disclosed.Proof)
	if err != nil {
		return j.refuse(CodePoPFailed, "its proof: %s", err)
	}
	if m.Typ != mcpwire.TypeServerProof {
		return j.refuse(CodePoPFailed, "its proof has typ %.60q", m.Typ)
	}
	if m.Kid == "" {
		return j.refuse(CodePoPFailed, "its proof names no key")
	}
	if j.kid, err = did.ParseURL(m.Kid); err != nil {
		return j.refuse(CodePoPFailed, "its proof: kid: %s", err)
	}
	if j.kid.DID != j.did {
		return j.refuse(CodePoPFailed, "its proof names a key of %q", j.kid.DID)
	}
	if err := m.Verify(j.badge.Key()); err != nil {
		return j.refuse(CodePoPFailed, "its proof is not signed with the badge's key")
	}
	claims, err := parseProof(m.Payload)
	if err != nil {
		return j.refuse(CodePoPFailed, "its proof: %s", err)
	}
	if err := j.bind(claims.binding); err != nil {
		return err
	}
	if reason := claims.compare(j.expected()); reason != "" {
		return j.refuse(CodePoPFailed, "its proof: %s", reason)
	}
	if code, reason := claims.judgeTimes(j.v.cfg.Time(), j.v.cfg.Skew); code != "" {
		return j.refuse(code, "its proof: %s", reason)
	}
	return nil
}

func (j *judgement) expected() *proofClaims {
	c := &proofClaims{
		issuer: j.did.String(), badgeID: j.badge.ID(), nonce: j.ch.nonce,
		binding: j.bound.binding, exporter: j.bound.digest,
	}
	if j.ch.endpoint != nil {
		c.origin = j.ch.endpoint.origin.String()
	}
	return c
}

// keyIsTheirs asks the DID's own document whether the key that signed may
// authenticate as the DID.
func (j *judgement) keyIsTheirs(ctx context.Context) error {
	doc, err := j.v.cfg.Resolver.Resolve(ctx, j.did)
	var parse *did.ParseError
	var document *did.DocumentError
	switch {
	case errors.As(err, &parse), errors.As(err, &document):
		e := j.refuse(CodeDIDResolutionFailed, "%s", err)
		e.err = err
		return e
	case err != nil:
		return &UndeterminedError{Code: CodeDIDResolutionFailed, Reason: err.Error(), DID: j.did, err: err}
	case doc == nil || doc.ID != j.did:
		return j.refuse(CodeDIDMismatch, "the resolver answered for another DID")
	}
	m, ok := doc.Method(j.kid)
	if !ok || !doc.MayAuthenticate(j.kid) {
		return j.refuse(CodePoPFailed, "key %q is not among the authentication keys of its DID document", j.kid)
	}
	if !sameKey(m.Key, j.badge.Key()) {
		return j.refuse(CodePoPFailed, "key %q of its DID document is not the badge's key", j.kid)
	}
	return nil
}

func sameKey(a, b crypto.PublicKey) bool {
	k, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.Equal(b)
}

func (j *judgement) server() *Server {
	s := &Server{
		State: StateVerified, DID: j.did, Level: j.badge.Level(), Endpoint: j.ch.process,
		Binding: j.bound.binding, BadgeID: j.badge.ID(), Expires: j.badge.ExpiresAt(),
		Issuer: j.badge.Issuer(), Domain: j.badge.Domain(), KeyID: j.kid.String(), KeyThumbprint: j.badge.KeyThumbprint(),
		Certificate: j.ch.certificate, Peer: j.ch.peer, PublishedProof: j.published, key: j.badge.Key(),
	}
	s.Until = j.v.cfg.Time().Add(j.v.cfg.MaxAge)
	if s.Expires.Before(s.Until) {
		s.Until = s.Expires
	}
	if j.bound.binding == BindingNone {
		s.State = StateDeclared
	}
	if e := j.ch.endpoint; e != nil {
		s.Endpoint, s.Origin = e.text, e.origin.String()
	}
	return s
}
