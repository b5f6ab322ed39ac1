package monitor

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"

	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/internal/strictjson"
	"github.com/touchmark-dev/touchmark/translog"
)

// MaxProofBytes is the size of the largest file of a proof that is read.
const MaxProofBytes = 1 << 20

// CodeProofInvalid is the code of a [ProofError].
const CodeProofInvalid Code = "MONITOR_PROOF_INVALID"

// A ProofError says that the files of a proof do not show the fault that they are said to show.
type ProofError struct{ Reason string }

func (e *ProofError) Error() string { return "monitor: " + e.Reason }

func unshown(format string, args ...any) error { return &ProofError{fmt.Sprintf(format, args...)} }

// Check reads the proof of a fault from a directory and holds it against the keys of the log and of the servers alone
// (spec/monitor.md section 5). Without an error the files show what [Fault.Code] says, as far as files can: what
// [Fault.Word] says beyond them is the monitor's word. The error is a *[ProofError] when they do not show it.
func Check(dir fs.FS, policy *translog.Policy, keys evidence.Keys) (*Fault, error) {
	p := &proof{dir: dir, policy: policy.LogsOnly(), keys: keys, fault: new(Fault)}
	text, err := p.read(fileFault)
	if err != nil {
		return nil, err
	}
	if err := strictjson.UnmarshalStrict(text, p.fault); err != nil {
		return nil, unshown("%s: %v", fileFault, err)
	}
	f := p.fault
	switch {
	case f.Code == "":
		return nil, unshown("%s names no code", fileFault)
	case f.form() != evidence.FormRecord && f.form() != evidence.FormDigest:
		return nil, unshown("%s names the form %.40q, which there is not", fileFault, f.LogForm)
	case !slices.Contains(policy.Origins(), f.Origin):
		return nil, unshown("the fault is of the log %q, which the policy does not trust", f.Origin)
	case needsWord(f.Code) && f.Word == "":
		return nil, unshown("files alone cannot show %s, and nobody gives their word", f.Code)
	}
	if err := p.check(); err != nil {
		return nil, err
	}
	return f, nil
}

type proof struct {
	dir    fs.FS
	policy *translog.Policy
	keys   evidence.Keys
	fault  *Fault
}

func (p *proof) check() error {
	switch code := p.fault.Code; code {
	case Code(translog.CodeForked), Code(translog.CodeRolledBack):
		return p.checkTrees()
	case CodeEntryChanged:
		return p.checkChanged()
	case CodeTreeUnfounded, CodeWithheld:
		_, err := p.checkpoint(fileCheckpoint)
		return err
	case CodeOmitted:
		return p.checkOmitted()
	case CodeJournal:
		return p.checkJournal()
	case CodePromiseBroken, Code(evidence.CodePromiseMismatch):
		return p.checkPromise()
	case Code(translog.CodeCheckpointMalformed), Code(translog.CodeOriginUnknown), Code(translog.CodeCheckpointSignatureInvalid),
		Code(translog.CodeCosignatureInvalid), Code(translog.CodeWitnessQuorum):
		return nil // what a source served that is no checkpoint shows nothing by itself
	case CodeMissing, CodeRepeated, Code(evidence.CodeLogForm):
		return p.checkLeaf()
	case CodeLimit:
		_, err := p.entry(fileEntry, fileEntryProof, p.fault.Index)
		return err
	default:
		return p.checkRecord()
	}
}

// read returns a file, nil if it is not there.
func (p *proof) read(name string) ([]byte, error) {
	f, err := p.dir.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, unshown("there is no file %s", name)
	}
	if err != nil {
		return nil, fmt.Errorf("monitor: %w", err)
	}
	defer f.Close() //nolint:errcheck // only read
	data, err := io.ReadAll(io.LimitReader(f, MaxProofBytes+1))
	if err != nil {
		return nil, fmt.Errorf("monitor: %w", err)
	}
	if len(data) > MaxProofBytes {
		return nil, unshown("%s has more than %d bytes", name, MaxProofBytes)
	}
	return data, nil
}

func (p *proof) checkpoint(name string) (*translog.Checkpoint, error) {
	note, err := p.read(name)
	if err != nil {
		return nil, err
	}
	cp, err := p.policy.VerifyCheckpoint(note)
	if err != nil {
		return nil, unshown("%s: %v", name, err)
	}
	return cp, nil
}

// entry returns an entry that the log has, or the digest of, at an index.
func (p *proof) entry(name, proofName string, index *uint64) ([]byte, error) {
	return p.leafOf(p.fault.form(), name, proofName, index)
}

// leafOf returns what a file has of the leaf at an index of a log of this form.
func (p *proof) leafOf(form evidence.LogForm, name, proofName string, index *uint64) ([]byte, error) {
	data, err := p.read(name)
	if err != nil {
		return nil, err
	}
	in, err := p.inclusion(proofName, form.LeafHash(data))
	if err != nil {
		return nil, err
	}
	if index == nil || in.Index() != *index {
		return nil, unshown("%s is entry %d of the log, and not the one that the fault names", name, in.Index())
	}
	return data, nil
}

