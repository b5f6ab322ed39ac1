package monitor

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"time"

	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/translog"
)

// A Code names a sort of fault (spec/monitor.md section 4). Those of packages translog and evidence keep their names.
type Code string

// The codes that only a monitor gives.
const (
	CodeEntryChanged  Code = "MONITOR_ENTRY_CHANGED"   // the log serves an entry that is not the one in its tree
	CodeTreeUnfounded Code = "MONITOR_TREE_UNFOUNDED"  // the entries and tiles do not add up to the checkpoint
	CodeOmitted       Code = "MONITOR_RECORD_OMITTED"  // in the journal, and not in the log in time
	CodeJournal       Code = "MONITOR_JOURNAL_DIFFERS" // journal and log have different records at one place
	CodePromiseBroken Code = "MONITOR_PROMISE_BROKEN"  // promised, and not in the log by the deadline
	CodeMissing       Code = "MONITOR_RECORD_MISSING"  // a digest whose record nobody has shown
	CodeRepeated      Code = "MONITOR_DIGEST_REPEATED" // a digest again
	CodeWithheld      Code = "MONITOR_LOG_WITHHELD"    // the log serves checkpoints, and for long not what is in their tree
	CodeLimit         Code = "MONITOR_LIMIT"           // more than a monitor follows: see Config
)

// A Fault is something that must not be in a log, or that must and is not. Its JSON form is the file fault.json of
// its proof.
type Fault struct {
	Code   Code      `json:"code"`
	Reason string    `json:"reason"`
	Found  time.Time `json:"found"` // by the clock of the monitor
	Origin string    `json:"origin"`

	Stream   string  `json:"stream,omitempty"`
	Sequence *uint64 `json:"seq,omitempty"`
	Index    *uint64 `json:"index,omitempty"` // in the log, of the file entry
	Other    *uint64 `json:"other,omitempty"` // in the log, of the file other
	Leaf     string  `json:"leaf,omitempty"`  // hash that the tree has at Index, where it is not that of the file entry

	// LogForm is what the monitor was told that the leaves of the log are: "digest", or nothing for whole records.
	LogForm string `json:"log_form,omitempty"`

	// Word says what the files cannot show and the monitor saw: that a source served something, or did not. Empty
	// where the files alone show the fault.
	Word string `json:"word,omitempty"`

	// Dir is the directory of the proof, below Config.Dir.
	Dir string `json:"-"`

	files    map[string][]byte
	leafHash [32]byte // of the leaf at Index, if files has an entry for it
	otherSeq uint64   // number of the record at Other
}

// form is what the leaves of the log are.
func (f *Fault) form() evidence.LogForm { return evidence.LogForm(f.LogForm) }

// The files of a proof beside fault.json (spec/monitor.md section 5).
const (
	fileFault       = "fault.json"
	fileCheckpoint  = "checkpoint"       // the one that the proofs are of, and the later one of two
	fileEarlier     = "checkpoint.other" // the other of two
	fileEntry       = "entry"
	fileEntryProof  = "entry.tlog-proof"
	fileOther       = "other"
	fileOtherProof  = "other.tlog-proof"
	fileConsistency = "consistency" // root and hashes
	filePromise     = "promise"
)

func (f *Fault) add(name string, data []byte) *Fault {
	if f.files == nil {
		f.files = make(map[string][]byte)
	}
	if data != nil {
		f.files[name] = data
	}
	return f
}

// id tells two faults apart and is the same when one is found again: by what it is about, not by when.
func (f *Fault) id() string {
	h := sha256.New()
	number := func(n *uint64) string {
		if n == nil {
			return "-"
		}
		return strconv.FormatUint(*n, 10)
	}
	fmt.Fprintf(h, "%s\n%s\n%s\n%s\n%s\n%s\n", f.Code, f.Origin, f.Stream, number(f.Sequence), number(f.Index), number(f.Other))
	for _, name := range []string{fileEntry, filePromise} {
		sum := sha256.Sum256(f.files[name])
		h.Write(sum[:])
	}
	if f.Index == nil && f.Sequence == nil { // about trees: the trees make the difference, not the cosignatures of their notes
		h.Write([]byte(f.Reason))
	}
	return string(f.Code) + "-" + hex.EncodeToString(h.Sum(nil)[:8])
}

func at(n uint64) *uint64 { return &n }

// words are what the files of a proof do not show, by the codes of which there is always something.
var words = map[Code]string{
	Code(evidence.CodeGap):              "the log has no record between other and entry",
	Code(evidence.CodeGenesisMissing):   "the log has no record of the stream before entry",
	Code(evidence.CodeOutcomeUnmatched): "the log has no decision that waits for the outcome",
	CodeMissing:                         "no record with this digest was among those that the monitor was given",
	CodeLimit:                           "the log has so many before entry",
}

// needsWord reports whether files alone cannot show a fault with this code.
func needsWord(c Code) bool {
	switch c {
	case Code(translog.CodeRolledBack), CodeEntryChanged, CodeTreeUnfounded, CodeWithheld, CodeOmitted, CodeJournal, CodePromiseBroken,
		Code(translog.CodeCheckpointMalformed), Code(translog.CodeOriginUnknown), Code(translog.CodeCheckpointSignatureInvalid),
		Code(translog.CodeCosignatureInvalid), Code(translog.CodeWitnessQuorum):
		return true
	}
	return words[c] != ""
}

// codeOf gives the code of a refusal by the packages below, and "" where nothing was judged.
func codeOf(err error) Code {
	if c := translog.CodeOf(err); c != "" {
		return Code(c)
	}
	return Code(evidence.CodeOf(err))
}
