package evidence

import (
	"bytes"
	"time"

	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/strictjson"
)

// maxUnknown is how many members that this version does not know a record may have.
const maxUnknown = 32

// parseRecord reads the canonical bytes of a record, and nothing else: whatever it accepts is what appendRecord
// writes for the result.
func parseRecord(data []byte) (*Record, error) {
	v, err := strictjson.Parse(data)
	if err != nil {
		return nil, reject(CodeMalformed, "record: %v", err)
	}
	if v.Kind() != '{' {
		return nil, reject(CodeMalformed, "the record is not a JSON object")
	}
	r, err := newRecord(v)
	if err != nil {
		return nil, err
	}
	seen, err := readMembers(r, v)
	if err != nil {
		return nil, err
	}
	if err := checkSeen(r, seen); err != nil {
		return nil, err
	}
	if err := checkDerived(r, v); err != nil {
		return nil, err
	}
	if err := r.check(); err != nil {
		return nil, err
	}
	if !bytes.Equal(appendRecord(make([]byte, 0, len(data)), r), data) {
		return nil, reject(CodeMalformed, "the record is not in canonical form (RFC 8785)")
	}
	return r, nil
}

// newRecord makes an empty record of the version and kind that v says it is.
func newRecord(v strictjson.Value) (*Record, error) {
	var kind string
	var number uint64
	for m := v.Members(); m.Next(); {
		switch m.Name {
		case "v":
			number, _ = m.Value.Uint()
		case "kind":
			kind, _ = m.Value.Text()
		}
	}
	if number != Version {
		return nil, reject(CodeVersionUnknown, "record of another version than %d: read it with a version of this software that knows it", Version)
	}
	r := new(Record)
	switch Kind(kind) {
	case KindGenesis:
		r.Genesis = new(Genesis)
	case KindDecision:
		r.Decision = new(Decision)
	case KindOutcome:
		r.Outcome = new(Outcome)
	case KindChange:
		r.Change = new(Change)
	case KindRefusals:
		r.Refusals = new(Refusals)
	case KindHeartbeat:
	default:
		return nil, reject(CodeKindUnknown, "record of kind %.40q: a later version of this software may know it", kind)
	}
	return r, nil
}

// memberSet is a set of members, by their place in the table.
type memberSet [len(members)]bool

// readMembers sets every known member, keeps the others, and returns the set of the known ones it met.
func readMembers(r *Record, v strictjson.Value) (seen memberSet, err error) {
	in := r.Kind().set()
	for it := v.Members(); it.Next(); {
		i, ok := find(it.Name)
		switch {
		case !ok:
			err = r.keep(it.Name, it.Value)
		case members[i].in&in == 0:
			err = invalid(it.Name, "does not belong into a record of kind %q", r.Kind())
		case !setValue(members[i].at(r), it.Value):
			err = invalid(it.Name, "the value %.80q is not of the member's form", string(it.Value))
		}
		if err != nil {
			return seen, err
		}
		if ok {
			seen[i] = true
		}
	}
	return seen, nil
}

func find(name string) (int, bool) {
	low, high := 0, len(members)
	for low < high {
		if mid := (low + high) / 2; members[mid].name < name {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low, low < len(members) && members[low].name == name
}

// keep holds on to a member that this version does not know. Flat values only: what later versions add must
// leave the bytes of a record easy to reproduce.
func (r *Record) keep(name string, v strictjson.Value) error {
	if len(name) > maxToken || name == "" || name[0] < 'a' || name[0] > 'z' {
		return invalid(name, "not a name that a member may have")
	}
	for i := 0; i < len(name); i++ {
		if c := name[i]; (c < 'a' || c > 'z') && !isDigit(c) && c != '_' && c != '.' {
			return invalid(name, "not a name that a member may have")
		}
	}
	if len(r.Unknown) == maxUnknown {
		return invalid(name, "more than %d unknown members", maxUnknown)
	}
	text := string(v)
	if s, ok := v.Text(); ok {
		text = string(appendString(nil, s))
	} else if _, ok := v.Uint(); !ok && v != "true" {
		return invalid(name, "an unknown member that is neither a string nor a whole number nor true")
	}
	if text != string(v) {
		return reject(CodeMalformed, "the record is not in canonical form (RFC 8785)")
	}
	r.Unknown = append(r.Unknown, Member{Name: name, JSON: text})
	return nil
}

// checkSeen refuses a record that lacks a member it must have because of another, or that has one of another
// value than the others imply.
func checkSeen(r *Record, seen memberSet) error {
	in := r.Kind().set()
	for i := range members {
		m := &members[i]
		if m.in&in == 0 {
			continue
		}
		if has := seen[i]; has != present(m.at(r)) {
			if has {
				return invalid(m.name, "has the value that is expressed by leaving the member out")
			}
			return invalid(m.name, "missing")
		}
	}
	return nil
}

// checkDerived refuses a record that contradicts itself.
func checkDerived(r *Record, v strictjson.Value) error {
	for it := v.Members(); it.Next(); {
		i, ok := find(it.Name)
		if !ok {
			continue
		}
		if want, ok := members[i].at(r).(derived); ok {
			if text, _ := it.Value.Text(); text != want(r) {
				return invalid(it.Name, "is %.80q where the other members ask for %q", text, want(r))
			}
		}
	}
	return nil
}

// setValue reads v into place and reports whether it is of place's form.
func setValue(place any, v strictjson.Value) (ok bool) {
	if text, isText := v.Text(); isText {
		return setText(place, text)
	}
	if v == "true" {
		p, ok := place.(*bool)
		if ok {
			*p = true
		}
		return ok
	}
	n, ok := v.Uint()
	return ok && setNumber(place, n)
}

func setText(place any, text string) bool {
	var err error
	switch p := place.(type) {
	case *string:
		*p = text
	case **string:
		*p = &text
	case groupPlace:
		return p.set(text)
	case *did.DID:
		*p, err = did.Parse(text)
	case *Hash:
		*p, err = ParseHash(text)
	case *StreamID:
		*p, err = ParseStreamID(text)
	case *time.Time:
		*p, err = time.Parse(timeLayout, text)
	case derived: // compared by checkDerived, when all is known
	default:
		return false
	}
	return err == nil
}

func setNumber(place any, n uint64) bool {
	switch p := place.(type) {
	case *uint64:
		*p = n
	case **uint64:
		*p = &n
	case *count:
		*p = count(n)
	case *time.Duration:
		*p = time.Duration(n)
	case *nanoseconds:
		*p = nanoseconds(n)
	case version:
		return n == Version
	default:
		return false
	}
	return true
}
