// Package log makes the test vectors of the transparency log: policies,
// checkpoints, proofs, inclusion and consistency, and golden roots.
//
// Everything comes from fixed seeds and fixed times, so that two runs give the
// same bytes. Trees and proofs come from transparency-dev/merkle's reference
// tree, notes from golang.org/x/mod, never from the package under test.
package log

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/merkle/testonly"
	"golang.org/x/mod/sumdb/note"

	"github.com/touchmark-dev/touchmark/internal/vectorgen/vectorkit"
	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/translogtest"
)

// Kinds of vector. Each says what to do with the other members.
const (
	KindPolicy      = "policy"      // read Policy
	KindCheckpoint  = "checkpoint"  // read Policy, verify Checkpoint
	KindProof       = "proof"       // read Proof, no key involved
	KindInclusion   = "inclusion"   // read Policy and Proof, verify Entry
	KindConsistency = "consistency" // read Policy, verify Older and Newer, then Hashes
	KindRoots       = "roots"       // compute the tree of the entries "entry 0", "entry 1", ...
)

// A Vector is one case. Code is the expected code, or absent when the case must
// be accepted. Defect says in one phrase what is wrong with a refused one.
type Vector struct {
	Name       string   `json:"name"`
	Kind       string   `json:"kind"`
	Comment    string   `json:"comment,omitempty"`
	Defect     string   `json:"defect,omitempty"`
	Code       string   `json:"code,omitempty"`
	Policy     string   `json:"policy,omitempty"`
	Checkpoint string   `json:"checkpoint,omitempty"`
	Entry      string   `json:"entry,omitempty"`
	Proof      string   `json:"proof,omitempty"`
	Older      string   `json:"older,omitempty"`
	Newer      string   `json:"newer,omitempty"`
	Hashes     []string `json:"hashes,omitempty"` // base64
	Roots      []string `json:"roots,omitempty"`  // base64, of the trees of 0, 1, 2, ... entries
}

// Generate returns the vectors as files of testvectors/log, by file name.
func Generate() (map[string][]byte, error) {
	f := newFixture()
	var all []Vector
	all = append(all, f.policies()...)
	all = append(all, f.checkpoints()...)
	all = append(all, f.proofs()...)
	all = append(all, f.inclusions()...)
	all = append(all, f.consistencies()...)
	all = append(all, f.goldenRoots())
	files := make(vectorkit.Files)
	for _, v := range all {
		if (v.Code == "") != (v.Defect == "") {
			return nil, fmt.Errorf("vectorgen/log: vector %q has a code or a defect, but not both", v.Name)
		}
		if err := files.Add(v.Name, v); err != nil {
			return nil, fmt.Errorf("vector %s: %w", v.Name, err)
		}
	}
	return files, nil
}

// fixture is the log, the witnesses and the tree that the vectors share.
type fixture struct {
	origin    string
	signer    *translog.Signer
	other     *translog.Signer // another log
	stranger  *translog.Signer // the log's origin, a key of nobody's
	witnesses []*translogtest.Witness
	tree      *testonly.Tree
}

const treeSize = 1024

func newFixture() *fixture {
	f := &fixture{origin: "log.example/vectors", tree: testonly.New(rfc6962.DefaultHasher)}
	f.signer = signer(f.origin, "log")
	f.other = signer("log.example/other", "other log")
	f.stranger = signer(f.origin, "stranger")
	for _, name := range []string{"w1", "w2", "w3"} {
		f.witnesses = append(f.witnesses, translogtest.NewWitnessFor(name+".example/witness", key(name)))
	}
	for i := range treeSize {
		f.tree.AppendData(entry(i))
	}
	return f
}

// key is a key that everybody knows.
func key(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte("touchmark test vectors: " + name))
	return ed25519.NewKeyFromSeed(seed[:])
}

func signer(origin, name string) *translog.Signer {
	s, err := translog.NewSigner(origin, key(name))
	if err != nil {
		panic(err)
	}
	return s
}

func entry(i int) []byte { return fmt.Appendf(nil, "entry %d", i) }

func b64(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

// text is the text of the checkpoint of the tree's first size entries.
func (f *fixture) text(size uint64) string {
	return fmt.Sprintf("%s\n%d\n%s\n", f.origin, size, b64(f.tree.HashAt(size)))
}

func sign(text string, signers ...note.Signer) string {
	raw, err := note.Sign(&note.Note{Text: text}, signers...)
	if err != nil {
		panic(err)
	}
	return string(raw)
}

func (f *fixture) checkpoint(size uint64) string { return sign(f.text(size), f.signer) }

// cosigned is the checkpoint with the cosignatures of these witnesses.
func (f *fixture) cosigned(size uint64, witnesses ...int) string {
	raw := []byte(f.checkpoint(size))
	for _, w := range witnesses {
		raw = f.witnesses[w].Cosign(raw, time.Unix(1770000000+int64(w), 0))
	}
	return string(raw)
}

// policy trusts the log, with these further lines.
func (f *fixture) policy(lines ...string) string {
	return strings.Join(append([]string{"log " + f.signer.VerifierKey()}, lines...), "\n") + "\n"
}

func (f *fixture) witnessLine(i int) string {
	return fmt.Sprintf("witness w%d %s", i+1, f.witnesses[i].VerifierKey())
}

// twoOfThree asks for two of the three witnesses.
func (f *fixture) twoOfThree() string {
	return f.policy(f.witnessLine(0), f.witnessLine(1), f.witnessLine(2), "group all-three 2 w1 w2 w3", "quorum all-three")
}

func (f *fixture) noWitness() string { return f.policy("quorum none") }
