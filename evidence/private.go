package evidence

import (
	"encoding/binary"
	"errors"
)

// MaxTokenBytes is the size of the longest badge or proof that is kept. Of a longer one the record has the hash
// alone: no verifier accepts it.
const MaxTokenBytes = 16 << 10

// A Private is what belongs to a record and never leaves the server with it: it is kept in the journal, beside
// the entry, and is needed to show later what was asked and that the caller signed it.
type Private struct {
	Salt  Salt
	Badge string // as presented, verified or not; empty when there was none or it was too long
	Proof string // the same of the call proof
}

const privateVersion = 1

// AppendBinary appends the form that the journal stores: a version byte, the salt, and both tokens with their
// lengths as unsigned varints before them. It never fails.
func (p *Private) AppendBinary(b []byte) ([]byte, error) {
	b = append(append(b, privateVersion), p.Salt[:]...)
	for _, token := range []string{p.Badge, p.Proof} {
		b = append(binary.AppendUvarint(b, uint64(len(token))), token...)
	}
	return b, nil
}

// MarshalBinary returns what [Private.AppendBinary] appends.
func (p *Private) MarshalBinary() ([]byte, error) { return p.AppendBinary(nil) }

// UnmarshalBinary reads what [Private.AppendBinary] wrote.
func (p *Private) UnmarshalBinary(b []byte) error {
	var out Private
	if len(b) < 1+len(out.Salt) || b[0] != privateVersion {
		return errors.New("evidence: private part of another version, or cut short")
	}
	b = b[1+copy(out.Salt[:], b[1:]):]
	for _, token := range []*string{&out.Badge, &out.Proof} {
		n, used := binary.Uvarint(b)
		if used <= 0 || n > MaxTokenBytes || n > uint64(len(b)-used) {
			return errors.New("evidence: private part with a token of a wrong length")
		}
		*token = string(b[used : used+int(n)])
		b = b[used+int(n):]
	}
	if len(b) != 0 {
		return errors.New("evidence: private part with bytes after its end")
	}
	*p = out
	return nil
}

// String says that there is something, and not what.
func (p *Private) String() string { return "evidence.Private{...}" }

// GoString is [Private.String]: %#v gives nothing away either.
func (p *Private) GoString() string { return p.String() }
