// Package limitkey names what limiters count, for all of them in the same way (spec/guard.md section 5.3). Use [Of].
package limitkey

import (
	"crypto/sha256"
	"encoding/binary"
)

// A Key is a hash: a limiter holds no names, and its entries have one size, whatever callers send.
type Key [sha256.Size]byte

// Keys are what one call counts for.
type Keys struct {
	Caller  Key
	Retries Key // the same call again
	Running Key // calls under way
	Rate    Key // the bucket of this caller, this capability and this rate
}

// Of returns the keys of a call.
func Of(caller, kind, name string, params [32]byte, perMinute int) Keys {
	return Keys{
		Caller:  hash("caller", caller),
		Retries: hash("retries", caller, kind, name, string(params[:])),
		Running: hash("running", caller, kind, name),
		Rate:    hash("rate", caller, kind, name, string(binary.BigEndian.AppendUint64(nil, uint64(perMinute)))), //nolint:gosec // one to one
	}
}

// hash hashes texts so that no two lists of texts have the same hash.
func hash(texts ...string) Key {
	b := make([]byte, 0, 512)
	b = append(b, "touchmark/limit/v1\n"...)
	for _, text := range texts {
		b = binary.BigEndian.AppendUint64(b, uint64(len(text)))
		b = append(b, text...)
	}
	return sha256.Sum256(b)
}
