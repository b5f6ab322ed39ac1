package evidence

import (
	"crypto/subtle"
	"encoding/json"
	"slices"

	"github.com/touchmark-dev/touchmark/internal/jcs"
	"github.com/touchmark-dev/touchmark/internal/strictjson"
)

// A Disclosure shows one member of the parameters of a recorded call and lets anyone check it against the
// record. It says nothing about the other members but how many there are. It is made by [OpenMember], and its
// JSON form is that of spec/evidence.md section 4.3.
type Disclosure struct {
	Part   Part            `json:"part"`
	Name   string          `json:"name"`
	Value  json.RawMessage `json:"value"`
	Key    Salt            `json:"key"`    // opens this member's commitment alone
	Others []Hash          `json:"others"` // the commitments to all other members, sorted
}

// OpenMember discloses one member of a call's parameters. It takes the salt that the server kept and all the
// parameters, which the record does not hold. name is the name itself, not its JSON form.
func OpenMember(salt Salt, p *Params, part Part, name string) (*Disclosure, error) {
	value, err := lookup(p, part, name)
	if err != nil {
		return nil, err
	}
	c := newCommitter(&salt)
	list, err := c.members(p)
	if err != nil {
		return nil, err
	}
	key := c.memberKey(part, name)
	own := c.commit(&key, part, name, string(value))
	list = slices.DeleteFunc(list, func(h Hash) bool { return h == own })
	slices.SortFunc(list, func(a, b Hash) int { return slices.Compare(a[:], b[:]) })
	return &Disclosure{Part: part, Name: name, Value: value, Key: key, Others: list}, nil
}

func lookup(p *Params, part Part, name string) (json.RawMessage, error) {
	text := p.Arguments
	if part == PartInputResponses {
		text = p.InputResponses
	} else if part != PartArguments {
		return nil, reject(CodeCommitmentMismatch, "part %.40q: want arguments or input_responses", string(part))
	}
	object, err := canonicalObject(text)
	if err != nil {
		return nil, err
	}
	for m := strictjson.Value(object).Members(); m.Next(); {
		if m.Name == name {
			return json.RawMessage(m.Value), nil
		}
	}
	return nil, reject(CodeCommitmentMismatch, "the %s have no member %.80q", string(part), name)
}

// ParseDisclosure reads the JSON form of a disclosure.
func ParseDisclosure(data []byte) (*Disclosure, error) {
	d := new(Disclosure)
	if err := strictjson.UnmarshalStrict(data, d); err != nil {
		return nil, reject(CodeMalformed, "disclosure: %v", err)
	}
	if !complete(strictjson.Trusted(string(data))) {
		return nil, reject(CodeMalformed, "disclosure: want part, name, value, key and others, a list of hashes")
	}
	return d, nil
}

// complete reports whether every member of a disclosure is there: absent or null, they would be read as empty.
func complete(v strictjson.Value) bool {
	n := 0
	for m := v.Members(); m.Next(); n++ {
		switch m.Name {
		case "value":
		case "others":
			if m.Value.Kind() != '[' {
				return false
			}
			for e := m.Value.Elements(); e.Next(); {
				if e.Value.Kind() != '"' {
					return false
				}
			}
		default:
			if m.Value.Kind() != '"' {
				return false
			}
		}
	}
	return n == 5
}

// Check reports whether the parameters of the recorded call had the member that d shows. The error is a
// [*RejectedError] with the code EVIDENCE_COMMITMENT_MISMATCH.
func (d *Disclosure) Check(entry *VerifiedEntry) error {
	decision := entry.Record().Decision
	switch {
	case decision == nil:
		return reject(CodeCommitmentMismatch, "the record is not a decision: it commits to no parameters")
	case decision.ParamsForm != ParamsMembers:
		return reject(CodeCommitmentMismatch, "the parameters were committed to as a whole: no member can be shown alone")
	case d.Part != PartArguments && d.Part != PartInputResponses:
		return reject(CodeCommitmentMismatch, "part %.40q: want arguments or input_responses", string(d.Part))
	}
	value, err := jcs.Canonicalize(d.Value)
	if err != nil {
		return reject(CodeCommitmentMismatch, "the value has no canonical form: %v", err)
	}
	own := new(committer).commit(&d.Key, d.Part, d.Name, string(value))
	got := root(append(slices.Clone(d.Others), own))
	if subtle.ConstantTimeCompare(got[:], decision.ParamsCommitment[:]) != 1 {
		return reject(CodeCommitmentMismatch, "the call had no such member, or the disclosure is of another record")
	}
	return nil
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
