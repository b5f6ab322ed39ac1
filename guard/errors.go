package guard

import (
	"errors"
	"fmt"
	"time"
)

// A Code is a reason for a refusal, the same on the wire and in evidence (spec/guard.md section 6). Codes
// that begin with CALL_PROOF are those of package badge/pop.
type Code string

// The codes of a [DeniedError], beside those of package badge/pop.
const (
	CodeAuthMissing       Code = "TOOL_AUTH_MISSING"
	CodeChannelMismatch   Code = "CHANNEL_MISMATCH"
	CodeBadgeInvalid      Code = "TOOL_BADGE_INVALID"
	CodeBadgeRevoked      Code = "TOOL_BADGE_REVOKED"
	CodeIssuerUntrusted   Code = "TOOL_ISSUER_UNTRUSTED"
	CodeTrustInsufficient Code = "TOOL_TRUST_INSUFFICIENT"
	CodePolicyDenied      Code = "TOOL_POLICY_DENIED"
	CodeNotFound          Code = "TOOL_NOT_FOUND"
	CodeApprovalRequired  Code = "APPROVAL_REQUIRED"
	CodeRequestMalformed  Code = "REQUEST_MALFORMED"
	CodeRequestRejected   Code = "REQUEST_REJECTED"
	CodeMethodDenied      Code = "METHOD_DENIED"

	CodeConstraintExceeded Code = "CONSTRAINT_EXCEEDED" // a limit was reached, before the attempt or by it
)

// The codes of an [UndeterminedError].
const (
	CodeIdentityUndetermined Code = "IDENTITY_UNDETERMINED"
	CodePolicyIndeterminate  Code = "POLICY_INDETERMINATE"
	CodeEvidenceUnavailable  Code = "EVIDENCE_UNAVAILABLE"
	CodeGuardFailed          Code = "GUARD_FAILED"

	CodeConstraintIndeterminate Code = "CONSTRAINT_INDETERMINATE" // whether a limit was reached

	CodeEvidenceUnconfirmed Code = "EVIDENCE_UNCONFIRMED" // the record was not in the log in time
)

// The causes that this package adds to those of packages badge and badge/pop.
const (
	CauseNoRule                 = "NO_RULE"
	CauseRuleDenies             = "RULE_DENIES"
	CauseLevelTooLow            = "LEVEL_TOO_LOW"
	CauseNoMinimum              = "NO_MINIMUM_LEVEL"
	CauseConstraintsUnsupported = "CONSTRAINTS_UNSUPPORTED"
	CauseCapabilityUnknown      = "CAPABILITY_UNKNOWN"
	CausePanic                  = "PANIC"
	CausePolicyError            = "POLICY_ERROR"
	CauseBadgesNotAccepted      = "BADGES_NOT_ACCEPTED"
	CauseProofWithoutBadge      = "PROOF_WITHOUT_BADGE"
	CauseParamsMalformed        = "PARAMS_MALFORMED"
	CauseNoCertificate          = "CHANNEL_WITHOUT_CERTIFICATE"
	CauseOtherCertificate       = "CERTIFICATE_MISMATCH"
	CauseOtherSPIFFEID          = "SPIFFE_ID_MISMATCH"
	CauseFacts                  = "FACTS_ERROR"

	// Of CodeConstraintExceeded. The first three are given by a [Limiter], the others by [Grant.Finish].
	CauseRate        = "RATE_LIMITED"
	CauseConcurrency = "CONCURRENCY_LIMITED"
	CauseRetries     = "RETRIES_EXHAUSTED"
	CauseRuntime     = "RUNTIME_EXCEEDED"
	CauseResultSize  = "RESULT_TOO_LARGE"

	// Of CodeConstraintIndeterminate.
	CauseLimiter   = "LIMITER_ERROR"
	CauseAbandoned = "TOO_MANY_ABANDONED"

	// Of CodeEvidenceUnconfirmed, beside CausePanic.
	CauseNotIncluded = "NOT_INCLUDED"
	CauseNotCosigned = "NOT_COSIGNED"
)

