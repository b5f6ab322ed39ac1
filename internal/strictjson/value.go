package strictjson

import (
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// A Value is the text of one JSON value without space around it. Values come from [Parse] and from walking
// another Value: the methods rely on the text being valid and give meaningless answers (never a panic) for
// text that was converted by hand. The zero Value is the absence of a value.
type Value string

// Parse checks text with [Validate] and returns it. Strings taken out of the Value share its memory.
func Parse(text []byte) (Value, error) {
	if err := Validate(text); err != nil {
		return "", err
	}
	return Trusted(string(text)), nil
}

// Trusted returns text as a Value without checking it. It is for text that [Validate] accepted already, and
// that the caller has as a string as well.
func Trusted(text string) Value { return Value(strings.Trim(text, " \t\r\n")) }

// Kind is '{', '[', '"', 't', 'f', 'n', '0' for any number, and 0 for the zero Value.
func (v Value) Kind() byte {
	if v == "" {
		return 0
	}
	switch c := v[0]; c {
	case '-', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		return '0'
	default:
		return c
	}
}

// Text returns the string that v is, and false when v is not a string.
func (v Value) Text() (string, bool) {
	if v.Kind() != '"' || len(v) < 2 {
		return "", false
	}
	return unquote(string(v)), true
}

func unquote(quoted string) string {
	inner := quoted[1 : len(quoted)-1]
	if strings.IndexByte(inner, '\\') < 0 {
		return inner
	}
	out, err := jsontext.AppendUnquote(nil, quoted)
	if err != nil {
		return ""
	}
	return string(out)
}

// maxDigits keeps [Value.Uint] below 2^53, where every integer still has its own float64.
const maxDigits = 15

// Uint returns the number that v is when it is written as a plain integer without sign, fraction, exponent
// or leading zero, of at most 15 digits, and false otherwise.
func (v Value) Uint() (uint64, bool) {
	if v == "" || len(v) > maxDigits || (v[0] == '0' && len(v) > 1) {
		return 0, false
	}
	var n uint64
	for i := 0; i < len(v); i++ {
		if v[i] < '0' || v[i] > '9' {
			return 0, false
		}
		n = n*10 + uint64(v[i]-'0')
	}
	return n, true
}

// Members starts a walk over the members of an object. Of any other kind of value it finds none.
func (v Value) Members() Members {
	if v.Kind() != '{' {
		return Members{}
	}
	return Members{text: string(v), pos: 1}
}

// Members walks the members of an object in the order of the text:
//
//	for m := v.Members(); m.Next(); {
//		use(m.Name, m.Value)
//	}
type Members struct {
	Name  string // unescaped
	Value Value

	text string
	pos  int
}

// Next moves to the next member and reports whether there is one.
func (m *Members) Next() bool {
	start := skipSeparators(m.text, m.pos)
	if start >= len(m.text) || m.text[start] != '"' {
		return false
	}
	end := skipValue(m.text, start)
	if end-start < 2 {
		return false
	}
	m.Name = unquote(m.text[start:end])
	start = skipSeparators(m.text, end)
	m.pos = skipValue(m.text, start)
	m.Value = Value(m.text[start:m.pos])
	return true
}

// Elements starts a walk over the elements of an array. Of any other kind of value it finds none.
func (v Value) Elements() Elements {
	if v.Kind() != '[' {
		return Elements{}
	}
	return Elements{text: string(v), pos: 1}
}

// Elements walks the elements of an array, as [Members] does those of an object.
type Elements struct {
	Value Value

	text string
	pos  int
}

// Next moves to the next element and reports whether there is one.
func (e *Elements) Next() bool {
	start := skipSeparators(e.text, e.pos)
	if start >= len(e.text) || e.text[start] == ']' {
		return false
	}
	e.pos = skipValue(e.text, start)
	e.Value = Value(e.text[start:e.pos])
	return e.pos > start
}

// skipSeparators passes over white space, commas and colons: in valid JSON they need no further look.
func skipSeparators(text string, i int) int {
	for i < len(text) {
		switch text[i] {
		case ' ', '\t', '\r', '\n', ',', ':':
			i++
		default:
			return i
		}
	}
	return i
}

// skipValue returns the index just after the value that starts at i.
func skipValue(text string, i int) int {
	depth := 0
	for ; i < len(text); i++ {
		switch text[i] {
		case '"':
			if i = skipString(text, i); i >= len(text) {
				return len(text)
			}
			if depth == 0 {
				return i + 1
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i // the end of what encloses a number or literal
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ' ', '\t', '\r', '\n', ',', ':':
			if depth == 0 {
				return i
			}
		}
	}
	return len(text)
}
