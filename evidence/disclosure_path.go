package evidence

import (
	"encoding/json"
	"math/bits"
	"strconv"
	"strings"

	"github.com/touchmark-dev/touchmark/internal/jcs"
	"github.com/touchmark-dev/touchmark/internal/strictjson"
)

// A Step leads from an object to a member, or from an array to an element. It is the canonical JSON of the member's
// name or of the element's number: `"pin"`, `0`. So it says which of the two it is, which a JSON Pointer does not.
type Step string

// MemberStep is the step to the member of that name.
func MemberStep(name string) Step { return Step(appendString(nil, name)) }

// ElementStep is the step to an element, counted from 0.
func ElementStep(index int) Step { return Step(strconv.Itoa(index)) }

// MarshalJSON returns the step itself.
func (s Step) MarshalJSON() ([]byte, error) { return jcs.Canonicalize([]byte(s)) }

// parseStep reads a step from canonical JSON, and from no other: what follows a step in a hash is not part of it.
func parseStep(v strictjson.Value) (Step, bool) {
	if name, ok := v.Text(); ok {
		return Step(v), MemberStep(name) == Step(v)
	}
	n, whole := v.Uint()
	return Step(v), whole && n < MaxTreeValues
}

// container is the kind of what the step leads from.
func (s Step) container() byte {
	if s != "" && s[0] == '"' {
		return '{'
	}
	return '['
}

// index is the number of an element.
func (s Step) index() (uint64, bool) { return strictjson.Value(s).Uint() }

func (p Part) step() Step { return MemberStep(string(p)) }

var pointerEscapes = strings.NewReplacer("~", "~0", "/", "~1")

// pointerTo returns the JSON Pointer (RFC 6901) that takes these steps.
func pointerTo(path []Step) string {
	var b strings.Builder
	for _, s := range path {
		b.WriteByte('/')
		if name, ok := strictjson.Value(s).Text(); ok {
			b.WriteString(pointerEscapes.Replace(name))
		} else {
			b.WriteString(string(s))
		}
	}
	return b.String()
}

// resolve returns the steps of a JSON Pointer in the parameters. The error is a [*RejectedError] of what is not
// there, also "-", the element after the last.
func resolve(p *Params, pointer string) ([]Step, error) {
	tokens := strings.Split(pointer, "/")
	if len(tokens) < 2 || tokens[0] != "" {
		return nil, reject(CodeCommitmentMismatch, "pointer %.80q does not begin with /%s or /%s", pointer, PartArguments, PartInputResponses)
	}
	var at strictjson.Value
	var path []Step
	for i, token := range tokens[1:] {
		name, err := unescapeToken(token)
		if err != nil {
			return nil, err
		}
		var step Step
		if i == 0 {
			step = Part(name).step()
			at, err = p.part(Part(name))
		} else {
			step, at = follow(at, name)
		}
		if err != nil {
			return nil, err
		}
		if at == "" {
			return nil, reject(CodeCommitmentMismatch, "the parameters have nothing at %.80q: no %.80q in %.80q", pointer, token, pointerTo(path))
		}
		path = append(path, step)
	}
	return path, nil
}

// part returns a part in canonical form.
func (p *Params) part(part Part) (strictjson.Value, error) {
	text := p.Arguments
	switch part {
	case PartArguments:
	case PartInputResponses:
		text = p.InputResponses
	default:
		return "", reject(CodeCommitmentMismatch, "there is no part %.40q of the parameters: begin with /%s or /%s", string(part), PartArguments, PartInputResponses)
	}
	object, err := canonicalObject(text)
	return strictjson.Value(object), err
}

// follow returns the member or element of v that a token of a pointer names, and the zero Value if there is none.
func follow(v strictjson.Value, token string) (Step, strictjson.Value) {
	for m := v.Members(); m.Next(); {
		if m.Name == token {
			return MemberStep(token), m.Value
		}
	}
	index, ok := strictjson.Value(token).Uint()
	for e := v.Elements(); ok && e.Next(); index-- {
		if index == 0 {
			return Step(token), e.Value
		}
	}
	return "", ""
}

