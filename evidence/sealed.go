package evidence

import (
	"errors"
	"fmt"
	"time"
)

// A JournalID is the random name of a journal, the same in all its segments.
type JournalID [16]byte

// A Vault encrypts private parts at rest, so that they can be erased by destroying a key, while the journal and the log
// stay whole. Package vault has one that keeps a key for each day.
type Vault interface {
	// Sealer returns what seals the private parts of records that are made at this time. Each record asks: it has to
	// be fast but where a key is made.
	Sealer(at time.Time) (Sealer, error)
	// Open returns the private part that was sealed for a record of a journal. The error wraps [ErrPrivateErased] when
	// the key was destroyed.
	Open(journal JournalID, seq uint64, sealed []byte) ([]byte, error)
}

// A Sealer seals under one key. It is safe for concurrent use.
type Sealer interface {
	// Seal seals the private part b[start+SealedPrefix:] in place, writes the SealedPrefix bytes before it, the first
	// of which is 2, and returns b with what follows, so that SealedBytes are added in all. What is sealed opens for
	// this place alone. Space behind b may be overwritten.
	Seal(b []byte, start int, journal *JournalID, seq uint64) []byte
}

// Sizes of what sealing adds to a private part, in bytes.
const (
	SealedPrefix = 25 // before it: form, day and id of the key, nonce
	SealedBytes  = SealedPrefix + 16
	// sealScratch is space behind a sealed private part that a Sealer can use, or it takes some from the heap.
	sealScratch = 24
)

// Errors of [StoredRecord.OpenPrivate].
var (
	// ErrPrivateErased says that the private part is gone: it was erased, or the key that opens it was.
	ErrPrivateErased = errors.New("the private part was erased, or the key that opens it was")
	// ErrPrivateSealed says that a vault is needed, and none was given.
	ErrPrivateSealed = errors.New("the private part is sealed; name the vault that has its key")
)

// OpenPrivate returns the private part of a record: salt, badge and call proof, and the parameters where
// [LedgerConfig.KeepParameters] was set. Vault may be nil for a journal that has none. The error wraps
// [ErrPrivateErased] or [ErrPrivateSealed], or is that of the vault.
func (r *StoredRecord) OpenPrivate(vault Vault) (*Private, error) {
	plain := r.private
	switch {
	case len(plain) == 1 && plain[0] == privateErased:
		return nil, fmt.Errorf("evidence: record %d: %w", r.Sequence, ErrPrivateErased)
	case len(plain) > 0 && plain[0] == privateSealed && vault == nil:
		return nil, fmt.Errorf("evidence: record %d: %w", r.Sequence, ErrPrivateSealed)
	case len(plain) > 0 && plain[0] == privateSealed:
		var err error
		if plain, err = vault.Open(r.journal, r.Sequence, plain); err != nil {
			return nil, fmt.Errorf("evidence: record %d: %w", r.Sequence, err)
		}
	}
	out := new(Private)
	if err := out.UnmarshalBinary(plain); err != nil {
		return nil, fmt.Errorf("record %d: %w", r.Sequence, err)
	}
	return out, nil
}
