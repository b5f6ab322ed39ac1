package vault

import (
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"slices"
	"sync/atomic"

	"github.com/touchmark-dev/touchmark/evidence"
)

// A sealed private part: the form, the day and the id of its key, a nonce, and what AES-256-GCM makes of the rest.
const (
	sealedForm  = 2
	dayOffset   = 1
	idOffset    = dayOffset + 4
	nonceOffset = idOffset + 8
	tagBytes    = 16
	placeBytes  = 16 + 8 // journal and sequence number
)

// maxSeals is how much one sealer seals before another takes its place, far from where its counter begins again.
const maxSeals = 1 << 31

// A sealer seals under one key. Its nonces are eight random bytes and a counter, so that those of two processes that
// use one key do not meet.
type sealer struct {
	name  keyName
	aead  cipher.AEAD
	nonce [8]byte
	count atomic.Uint32
}

func newSealer(name keyName, key *periodKey) (*sealer, error) {
	aead, err := newAEAD(key)
	if err != nil {
		return nil, err
	}
	s := &sealer{name: name, aead: aead}
	rand.Read(s.nonce[:]) //nolint:errcheck // never fails, see crypto/rand
	return s, nil
}

// Seal is that of [evidence.Sealer]. With space behind b for a tag and a place it allocates nothing.
func (s *sealer) Seal(b []byte, start int, journal *evidence.JournalID, seq uint64) []byte {
	b = slices.Grow(b, tagBytes+placeBytes)
	head := b[start : start+evidence.SealedPrefix]
	head[0] = sealedForm
	binary.LittleEndian.PutUint32(head[dayOffset:], uint32(s.name.day))
	copy(head[idOffset:], s.name.id[:])
	copy(head[nonceOffset:], s.nonce[:])
	binary.LittleEndian.PutUint32(head[nonceOffset+len(s.nonce):], s.count.Add(1))
	plain := b[start+evidence.SealedPrefix:]
	end := len(b) + tagBytes
	place := appendPlace(b[end:end:cap(b)], journal, seq)
	s.aead.Seal(plain[:0], head[nonceOffset:], plain, place)
	return b[:end]
}

// appendPlace appends what a private part is bound to.
func appendPlace(b []byte, journal *evidence.JournalID, seq uint64) []byte {
	return binary.LittleEndian.AppendUint64(append(b, journal[:]...), seq)
}

// parseSealed returns the name of the key of a sealed private part.
func parseSealed(b []byte) (n keyName, err error) {
	if len(b) < evidence.SealedBytes || b[0] != sealedForm {
		return n, errors.New("vault: a sealed private part of another form, or cut short")
	}
	n.day = day(binary.LittleEndian.Uint32(b[dayOffset:]))
	copy(n.id[:], b[idOffset:])
	return n, nil
}
