package evidence

import (
	"crypto/ed25519"
	"strings"

	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/strictjson"
)

// An UnverifiedEntry is an entry that was parsed and whose signature has not been checked. Nothing in it may
// be believed.
type UnverifiedEntry struct {
	KeyID  string // DID URL of the key that is said to have signed
	Record *Record

	text      string // of the entry
	record    string // that is part of it
	signature [ed25519.SignatureSize]byte
}

// message makes what the signature covers, in a buffer.
func (e *UnverifiedEntry) message(buf []byte) Message {
	return append(append(buf, contextLine...), e.record...)
}

// hash is that of the record, without a copy of it on the heap where it has room on the stack.
func (e *UnverifiedEntry) hash() Hash {
	var room [2048]byte
	return e.message(room[:0]).Hash()
}

// ParseEntry reads the bytes of an entry. It accepts the canonical form alone: of two different texts at most
// one is accepted. The errors are [*RejectedError] with the codes MALFORMED, TOO_LARGE, VERSION_UNKNOWN,
// KIND_UNKNOWN, RECORD_INVALID and KEY_MISMATCH of spec/evidence.md section 8.
func ParseEntry(entry []byte) (*UnverifiedEntry, error) {
	if len(entry) > MaxEntryBytes {
		return nil, reject(CodeTooLarge, "entry of %d bytes, the limit is %d", len(entry), MaxEntryBytes)
	}
	e, err := splitEntry(string(entry))
	if err != nil {
		return nil, err
	}
	if e.Record, err = parseRecord(e.record); err != nil {
		return nil, err
	}
	if !e.Record.Server.HasURL(e.KeyID) {
		if _, err := did.ParseURL(e.KeyID); err != nil {
			return nil, reject(CodeKeyMismatch, "kid is not the DID URL of a key: %v", err)
		}
		return nil, reject(CodeKeyMismatch, "kid %q is not a key of the server %q", e.KeyID, e.Record.Server)
	}
	return e, nil
}

// splitEntry takes the three members of an entry apart, of which record is only found: it is what stands between the
// other two. What is kept shares the memory of the text.
func splitEntry(text string) (*UnverifiedEntry, error) {
	s := scanner{text: text, pos: min(len(entryHead), len(text))}
	keyID, ok := s.str()
	begin, end := s.pos+len(entryMiddle), len(text)-len(entryTail)-sigTextBytes-len(entryEnd)
	if !ok || keyID == "" || begin > end || text[:len(entryHead)] != entryHead || text[s.pos:begin] != entryMiddle {
		return nil, explainEntry(text)
	}
	sig, ok := strings.CutPrefix(text[end:len(text)-len(entryEnd)], entryTail)
	if !ok || text[len(text)-len(entryEnd):] != entryEnd {
		return nil, explainEntry(text)
	}
	e := &UnverifiedEntry{KeyID: keyID, text: text, record: text[begin:end]}
	var encoded [sigTextBytes]byte
	copy(encoded[:], sig)
	if n, err := b64.Decode(e.signature[:], encoded[:]); err != nil || n != len(e.signature) {
		return nil, reject(CodeMalformed, "entry: the signature is not strict base64url")
	}
	return e, nil
}

// explainEntry says what is wrong with an entry whose members splitEntry did not find.
func explainEntry(text string) error {
	v, err := strictjson.Parse([]byte(text))
	if err != nil {
		return reject(CodeMalformed, "entry: %v", err)
	}
	var keyID, sig string
	var record strictjson.Value
	for m := v.Members(); m.Next(); {
		switch m.Name {
		case "kid":
			keyID, _ = m.Value.Text()
		case "record":
			record = m.Value
		case "sig":
			sig, _ = m.Value.Text()
		default:
			return reject(CodeMalformed, "entry with a member %.40q: want kid, record and sig", m.Name)
		}
	}
	if keyID == "" || record == "" || len(sig) != sigTextBytes {
		return reject(CodeMalformed, "entry: want a kid, a record and a signature of %d characters", sigTextBytes)
	}
	return reject(CodeMalformed, "the entry is not in canonical form (RFC 8785)")
}

// Bytes returns the bytes of the entry. The caller must not change them.
func (e *UnverifiedEntry) Bytes() []byte { return []byte(e.text) }

// RecordHash returns what the next record of the stream names as `prev`.
func (e *UnverifiedEntry) RecordHash() Hash { return e.hash() }

// Keys are the public keys that may sign entries, by kid. An empty map accepts no entry.
type Keys map[string]ed25519.PublicKey

// Verify checks the signature with the key of the entry's kid.
func (e *UnverifiedEntry) Verify(keys Keys) (*VerifiedEntry, error) {
	key, ok := keys[e.KeyID]
	if !ok || len(key) != ed25519.PublicKeySize {
		return nil, reject(CodeKeyUnknown, "no key %q among the %d given", e.KeyID, len(keys))
	}
	message := e.message(make([]byte, 0, len(contextLine)+len(e.record)))
	if !ed25519.Verify(key, message, e.signature[:]) {
		return nil, reject(CodeSignatureInvalid, "the signature is not that of key %q over the record", e.KeyID)
	}
	return &VerifiedEntry{unverified: *e, hash: message.Hash()}, nil
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

// Bytes returns the bytes of the entry: what a log of whole records holds. The caller must not change them.
func (e *VerifiedEntry) Bytes() []byte { return []byte(e.unverified.text) }

// RecordHash returns what the next record of the stream names as `prev`.
func (e *VerifiedEntry) RecordHash() Hash { return e.hash }

// LeafHash returns the RFC 6962 hash of the leaf that a log of this form holds of the entry.
func (e *VerifiedEntry) LeafHash(form LogForm) Hash { return form.LeafHash([]byte(e.unverified.text)) }
