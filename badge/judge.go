package badge

import (
	"context"
	"errors"

	"github.com/touchmark-dev/touchmark/did"
)

// checkBinding compares the claim key with the subject's DID document when the issuer says that it saw a
// proof of possession.
func (v *Verifier) checkBinding(ctx context.Context, c *claims) error {
	if c.assurance != AssurancePossession {
		return nil
	}
	if v.resolver == nil {
		return c.undetermined(CodeDIDResolutionFailed, nil, `ial is "1", and no Resolver was configured to find the subject's document`)
	}
	doc, err := v.resolver.Resolve(ctx, c.subject)
	if err != nil {
		return c.unresolved(err)
	}
	if doc == nil || doc.ID != c.subject {
		return c.refuse(CodeClaimsInvalid, "cnf.kid", "the resolver answered with the document of another DID")
	}
	method, ok := doc.Method(c.confirmation)
	if !ok {
		return c.refuse(CodeClaimsInvalid, "cnf.kid", "the subject's document has no such verification method")
	}
	if !sameKey(method.Key, c.key) {
		return c.refuse(CodeClaimsInvalid, "key", "is not the key of cnf.kid in the subject's document")
	}
	return nil
}

// unresolved tells a document that was examined and refused from one that could not be had.
func (c *claims) unresolved(err error) error {
	var document *did.DocumentError
	if errors.As(err, &document) {
		rejected := c.refuse(CodeClaimsInvalid, "cnf.kid", "the subject's document was refused: %v", err)
		rejected.err = err
		return rejected
	}
	return c.undetermined(CodeDIDResolutionFailed, err, "the subject's document could not be had: %v", err)
}

// checkStatus asks whether the badge still stands (spec/badge.md, "Status"). Level 0 has no status.
func (v *Verifier) checkStatus(ctx context.Context, b *Badge) error {
	if b.level == LevelSelfSigned || v.noStatus {
		return nil
	}
	err := v.askStatus(ctx, b)
	if err != nil && b.level == LevelRegistered && v.level1NoStatus && CodeOf(err) == CodeRevocationCheckFailed {
		return nil
	}
	return err
}

func (v *Verifier) askStatus(ctx context.Context, b *Badge) error {
	c := &b.claims
	if v.status == nil {
		return c.undetermined(CodeRevocationCheckFailed, nil, "no source of status was configured")
	}
	s, err := v.status.Status(ctx, StatusQuery{
		Issuer: c.issuer, BadgeID: c.id, Subject: c.subject, Level: c.level, IssuerKeyID: b.issuerKeyID,
	})
	if err != nil {
		return c.undetermined(CodeRevocationCheckFailed, err, "the status could not be had: %v", err)
	}
	// Bad news is believed however old it is.
	switch {
	case s.Revoked:
		return c.refuse(CodeRevoked, "jti", "the badge was revoked")
	case s.KeyWithdrawn:
		return c.refuse(CodeRevoked, "", "the issuer withdrew the key that signed the badge")
	case s.AgentDisabled:
		return c.refuse(CodeAgentDisabled, "sub", "the subject is disabled")
	case s.Authoritative && s.AsOf.IsZero():
		return nil
	}
	return v.checkStatusAge(c, s)
}

func (v *Verifier) checkStatusAge(c *claims, s Status) error {
	age := v.now().Sub(s.AsOf)
	switch {
	case s.AsOf.IsZero():
		return c.undetermined(CodeRevocationCheckFailed, nil, "the status does not say for what time it holds")
	case age > MaxStatusAge:
		return c.undetermined(CodeRevocationCheckFailed, nil, "the status is more than %v old", MaxStatusAge)
	case age < -MaxSkew:
		return c.undetermined(CodeRevocationCheckFailed, nil, "the status is from the future")
	}
	return nil
}
