package translog

import (
	"errors"
	"fmt"
)

// A Code names a class of refusal. Codes are stable: programs and test vectors
// of other implementations compare them.
type Code string

// The codes of this package, in the order in which a proof is examined.
const (
	CodePolicyMalformed            Code = "LOG_POLICY_MALFORMED"             // the policy file breaks a rule of tlog-policy
	CodeKeyMalformed               Code = "LOG_KEY_MALFORMED"                // a signer or verifier key cannot be used
	CodeEntryInvalid               Code = "LOG_ENTRY_INVALID"                // an entry no log can hold
	CodeProofMalformed             Code = "LOG_PROOF_MALFORMED"              // not a tlog-proof in its one encoding
	CodeCheckpointMalformed        Code = "LOG_CHECKPOINT_MALFORMED"         // not a signed note, or not a checkpoint inside
	CodeOriginUnknown              Code = "LOG_ORIGIN_UNKNOWN"               // a log that the policy does not name
	CodeCheckpointSignatureInvalid Code = "LOG_CHECKPOINT_SIGNATURE_INVALID" // not signed by the log's key
	CodeCosignatureInvalid         Code = "LOG_COSIGNATURE_INVALID"          // a known witness's line that does not verify
	CodeWitnessQuorum              Code = "LOG_WITNESS_QUORUM"               // too few witnesses cosigned
	CodeInclusionInvalid           Code = "LOG_INCLUSION_INVALID"            // the entry is not where the proof says
	CodeConsistencyInvalid         Code = "LOG_CONSISTENCY_INVALID"          // the proof does not lead from one tree to the other
	CodeRolledBack                 Code = "LOG_ROLLED_BACK"                  // the newer tree is smaller than the older
	CodeForked                     Code = "LOG_FORKED"                       // two trees of one size and different content
)

// RejectedError says that evidence was examined and refused. It keeps what was
// examined, so that a fork or a rollback can be shown to others.
type RejectedError struct {
	Code   Code
	Reason string // which rule was broken, for people

	// Checkpoint is the signed note that was judged, as received; nil when
	// the refusal came before one was read.
	Checkpoint []byte
	// Older is the earlier signed note in a question of consistency, else nil.
	Older []byte
	// Proof is the inclusion or consistency proof that was judged, else nil.
	Proof [][32]byte
}

// Error returns the code and the reason.
func (e *RejectedError) Error() string {
	return fmt.Sprintf("translog: %s: %s", e.Code, e.Reason)
}

// CodeOf returns the code of the first [*RejectedError] in err's chain, or ""
// when there is none: then nothing was judged.
func CodeOf(err error) Code {
	var r *RejectedError
	if errors.As(err, &r) {
		return r.Code
	}
	return ""
}

func reject(code Code, format string, args ...any) *RejectedError {
	return &RejectedError{Code: code, Reason: fmt.Sprintf(format, args...)}
}
