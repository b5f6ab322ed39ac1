package evidence

import (
	"errors"
	"fmt"
)

// A Code names why something was refused. Codes are stable; spec/evidence.md section 8 lists them.
type Code string

// Codes of one entry or one record by itself.
const (
	CodeMalformed        Code = "EVIDENCE_MALFORMED"         // not the canonical bytes of an entry
	CodeTooLarge         Code = "EVIDENCE_TOO_LARGE"         // more than MaxEntryBytes
	CodeVersionUnknown   Code = "EVIDENCE_VERSION_UNKNOWN"   // a record of another version of the format
	CodeKindUnknown      Code = "EVIDENCE_KIND_UNKNOWN"      // a kind of record that this reader does not know
	CodeRecordInvalid    Code = "EVIDENCE_RECORD_INVALID"    // a member missing, of the wrong form, or against another
	CodeKeyUnknown       Code = "EVIDENCE_KEY_UNKNOWN"       // no key for the entry's kid
	CodeKeyMismatch      Code = "EVIDENCE_KEY_MISMATCH"      // the kid is not a key of the record's server
	CodeSignatureInvalid Code = "EVIDENCE_SIGNATURE_INVALID" // the signature is not that key's over this record
)

// Codes of an entry among the others of its stream.
const (
	CodeGenesisMissing   Code = "EVIDENCE_GENESIS_MISSING"   // the stream does not begin at its beginning
	CodeGenesisRepeated  Code = "EVIDENCE_GENESIS_REPEATED"  // a second genesis record
	CodeStreamMismatch   Code = "EVIDENCE_STREAM_MISMATCH"   // an entry of another stream
	CodeServerMismatch   Code = "EVIDENCE_SERVER_MISMATCH"   // an entry of another server
	CodeGap              Code = "EVIDENCE_GAP"               // sequence numbers are missing
	CodeReordered        Code = "EVIDENCE_REORDERED"         // an earlier sequence number, not seen at its place
	CodeDuplicate        Code = "EVIDENCE_DUPLICATE"         // the same entry again
	CodeConflict         Code = "EVIDENCE_CONFLICT"          // another record under a sequence number already used
	CodePreviousMismatch Code = "EVIDENCE_PREVIOUS_MISMATCH" // the hash of the record before is another
	CodeTimeReversed     Code = "EVIDENCE_TIME_REVERSED"     // earlier than a record before it, beyond the tolerance
	CodeEpochReversed    Code = "EVIDENCE_EPOCH_REVERSED"    // an epoch before that of the record before
	CodeOutcomeUnmatched Code = "EVIDENCE_OUTCOME_UNMATCHED" // no decision is open that the outcome belongs to
	CodeTenantMismatch   Code = "EVIDENCE_TENANT_MISMATCH"   // not of the tenant whose view the entries are
)

// Codes of an entry in a log.
const (
	CodeLogForm      Code = "EVIDENCE_LOG_FORM_MISMATCH" // the log is of another form than was said
	CodeLeafMismatch Code = "EVIDENCE_LEAF_MISMATCH"     // the leaf is that of another entry
)

// Codes of disclosures and promises.
const (
	CodeCommitmentMismatch Code = "EVIDENCE_COMMITMENT_MISMATCH" // what is disclosed is not what was committed to
	CodePromiseMalformed   Code = "EVIDENCE_PROMISE_MALFORMED"
	CodePromiseSignature   Code = "EVIDENCE_PROMISE_SIGNATURE_INVALID"
	CodePromiseMismatch    Code = "EVIDENCE_PROMISE_MISMATCH" // the promise is about another entry
)

// A RejectedError says that an entry, a disclosure or a promise was examined and refused.
type RejectedError struct {
	Code   Code
	Member string // of the record, where one is to blame
	Reason string
}

func (e *RejectedError) Error() string {
	if e.Member == "" {
		return fmt.Sprintf("evidence: %s: %s", e.Code, e.Reason)
	}
	return fmt.Sprintf("evidence: %s: member %q: %s", e.Code, e.Member, e.Reason)
}

func reject(code Code, format string, args ...any) *RejectedError {
	return &RejectedError{Code: code, Reason: fmt.Sprintf(format, args...)}
}

func invalid(member, format string, args ...any) *RejectedError {
	return &RejectedError{Code: CodeRecordInvalid, Member: member, Reason: fmt.Sprintf(format, args...)}
}

// CodeOf returns the code of a [*RejectedError], [*ChainError] or [*UnavailableError] in err's chain, and "" when there
// is none.
func CodeOf(err error) Code {
	var chain *ChainError
	if errors.As(err, &chain) {
		return chain.Code
	}
	var rejected *RejectedError
	if errors.As(err, &rejected) {
		return rejected.Code
	}
	var u *UnavailableError
	if errors.As(err, &u) {
		return u.Code
	}
	return ""
}
