package evidence

import (
	"crypto/subtle"
	"encoding/json"

	"github.com/touchmark-dev/touchmark/internal/jcs"
)

// A Disclosure shows one value within the parameters of a recorded call, and lets anyone check it against the
// record. Of the other values it shows neither names nor order, and of their number little: see spec/evidence.md
// section 4.4. It is made by [Disclose]; its JSON form is that of section 4.3.
type Disclosure struct {
	Path     []Step          `json:"path"` // the part, and the steps from there
	Value    json.RawMessage `json:"value"`
	Key      Salt            `json:"key"`      // opens the value's commitment, and those of what is in it
	Levels   int             `json:"levels"`   // of values that were committed to one by one
	Siblings [][]Hash        `json:"siblings"` // for each step, what makes the commitment to where it leads from
}

// Disclose opens the value at a JSON Pointer (RFC 6901) in a call's parameters, such as /arguments/path or
// /input_responses/choice/0. It takes the salt that the server kept, and all the parameters, which the record does not
// hold. Use [CheckParams] to show all of them.
func Disclose(salt Salt, p *Params, pointer string) (*Disclosure, error) {
	path, err := resolve(p, pointer)
	if err != nil {
		return nil, err
	}
	o := &opening{path: path, siblings: make([][]Hash, len(path))}
	t := tree{open: o}
	if _, err := t.commit(&salt, p); err != nil {
		return nil, err
	}
	if o.value == nil {
		return nil, reject(CodeCommitmentMismatch, "the parameters are too many to be committed to one by one below level %d: show %.80q", t.levels, pointerTo(path[:t.levels]))
	}
	return &Disclosure{Path: path, Value: o.value, Key: o.key, Levels: t.levels, Siblings: o.siblings}, nil
}

// Pointer returns the JSON Pointer to the value that is shown.
func (d *Disclosure) Pointer() string { return pointerTo(d.Path) }

// Check reports whether the parameters of the recorded call had the value that d shows, where it shows it. The error
// is a [*RejectedError] with the code EVIDENCE_COMMITMENT_MISMATCH, or EVIDENCE_MALFORMED for what [ParseDisclosure]
// would refuse.
func (d *Disclosure) Check(entry *VerifiedEntry) error {
	decision := entry.Record().Decision
	switch {
	case decision == nil:
		return reject(CodeCommitmentMismatch, "the record is not a decision: it commits to no parameters")
	case decision.ParamsForm != ParamsTree:
		return reject(CodeCommitmentMismatch, "the parameters were committed to as a whole: no value can be shown alone")
	}
	if err := d.form(); err != nil {
		return err
	}
	value, err := jcs.Canonicalize(d.Value)
	if err != nil {
		return reject(CodeCommitmentMismatch, "the value has no canonical form: %v", err)
	}
	if len(d.Path) == 1 && value[0] != '{' {
		return reject(CodeCommitmentMismatch, "the value of %s is not an object", d.Path[0])
	}
	within := d.Levels - len(d.Path) + 1 // levels of values, the one shown first
	if cut([][]byte{value}) < within {
		return reject(CodeCommitmentMismatch, "the value has more than %d values in it, and none so large was taken apart", MaxTreeValues)
	}
	if got := d.root(value); subtle.ConstantTimeCompare(got[:], decision.ParamsCommitment[:]) != 1 {
		return reject(CodeCommitmentMismatch, "the call had no such value there, or the disclosure is of another record")
	}
	return nil
}

// root returns the commitment to parameters that have the value at the path.
func (d *Disclosure) root(value []byte) Hash {
	level := len(d.Path)
	t := tree{text: value, levels: d.Levels}
	h := t.value(&d.Key, []byte(d.Path[level-1]), level, false)
	for level--; level > 0; level-- {
		step, siblings := d.Path[level], d.Siblings[level]
		index, _ := step.index()
		for i := range siblings {
			if a, b := &h, &siblings[i]; index>>i&1 == 0 {
				h = t.inner(step.container(), a, b)
			} else {
				h = t.inner(step.container(), b, a)
			}
		}
		h = t.node(step.container(), len(siblings), &h, []byte(d.Path[level-1]))
	}
	roots := [len(parts)]Hash{h, d.Siblings[0][0]}
	if d.Path[0] == PartInputResponses.step() {
		roots[0], roots[1] = roots[1], roots[0]
	}
	return t.root(&roots)
}

// CheckParams reports whether salt and p are what the recorded call was made with: the way to show all
// parameters at once.
func CheckParams(entry *VerifiedEntry, salt Salt, p *Params) error {
	decision := entry.Record().Decision
	if decision == nil {
		return reject(CodeCommitmentMismatch, "the record is not a decision: it commits to no parameters")
	}
	got, form := Commit(salt, p)
	if form != decision.ParamsForm || subtle.ConstantTimeCompare(got[:], decision.ParamsCommitment[:]) != 1 {
		return reject(CodeCommitmentMismatch, "these are not the salt and the parameters of the recorded call")
	}
	return nil
}

// CheckResult reports whether salt and result are what the recorded outcome commits to.
func CheckResult(entry *VerifiedEntry, salt Salt, result []byte) error {
	outcome := entry.Record().Outcome
	if outcome == nil || outcome.ResultCommitment.IsZero() {
		return reject(CodeCommitmentMismatch, "the record commits to no result")
	}
	got := CommitResult(salt, result)
	if outcome.ResultSize != uint64(len(result)) || subtle.ConstantTimeCompare(got[:], outcome.ResultCommitment[:]) != 1 {
		return reject(CodeCommitmentMismatch, "this is not the salt and the result of the recorded call")
	}
	return nil
}
