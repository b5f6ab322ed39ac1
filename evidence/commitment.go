package evidence

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"hash"
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
	c := newCommitter(&salt)
	list, err := c.members(p)
	if err != nil {
		return c.octets(p), ParamsOctets
	}
	return root(list), ParamsMembers
}

// CommitResult returns the commitment to the octets of a result under salt.
func CommitResult(salt Salt, result []byte) Hash {
	key := Salt(newCommitter(&salt).derive(contextResult))
	return mac(&key, result)
}

// HashParams is the published, unsalted hash of the arguments: anyone who can guess them can check the guess.
// It exists for those who must compare records with other systems; the ledger writes it only when told to.
func HashParams(arguments json.RawMessage) (Hash, error) {
	text, err := canonicalObject(arguments)
	return sha256.Sum256(text), err
}

// octets commits to both parts as they were sent.
func (c *committer) octets(p *Params) Hash {
	a, i := sha256.Sum256(p.Arguments), sha256.Sum256(p.InputResponses)
	key := Salt(c.derive(contextOctets))
	return mac(&key, append(a[:], i[:]...))
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

// A committer makes the commitments of one record.
type committer struct {
	salted  hash.Hash // HMAC under the salt
	scratch []byte
}

func newCommitter(salt *Salt) *committer {
	return &committer{salted: hmac.New(sha256.New, salt[:]), scratch: make([]byte, 0, 256)}
}

// members returns the commitment to each member of both parts, and one to nothing: whoever learns how many
// commitments there are, from a disclosure, does not learn from the record alone whether there were any.
func (c *committer) members(p *Params) ([]Hash, error) {
	list := make([]Hash, 1, 8)
	list[0] = c.derive(contextBlind)
	for _, part := range []struct {
		name Part
		text json.RawMessage
	}{{PartArguments, p.Arguments}, {PartInputResponses, p.InputResponses}} {
		text, err := canonicalObject(part.text)
		if err != nil {
			return nil, err
		}
		for m := strictjson.Value(text).Members(); m.Next(); {
			key := c.memberKey(part.name, m.Name)
			list = append(list, c.commit(&key, part.name, m.Name, string(m.Value)))
		}
	}
	return list, nil
}

// derive returns a key made from the salt, for the use that the texts together name.
func (c *committer) derive(texts ...string) (out Hash) {
	c.scratch = c.scratch[:0]
	for _, text := range texts {
		c.scratch = append(c.scratch, text...)
	}
	c.salted.Reset()
	c.salted.Write(c.scratch)
	c.salted.Sum(out[:0])
	return out
}

// memberKey is what a disclosure reveals in the place of the salt: it opens one member and no other.
func (c *committer) memberKey(part Part, name string) Salt {
	return Salt(c.derive(contextMember, string(part), "\n", name))
}

// commit commits to the canonical array [part, name, value] under a member's key.
func (c *committer) commit(key *Salt, part Part, name, value string) Hash {
	b := appendString(append(c.scratch[:0], '['), string(part))
	b = appendString(append(b, ','), name)
	b = append(append(b, ','), value...)
	c.scratch = append(b, ']')
	return mac(key, c.scratch)
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

func mac(key *Salt, text []byte) (out Hash) {
	h := hmac.New(sha256.New, key[:])
	h.Write(text)
	h.Sum(out[:0])
	return out
}
