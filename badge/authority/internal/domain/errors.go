package domain

import (
	"errors"
	"fmt"
	"strings"
)

// A Code names a reason for a refusal (spec/domain-validation.md, "Codes").
type Code string

// The codes of [CheckDomain].
const (
	CodeDomainTooLong     Code = "DOMAIN_TOO_LONG"
	CodeDomainNotASCII    Code = "DOMAIN_NOT_ASCII"
	CodeDomainNotBare     Code = "DOMAIN_NOT_BARE"
	CodeDomainIPAddress   Code = "DOMAIN_IP_ADDRESS"
	CodeDomainWildcard    Code = "DOMAIN_WILDCARD"
	CodeDomainTrailingDot Code = "DOMAIN_TRAILING_DOT"
	CodeDomainSyntax      Code = "DOMAIN_SYNTAX"
	CodeDomainSingleLabel Code = "DOMAIN_SINGLE_LABEL"
	CodeDomainReserved    Code = "DOMAIN_RESERVED"
)

// The codes of [Validator]. Those that end in FAILED and TIMEOUT are no verdicts: Undetermined is set.
const (
	CodeChallengeInvalid          Code = "CHALLENGE_INVALID"
	CodeChallengeDNSNotFound      Code = "CHALLENGE_DNS_NOT_FOUND"
	CodeChallengeDNSFailed        Code = "CHALLENGE_DNS_FAILED"
	CodeChallengeAddressRefused   Code = "CHALLENGE_ADDRESS_REFUSED"
	CodeChallengeConnectionFailed Code = "CHALLENGE_CONNECTION_FAILED"
	CodeChallengeTimeout          Code = "CHALLENGE_TIMEOUT"
	CodeChallengeRedirect         Code = "CHALLENGE_REDIRECT"
	CodeChallengeStatus           Code = "CHALLENGE_STATUS"
	CodeChallengeTooLarge         Code = "CHALLENGE_TOO_LARGE"
	CodeChallengeMismatch         Code = "CHALLENGE_MISMATCH"
)

// The codes of [SignGrant] and [ParseGrant].
const (
	CodeGrantMalformed        Code = "GRANT_MALFORMED"
	CodeGrantSignatureInvalid Code = "GRANT_SIGNATURE_INVALID"
	CodeGrantInvalidType      Code = "GRANT_INVALID_TYPE"
	CodeGrantInvalidAudience  Code = "GRANT_INVALID_AUD"
	CodeGrantMissingIssuedAt  Code = "GRANT_MISSING_IAT"
	CodeGrantNotYetValid      Code = "GRANT_NOT_YET_VALID"
	CodeGrantExpired          Code = "GRANT_EXPIRED"
	CodeGrantClaimsInvalid    Code = "GRANT_CLAIMS_INVALID"
	CodeGrantIssuerMismatch   Code = "GRANT_ISSUER_MISMATCH"
	CodeGrantScope            Code = "GRANT_SCOPE_INSUFFICIENT"
)

// The codes of [CheckSubject] and [ProofVerifier].
const (
	CodeSubjectMismatch       Code = "DID_DOMAIN_MISMATCH"
	CodeProofMalformed        Code = "PROOF_MALFORMED"
	CodeProofClaimsInvalid    Code = "PROOF_CLAIMS_INVALID"
	CodeProofTargetMismatch   Code = "PROOF_TARGET_MISMATCH"
	CodeProofSubjectMismatch  Code = "PROOF_SUBJECT_MISMATCH"
	CodeProofNotYetValid      Code = "PROOF_NOT_YET_VALID"
	CodeProofExpired          Code = "PROOF_EXPIRED"
	CodeProofKeyInvalid       Code = "PROOF_KEY_INVALID"
	CodeProofResolution       Code = "PROOF_RESOLUTION_FAILED"
	CodeProofDocumentInvalid  Code = "PROOF_DOCUMENT_INVALID"
	CodeProofSignatureInvalid Code = "PROOF_SIGNATURE_INVALID"
	CodeKeyMismatch           Code = "KEY_MISMATCH"
	CodeProofReplayed         Code = "PROOF_REPLAYED"
	CodeProofReplayStoreFull  Code = "PROOF_REPLAY_STORE_FULL"
)

// Wire returns the error code of RFC-002 section 12 that a client is told for c; codes that RFC-002 does not
// have stand for themselves.
func (c Code) Wire() string {
	switch {
	case strings.HasPrefix(string(c), "DOMAIN_"):
		return "INVALID_DOMAIN"
	case strings.HasPrefix(string(c), "CHALLENGE_"):
		return "CHALLENGE_FAILED"
	case strings.HasPrefix(string(c), "PROOF_"):
		return "POP_VERIFICATION_FAILED"
	}
	return string(c)
}

// An Error says what was refused, and by which rule. With Undetermined set nothing was found against it, but
// something needed to accept it could not be learned: it may be tried again.
type Error struct {
	Code         Code
	Claim        string // the claim of a grant or proof at fault; empty if none is
	Reason       string // for operators; quotes at most short pieces of what was refused
	Undetermined bool

	err error
}

func (e *Error) Error() string {
	text := "domain validation: " + string(e.Code) + ": "
	if e.Claim != "" {
		text += "claim " + e.Claim + ": "
	}
	return text + e.Reason
}

// Unwrap returns the cause, if there is one.
func (e *Error) Unwrap() error { return e.err }

// CodeOf returns the code of an [Error] in err's tree, and "" when there is none.
func CodeOf(err error) Code {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return ""
}

func refuse(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Reason: fmt.Sprintf(format, args...)}
}

func refuseClaim(code Code, claim, format string, args ...any) *Error {
	return &Error{Code: code, Claim: claim, Reason: fmt.Sprintf(format, args...)}
}

// undetermined is for what could not be learned because of cause.
func undetermined(code Code, cause error, format string, args ...any) *Error {
	return &Error{Code: code, Reason: fmt.Sprintf(format, args...), Undetermined: true, err: cause}
}

// because adds the cause of a refusal.
func (e *Error) because(cause error) *Error {
	e.err = cause
	return e
}
