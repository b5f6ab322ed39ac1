// Package pop makes and checks call proofs: the signature by which the holder of a badge shows, with each call,
// that it has the badge's key. A badge without its key is then of no use to whoever sees it, a call that was
// seen cannot be sent again or sent elsewhere, and neither side can deny it afterwards.
//
// An agent uses [Sign] before each call. A server makes one [Verifier] at its start and uses [Verifier.Verify]
// for each call, after the badge has been verified and with the key of that badge.
//
// A call proof is a hop attestation of RFC-004 of the published protocol with claims of our own, specified in
// spec/call-proof.md.
//
// The same is proved once to the authority, before it issues a badge of assurance 1 (RFC-003, spec/issuance.md):
// [ParseChallenge] and [SignIssuance] are for the agent, [IssuanceVerifier] is for the authority. [SignGrantProof] is for
// whoever has the key of a grant (spec/domain-validation.md).
package pop
