// Package domain decides whether a caller controls a domain name, and what follows from it: it fetches the
// proof of control, signs the grant that records it, and checks that who uses a grant has the grant's key.
//
// [CheckDomain] comes first, for every name from outside. [NewToken] and [Content] make a challenge,
// [Validator.HTTP01] and [Validator.DNS01] look whether it was met, [SignGrant] writes the grant and
// [ParseGrant] reads it back. [CheckSubject] and [ProofVerifier.Verify] guard its use. The package has no
// storage: whether an order is open, or a grant revoked, the caller knows.
//
// The rules, and the codes, are those of spec/domain-validation.md.
package domain
