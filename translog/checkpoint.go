package translog

import (
	"bytes"
	"strings"
	"time"

	"github.com/transparency-dev/formats/log"
	"github.com/transparency-dev/merkle/rfc6962"
)

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

// Cosignatures returns the verified cosignatures of the policy's witnesses, the
// first of each, in the order of the note. The caller must not change the slice.
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

// parseTree reads the text of a checkpoint. formats/log reads "007", roots of
// any length and slack base64, so what it read must marshal to the same bytes.
func parseTree(text string) (Tree, *RejectedError) {
	var c log.Checkpoint
	extension, err := c.Unmarshal([]byte(text))
	if err != nil {
		return Tree{}, reject(CodeCheckpointMalformed, "%v", err)
	}
	if text != string(c.Marshal())+string(extension) {
		return Tree{}, reject(CodeCheckpointMalformed, "the size or the root is not in its one encoding")
	}
	if strings.HasPrefix(string(extension), "\n") || strings.Contains(string(extension), "\n\n") {
		return Tree{}, reject(CodeCheckpointMalformed, "an extension line is empty")
	}
	if len(c.Hash) != rfc6962.DefaultHasher.Size() {
		return Tree{}, reject(CodeCheckpointMalformed, "the root has %d bytes, want 32", len(c.Hash))
	}
	if c.Size > MaxTreeSize {
		return Tree{}, reject(CodeCheckpointMalformed, "the size is over 2^63-1")
	}
	if c.Size == 0 && !bytes.Equal(c.Hash, rfc6962.DefaultHasher.EmptyRoot()) {
		return Tree{}, reject(CodeCheckpointMalformed, "the root is not that of an empty tree")
	}
	return Tree{Size: c.Size, Root: [32]byte(c.Hash)}, nil
}
