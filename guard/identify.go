package guard

import (
	"context"
	"errors"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/pop"
)

// identify fills in caller from what the request presents, or says why it cannot (spec/guard.md section 3).
// The verdict of a caller that may go on has no code.
func (g *Guard) identify(ctx context.Context, r *Request, caller *Principal) verdict {
	switch {
	case r.Badge == "" && r.Proof != "":
		return verdict{code: Code(pop.CodeBadgeMismatch), cause: CauseProofWithoutBadge}
	case r.Badge == "":
		return verdict{}
	case g.badges == nil:
		return verdict{code: CodeIssuerUntrusted, cause: CauseBadgesNotAccepted}
	}
	b, err := g.badges.Verify(ctx, r.Badge)
	if err != nil {
		return badgeVerdict(err)
	}
	caller.badge = b
	if v := checkChannel(b, r.Channel); v.code != "" {
		return v
	}
	return g.verifyProof(ctx, r, caller)
}

// checkChannel holds a badge that is bound to a channel against the one that the request came over
// (spec/guard.md section 3.1). It comes before the call proof, so that a proof that was stolen with its badge is
// not used up by the thief.
func checkChannel(b *badge.Badge, channel ChannelIdentity) verdict {
	want, bound := b.CertificateSHA256()
	if !bound && b.SPIFFEID() == "" {
		return verdict{}
	}
	var sum [32]byte
	have := false
	certified, ok := channel.(CertifiedChannel)
	if ok {
		sum, have = certified.CertificateSHA256()
	}
	switch {
	case !have:
		return verdict{code: CodeChannelMismatch, cause: CauseNoCertificate}
	case bound && sum != want:
		return verdict{code: CodeChannelMismatch, cause: CauseOtherCertificate}
	case b.SPIFFEID() != "" && b.SPIFFEID() != certified.SPIFFEID():
		return verdict{code: CodeChannelMismatch, cause: CauseOtherSPIFFEID}
	}
	return verdict{}
}

func (g *Guard) verifyProof(ctx context.Context, r *Request, caller *Principal) verdict {
	if r.Proof == "" {
		if g.proofRequired(r.Verb) {
			return verdict{code: Code(pop.CodeMissing)}
		}
		return verdict{}
	}
	proof, err := g.proofs.Verify(ctx, &pop.Presented{
		Proof: r.Proof, TxnID: r.TxnID, Key: caller.badge.Key(),
		BadgeID: caller.badge.ID(), Subject: caller.badge.Subject(), BadgeExpires: caller.badge.ExpiresAt(),
		Call: &pop.Call{
			Method: r.Method, Target: r.target(), Arguments: r.Arguments, InputResponses: r.InputResponses,
		},
		HTTPMethod: r.HTTPMethod, HTTPURI: r.HTTPURI,
	})
	if err != nil {
		return proofVerdict(err)
	}
	caller.proof = proof
	return verdict{}
}

// proofRequired reports whether a badge caller needs a call proof: to invoke, unless bearers are let in; to
// discover, only where the policy asks for it.
func (g *Guard) proofRequired(verb Verb) bool {
	if verb != Discover {
		return !g.bearer
	}
	p, ok := g.policy.(DiscoveryPolicy)
	return ok && p.RequireDiscoveryProof()
}

// badgeVerdict translates what package badge says. An outage is not a verdict on the badge.
func badgeVerdict(err error) verdict {
	v := verdict{cause: string(badge.CodeOf(err)), err: err}
	var rejected *badge.RejectedError
	if !errors.As(err, &rejected) {
		v.code = CodeIdentityUndetermined
		return v
	}
	switch rejected.Code {
	case badge.CodeIssuerUntrusted:
		v.code = CodeIssuerUntrusted
	case badge.CodeRevoked, badge.CodeAgentDisabled:
		v.code = CodeBadgeRevoked
	default:
		v.code = CodeBadgeInvalid
	}
	return v
}

func proofVerdict(err error) verdict {
	var rejected *pop.RejectedError
	if errors.As(err, &rejected) {
		return verdict{code: Code(rejected.Code), err: err}
	}
	return verdict{code: CodeIdentityUndetermined, err: err}
}
