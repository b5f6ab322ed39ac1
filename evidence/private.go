package evidence

import (
	"encoding/binary"
	"errors"
)

// MaxTokenBytes is the size of the longest badge or proof that is kept. Of a longer one the record has the hash
// alone: no verifier accepts it.
const MaxTokenBytes = 16 << 10

// MaxKeptBytes is the size of the largest parameters that [LedgerConfig.KeepParameters] keeps, arguments and input
// responses together. Of larger ones the record has the commitment alone.
const MaxKeptBytes = 16 << 10

// A Private is what belongs to a record and never leaves the server with it: it is kept in the journal, beside
// the entry, and is needed to show later what was asked and that the caller signed it. Get one with
// [StoredRecord.OpenPrivate].
type Private struct {
	Salt  Salt
	Badge string // as presented, verified or not; empty when there was none or it was too long
	Proof string // the same of the call proof

	// Arguments and InputResponses are the JSON of the parameters as the caller sent them, to be disclosed later without
	// asking anybody for them. Empty unless [LedgerConfig.KeepParameters] is set, and they have MaxKeptBytes at most.
	Arguments      string
	InputResponses string
}

// Forms of a private part, by its first byte.
const (
	privateErased = 0 // alone: the private part was erased
	privateClear  = 1
	privateSealed = 2 // by a Vault
)

// AppendBinary appends the form that the journal stores: a byte 1, the salt, and the tokens and parameters, each with
// its length as an unsigned varint before it. It never fails.
func (p *Private) AppendBinary(b []byte) ([]byte, error) {
	b = append(append(b, privateClear), p.Salt[:]...)
	for _, text := range [...]string{p.Badge, p.Proof, p.Arguments, p.InputResponses} {
		b = append(binary.AppendUvarint(b, uint64(len(text))), text...)
	}
	return b, nil
}

// MarshalBinary returns what [Private.AppendBinary] appends.
func (p *Private) MarshalBinary() ([]byte, error) { return p.AppendBinary(nil) }

// UnmarshalBinary reads what [Private.AppendBinary] wrote.
func (p *Private) UnmarshalBinary(b []byte) error {
	var out Private
	if len(b) < 1+len(out.Salt) || b[0] != privateClear {
		return errors.New("evidence: private part of another version, or cut short")
	}
	b = b[1+copy(out.Salt[:], b[1:]):]
	for _, text := range [...]*string{&out.Badge, &out.Proof, &out.Arguments, &out.InputResponses} {
		n, used := binary.Uvarint(b)
		if used <= 0 || used > 1 && b[used-1] == 0 || n > max(MaxTokenBytes, MaxKeptBytes) || n > uint64(len(b)-used) {
			return errors.New("evidence: private part with a text of a wrong length")
		}
		*text = string(b[used : used+int(n)])
		b = b[used+int(n):]
	}
	if len(b) != 0 {
		return errors.New("evidence: private part with bytes after its end")
	}
	*p = out
	return nil
}

// keep takes over the parameters of a draft, unless they are too large.
func (p *Private) keep(d *Draft) {
	if d.Decision != nil && len(d.Arguments)+len(d.InputResponses) <= MaxKeptBytes {
		p.Arguments, p.InputResponses = string(d.Arguments), string(d.InputResponses)
	}
}

// bytes is how long the private part is beside what privateBytes counts.
func (p *Private) bytes() int {
	return len(p.Badge) + len(p.Proof) + len(p.Arguments) + len(p.InputResponses)
}

// String says that there is something, and not what.
func (p *Private) String() string { return "evidence.Private{...}" }

// GoString is [Private.String]: %#v gives nothing away either.
func (p *Private) GoString() string { return p.String() }
