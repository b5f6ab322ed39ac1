package log

import (
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/merkle/testonly"

	"github.com/touchmark-dev/touchmark/translog"
)

func (f *fixture) between(older, newer uint64) []string {
	hashes, err := f.tree.ConsistencyProof(older, newer)
	if err != nil {
		panic(err)
	}
	return lines(hashes)
}

// forkedAt is the log's checkpoint of a tree that differs in its last entry.
func (f *fixture) forkedAt(size int) string {
	fork := testonly.New(rfc6962.DefaultHasher)
	for i := range size - 1 {
		fork.AppendData(entry(i))
	}
	fork.AppendData([]byte("another entry"))
	return sign((&fixture{origin: f.origin, tree: fork}).text(uint64(size)), f.signer)
}

func (f *fixture) consistencies() []Vector {
	invalid := translog.CodeConsistencyInvalid
	otherLog := sign("log.example/other\n11\n"+b64(f.tree.HashAt(11))+"\n", f.other)
	proof := f.between(6, 11)
	var all []Vector
	for _, v := range []struct {
		name, comment, defect string
		code                  translog.Code
		older, newer          string
		hashes                []string
	}{
		{"ragged", "six to eleven", "", "", f.checkpoint(6), f.checkpoint(11), proof},
		{"power-of-two", "eight to eleven: the older root is a node", "", "", f.checkpoint(8), f.checkpoint(11), f.between(8, 11)},
		{"from-one", "one to a thousand", "", "", f.checkpoint(1), f.checkpoint(1000), f.between(1, 1000)},
		{"tile-edge", "a full tile to one entry more", "", "", f.checkpoint(256), f.checkpoint(257), f.between(256, 257)},
		{"same", "a tree and itself need no hash", "", "", f.checkpoint(11), f.checkpoint(11), nil},
		{"other-log", "", "checkpoints of two logs", invalid, f.checkpoint(6), otherLog, proof},
		{"rolled-back", "", "the newer tree is smaller", translog.CodeRolledBack, f.checkpoint(11), f.checkpoint(6), proof},
		{"from-empty", "", "an empty older tree, which any tree continues", invalid, f.checkpoint(0), f.checkpoint(11), nil},
		{"forked", "", "one size, two roots, one key", translog.CodeForked, f.checkpoint(11), f.forkedAt(11), nil},
		{"same-with-hashes", "", "hashes where none are needed", invalid, f.checkpoint(11), f.checkpoint(11), proof},
		{"hash-missing", "", "one hash too few", invalid, f.checkpoint(6), f.checkpoint(11), proof[:len(proof)-1]},
		{"older-rewritten", "", "the older tree's last entry was replaced", invalid, f.forkedAt(6), f.checkpoint(11), proof},
		{"newer-rewritten", "", "the newer tree's last entry was replaced", invalid, f.checkpoint(6), f.forkedAt(11), proof},
	} {
		all = append(all, Vector{
			Name: "consistency-" + v.name, Kind: KindConsistency, Comment: v.comment, Defect: v.defect, Code: string(v.code),
			Policy: f.policy("log "+f.other.VerifierKey(), "quorum none"), Older: v.older, Newer: v.newer, Hashes: v.hashes,
		})
	}
	return all
}

// goldenRoots are the roots of the trees of 0 to 1024 entries.
func (f *fixture) goldenRoots() Vector {
	v := Vector{Name: "roots", Kind: KindRoots, Comment: `the entries are "entry 0", "entry 1", ...`}
	for size := range uint64(treeSize + 1) {
		v.Roots = append(v.Roots, b64(f.tree.HashAt(size)))
	}
	return v
}
