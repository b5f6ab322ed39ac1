package policy

import (
	"bytes"
	"encoding/json"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/touchmark-dev/touchmark/internal/strictjson"
)

// A document is JSON that somebody else wrote, walked without allocating. It is checked when it is first needed.
type document struct {
	text  json.RawMessage
	state byte // 0: not looked at
}

const (
	documentValid   = 1
	documentInvalid = 2
)

func (d *document) valid() bool {
	if d.state == 0 {
		d.state = documentInvalid
		if strictjson.Validate(d.text) == nil {
			d.text, d.state = bytes.TrimSpace(d.text), documentValid
		}
	}
	return d.state == documentValid
}

// find follows a pointer. The value is nil where there is none. It is ambiguous where readers could differ about
// it: some take the names of members that differ in case alone for one.
func (d *document) find(tokens []token) (value []byte, ambiguous bool) {
	value = d.text
	for i := range tokens {
		switch {
		case value[0] == '{':
			value, ambiguous = member(value, tokens[i].name)
		case value[0] == '[' && tokens[i].element >= 0:
			value = element(value, tokens[i].element)
		default:
			return nil, false
		}
		if value == nil || ambiguous {
			return nil, ambiguous
		}
	}
	return value, false
}

// member returns the value of the member name. Of object it knows that it is valid.
func member(object []byte, name string) (value []byte, ambiguous bool) {
	for at := next(object, 1); object[at] != '}'; at = next(object, at) {
		end := skip(object, at)
		key, start := object[at:end], next(object, end)
		at = skip(object, start)
		switch plain := unquoted(key); {
		case string(plain) == name:
			value = object[start:at]
		case folded(plain, name):
			ambiguous = true
		}
	}
	return value, ambiguous
}

func folded(a []byte, b string) bool {
	for i := range a { // most names differ in length, or in the first letter
		if a[i] >= 0x80 || i < len(b) && b[i] >= 0x80 {
			return bytes.EqualFold(a, []byte(b))
		}
		if i >= len(b) || a[i]|0x20 != b[i]|0x20 {
			return false
		}
	}
	return len(a) == len(b) && bytes.EqualFold(a, []byte(b))
}

// element returns the element at place i, nil if there are fewer.
func element(array []byte, i int) []byte {
	for at := next(array, 1); array[at] != ']'; at = next(array, at) {
		start := at
		at = skip(array, at)
		if i == 0 {
			return array[start:at]
		}
		i--
	}
	return nil
}

// next returns the place of what follows space, commas and colons.
func next(text []byte, at int) int {
	for {
		switch text[at] {
		case ' ', '\t', '\r', '\n', ',', ':':
			at++
		default:
			return at
		}
	}
}

// skip returns the place behind the value at a place.
func skip(text []byte, at int) int {
	depth := 0
	for ; at < len(text); at++ {
		switch text[at] {
		case '"':
			for at++; text[at] != '"'; at++ {
				if text[at] == '\\' {
					at++
				}
			}
		case '{', '[':
			depth++
			continue
		case '}', ']':
			depth--
		default:
			for depth == 0 && at+1 < len(text) && !delimits(text[at+1]) {
				at++
			}
		}
		if depth == 0 {
			return at + 1
		}
	}
	return at
}

// delimits reports whether a number or a word ends before c.
func delimits(c byte) bool {
	switch c {
	case ' ', '\t', '\r', '\n', ',', ']', '}':
		return true
	}
	return false
}

// unquoted returns what a JSON string says. It allocates only for strings with escapes.
func unquoted(quoted []byte) []byte {
	inner := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return inner
	}
	out, err := jsontext.AppendUnquote(nil, quoted)
	if err != nil {
		return nil
	}
	return out
}

// maxDigits is how many decimal digits every float64 keeps apart.
const maxDigits = 15

// number returns the number that a JSON text is, and false where float64 may not be that number: then two readers
// may differ about it.
func number(text []byte) (float64, bool) {
	digits := 0
	significant := false
	for _, c := range text {
		if c == 'e' || c == 'E' {
			break
		}
		if significant = significant || '1' <= c && c <= '9'; significant && c != '.' {
			digits++
		}
	}
	if digits > maxDigits || len(text) > 2*maxDigits {
		return 0, false
	}
	f, err := strconv.ParseFloat(string(text), 64)
	if size := max(f, -f); err != nil || significant && (size < 1e-300 || size > 1e300) {
		return 0, false
	}
	return f, true
}