// bare returns the leaf that a file has in the place of a record, which nobody showed any more when the fault was found: by
// the word of the monitor alone it was that record. It returns nil where the file is something else.
func (p *proof) bare(name, proofName string, index *uint64) []byte {
	if p.fault.form() != evidence.FormDigest || p.fault.Word == "" {
		return nil
	}
	leaf, err := p.leafOf(evidence.FormRecord, name, proofName, index)
	if err != nil || evidence.FormDigest.CheckLeaf(leaf) != nil {
		return nil
	}
	return leaf
}

func (p *proof) inclusion(name string, leaf [32]byte) (*translog.Inclusion, error) {
	text, err := p.read(name)
	if err != nil {
		return nil, err
	}
	proof, err := translog.ParseProof(text)
	if err != nil {
		return nil, unshown("%s: %v", name, err)
	}
	in, err := p.policy.VerifyLeaf(leaf, proof)
	if err != nil {
		return nil, unshown("%s: %v", name, err)
	}
	return in, nil
}

func (p *proof) verified(entry []byte, name string) (*evidence.VerifiedEntry, error) {
	e, err := evidence.ParseEntry(entry)
	if err != nil {
		return nil, unshown("%s: %v", name, err)
	}
	v, err := e.Verify(p.keys)
	if err != nil {
		return nil, unshown("%s: %v", name, err)
	}
	return v, nil
}

// checkLeaf needs a leaf in the log, and for a digest that is there again its second place; or a genesis record in the log
// that says another form than its leaf has.
func (p *proof) checkLeaf() error {
	leaf, err := p.leafOf(evidence.FormRecord, fileEntry, fileEntryProof, p.fault.Index)
	if err != nil && p.fault.Code == Code(evidence.CodeLogForm) {
		return p.checkGenesis()
	} else if err != nil {
		return err
	}
	wrong := p.fault.form().CheckLeaf(leaf)
	switch {
	case p.fault.Code == Code(evidence.CodeLogForm) && wrong == nil:
		return p.checkGenesis()
	case p.fault.Code == Code(evidence.CodeLogForm) && p.fault.Word == "":
		return unshown("files alone cannot show of which form a log was to be, and nobody gives their word")
	case p.fault.Code == Code(evidence.CodeLogForm):
		return nil
	case p.fault.form() != evidence.FormDigest || wrong != nil:
		return unshown("the leaf is no digest")
	case p.fault.Code == CodeMissing:
		return nil
	case p.fault.Other == nil || *p.fault.Other >= *p.fault.Index:
		return unshown("the fault names no earlier place of the digest")
	}
	again, err := p.leafOf(evidence.FormRecord, fileOther, fileOtherProof, p.fault.Other)
	if err == nil && string(again) != string(leaf) {
		err = unshown("the two digests are not the same")
	}
	return err
}

// checkGenesis needs a genesis record in the log that says that the log is of another form.
func (p *proof) checkGenesis() error {
	entry, err := p.entry(fileEntry, fileEntryProof, p.fault.Index)
	if err != nil {
		return err
	}
	v, err := p.verified(entry, fileEntry)
	if err != nil {
		return err
	}
	if g := v.Record().Genesis; g == nil || g.LogForm == p.fault.form() {
		return unshown("the record says nothing about another form")
	}
	return nil
}

// checkTrees needs two checkpoints, and for trees of two sizes what the larger begins with.
func (p *proof) checkTrees() error {
	newer, err := p.checkpoint(fileCheckpoint)
	if err != nil {
		return err
	}
	older, err := p.checkpoint(fileEarlier)
	if err != nil {
		return err
	}
	switch {
	case newer.Origin() != older.Origin():
		return unshown("the checkpoints are of two logs")
	case p.fault.Code == Code(translog.CodeRolledBack) && newer.Size() < older.Size():
		return nil
	case p.fault.Code == Code(translog.CodeRolledBack):
		return unshown("the tree of %d entries is not smaller than that of %d", newer.Size(), older.Size())
	case newer.Size() == older.Size() && newer.Root() != older.Root():
		return nil
	case newer.Size() <= older.Size():
		return unshown("the trees do not contradict each other")
	}
	text, err := p.read(fileConsistency)
	if err != nil {
		return err
	}
	root, hashes, err := parseConsistency(text)
	if err != nil {
		return unshown("%v", err)
	}
	if err := translog.CheckConsistency(translog.Tree{Size: older.Size(), Root: root}, newer.Tree(), hashes); err != nil {
		return unshown("%s: %v", fileConsistency, err)
	}
	if root == older.Root() {
		return unshown("the larger tree begins with the smaller one")
	}
	return nil
}

func (p *proof) checkChanged() error {
	served, err := p.read(fileEntry)
	if err != nil {
		return err
	}
	leaf, err := evidence.ParseHash(p.fault.Leaf)
	if err != nil {
		return unshown("leaf: %v", err)
	}
	in, err := p.inclusion(fileEntryProof, leaf)
	switch {
	case err != nil:
		return err
	case p.fault.Index == nil || in.Index() != *p.fault.Index:
		return unshown("the proof is about entry %d", in.Index())
	case translog.LeafHash(served) == leaf:
		return unshown("the entry is the one in the tree")
	}
	return nil
}
