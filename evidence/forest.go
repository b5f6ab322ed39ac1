package evidence

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"math/bits"
	"strconv"

	"github.com/touchmark-dev/touchmark/translog"
)

// A forest commits to the first leaves of a log: the roots of the perfect trees of RFC 6962 that they make, one for each
// bit of their number that is set, the largest first.
type forest struct {
	size  uint64
	roots []Hash
}

func (f *forest) add(leaf Hash) {
	f.roots = append(f.roots, leaf)
	for n := f.size; n&1 == 1; n >>= 1 {
		k := len(f.roots) - 2
		f.roots = append(f.roots[:k], treeNode(f.roots[k], f.roots[k+1]))
	}
	f.size++
}

// same compares with hashes that are in the order of a proof, the smallest tree first.
func (f *forest) same(left []Hash) bool {
	if len(left) != len(f.roots) {
		return false
	}
	for i, h := range left {
		if h != f.roots[len(f.roots)-1-i] {
			return false
		}
	}
	return true
}

func treeNode(left, right Hash) Hash {
	var b [1 + 2*sha256.Size]byte
	b[0] = 1
	copy(b[1+copy(b[1:], left[:]):], right[:])
	return sha256.Sum256(b[:])
}

// leftOf returns the hashes of a proof of inclusion that are on the left: the roots of the forest of the leaves before.
func leftOf(index, size uint64, path [][32]byte) ([]Hash, error) {
	if index >= size {
		return nil, errors.New("a proof of an entry that the tree does not have")
	}
	inner := bits.Len64(index ^ (size - 1))
	if len(path) != inner+bits.OnesCount64(index>>inner) {
		return nil, errors.New("a proof with another number of hashes than its tree has levels")
	}
	var left []Hash
	for i, h := range path {
		if i >= inner || index>>i&1 == 1 {
			left = append(left, Hash(h))
		}
	}
	return left, nil
}

// forest returns what the receipt of the head says of the leaves that were removed. It is not verified: what it is
// compared with is.
func (h *JournalHead) forest(form LogForm) (*forest, error) {
	if h == nil {
		return new(forest), nil
	}
	proof, err := translog.ParseProof(h.Receipt)
	if err != nil {
		return nil, err
	}
	lines := bytes.SplitN(proof.Checkpoint, []byte("\n"), 3)
	if len(lines) < 3 {
		return nil, errors.New("the checkpoint in the head has no size")
	}
	size, err := strconv.ParseUint(string(lines[1]), 10, 63)
	if err != nil {
		return nil, errors.New("the checkpoint in the head has no size")
	}
	left, err := leftOf(proof.Index, size, proof.Hashes)
	if err != nil {
		return nil, err
	}
	f := &forest{size: proof.Index}
	for i := range left {
		f.roots = append(f.roots, left[len(left)-1-i])
	}
	f.add(form.LeafHash(h.Entry))
	if f.size != h.First {
		return nil, errors.New("the receipt in the head is of another record")
	}
	return f, nil
}
