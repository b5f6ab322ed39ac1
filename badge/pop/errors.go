package pop

import (
	"errors"
	"fmt"
)

// A Code names a reason for which a call proof is not accepted. Codes are the same on the wire, in evidence
// and in test vectors (spec/call-proof.md section 6).
type Code string

// The codes of [RejectedError], in the order in which the checks come.
const (
	CodeMissing          Code = "CALL_PROOF_MISSING"
	CodeMalformed        Code = "CALL_PROOF_MALFORMED"
	CodeClaimsInvalid    Code = "CALL_PROOF_CLAIMS_INVALID"
	CodeTxnMismatch      Code = "CALL_PROOF_TXN_MISMATCH"
	CodeBadgeMismatch    Code = "CALL_PROOF_BADGE_MISMATCH"
	CodeSignatureInvalid Code = "CALL_PROOF_SIGNATURE_INVALID"
	CodeNotYetValid      Code = "CALL_PROOF_NOT_YET_VALID"
	CodeExpired          Code = "CALL_PROOF_EXPIRED"
	CodeServerMismatch   Code = "CALL_PROOF_SERVER_MISMATCH"
	CodeTargetMismatch   Code = "CALL_PROOF_TARGET_MISMATCH"
	CodeParamsMismatch   Code = "CALL_PROOF_PARAMS_MISMATCH"
	CodeReplayed         Code = "CALL_PROOF_REPLAYED"
	CodeReplayStoreFull  Code = "CALL_PROOF_REPLAY_STORE_FULL"
)

// A RejectedError says that a call proof was examined and refused, or that there was none.
type RejectedError struct {
	Code   Code
	Claim  string // the claim at fault; empty if none is
	Reason string // for operators; quotes at most short pieces of the proof
	HopID  string // the claim hop_id, unverified unless the signature held; empty if it was not reached

	err error
}

func (e *RejectedError) Error() string {
	text := "call proof: "
	if e.HopID != "" {
		text = fmt.Sprintf("call proof %q: ", e.HopID)
	}
	text += string(e.Code) + ": "
	if e.Claim != "" {
		text += "claim " + e.Claim + ": "
	}
	return text + e.Reason
}

// Unwrap returns the cause, if there is one.
func (e *RejectedError) Unwrap() error { return e.err }

func refuse(code Code, claim, format string, args ...any) *RejectedError {
	return &RejectedError{Code: code, Claim: claim, Reason: fmt.Sprintf(format, args...)}
}

// CodeOf returns the code of a [RejectedError] in err's tree, and "" when there is none.
func CodeOf(err error) Code {
	var rejected *RejectedError
	if errors.As(err, &rejected) {
		return rejected.Code
	}
	return ""
}
