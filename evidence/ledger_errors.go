package evidence

import "fmt"

// Codes of an [UnavailableError].
const (
	CodeClosed        Code = "EVIDENCE_CLOSED"         // the ledger was closed
	CodeJournalFailed Code = "EVIDENCE_JOURNAL_FAILED" // a write or sync failed; restart to recover
	CodeDiskFull      Code = "EVIDENCE_DISK_FULL"      // no space for another segment; tried again every second
	CodeJournalFull   Code = "EVIDENCE_JOURNAL_FULL"   // MaxJournalBytes; taken again when records were removed
	CodeBacklogFull   Code = "EVIDENCE_BACKLOG_FULL"   // too much is not yet in the log
	CodeLogDiverged   Code = "EVIDENCE_LOG_DIVERGED"   // the log is not the beginning of the journal
	// [CodeLogForm] is a code of a ledger, too: the log, or the journal, is of another form.
	CodeLogFailed     Code = "EVIDENCE_LOG_FAILED"      // the feeder stopped for good; restart
	CodeOpenCallsFull Code = "EVIDENCE_OPEN_CALLS_FULL" // too many calls have no outcome yet
	CodeSigningFailed Code = "EVIDENCE_SIGNING_FAILED"  // the key refused, for this record or one before it
	CodeVaultFailed   Code = "EVIDENCE_VAULT_FAILED"    // the vault has no key to seal with; asked again for each record
	CodeCanceled      Code = "EVIDENCE_CANCELED"        // the caller's context ended
)

// An UnavailableError says that a record is not known to be durable, so that what it is about must not happen.
type UnavailableError struct {
	Code Code
	// Pending says that the caller stopped waiting after the record had its place: it may yet become durable.
	// A decision that does so is followed by an outcome that says "unknown".
	Pending bool
	Reason  string

	err error
}

func (e *UnavailableError) Error() string { return fmt.Sprintf("evidence: %s: %s", e.Code, e.Reason) }

// Unwrap returns the cause, such as the error of a context or of the disk. It may be nil.
func (e *UnavailableError) Unwrap() error { return e.err }

func unavailable(code Code, cause error, format string, args ...any) *UnavailableError {
	return &UnavailableError{Code: code, Reason: fmt.Sprintf(format, args...), err: cause}
}

// A DivergedError is the cause of an UnavailableError with [CodeLogDiverged]. It says that the log is not the beginning of the journal: one of them was restored from a
// backup, or something else appends to the log. The ledger then takes nothing, because what it would sign next
// could contradict what it signed before. Keep both, and start a new stream with a new log.
type DivergedError struct {
	Index  uint64 // of the first entry found to differ, or the number of entries of the shorter one
	Reason string

	Journal []byte // the leaf that the journal has for Index, if it has one
	Log     []byte // the leaf at Index in the log, if there is one
}

func (e *DivergedError) Error() string {
	return fmt.Sprintf("entry %d: %s", e.Index, e.Reason)
}
