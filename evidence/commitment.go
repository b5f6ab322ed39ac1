package evidence

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"

	"github.com/touchmark-dev/touchmark/internal/jcs"
)

// The texts that keep the hashes of commitments apart from each other and from all other hashes.
const (
	contextPart   = "touchmark/commitment/v1/part\n"
	contextLeaf   = "touchmark/commitment/v1/leaf\n"
	contextNode   = "touchmark/commitment/v1/node\n"
	contextInner  = "touchmark/commitment/v1/inner\n"
	contextRoot   = "touchmark/commitment/v1/root\n"
	contextOctets = "touchmark/commitment/v1/octets\n"
	contextResult = "touchmark/commitment/v1/result\n"
)

// A Salt is 32 random bytes, of one record alone, that keep commitments from being guessed.
type Salt [32]byte

// saltTextBytes is the length of the text of a salt.
const saltTextBytes = 43

// MarshalText returns the salt in unpadded base64url. It is a secret.
func (s Salt) MarshalText() ([]byte, error) { return b64.AppendEncode(nil, s[:]), nil }

// UnmarshalText reads what [Salt.MarshalText] returns, and nothing else.
func (s *Salt) UnmarshalText(text []byte) error {
	if len(text) != saltTextBytes || bytes.ContainsAny(text, "\r\n") {
		return errors.New("evidence: a salt is 43 characters of base64url")
	}
	raw, err := b64.AppendDecode(nil, text)
	if err != nil {
		return errors.New("evidence: a salt is 43 characters of base64url")
	}
	*s = Salt(raw)
	return nil
}

// String says that there is a salt, and not which.
func (s Salt) String() string { return "evidence.Salt{...}" }

// GoString is [Salt.String]: %#v gives nothing away either.
func (s Salt) GoString() string { return s.String() }

// A Part is one of the two objects that the parameters of a call consist of.
type Part string

// The parts of parameters.
const (
	PartArguments      Part = "arguments"
	PartInputResponses Part = "input_responses"
)

// Params are the parameters of one call. Absent, null and {} are the same.
type Params struct {
	Arguments      json.RawMessage
	InputResponses json.RawMessage
}

// Commit returns the commitment of spec/evidence.md section 4 to the parameters under salt, and its form:
// [ParamsTree], of which any value can be opened alone, or [ParamsOctets] when a part is not a JSON object that
// has one canonical form.
func Commit(salt Salt, p *Params) (Hash, ParamsForm) {
	var t tree
	root, err := t.commit(&salt, p)
	if err != nil {
		return commitOctets(salt, p), ParamsOctets
	}
	return root, ParamsTree
}

// CommitResult returns the commitment to the octets of a result under salt.
func CommitResult(salt Salt, result []byte) Hash {
	key := mac(&salt, []byte(contextResult))
	return mac((*Salt)(&key), result)
}

// HashParams is the published, unsalted hash of the arguments: anyone who can guess them can check the guess.
// It exists for those who must compare records with other systems; the ledger writes it only when told to.
func HashParams(arguments json.RawMessage) (Hash, error) {
	text, err := canonicalObject(arguments)
	return sha256.Sum256(text), err
}

// commitOctets commits to both parts as they were sent.
func commitOctets(salt Salt, p *Params) Hash {
	key := mac(&salt, []byte(contextOctets))
	a, i := sha256.Sum256(p.Arguments), sha256.Sum256(p.InputResponses)
	return mac((*Salt)(&key), append(a[:], i[:]...))
}

// canonicalObject returns the RFC 8785 form of a JSON object, {} for nothing and for null.
func canonicalObject(text json.RawMessage) ([]byte, error) {
	if len(text) == 0 {
		return []byte("{}"), nil
	}
	out, err := jcs.Canonicalize(text)
	switch {
	case err != nil:
		return nil, reject(CodeCommitmentMismatch, "parameters without a canonical form: %v", err)
	case string(out) == "null":
		return []byte("{}"), nil
	case out[0] != '{':
		return nil, reject(CodeCommitmentMismatch, "parameters that are not a JSON object")
	}
	return out, nil
}

func mac(key *Salt, text []byte) (out Hash) {
	h := hmac.New(sha256.New, key[:])
	h.Write(text)
	h.Sum(out[:0])
	return out
}
