package translog

import "time"

// MaxCheckpointBytes is the size of the largest signed note accepted as a
// checkpoint; a hundred signatures fit.
const MaxCheckpointBytes = 64 << 10

// A Tree is the size and the root hash of a log at one moment. It says nothing
// about who vouches for it; see [Checkpoint].
type Tree struct {
	Size uint64 // number of entries
	Root [32]byte
}

// A Cosignature is one witness's statement that it saw the checkpoint and that
// it was consistent with all it had seen of the log before.
type Cosignature struct {
	Witness string    // name in the policy file
	Time    time.Time // when the witness says it signed, to the second, in UTC
}

// A Checkpoint is a tree that a log of a policy has signed and that enough of
// the policy's witnesses have cosigned. Only [Policy.VerifyCheckpoint] and what
// is built on it make one.
type Checkpoint struct {
	origin string
	tree   Tree
	note   []byte
	cosigs []Cosignature
}

// Origin returns the log's name, the first line of the checkpoint.
func (c *Checkpoint) Origin() string { return c.origin }

// Size returns the number of entries in the tree.
func (c *Checkpoint) Size() uint64 { return c.tree.Size }

// Root returns the tree's root hash (RFC 6962, section 2.1).
func (c *Checkpoint) Root() [32]byte { return c.tree.Root }

// Tree returns the size and the root hash together.
func (c *Checkpoint) Tree() Tree { return c.tree }

// Note returns the signed note as it was received. The caller must not change it.
func (c *Checkpoint) Note() []byte { return c.note }

// Cosignatures returns the verified cosignatures of the policy's witnesses, in
// the order of the note. The caller must not change the slice.
func (c *Checkpoint) Cosignatures() []Cosignature { return c.cosigs }

// CosignedAt returns the latest time that a witness of the policy states, or
// the zero time when none cosigned. No clock of ours is involved.
func (c *Checkpoint) CosignedAt() time.Time {
	var last time.Time
	for _, s := range c.cosigs {
		if s.Time.After(last) {
			last = s.Time
		}
	}
	return last
}
