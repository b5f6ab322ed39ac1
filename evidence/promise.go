package evidence

import (
	"crypto"
	"crypto/ed25519"
	"fmt"
	"time"

	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/jcs"
	"github.com/touchmark-dev/touchmark/internal/jws"
	"github.com/touchmark-dev/touchmark/internal/strictjson"
)

// promiseTyp is what the header member typ of a promise says: no other token of ours is read as a promise.
const promiseTyp = "touchmark-promise+jwt"

// A Promise is a server's signed word that an entry stands at this place of its stream, and that it will be in
// the log by the deadline. It proves nothing about the log. Whoever holds one can show that a server did not
// keep it: when another record stands at that place, or when the deadline has passed without inclusion.
type Promise struct {
	Server    did.DID
	LeafHash  Hash // RFC 6962 hash of the leaf that the log is to hold of the entry
	Stream    StreamID
	Sequence  uint64
	LogOrigin string    // origin line of the log
	IssuedAt  time.Time // in whole seconds
	Deadline  time.Time // in whole seconds
}

type promiseClaims struct {
	Deadline  int64   `json:"deadline"`
	IssuedAt  int64   `json:"iat"`
	Issuer    string  `json:"iss"`
	LeafHash  string  `json:"leaf_hash"`
	LogOrigin string  `json:"log_origin"`
	Sequence  *uint64 `json:"seq"` // absent is not 0
	Stream    string  `json:"stream"`
}

// Sign returns the promise as a compact JWS. keyID is the DID URL of the server's verification method that
// key, an Ed25519 key, belongs to.
func (p *Promise) Sign(keyID string, key crypto.Signer) (string, error) {
	if err := p.check(); err != nil {
		return "", err
	}
	if _, ok := key.Public().(ed25519.PublicKey); !ok {
		return "", fmt.Errorf("evidence: promises are signed with Ed25519, not with a key of type %T", key.Public())
	}
	payload, err := jcs.Marshal(promiseClaims{
		Deadline:  p.Deadline.Unix(),
		IssuedAt:  p.IssuedAt.Unix(),
		Issuer:    p.Server.String(),
		LeafHash:  p.LeafHash.String(),
		LogOrigin: p.LogOrigin,
		Sequence:  &p.Sequence,
		Stream:    p.Stream.String(),
	})
	if err != nil {
		return "", fmt.Errorf("evidence: promise: %w", err)
	}
	return jws.Sign(jws.Header{Typ: promiseTyp, Kid: keyID}, payload, key)
}

func (p *Promise) check() error {
	for _, rule := range []struct {
		ok   bool
		want string
	}{
		{!p.Server.IsZero(), "iss, the DID of the server"},
		{!p.LeafHash.IsZero(), "leaf_hash, the leaf hash of the entry"},
		{!p.Stream.IsZero(), "stream, the id of the stream"},
		{p.Sequence <= maxNumber, "seq, a number of at most 15 digits"},
		{p.LogOrigin != "" && plainText(p.LogOrigin, maxText), "log_origin, the origin of the log"},
		{p.IssuedAt.Unix() > 0 && p.IssuedAt.Unix() <= maxNumber, "iat, in Unix seconds"},
		{p.Deadline.Unix() > p.IssuedAt.Unix() && p.Deadline.Unix() <= maxNumber, "deadline, after iat, in Unix seconds"},
	} {
		if !rule.ok {
			return reject(CodePromiseMalformed, "want %s", rule.want)
		}
	}
	return nil
}

// A VerifiedPromise is a promise with a valid signature. Only [VerifyPromise] makes one.
type VerifiedPromise struct {
	promise Promise
	keyID   string
}

// Promise returns what was promised.
func (v *VerifiedPromise) Promise() Promise { return v.promise }

// KeyID returns the kid of the key that signed.
func (v *VerifiedPromise) KeyID() string { return v.keyID }

// VerifyPromise reads a promise and checks its signature with the key of its kid. The errors are
// [*RejectedError].
func VerifyPromise(token string, keys Keys) (*VerifiedPromise, error) {
	m, err := jws.Parse(token)
	if err != nil {
		return nil, reject(CodePromiseMalformed, "%v", err)
	}
	if m.Typ != promiseTyp {
		return nil, reject(CodePromiseMalformed, "header member typ is %.40q: want %q", m.Typ, promiseTyp)
	}
	p, err := parsePromise(m.Payload)
	if err != nil {
		return nil, err
	}
	kid, err := did.ParseURL(m.Kid)
	if err != nil || kid.DID != p.Server {
		return nil, reject(CodeKeyMismatch, "kid %.200q is not a key of the server %q", m.Kid, p.Server)
	}
	key, ok := keys[m.Kid]
	if !ok || len(key) != ed25519.PublicKeySize {
		return nil, reject(CodeKeyUnknown, "no key %q among the %d given", m.Kid, len(keys))
	}
	if m.Alg != jws.EdDSA || m.Verify(key) != nil {
		return nil, reject(CodePromiseSignature, "the signature is not that of key %q", m.Kid)
	}
	return &VerifiedPromise{promise: *p, keyID: m.Kid}, nil
}

// parsePromise refuses claims that it does not know: a promise says these things and no others.
func parsePromise(payload []byte) (*Promise, error) {
	var c promiseClaims
	if err := strictjson.UnmarshalStrict(payload, &c); err != nil {
		return nil, reject(CodePromiseMalformed, "payload: %v", err)
	}
	if c.Sequence == nil {
		return nil, reject(CodePromiseMalformed, "want seq, the number of the record")
	}
	p := &Promise{
		Sequence:  *c.Sequence,
		LogOrigin: c.LogOrigin,
		IssuedAt:  time.Unix(c.IssuedAt, 0).UTC(),
		Deadline:  time.Unix(c.Deadline, 0).UTC(),
	}
	var err error
	if p.Server, err = did.Parse(c.Issuer); err != nil {
		return nil, reject(CodePromiseMalformed, "iss: %v", err)
	}
	if p.LeafHash, err = ParseHash(c.LeafHash); err != nil {
		return nil, reject(CodePromiseMalformed, "leaf_hash: %v", err)
	}
	if p.Stream, err = ParseStreamID(c.Stream); err != nil {
		return nil, reject(CodePromiseMalformed, "stream: %v", err)
	}
	return p, p.check()
}

// Check compares the promise with the entry that stands at its place. An error with the code
// EVIDENCE_PROMISE_MISMATCH shows, together with promise and entry, that the server rewrote its stream, unless
// the entry is of another place. The log may be of either form. A nil error says nothing about it.
func (v *VerifiedPromise) Check(entry *VerifiedEntry) error {
	r, p := entry.Record(), &v.promise
	if r.Server != p.Server || r.Stream != p.Stream || r.Sequence != p.Sequence {
		return reject(CodePromiseMismatch, "the promise is about record %d of stream %s", p.Sequence, p.Stream)
	}
	if _, err := FormOf(entry.Bytes(), p.LeafHash); err != nil {
		return reject(CodePromiseMismatch, "the server promised another entry at this place of its stream")
	}
	return nil
}
