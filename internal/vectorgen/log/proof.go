package log

import (
	"crypto"
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/touchmark-dev/touchmark/translog"
)

const (
	hashZero = crypto.Hash(0) // Ed25519 signs the message itself
	header   = "c2sp.org/tlog-proof@v1"
)

func unb64(s string) []byte {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

// path is the inclusion proof as lines.
func (f *fixture) path(index, size uint64) []string {
	hashes, err := f.tree.InclusionProof(index, size)
	if err != nil {
		panic(err)
	}
	return lines(hashes)
}

func lines(hashes [][]byte) []string {
	l := make([]string, len(hashes))
	for i, h := range hashes {
		l[i] = b64(h)
	}
	return l
}

// proofText joins header lines, hash lines and the checkpoint.
func proofText(head []string, hashes []string, checkpoint string) string {
	all := append(append([]string{}, head...), hashes...)
	return strings.Join(all, "\n") + "\n\n" + checkpoint
}

func (f *fixture) proofs() []Vector {
	cp, path := f.checkpoint(11), f.path(4, 11)
	index := []string{header, "index 4"}
	withHash := func(i int, line string) []string {
		changed := append([]string{}, path...)
		changed[i] = line
		return changed
	}
	var all []Vector
	for _, v := range []struct{ name, comment, defect, proof string }{
		{"valid", "without extra data", "", proofText(index, path, cp)},
		{"extra", "with extra data", "", proofText([]string{header, "extra " + b64([]byte("opaque")), "index 4"}, path, cp)},
		{"no-hashes", "the only entry of its log needs no hash", "", proofText([]string{header, "index 0"}, nil, f.checkpoint(1))},
		{"longest", "63 hashes, the most there can be", "", proofText(index, repeat(path[0], 63), cp)},
		{"wrong-header", "", "a version that does not exist", strings.Replace(proofText(index, path, cp), "@v1", "@v2", 1)},
		{"extra-not-base64", "", "extra data that is not base64", proofText([]string{header, "extra ?", "index 4"}, path, cp)},
		{"extra-empty", "", "an extra line without data", proofText([]string{header, "extra ", "index 4"}, path, cp)},
		{"no-index", "", "no index line", proofText([]string{header}, path, cp)},
		{"index-not-number", "", "an index that is no number", proofText([]string{header, "index four"}, path, cp)},
		{"index-leading-zero", "", "an index with a leading zero", proofText([]string{header, "index 04"}, path, cp)},
		{"hash-not-base64", "", "a hash line that is not base64", proofText(index, withHash(1, "?"+path[1][1:]), cp)},
		{"hash-short", "", "a hash of 31 bytes", proofText(index, withHash(1, b64(unb64(path[1])[:31])), cp)},
		{"too-many-hashes", "", "64 hashes, more than any tree needs", proofText(index, repeat(path[0], 64), cp)},
		{"no-checkpoint", "", "nothing after the hashes", proofText(index, path, "")},
	} {
		vector := Vector{Name: "proof-" + v.name, Kind: KindProof, Comment: v.comment, Defect: v.defect, Proof: v.proof}
		if v.defect != "" {
			vector.Code = string(translog.CodeProofMalformed)
		}
		all = append(all, vector)
	}
	return all
}

func repeat(line string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = line
	}
	return all
}

func (f *fixture) inclusions() []Vector {
	at := func(index, size uint64, hashes []string, checkpoint string) string {
		return proofText([]string{header, fmt.Sprint("index ", index)}, hashes, checkpoint)
	}
	path := f.path(4, 11)
	inclusion := translog.CodeInclusionInvalid
	var all []Vector
	for _, v := range []struct {
		name, comment, defect string
		code                  translog.Code
		policy, entry, proof  string
	}{
		{"first", "the first of eleven", "", "", f.noWitness(), "entry 0", at(0, 11, f.path(0, 11), f.checkpoint(11))},
		{"middle", "the fifth of eleven", "", "", f.noWitness(), "entry 4", at(4, 11, path, f.checkpoint(11))},
		{"last", "the last of eleven, on the ragged edge", "", "", f.noWitness(), "entry 10", at(10, 11, f.path(10, 11), f.checkpoint(11))},
		{"only", "the only entry", "", "", f.noWitness(), "entry 0", at(0, 1, nil, f.checkpoint(1))},
		{"full-tile", "in a tree of one full tile", "", "", f.noWitness(), "entry 255", at(255, 256, f.path(255, 256), f.checkpoint(256))},
		{"two-levels", "in a tree of four full tiles", "", "", f.noWitness(), "entry 700", at(700, 1024, f.path(700, 1024), f.checkpoint(1024))},
		{"cosigned", "with two of three witnesses", "", "", f.twoOfThree(), "entry 4", at(4, 11, path, f.cosigned(11, 1, 2))},
		{"empty-entry", "", "nothing is not an entry", translog.CodeEntryInvalid, f.noWitness(), "", at(4, 11, path, f.checkpoint(11))},
		{"index-beyond", "", "an index that the tree does not reach", inclusion, f.noWitness(), "entry 4", at(11, 11, path, f.checkpoint(11))},
		{"hash-missing", "", "one hash too few", inclusion, f.noWitness(), "entry 4", at(4, 11, path[:len(path)-1], f.checkpoint(11))},
		{"other-entry", "", "another entry than the one proven", inclusion, f.noWitness(), "entry 5", at(4, 11, path, f.checkpoint(11))},
	} {
		all = append(all, Vector{
			Name: "inclusion-" + v.name, Kind: KindInclusion, Comment: v.comment, Defect: v.defect, Code: string(v.code),
			Policy: v.policy, Entry: v.entry, Proof: v.proof,
		})
	}
	return all
}
