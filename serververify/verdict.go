package serververify

import (
	"errors"
	"fmt"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/did"
)

// A State says how far a server's identity holds. It is "" until something was
// examined.
type State string

// The states (spec/server-identity.md section 2).
const (
	// StateVerified: DID, badge and bound proof hold.
	StateVerified State = "VERIFIED_PRINCIPAL"
	// StateDeclared: a DID was named, and something is missing or failed.
	StateDeclared State = "DECLARED_PRINCIPAL"
	// StateUnverified: no identity. That is not level 0.
	StateUnverified State = "UNVERIFIED_ORIGIN"
)

// A Code names why a server is not trusted.
type Code string

// The codes (spec/server-identity.md section 7). SERVER_DID_RESOLUTION_FAILED,
// SERVER_KEY_FETCH_FAILED and REVOCATION_CHECK_FAILED come with an
// [UndeterminedError], the first with an [UntrustedError] when a DID document
// was read and refused.
const (
	CodeIdentityMissing       Code = "SERVER_IDENTITY_MISSING"
	CodeBadgeMissing          Code = "SERVER_BADGE_MISSING"
	CodeBadgeInvalid          Code = "SERVER_BADGE_INVALID"
	CodeBadgeRevoked          Code = "SERVER_BADGE_REVOKED"
	CodeTrustInsufficient     Code = "SERVER_TRUST_INSUFFICIENT"
	CodeDIDMismatch           Code = "SERVER_DID_MISMATCH"
	CodeIssuerUntrusted       Code = "SERVER_ISSUER_UNTRUSTED"
	CodeDomainMismatch        Code = "SERVER_DOMAIN_MISMATCH"
	CodePathMismatch          Code = "SERVER_PATH_MISMATCH"
	CodePoPFailed             Code = "SERVER_POP_FAILED"
	CodePoPExpired            Code = "SERVER_POP_EXPIRED"
	CodeDIDResolutionFailed   Code = "SERVER_DID_RESOLUTION_FAILED"
	CodeKeyFetchFailed        Code = "SERVER_KEY_FETCH_FAILED"
	CodeRevocationCheckFailed Code = "REVOCATION_CHECK_FAILED"
)

// The codes of what an [Admission] refuses.
const (
	CodePinMissing    Code = "SERVER_PIN_MISSING"    // no pin, and none is made
	CodePinMismatch   Code = "SERVER_PIN_MISMATCH"   // it is not who is pinned
	CodePinExpired    Code = "SERVER_PIN_EXPIRED"    // the pin has ended
	CodeToolsChanged  Code = "SERVER_TOOLS_CHANGED"  // its tools are not those that were approved
	CodeNotRegistered Code = "SERVER_NOT_REGISTERED" // no registry lists it
	CodeNotAllowed    Code = "SERVER_NOT_ALLOWED"    // the registry lists it for something else
)

// An UntrustedError says that a server was examined and refused.
type UntrustedError struct {
	Code   Code
	State  State   // StateDeclared or StateUnverified
	Reason string  // for operators
	DID    did.DID // what the server calls itself; zero when it names no DID

	// BadgeValid says that the server's badge was verified before the
	// refusal; BadgeID is then its jti, and Level its level.
	BadgeValid bool
	BadgeID    string
	Level      badge.Level

	// PublishedProof says what became of the published proof.
	PublishedProof PublishedResult

	err error
}

func (e *UntrustedError) Error() string {
	who := ""
	if !e.DID.IsZero() {
		who = fmt.Sprintf(" %q", e.DID)
	}
	return fmt.Sprintf("serververify: server%s refused: %s: %s", who, e.Code, e.Reason)
}

// Unwrap returns the cause, which may be nil.
func (e *UntrustedError) Unwrap() error { return e.err }

// An UndeterminedError says that it could not be told who a server is: it was
// out of reach, or something needed to judge it was. It is no verdict; callers
// send nothing all the same.
type UndeterminedError struct {
	Code   Code // "" when the server itself was out of reach
	Reason string
	DID    did.DID

	err error
}

func (e *UndeterminedError) Error() string {
	code := ""
	if e.Code != "" {
		code = string(e.Code) + ": "
	}
	return fmt.Sprintf("serververify: server not examined to the end: %s%s", code, e.Reason)
}

// Unwrap returns the cause, which may be nil.
func (e *UndeterminedError) Unwrap() error { return e.err }

// CodeOf returns the code of an [UntrustedError] or [UndeterminedError] in
// err's tree, and "" when there is neither.
func CodeOf(err error) Code {
	var untrusted *UntrustedError
	if errors.As(err, &untrusted) {
		return untrusted.Code
	}
	var undetermined *UndeterminedError
	if errors.As(err, &undetermined) {
		return undetermined.Code
	}
	return ""
}
