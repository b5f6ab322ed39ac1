package evidence

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
)

// hashPrefix begins the text of every hash.
const hashPrefix = "sha256:"

// hashTextBytes is the length of the text of a hash: the prefix and 32 bytes in unpadded base64url.
const hashTextBytes = len(hashPrefix) + 43

// A Hash is a SHA-256 value. Its text is "sha256:" and unpadded base64url. The zero Hash stands for none.
type Hash [sha256.Size]byte

var b64 = base64.RawURLEncoding.Strict()

// ParseHash reads the text of a hash; there is one text for each value.
func ParseHash(text string) (Hash, error) {
	var h Hash
	var encoded [hashTextBytes - len(hashPrefix)]byte
	if len(text) != hashTextBytes || text[:len(hashPrefix)] != hashPrefix {
		return h, notHash(text)
	}
	copy(encoded[:], text[len(hashPrefix):])
	if n, err := b64.Decode(h[:], encoded[:]); err != nil || n != len(h) { // fewer where line feeds were passed over
		return Hash{}, notHash(text)
	}
	return h, nil
}

func notHash(text string) error {
	return fmt.Errorf("evidence: %.80q is not %q and 43 characters of base64url", text, hashPrefix)
}

// String returns the text of the hash.
func (h Hash) String() string { return string(h.append(nil)) }

func (h Hash) append(b []byte) []byte {
	return b64.AppendEncode(append(b, hashPrefix...), h[:])
}

// IsZero reports whether h is the zero Hash.
func (h Hash) IsZero() bool { return h == Hash{} }

// MarshalText returns what [Hash.String] does.
func (h Hash) MarshalText() ([]byte, error) { return h.append(nil), nil }

// UnmarshalText is [ParseHash].
func (h *Hash) UnmarshalText(text []byte) (err error) {
	*h, err = ParseHash(string(text))
	return err
}

// A StreamID names one journal's sequence of records. Its text is 32 lower-case hexadecimal digits. Two
// journals of one server are two streams. The zero StreamID names none.
type StreamID [16]byte

// NewStreamID returns a random StreamID.
func NewStreamID() StreamID {
	var id StreamID
	rand.Read(id[:]) //nolint:errcheck // never fails, see crypto/rand
	return id
}

// ParseStreamID reads the text of a StreamID and refuses that of the zero one.
func ParseStreamID(text string) (StreamID, error) {
	var id StreamID
	var digits [2 * len(id)]byte
	n := copy(digits[:], text)
	if _, err := hex.Decode(id[:], digits[:]); err != nil || n != len(text) || n != len(digits) || strings.ContainsAny(text, "ABCDEF") {
		return StreamID{}, fmt.Errorf("evidence: stream %.80q is not 32 lower-case hexadecimal digits", text)
	}
	if id.IsZero() {
		return id, fmt.Errorf("evidence: stream %q is the zero stream", text)
	}
	return id, nil
}

// String returns the text of the stream's id.
func (id StreamID) String() string { return hex.EncodeToString(id[:]) }

// IsZero reports whether id is the zero StreamID.
func (id StreamID) IsZero() bool { return id == StreamID{} }

// MarshalText returns what [StreamID.String] does.
func (id StreamID) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, id[:]), nil }

// UnmarshalText is [ParseStreamID].
func (id *StreamID) UnmarshalText(text []byte) (err error) {
	*id, err = ParseStreamID(string(text))
	return err
}
