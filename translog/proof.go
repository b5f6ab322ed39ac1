package translog

import (
	"bytes"

	"github.com/transparency-dev/formats/proof"
)

// A Proof claims that an entry is in a log, in a form that can be checked
// offline. It is what a C2SP tlog-proof file holds, and unverified: give it to
// [Policy.Verify].
type Proof struct {
	Index      uint64     // of the entry, from zero
	Hashes     [][32]byte // from the leaf's sibling up, at most MaxProofHashes
	Checkpoint []byte     // the signed note, verbatim
	// Extra is opaque data that travels with the proof; nil when absent.
	// Nothing authenticates it.
	Extra []byte
}

// An Inclusion is a verified proof: the entry is at this index of the tree that
// the checkpoint commits to. Only [Policy.Verify] and [Policy.VerifyLeaf] make
// one.
type Inclusion struct {
	index      uint64
	leaf       [32]byte
	checkpoint *Checkpoint
}

// Index returns the entry's index, from zero.
func (in *Inclusion) Index() uint64 { return in.index }

// LeafHash returns the entry's leaf hash.
func (in *Inclusion) LeafHash() [32]byte { return in.leaf }

// Checkpoint returns the verified checkpoint whose tree holds the entry.
func (in *Inclusion) Checkpoint() *Checkpoint { return in.checkpoint }

// MaxProofBytes is the size of the largest tlog-proof accepted.
const MaxProofBytes = 128 << 10

// ParseProof reads a C2SP tlog-proof. It accepts only the encoding that
// [Proof.MarshalText] makes, so that one proof has one text. Nothing in it is
// verified yet. The error is a [*RejectedError] with [CodeProofMalformed].
func ParseProof(data []byte) (*Proof, error) {
	if len(data) > MaxProofBytes {
		return nil, reject(CodeProofMalformed, "the proof has %d bytes, want at most %d", len(data), MaxProofBytes)
	}
	var p proof.TLogProof
	if err := p.Unmarshal(data); err != nil {
		return nil, reject(CodeProofMalformed, "%v", err)
	}
	// Unmarshal reads leading zeros, slack base64, CRLF, a missing blank line.
	if !bytes.Equal(p.Marshal(), data) {
		return nil, reject(CodeProofMalformed, "the proof is not in its one encoding")
	}
	if p.ExtraData != nil && len(p.ExtraData) == 0 {
		return nil, reject(CodeProofMalformed, "the extra line is empty")
	}
	if len(p.Hashes) > MaxProofHashes {
		return nil, reject(CodeProofMalformed, "%d hash lines, want at most %d", len(p.Hashes), MaxProofHashes)
	}
	if len(p.Checkpoint) == 0 {
		return nil, reject(CodeProofMalformed, "no checkpoint follows")
	}
	return &Proof{Index: p.Index, Hashes: p.Hashes, Checkpoint: p.Checkpoint, Extra: p.ExtraData}, nil
}

// MarshalText returns the proof as a C2SP tlog-proof, to be stored under the
// extension .tlog-proof. It refuses a proof that [ParseProof] would refuse.
func (p *Proof) MarshalText() ([]byte, error) {
	raw := proof.TLogProof{Index: p.Index, Hashes: p.Hashes, Checkpoint: p.Checkpoint, ExtraData: p.Extra}.Marshal()
	if _, err := ParseProof(raw); err != nil {
		return nil, err
	}
	return raw, nil
}
