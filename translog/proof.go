package translog

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
// verified yet.
func ParseProof(data []byte) (*Proof, error) { return nil, reject(CodeProofMalformed, "not yet") }

// MarshalText returns the proof as a C2SP tlog-proof, to be stored under the
// extension .tlog-proof. It refuses a proof that [ParseProof] would refuse.
func (p *Proof) MarshalText() ([]byte, error) { return nil, reject(CodeProofMalformed, "not yet") }
