package pop

import "fmt"

// An IssuanceCode names a reason for which no badge is issued for a proof of possession: the member error of an
// authority's answer (spec/issuance.md section 4.1).
type IssuanceCode string

// The codes, in the order of the checks. Those of steps 2, 4 and 5 are the authority's own, who has the storage.
const (
	IssuanceInvalidChallengeID  IssuanceCode = "invalid_challenge_id"
	IssuanceChallengeNotFound   IssuanceCode = "challenge_not_found"
	IssuanceSubjectMismatch     IssuanceCode = "subject_mismatch"
	IssuanceChallengeUsed       IssuanceCode = "challenge_used"
	IssuanceChallengeExpired    IssuanceCode = "challenge_expired"
	IssuanceInvalidProof        IssuanceCode = "invalid_proof"
	IssuanceChallengeMismatch   IssuanceCode = "cid_mismatch"
	IssuanceAudienceMismatch    IssuanceCode = "audience_mismatch"
	IssuanceURIMismatch         IssuanceCode = "htu_mismatch"
	IssuanceIssuedAtInvalid     IssuanceCode = "iat_invalid"
	IssuanceTooLong             IssuanceCode = "exp_too_long"
	IssuanceExpired             IssuanceCode = "proof_expired"
	IssuanceOutlivesChallenge   IssuanceCode = "exp_outside_challenge_window"
	IssuanceResolutionFailed    IssuanceCode = "did_resolution_failed"
	IssuanceDocumentInvalid     IssuanceCode = "did_document_invalid"
	IssuanceKeyNotFound         IssuanceCode = "kid_not_found"
	IssuanceKeyNotAuthenticator IssuanceCode = "key_not_in_authentication"
	IssuanceSignatureInvalid    IssuanceCode = "proof_verification_failed"
)

// An IssuanceError says that a proof was examined and refused or, with Undetermined set, that it could not be told.
type IssuanceError struct {
	Code         IssuanceCode
	Step         int    // of spec/issuance.md, "Verifying a proof", which are those of RFC-003 section 5.2.2
	Reason       string // for operators and the caller; quotes at most short pieces of the proof
	Undetermined bool   // the subject's document could not be had: the same proof may pass later

	err error
}

func (e *IssuanceError) Error() string {
	return fmt.Sprintf("issuance proof: %s: step %d: %s", e.Code, e.Step, e.Reason)
}

// Unwrap returns the cause, if there is one.
func (e *IssuanceError) Unwrap() error { return e.err }

func refuseIssuance(code IssuanceCode, step int, format string, args ...any) *IssuanceError {
	return &IssuanceError{Code: code, Step: step, Reason: fmt.Sprintf(format, args...)}
}
