package evidence

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
)

// contextLine separates these signatures from all others that the same key may make.
const contextLine = "touchmark/evidence/v1\n"

// MaxEntryBytes is the size of the largest entry. Tiles of a log hold up to 65,535 bytes a leaf.
const MaxEntryBytes = 60 << 10

// A Message is what a signature covers and what the next record's `prev` is the hash of: the line
// "touchmark/evidence/v1" and the canonical bytes of a record. [Record.Message] makes it.
type Message []byte

// Message checks r and encodes it. It takes a few microseconds, so that a ledger can number records and
// encode them under one lock, and sign them outside it.
func (r *Record) Message() (Message, error) { return r.appendMessage(make([]byte, 0, 2048)) }

// appendMessage is Message, into a buffer.
func (r *Record) appendMessage(b []byte) (Message, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	return appendRecord(append(b, contextLine...), r), nil
}

// Record returns the canonical bytes of the record in m.
func (m Message) Record() []byte { return m[len(contextLine):] }

// Hash is the SHA-256 of m: what the next record of the stream names as `prev`.
func (m Message) Hash() Hash { return sha256.Sum256(m) }

// Seal signs m and returns the bytes of the entry. keyID is the DID URL of the server's verification method
// that key, an Ed25519 key, belongs to; Seal does not parse it, readers do.
func (m Message) Seal(keyID string, key crypto.Signer) ([]byte, error) {
	return m.appendSealed(make([]byte, 0, len(m)+len(keyID)+128), keyID, key)
}

// appendSealed is Seal, into a buffer.
func (m Message) appendSealed(b []byte, keyID string, key crypto.Signer) ([]byte, error) {
	if _, ours := key.(ed25519.PrivateKey); !ours { // of ours it is known, and to ask is to copy the public key
		if _, ok := key.Public().(ed25519.PublicKey); !ok {
			return nil, fmt.Errorf("evidence: entries are signed with Ed25519, not with a key of type %T", key.Public())
		}
	}
	sig, err := key.Sign(rand.Reader, m, crypto.Hash(0))
	if err != nil {
		return nil, fmt.Errorf("evidence: signing a record: %w", err)
	}
	if len(sig) != ed25519.SignatureSize {
		return nil, fmt.Errorf("evidence: the key made a signature of %d bytes", len(sig))
	}
	start := len(b)
	b = appendEntry(b, keyID, m.Record(), sig)
	if n := len(b) - start; n > MaxEntryBytes {
		return nil, reject(CodeTooLarge, "entry of %d bytes, the limit is %d", n, MaxEntryBytes)
	}
	return b, nil
}

// Sign is [Record.Message] and [Message.Seal] in one, for those who keep no ledger.
func Sign(r *Record, keyID string, key crypto.Signer) ([]byte, error) {
	m, err := r.Message()
	if err != nil {
		return nil, err
	}
	return m.Seal(keyID, key)
}

const (
	entryHead   = `{"kid":`
	entryMiddle = `,"record":`
	entryTail   = `,"sig":"`
	entryEnd    = `"}`
)

// sigTextBytes is the length of a signature in unpadded base64url.
const sigTextBytes = 86

// appendEntry writes the RFC 8785 form of {"kid", "record", "sig"}.
func appendEntry(b []byte, keyID string, record, sig []byte) []byte {
	b = appendString(append(b, entryHead...), keyID)
	b = append(append(b, entryMiddle...), record...)
	b = b64.AppendEncode(append(b, entryTail...), sig)
	return append(b, entryEnd...)
}
