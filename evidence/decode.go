package evidence

import (
	"strings"

	"github.com/touchmark-dev/touchmark/internal/strictjson"
)

// maxUnknown is how many members that this version does not know a record may have.
const maxUnknown = 32

// parseRecord reads the canonical bytes of a record, and nothing else: whatever it accepts is what appendRecord
// writes for the result. The strings of the record share the memory of text.
func parseRecord(text string) (*Record, error) {
	r, err := decodeRecord(text)
	if err != nil {
		return nil, explain(text, err)
	}
	return r, nil
}

// explain gives the reason of the first step of spec/evidence.md section 3 that a record fails, which decodeRecord
// refused for a reason of its own.
func explain(text string, reason error) error {
	v, err := strictjson.Parse([]byte(text))
	if err != nil {
		return reject(CodeMalformed, "record: %v", err)
	}
	if string(v) != text { // space around it, which belongs to the entry
		return notCanonical()
	}
	if v.Kind() != '{' {
		return reject(CodeMalformed, "the record is not a JSON object")
	}
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
		return reject(CodeVersionUnknown, "record of another version than %d: read it with a version of this software that knows it", Version)
	}
	if newRecord(Kind(kind)) == nil {
		return reject(CodeKindUnknown, "record of kind %.40q: a later version of this software may know it", kind)
	}
	return reason
}

// newRecord makes an empty record, nil if there is no such kind.
func newRecord(kind Kind) *Record {
	switch kind {
	case KindGenesis:
		return &Record{Genesis: new(Genesis)}
	case KindDecision:
		return &Record{Decision: new(Decision)}
	case KindOutcome:
		return &Record{Outcome: new(Outcome)}
	case KindChange:
		return &Record{Change: new(Change)}
	case KindRefusals:
		return &Record{Refusals: new(Refusals)}
	case KindHeartbeat:
		return new(Record)
	}
	return nil
}

// kindIn finds the value of the member `kind`. It may be wrong about what is no canonical record: the member is
// compared with the record in the end, like all that follow from others.
func kindIn(text string) Kind {
	_, rest, _ := strings.Cut(text, `"kind":"`)
	kind, _, _ := strings.Cut(rest, `"`)
	return Kind(kind)
}

// memberSet is a set of members, by their place in the table.
type memberSet [len(members)]bool

// A decoder reads a record in one pass: names, which must come in their order, go along the table of members.
type decoder struct {
	scanner
	record *Record
	in     kinds
	seen   memberSet
	late   [3]claim // there are three members that follow from others
	claims int
}

// A claim is the text of a member that must follow from others.
type claim struct {
	name, text string
	want       derived
}

func decodeRecord(text string) (*Record, error) {
	r := newRecord(kindIn(text))
	if r == nil {
		return nil, notCanonical()
	}
	d := decoder{scanner: scanner{text: text}, record: r, in: r.Kind().set()}
	if err := d.members(); err != nil {
		return nil, err
	}
	if err := checkSeen(r, &d.seen); err != nil {
		return nil, err
	}
	for _, c := range d.late[:d.claims] {
		if want := c.want(r); c.text != want {
			return nil, invalid(c.name, "is %.80q where the other members ask for %q", c.text, want)
		}
	}
	return r, r.check()
}

func notCanonical() error {
	return reject(CodeMalformed, "the record is not in canonical form (RFC 8785)")
}

// members reads the whole text. That each name is greater than the one before is the order of RFC 8785 section 3.2.3,
// because no name has a character outside ASCII, and leaves no room for a name that is given twice.
func (d *decoder) members() error {
	at, last := 0, ""
	for separator := byte('{'); d.skip(separator); separator = ',' {
		name, ok := d.str()
		if !ok || !d.skip(':') || separator == ',' && name <= last {
			return notCanonical()
		}
		for last = name; at < len(members) && members[at].before(name); {
			at++
		}
		begin := d.pos
		v, ok := d.value()
		if !ok {
			return notCanonical()
		}
		var err error
		if at < len(members) && members[at].name == name {
			d.seen[at] = true
			err = d.set(&members[at], v, begin)
		} else {
			err = d.record.keep(name, v, d.text[begin:d.pos])
		}
		if err != nil {
			return err
		}
	}
	if !d.skip('}') || d.pos < len(d.text) {
		return notCanonical()
	}
	return nil
}

// set sets a member that is known, whose value begins at a place of the text.
func (d *decoder) set(m *member, v value, begin int) error {
	if m.in&d.in == 0 {
		return invalid(m.name, "does not belong into a record of kind %q", d.record.Kind())
	}
	place := m.at(d.record)
	if want, ok := place.(derived); ok && v.kind == textValue {
		d.late[d.claims] = claim{m.name, v.text, want}
		d.claims++
	} else if !setValue(place, v) {
		text := d.text[begin:d.pos]
		if v.kind == otherValue {
			text = d.text[begin:]
		}
		return invalid(m.name, "the value %.80q is not of the member's form", text)
	}
	return nil
}

// keep holds on to a member that this version does not know (spec/evidence.md section 2.5). Flat values only: what
// later versions add must leave the bytes of a record easy to reproduce.
func (r *Record) keep(name string, v value, text string) error {
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
	if v.kind == otherValue {
		return invalid(name, "an unknown member that is neither a string nor a whole number nor true")
	}
	r.Unknown = append(r.Unknown, Member{Name: name, JSON: text})
	return nil
}

// checkSeen refuses a record that lacks a member it must have because of another, or that has one of another
// value than the others imply.
func checkSeen(r *Record, seen *memberSet) error {
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