// A Refusal is what a refused caller may be told. None of it says more than the caller already knew, except
// where Hidden is set.
type Refusal struct {
	Code  Code
	Cause string // a code below Code about what the caller presented, such as BADGE_EXPIRED; may be empty

	// Hidden says that the caller may not even learn that the capability exists. The answer must then be the
	// one that the server gives for what does not exist.
	Hidden bool

	EvidenceID string // id of the record; empty when there is none

	// RetryAfter is when it may be worth to try again, with [CodeConstraintExceeded]; 0 is not known, or never.
	RetryAfter time.Duration
}

// Reason is a sentence for the caller, the same for every refusal with this Code.
func (r *Refusal) Reason() string { return reasonOf(r.Code) }

// Undetermined reports whether the refusal says only that it could not be told.
func (r *Refusal) Undetermined() bool {
	switch r.Code {
	case CodeIdentityUndetermined, CodePolicyIndeterminate, CodeEvidenceUnavailable, CodeGuardFailed,
		CodeConstraintIndeterminate, CodeEvidenceUnconfirmed:
		return true
	}
	return false
}

func (r *Refusal) text() string {
	text := string(r.Code)
	if r.Cause != "" {
		text += "/" + r.Cause
	}
	return fmt.Sprintf("guard: %s: %s", text, r.Reason())
}

// A DeniedError says that a request was examined and refused.
type DeniedError struct{ Refusal }

func (e *DeniedError) Error() string { return e.text() }

// An UndeterminedError says that it could not be told whether a request is to be refused; it is refused. It
// is not a verdict on the caller.
type UndeterminedError struct {
	Refusal
	err error
}

func (e *UndeterminedError) Error() string {
	if e.err == nil {
		return e.text()
	}
	return e.text() + ": " + e.err.Error()
}

// Unwrap returns the cause, for operators: it may say more than a caller may know.
func (e *UndeterminedError) Unwrap() error { return e.err }

// An ExceededError says that an attempt ran, and that its result must be withheld: it went beyond a limit under which it
// was granted. Code is [CodeConstraintExceeded], and Cause is CauseRuntime or CauseResultSize. The outcome is recorded.
type ExceededError struct{ Refusal }

func (e *ExceededError) Error() string { return e.text() }

// RefusalOf returns what the error of a guard says to the caller. Any other error gives a Refusal with
// [CodeGuardFailed]: what is not understood is refused, and not explained.
func RefusalOf(err error) Refusal {
	var denied *DeniedError
	if errors.As(err, &denied) {
		return denied.Refusal
	}
	var undetermined *UndeterminedError
	if errors.As(err, &undetermined) {
		return undetermined.Refusal
	}
	var exceeded *ExceededError
	if errors.As(err, &exceeded) {
		return exceeded.Refusal
	}
	return Refusal{Code: CodeGuardFailed}
}

// reasonOf is the safe text of a code: it names no rule, no level, no caller and no target.
func reasonOf(code Code) string {
	switch code {
	case CodeAuthMissing:
		return "this needs a badge; present one"
	case CodeBadgeInvalid:
		return "the badge is not valid; get a fresh one"
	case CodeChannelMismatch:
		return "the badge is bound to a client certificate that this connection did not show"
	case CodeBadgeRevoked:
		return "the badge or its subject has been revoked"
	case CodeIssuerUntrusted:
		return "the badge's issuer is not accepted here"
	case CodeTrustInsufficient:
		return "the badge's level is too low for this"
	case CodePolicyDenied:
		return "the server's policy does not allow this"
	case CodeNotFound:
		return "there is no such capability"
	case CodeApprovalRequired:
		return "this needs an approval that the server has not been given"
	case CodeRequestMalformed:
		return "the request's credentials or arguments are malformed"
	case CodeRequestRejected:
		return "the request was rejected before the guard saw it"
	case CodeMethodDenied:
		return "the server's policy does not allow this method"
	case CodeIdentityUndetermined:
		return "the badge could not be checked now; try again later"
	case CodePolicyIndeterminate:
		return "the policy could not decide; the request is refused"
	case CodeEvidenceUnavailable:
		return "the server cannot keep evidence now; nothing is run without"
	case CodeConstraintExceeded:
		return "a limit that the server's policy sets was reached"
	case CodeConstraintIndeterminate:
		return "the server cannot tell now whether a limit was reached; try again later"
	case CodeEvidenceUnconfirmed:
		return "the record of this call was not in the log in time; nothing was run, try again later"
	case CodeGuardFailed:
		return "the guard failed; the request is refused"
	}
	return "the call proof does not hold for this call"
}
