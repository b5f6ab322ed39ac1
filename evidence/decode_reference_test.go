package evidence

import (
	"bytes"

	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/strictjson"
)

// This file is another reader of entries, which ParseEntry is held against: it parses any JSON, encodes what it
// understood, and compares. It is slow, and says the rule of spec/evidence.md section 3 step 2 in so many words.

func referenceParseEntry(entry []byte) (*UnverifiedEntry, error) {
	if len(entry) > MaxEntryBytes {
		return nil, reject(CodeTooLarge, "entry of %d bytes, the limit is %d", len(entry), MaxEntryBytes)
	}
	e, err := referenceSplitEntry(entry)
	if err != nil {
		return nil, err
	}
	if e.Record, err = referenceParseRecord([]byte(e.record)); err != nil {
		return nil, err
	}
	key, err := did.ParseURL(e.KeyID)
	if err != nil {
		return nil, reject(CodeKeyMismatch, "kid is not the DID URL of a key: %v", err)
	}
	if key.DID != e.Record.Server {
		return nil, reject(CodeKeyMismatch, "kid %q is not a key of the server %q", e.KeyID, e.Record.Server)
	}
	return e, nil
}

// referenceSplitEntry takes the three members apart and compares the whole with what appendEntry makes of them.
func referenceSplitEntry(entry []byte) (*UnverifiedEntry, error) {
	v, err := strictjson.Parse(entry)
	if err != nil {
		return nil, reject(CodeMalformed, "entry: %v", err)
	}
	var record, sig string
	e := new(UnverifiedEntry)
	for m := v.Members(); m.Next(); {
		switch m.Name {
		case "kid":
			e.KeyID, _ = m.Value.Text()
		case "record":
			record = string(m.Value)
		case "sig":
			sig, _ = m.Value.Text()
		default:
			return nil, reject(CodeMalformed, "entry with a member %.40q: want kid, record and sig", m.Name)
		}
	}
	if e.KeyID == "" || record == "" || len(sig) != sigTextBytes {
		return nil, reject(CodeMalformed, "entry: want a kid, a record and a signature of %d characters", sigTextBytes)
	}
	signature, err := b64.DecodeString(sig)
	if err != nil {
		return nil, reject(CodeMalformed, "entry: the signature is not strict base64url")
	}
	copy(e.signature[:], signature)
	e.record = record
	e.text = string(appendEntry(make([]byte, 0, len(entry)), e.KeyID, []byte(record), signature))
	if e.text != string(entry) {
		return nil, reject(CodeMalformed, "the entry is not in canonical form (RFC 8785)")
	}
	return e, nil
}

// referenceParseRecord reads the canonical bytes of a record, and nothing else: whatever it accepts is what appendRecord
// writes for the result.
func referenceParseRecord(data []byte) (*Record, error) {
	v, err := strictjson.Parse(data)
	if err != nil {
		return nil, reject(CodeMalformed, "record: %v", err)
	}
	if v.Kind() != '{' {
		return nil, reject(CodeMalformed, "the record is not a JSON object")
	}
	r, err := referenceNewRecord(v)
	if err != nil {
		return nil, err
	}
	seen, err := referenceReadMembers(r, v)
	if err != nil {
		return nil, err
	}
	if err := checkSeen(r, &seen); err != nil {
		return nil, err
	}
	if err := referenceCheckDerived(r, v); err != nil {
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

// referenceNewRecord makes an empty record of the version and kind that v says it is.
func referenceNewRecord(v strictjson.Value) (*Record, error) {
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

// referenceReadMembers sets every known member, keeps the others, and returns the set of the known ones it met.
func referenceReadMembers(r *Record, v strictjson.Value) (seen memberSet, err error) {
	in := r.Kind().set()
	for it := v.Members(); it.Next(); {
		i, ok := find(it.Name)
		switch {
		case !ok:
			err = referenceKeep(r, it.Name, it.Value)
		case members[i].in&in == 0:
			err = invalid(it.Name, "does not belong into a record of kind %q", r.Kind())
		case !referenceSetValue(members[i].at(r), it.Value):
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

// referenceKeep holds on to a member that this version does not know. Flat values only: what later versions add must
// leave the bytes of a record easy to reproduce.
func referenceKeep(r *Record, name string, v strictjson.Value) error {
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

// referenceCheckDerived refuses a record that contradicts itself.
func referenceCheckDerived(r *Record, v strictjson.Value) error {
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
