package evidence

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"slices"

	"github.com/touchmark-dev/touchmark/internal/jcs"
	"github.com/touchmark-dev/touchmark/internal/strictjson"
)

// The texts that keep the hashes of commitments apart from each other and from all other hashes.
const (
	contextRoot   = "touchmark/commitment/v1/root\n"
	contextMember = "touchmark/commitment/v1/member\n"
	contextBlind  = "touchmark/commitment/v1/blind\n"
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

// Commit returns the commitment of spec/evidence.md section 4 to all members of the parameters under salt, and
// its form: [ParamsMembers], or [ParamsOctets] when a part is not a JSON object that has one canonical form.
func Commit(salt Salt, p *Params) (Hash, ParamsForm) {
	list, err := memberCommitments(salt, p)
	if err != nil {
		return commitOctets(salt, p), ParamsOctets
	}
	return root(list), ParamsMembers
}

// CommitResult returns the commitment to the octets of a result under salt.
func CommitResult(salt Salt, result []byte) Hash {
	key := mac(salt[:], contextResult)
	return mac(key[:], string(result))
}

// HashParams is the published, unsalted hash of the arguments: anyone who can guess them can check the guess.
// It exists for those who must compare records with other systems; the ledger writes it only when told to.
func HashParams(arguments json.RawMessage) (Hash, error) {
	text, err := canonicalObject(arguments)
	return sha256.Sum256(text), err
}

func commitOctets(salt Salt, p *Params) Hash {
	h := sha256.New()
	a, i := sha256.Sum256(p.Arguments), sha256.Sum256(p.InputResponses)
	h.Write(a[:])
	h.Write(i[:])
	key := mac(salt[:], contextOctets)
	return mac(key[:], string(h.Sum(nil)))
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

// memberCommitments returns the commitment to each member of both parts, and one to nothing, which hides how
// many there are when there are few.
func memberCommitments(salt Salt, p *Params) ([]Hash, error) {
	list := make([]Hash, 1, 8)
	list[0] = mac(salt[:], contextBlind)
	for _, part := range []struct {
		name Part
		text json.RawMessage
	}{{PartArguments, p.Arguments}, {PartInputResponses, p.InputResponses}} {
		text, err := canonicalObject(part.text)
		if err != nil {
			return nil, err
		}
		for m := strictjson.Value(text).Members(); m.Next(); {
			key := memberKey(salt, part.name, m.Name)
			list = append(list, commitMember(key, part.name, m.Name, string(m.Value)))
		}
	}
	return list, nil
}

// memberKey is what a disclosure reveals in the place of the salt: it opens one member and no other.
func memberKey(salt Salt, part Part, name string) Salt {
	return Salt(mac(salt[:], contextMember+string(part)+"\n"+name))
}

// commitMember commits to the canonical array [part, name, value].
func commitMember(key Salt, part Part, name, value string) Hash {
	b := make([]byte, 0, len(name)+len(value)+32)
	b = appendString(append(b, '['), string(part))
	b = appendString(append(b, ','), name)
	b = append(append(b, ','), value...)
	return mac(key[:], string(append(b, ']')))
}

// root hashes the commitments in the order of their values, which tells nothing of the order of the names.
func root(list []Hash) Hash {
	slices.SortFunc(list, func(a, b Hash) int { return slices.Compare(a[:], b[:]) })
	h := sha256.New()
	h.Write([]byte(contextRoot))
	for i := range list {
		h.Write(list[i][:])
	}
	return Hash(h.Sum(nil))
}

func mac(key []byte, text string) Hash {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return Hash(h.Sum(nil))
}