func unescapeToken(token string) (string, error) {
	for rest := token; ; {
		_, after, found := strings.Cut(rest, "~")
		if !found {
			return strings.NewReplacer("~1", "/", "~0", "~").Replace(token), nil
		}
		if after == "" || after[0] != '0' && after[0] != '1' {
			return "", reject(CodeCommitmentMismatch, `pointer with %.80q: after "~" comes "0" or "1"`, token)
		}
		rest = after
	}
}

// form reports what keeps d from being a disclosure, whatever it is of.
func (d *Disclosure) form() error {
	switch {
	case len(d.Path) == 0 || d.Path[0] != PartArguments.step() && d.Path[0] != PartInputResponses.step():
		return reject(CodeMalformed, "disclosure: its path does not begin with %q or %q", PartArguments, PartInputResponses)
	case len(d.Path) > 1 && d.Path[1].container() != '{':
		return reject(CodeMalformed, "disclosure: an element of %s, which are an object", d.Path[0])
	case d.Levels < len(d.Path) || d.Levels > MaxTreeLevels:
		return reject(CodeMalformed, "disclosure: %d steps, and levels is %d: want at most %d, and as many as there are steps", len(d.Path), d.Levels, MaxTreeLevels)
	case len(d.Siblings) != len(d.Path) || len(d.Siblings[0]) != 1:
		return reject(CodeMalformed, "disclosure: %d steps, %d lists of siblings: want one for each, and one sibling for the first", len(d.Path), len(d.Siblings))
	}
	for i, list := range d.Siblings {
		if len(list) == 0 || len(list) > maxTreeDepth {
			return reject(CodeMalformed, "disclosure: %d siblings for one step: want 1 to %d", len(list), maxTreeDepth)
		}
		if _, ok := parseStep(strictjson.Value(d.Path[i])); !ok {
			return reject(CodeMalformed, "disclosure: step %.80q is neither a name nor a number", d.Path[i])
		}
		if n, element := d.Path[i].index(); element && bits.Len64(n) > len(list) {
			return reject(CodeMalformed, "disclosure: element %d of an array with %d siblings", n, len(list))
		}
	}
	return nil
}

// ParseDisclosure reads the JSON form of a disclosure: all of its members, and no others.
func ParseDisclosure(data []byte) (*Disclosure, error) {
	text, err := jcs.Canonicalize(data)
	if err != nil {
		return nil, reject(CodeMalformed, "disclosure: %v", err)
	}
	return readDisclosure(strictjson.Value(text))
}

// readDisclosure reads a disclosure from canonical JSON.
func readDisclosure(v strictjson.Value) (*Disclosure, error) {
	d := new(Disclosure)
	n := 0
	for m := v.Members(); m.Next(); n++ {
		if !d.read(m.Name, m.Value) {
			return nil, reject(CodeMalformed, "disclosure: member %.40q is not of its form, or does not belong", m.Name)
		}
	}
	if n != disclosureMembers {
		return nil, reject(CodeMalformed, "disclosure: want an object with key, levels, path, siblings and value")
	}
	return d, d.form()
}

const disclosureMembers = 5

func (d *Disclosure) read(name string, v strictjson.Value) (ok bool) {
	switch name {
	case "key":
		text, _ := v.Text()
		return d.Key.UnmarshalText([]byte(text)) == nil
	case "levels":
		n, ok := v.Uint()
		d.Levels = int(min(n, MaxTreeLevels+1)) //nolint:gosec // small
		return ok
	case "path":
		for e := v.Elements(); e.Next(); {
			step, ok := parseStep(e.Value)
			if !ok {
				return false
			}
			d.Path = append(d.Path, step)
		}
		return v.Kind() == '['
	case "siblings":
		for e := v.Elements(); e.Next(); {
			list, ok := readHashes(e.Value)
			if !ok {
				return false
			}
			d.Siblings = append(d.Siblings, list)
		}
		return v.Kind() == '['
	case "value":
		d.Value = json.RawMessage(v)
		return true
	}
	return false
}

func readHashes(v strictjson.Value) (list []Hash, ok bool) {
	for e := v.Elements(); e.Next(); {
		text, _ := e.Value.Text()
		h, err := ParseHash(text)
		if err != nil {
			return nil, false
		}
		list = append(list, h)
	}
	return list, v.Kind() == '['
}
