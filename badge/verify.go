package badge

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/touchmark-dev/touchmark/internal/jws"
)

// headerTyp is what the header member typ of a badge says.
const headerTyp = "JWT"

// Verify checks a badge by the steps of spec/badge.md, "Verification", in their order. The error is nil, a
// [*RejectedError] or an [*UndeterminedError]; only with a nil error is there a Badge.
//
// The context bounds what has to be fetched: keys, a DID document, the status.
func (v *Verifier) Verify(ctx context.Context, token string) (*Badge, error) {
	if len(token) > jws.MaxTokenBytes {
		return nil, refuse(CodeMalformed, "more than %d bytes", jws.MaxTokenBytes)
	}
	hash := jws.TokenHash(token)
	e, err := v.recall(ctx, hash)
	if err != nil {
		return nil, err
	}
	if e == nil {
		if e, err = v.examine(ctx, token); err != nil {
			return nil, err
		}
		e.badge.tokenHash = hash
		v.cache.put(hash, e)
	}
	if err := v.judge(ctx, e); err != nil {
		return nil, err
	}
	return &e.badge, nil
}

// recall returns the cached entry of a token when the issuer and the key that it rests on are still good. It
// returns neither entry nor error when the token has to be examined anew.
func (v *Verifier) recall(ctx context.Context, hash [32]byte) (*entry, error) {
	e := v.cache.get(hash)
	if e == nil {
		return nil, nil
	}
	rule, ok := v.rule(e.badge.issuer)
	if !ok {
		return nil, nil
	}
	if rule.selfSigned {
		return e, nil
	}
	keys, err := v.issuerKeys(ctx, &e.badge.claims)
	if err != nil {
		return nil, err
	}
	for _, key := range keys {
		if key.ID == e.badge.issuerKeyID && sameKey(key.Public, e.issuerKey) {
			return e, checkNotIssuerKey(&e.badge.claims, keys)
		}
	}
	v.ForgetKey(e.badge.issuer, e.badge.issuerKeyID)
	return nil, nil
}

// examine does the steps that end with the signature.
func (v *Verifier) examine(ctx context.Context, token string) (*entry, error) {
	e := new(entry)
	c := &e.badge.claims
	m, rejected := parse(c, token, v.compat)
	if rejected != nil {
		return nil, rejected
	}
	rule, ok := v.rule(c.issuer)
	if !ok {
		return nil, c.refuse(CodeIssuerUntrusted, "iss", "issuer %.100q is not trusted", c.issuer)
	}
	if rule.selfSigned {
		return e, checkOwnSignature(m, c)
	}
	if m.Alg == jws.ES256 && !rule.es256 {
		return nil, c.refuse(CodeMalformed, "", "header member alg is ES256, which issuer %q is not configured for", c.issuer)
	}
	key, err := v.findKey(ctx, m, c)
	e.badge.issuerKeyID, e.issuerKey = key.ID, key.Public
	return e, err
}

// parse does the steps that need nothing but the token. It returns a message unless the token has none.
func parse(c *claims, token string, compat bool) (*jws.Message, *RejectedError) {
	read := jws.Parse
	if compat {
		read = jws.ParseAllowMissingTyp
	}
	m, err := read(token)
	if err != nil {
		return nil, malformed(err)
	}
	if m.Typ != headerTyp && (m.Typ != "" || !compat) {
		return m, refuse(CodeMalformed, "header member typ is %.40q: want %q", m.Typ, headerTyp)
	}
	v, err := m.PayloadValue()
	if err != nil {
		return m, &RejectedError{Code: CodeMalformed, Reason: "payload: " + err.Error(), err: err}
	}
	return m, parseClaims(c, v, compat)
}

func malformed(err error) *RejectedError {
	reason := err.Error()
	var detail *jws.MalformedError
	if errors.As(err, &detail) {
		reason = detail.Reason
	}
	return &RejectedError{Code: CodeMalformed, Reason: reason, err: err}
}

// refuse makes an error about this badge.
func (c *claims) refuse(code Code, claim, format string, args ...any) *RejectedError {
	return &RejectedError{Code: code, Claim: claim, Reason: fmt.Sprintf(format, args...), BadgeID: c.id}
}

func (c *claims) undetermined(code Code, err error, format string, args ...any) *UndeterminedError {
	return &UndeterminedError{Code: code, Reason: fmt.Sprintf(format, args...), BadgeID: c.id, err: err}
}

// checkOwnSignature is for level 0, where the key is in the did:key and, as the claims' rules ensured, the
// same as the claim key.
func checkOwnSignature(m *jws.Message, c *claims) error {
	if m.Alg != jws.EdDSA {
		return c.refuse(CodeMalformed, "", "header member alg is %s for a did:key of Ed25519", m.Alg)
	}
	own := c.subject.KeyURL()
	fragment := own[len(c.subject.String())+1:]
	if m.Kid != "" && m.Kid != own && m.Kid != fragment {
		return c.refuse(CodeSignatureInvalid, "", "header member kid is not the key of the did:key")
	}
	if err := m.Verify(c.key); err != nil {
		return c.refuse(CodeSignatureInvalid, "", "the signature is not that of the did:key")
	}
	return nil
}

// judge does the steps after the signature. They are done at each use, whether or not the signature was
// cached.
func (v *Verifier) judge(ctx context.Context, e *entry) error {
	c := &e.badge.claims
	if err := c.checkTimes(v.now().Unix(), v.skew); err != nil {
		err.BadgeID = c.id
		return err
	}
	if err := v.checkAudience(c); err != nil {
		return err
	}
	if err := v.checkBinding(ctx, c); err != nil {
		return err
	}
	return v.checkStatus(ctx, &e.badge)
}

func (v *Verifier) checkAudience(c *claims) error {
	if !c.hasAudience {
		return nil
	}
	for _, name := range c.audience {
		if slices.Contains(v.audience, name) {
			return nil
		}
	}
	if len(v.audience) == 0 {
		return c.refuse(CodeAudienceMismatch, "aud", "the badge has an audience, and this verifier has no name")
	}
	return c.refuse(CodeAudienceMismatch, "aud", "this verifier is not in the badge's audience")
}
