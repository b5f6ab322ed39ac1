package badge

import (
	"errors"
	"fmt"
)

// A Code names a reason for which a badge is not accepted. Codes are the same on the wire, in evidence and in
// test vectors (spec/badge.md, "Codes").
type Code string

// The codes of [RejectedError].
const (
	CodeMalformed        Code = "BADGE_MALFORMED"
	CodeSignatureInvalid Code = "BADGE_SIGNATURE_INVALID"
	CodeExpired          Code = "BADGE_EXPIRED"
	CodeNotYetValid      Code = "BADGE_NOT_YET_VALID"
	CodeIssuerUntrusted  Code = "BADGE_ISSUER_UNTRUSTED"
	CodeAudienceMismatch Code = "BADGE_AUDIENCE_MISMATCH"
	CodeRevoked          Code = "BADGE_REVOKED"
	CodeClaimsInvalid    Code = "BADGE_CLAIMS_INVALID"
	CodeAgentDisabled    Code = "BADGE_AGENT_DISABLED"
)

// The codes of [UndeterminedError]. The two that begin with SERVER are older than their use here.
const (
	CodeRevocationCheckFailed Code = "REVOCATION_CHECK_FAILED"
	CodeDIDResolutionFailed   Code = "SERVER_DID_RESOLUTION_FAILED"
	CodeKeyFetchFailed        Code = "SERVER_KEY_FETCH_FAILED"
)

// A RejectedError says that a badge was examined and refused.
type RejectedError struct {
	Code    Code
	Claim   string // the claim at fault, such as "aud" or "vc.credentialSubject.level"; empty if none is
	Reason  string // for operators; quotes at most short pieces of the badge
	BadgeID string // the claim jti, unverified unless the signature held; empty if it was not reached

	err error
}

func (e *RejectedError) Error() string {
	return describe(e.Code, e.Claim, e.Reason, e.BadgeID)
}

// Unwrap returns the cause, if there is one.
func (e *RejectedError) Unwrap() error { return e.err }

// An UndeterminedError says that nothing was found against a badge, but that something needed to accept it
// could not be learned. It is not a verdict; the badge may be accepted later.
type UndeterminedError struct {
	Code    Code
	Reason  string
	BadgeID string // the claim jti

	err error
}

func (e *UndeterminedError) Error() string {
	return describe(e.Code, "", e.Reason, e.BadgeID)
}

// Unwrap returns the cause, if there is one.
func (e *UndeterminedError) Unwrap() error { return e.err }

func describe(code Code, claim, reason, id string) string {
	text := "badge: "
	if id != "" {
		text = fmt.Sprintf("badge %s: ", id)
	}
	text += string(code) + ": "
	if claim != "" {
		text += "claim " + claim + ": "
	}
	return text + reason
}

// CodeOf returns the code of a [RejectedError] or [UndeterminedError] in err's tree, and "" when there is
// neither.
func CodeOf(err error) Code {
	var rejected *RejectedError
	if errors.As(err, &rejected) {
		return rejected.Code
	}
	var undetermined *UndeterminedError
	if errors.As(err, &undetermined) {
		return undetermined.Code
	}
	return ""
}

func refuse(code Code, format string, args ...any) *RejectedError {
	return &RejectedError{Code: code, Reason: fmt.Sprintf(format, args...)}
}

// refuseClaim is for a claim that is missing, of the wrong type or against a rule.
func refuseClaim(claim, format string, args ...any) *RejectedError {
	return &RejectedError{Code: CodeClaimsInvalid, Claim: claim, Reason: fmt.Sprintf(format, args...)}
}
