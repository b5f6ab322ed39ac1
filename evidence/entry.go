package evidence

import (
	"bytes"
	"crypto/ed25519"

	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/strictjson"
	"github.com/touchmark-dev/touchmark/translog"
)

// An UnverifiedEntry is an entry that was parsed and whose signature has not been checked. Nothing in it may
// be believed.
type UnverifiedEntry struct {
	KeyID  string // DID URL of the key that is said to have signed
	Record *Record

	bytes     []byte
	message   Message
	signature []byte
}

// ParseEntry reads the bytes of an entry. It accepts the canonical form alone: of two different texts at most
// one is accepted. The errors are [*RejectedError] with the codes MALFORMED, TOO_LARGE, VERSION_UNKNOWN,
// KIND_UNKNOWN, RECORD_INVALID and KEY_MISMATCH of spec/evidence.md section 8.
func ParseEntry(entry []byte) (*UnverifiedEntry, error) {
	if len(entry) > MaxEntryBytes {
		return nil, reject(CodeTooLarge, "entry of %d bytes, the limit is %d", len(entry), MaxEntryBytes)
	}
	e, err := splitEntry(entry)
	if err != nil {
		return nil, err
	}
	if e.Record, err = parseRecord(e.message.Record()); err != nil {
		return nil, err
	}
	key, err := did.ParseURL(e.KeyID)
	if err != nil {
		return nil, reject(CodeKeyMismatch, "kid is not the DID URL of a key: %v", err)
	}
	if key.DID != e.Record.Server {
		return nil, reject(CodeKeyMismatch, "kid %q is not a key of the server %q", e.KeyID, e.Record.Server)
	}
	return e, nil
}

// splitEntry takes the three members apart and compares the whole with what appendEntry makes of them.
func splitEntry(entry []byte) (*UnverifiedEntry, error) {
	v, err := strictjson.Parse(entry)
	if err != nil {
		return nil, reject(CodeMalformed, "entry: %v", err)
	}
	var record, sig string
	e := new(UnverifiedEntry)
	for m := v.Members(); m.Next(); {
		switch m.Name {
		case "kid":
			e.KeyID, _ = m.Value.Text()
		case "record":
			record = string(m.Value)
		case "sig":
			sig, _ = m.Value.Text()
		default:
			return nil, reject(CodeMalformed, "entry with a member %.40q: want kid, record and sig", m.Name)
		}
	}
	if e.KeyID == "" || record == "" || len(sig) != sigTextBytes {
		return nil, reject(CodeMalformed, "entry: want a kid, a record and a signature of %d characters", sigTextBytes)
	}
	if e.signature, err = b64.DecodeString(sig); err != nil {
		return nil, reject(CodeMalformed, "entry: the signature is not strict base64url")
	}
	e.message = append(Message(contextLine), record...)
	e.bytes = appendEntry(make([]byte, 0, len(entry)), e.KeyID, e.message.Record(), e.signature)
	if !bytes.Equal(e.bytes, entry) {
		return nil, reject(CodeMalformed, "the entry is not in canonical form (RFC 8785)")
	}
	return e, nil
}

// RecordHash returns what the next record of the stream names as `prev`.
func (e *UnverifiedEntry) RecordHash() Hash { return e.message.Hash() }

// Keys are the public keys that may sign entries, by kid. An empty map accepts no entry.
type Keys map[string]ed25519.PublicKey

// Verify checks the signature with the key of the entry's kid.
func (e *UnverifiedEntry) Verify(keys Keys) (*VerifiedEntry, error) {
	key, ok := keys[e.KeyID]
	if !ok || len(key) != ed25519.PublicKeySize {
		return nil, reject(CodeKeyUnknown, "no key %q among the %d given", e.KeyID, len(keys))
	}
	if !ed25519.Verify(key, e.message, e.signature) {
		return nil, reject(CodeSignatureInvalid, "the signature is not that of key %q over the record", e.KeyID)
	}
	return &VerifiedEntry{unverified: *e, hash: e.message.Hash()}, nil
}

// A VerifiedEntry is an entry with a valid signature. Only [UnverifiedEntry.Verify] makes one. That the record
// is in its place and in the log is for [VerifyChain] and package translog to say.
type VerifiedEntry struct {
	unverified UnverifiedEntry
	hash       Hash
}

// Record returns the record. The caller must not change it.
func (e *VerifiedEntry) Record() *Record { return e.unverified.Record }

// KeyID returns the kid of the key that signed.
func (e *VerifiedEntry) KeyID() string { return e.unverified.KeyID }

// Bytes returns the bytes of the entry: what the log holds. The caller must not change them.
func (e *VerifiedEntry) Bytes() []byte { return e.unverified.bytes }

// RecordHash returns what the next record of the stream names as `prev`.
func (e *VerifiedEntry) RecordHash() Hash { return e.hash }

// LeafHash returns the RFC 6962 hash of the entry as a leaf of the log.
func (e *VerifiedEntry) LeafHash() Hash { return Hash(translog.LeafHash(e.unverified.bytes)) }
