package evidence

import (
	"fmt"
	"time"
)

// A ChainError says that an entry, valid by itself, does not belong where it stands. It carries both entries:
// together they prove what it says.
type ChainError struct {
	Code     Code
	Sequence uint64 // of the entry refused
	Reason   string

	Entry    []byte // the entry refused
	Previous []byte // the entry it does not follow; nil when there is none
}

func (e *ChainError) Error() string {
	return fmt.Sprintf("evidence: record %d: %s: %s", e.Sequence, e.Code, e.Reason)
}

// ChainConfig says what a [Chain] goes by.
type ChainConfig struct {
	Keys Keys // of the server, by kid; required

	// Tolerance is how much earlier than the latest record before it a record may be. Zero is not at all:
	// a ledger never writes a time before the last one it wrote.
	Tolerance time.Duration

	// AllowPartial lets the stream begin with any record, whose `prev` is then not checked, and lets outcomes
	// belong to decisions before it.
	AllowPartial bool
}
