package evidence

import (
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/touchmark-dev/touchmark/internal/jcs"
	"github.com/touchmark-dev/touchmark/internal/strictjson"
)

// MaxExhibitBytes is the size of the largest exhibit that is read.
const MaxExhibitBytes = 16 << 20

// An Exhibit is what one auditor is given: an entry, what is disclosed of the parameters of its call, and the proof that
// it is in a log, if there is one (spec/evidence.md section 4.5). It has neither the badge nor the call proof, which
// would let the auditor test guesses of what is not shown.
type Exhibit struct {
	Entry       []byte
	Disclosures []*Disclosure
	Opening     *Opening // nil unless all parameters are shown
	Receipt     string   // text of a tlog-proof, not verified here; empty for none
}

// An Opening shows all parameters of a call at once. Who has it can check every value, and has the salt.
type Opening struct {
	Salt   Salt
	Params Params
}

const exhibitVersion = 1

// MarshalJSON returns the canonical form of the exhibit. It fails for one that [ParseExhibit] would refuse.
func (x *Exhibit) MarshalJSON() ([]byte, error) {
	members := map[string]any{"v": exhibitVersion, "entry": json.RawMessage(x.Entry), "disclosures": x.Disclosures}
	if len(x.Disclosures) == 0 {
		members["disclosures"] = []any{}
	}
	if x.Receipt != "" {
		members["receipt"] = x.Receipt
	}
	if o := x.Opening; o != nil {
		parameters := map[string]any{"salt": o.Salt}
		for i, text := range [...]json.RawMessage{o.Params.Arguments, o.Params.InputResponses} {
			if !utf8.Valid(text) {
				return nil, fmt.Errorf("evidence: the %s are not UTF-8 and have no place in a file", string(parts[i]))
			}
			if text != nil {
				parameters[string(parts[i])] = string(text)
			}
		}
		members["parameters"] = parameters
	}
	text, err := jcs.Marshal(members)
	if err != nil {
		return nil, fmt.Errorf("evidence: exhibit: %w", err)
	}
	if _, err := ParseExhibit(text); err != nil {
		return nil, err
	}
	return text, nil
}

// ParseExhibit reads an exhibit: its members, and no others. Nothing is verified: use [Exhibit.Verify].
func ParseExhibit(data []byte) (*Exhibit, error) {
	if len(data) > MaxExhibitBytes {
		return nil, reject(CodeTooLarge, "exhibit of %d bytes: at most %d", len(data), MaxExhibitBytes)
	}
	text, err := jcs.Canonicalize(data)
	if err != nil {
		return nil, reject(CodeMalformed, "exhibit: %v", err)
	}
	x := new(Exhibit)
	have := make(map[string]bool)
	for m := strictjson.Value(text).Members(); m.Next(); {
		if err := x.read(m.Name, m.Value); err != nil {
			return nil, err
		}
		have[m.Name] = true
	}
	switch {
	case !have["v"] || !have["entry"] || !have["disclosures"]:
		return nil, reject(CodeMalformed, "exhibit: want an object with v, entry and disclosures")
	case len(x.Disclosures) == 0 && x.Opening == nil:
		return nil, reject(CodeMalformed, "exhibit: it shows nothing")
	}
	return x, nil
}

func (x *Exhibit) read(name string, v strictjson.Value) error {
	ok := false
	switch name {
	case "v":
		ok = v == "1"
	case "entry":
		x.Entry, ok = []byte(v), v.Kind() == '{'
	case "receipt":
		x.Receipt, ok = v.Text()
		ok = ok && x.Receipt != ""
	case "disclosures":
		for e := v.Elements(); e.Next(); {
			d, err := readDisclosure(e.Value)
			if err != nil {
				return err
			}
			x.Disclosures = append(x.Disclosures, d)
		}
		ok = v.Kind() == '['
	case "parameters":
		x.Opening, ok = readOpening(v)
	}
	if !ok {
		return reject(CodeMalformed, "exhibit: member %.40q is not of its form, or does not belong", name)
	}
	return nil
}

func readOpening(v strictjson.Value) (*Opening, bool) {
	o := new(Opening)
	salted := false
	for m := v.Members(); m.Next(); {
		text, ok := m.Value.Text()
		switch m.Name {
		case "salt":
			salted = o.Salt.UnmarshalText([]byte(text)) == nil
		case string(PartArguments):
			o.Params.Arguments = json.RawMessage(text)
		case string(PartInputResponses):
			o.Params.InputResponses = json.RawMessage(text)
		default:
			ok = false
		}
		if !ok {
			return nil, false
		}
	}
	return o, salted
}

// Verify checks the entry's signature and everything that is shown, and returns the entry. The receipt is left to
// [VerifyReceipt]. Keys have to come from elsewhere than the exhibit.
func (x *Exhibit) Verify(keys Keys) (*VerifiedEntry, error) {
	if len(x.Disclosures) == 0 && x.Opening == nil {
		return nil, errors.New("evidence: an exhibit that shows nothing")
	}
	unverified, err := ParseEntry(x.Entry)
	if err != nil {
		return nil, err
	}
	entry, err := unverified.Verify(keys)
	if err != nil {
		return nil, err
	}
	for _, d := range x.Disclosures {
		if err := d.Check(entry); err != nil {
			return nil, fmt.Errorf("what is shown at %.200q: %w", d.Pointer(), err)
		}
	}
	if o := x.Opening; o != nil {
		if err := CheckParams(entry, o.Salt, &o.Params); err != nil {
			return nil, err
		}
	}
	return entry, nil
}
