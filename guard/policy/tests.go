package policy

import "regexp"

// truth is what is known of a condition. Of several that must all hold the least counts, of alternatives the
// greatest.
type truth uint8

const (
	no truth = iota
	unknown
	yes
)

func truthOf(b bool) truth {
	if b {
		return yes
	}
	return no
}

// A test compares one value of a JSON document: an argument, or a claim.
type test struct {
	tokens   []token
	operator operator
	texts    []string  // eq, in, prefix: strings
	numbers  []float64 // eq, in, lt, gt: numbers
	flag     bool      // eq: a boolean; exists
	kind     byte      // of the values that are compared with: '"', '0', 't'
	pattern  glob
	regexp   *regexp.Regexp
	types    string // of type: the name
}

// A token is one step of a JSON Pointer. Element is -1 where it is no place in an array.
type token struct {
	name    string
	element int
}

type operator uint8

const (
	opExists operator = iota
	opType
	opEqual // with one value or several
	opLess
	opGreater
	opPrefix
	opGlob
	opMatches
)

// MaxMatchedBytes is the length of the longest argument that "matches" and "glob" look at. What is longer cannot be
// compared.
const MaxMatchedBytes = 4096

// holds compares. What is not there, is of another type than the test compares with, or may be read in two ways,
// cannot be compared: unknown.
func (t *test) holds(d *document) truth {
	if len(d.text) == 0 { // there are no arguments at all
		if t.operator == opExists {
			return truthOf(!t.flag)
		}
		return unknown
	}
	if !d.valid() {
		return unknown
	}
	value, ambiguous := d.find(t.tokens)
	switch {
	case ambiguous:
		return unknown
	case t.operator == opExists:
		return truthOf((value != nil) == t.flag)
	case value == nil:
		return unknown
	case t.operator == opType:
		return isType(value, t.types)
	case kindOf(value) != t.kind:
		return unknown
	}
	return t.compare(value)
}

func (t *test) compare(value []byte) truth {
	switch t.kind {
	case 't':
		return truthOf((value[0] == 't') == t.flag)
	case '0':
		n, ok := number(value)
		if !ok {
			return unknown
		}
		return truthOf(t.compareNumber(n))
	}
	text := unquoted(value)
	switch t.operator {
	case opPrefix:
		return truthOf(len(text) >= len(t.texts[0]) && string(text[:len(t.texts[0])]) == t.texts[0])
	case opGlob, opMatches:
		if len(text) > MaxMatchedBytes {
			return unknown
		}
		if t.operator == opGlob {
			return truthOf(t.pattern.match(string(text)))
		}
		return truthOf(t.regexp.Match(text))
	}
	for _, want := range t.texts {
		if string(text) == want {
			return yes
		}
	}
	return no
}

func (t *test) compareNumber(n float64) bool {
	switch t.operator {
	case opLess:
		return n < t.numbers[0]
	case opGreater:
		return n > t.numbers[0]
	}
	for _, want := range t.numbers {
		if n == want {
			return true
		}
	}
	return false
}

// kindOf is '{', '[', '"', 't' for both booleans, 'n', and '0' for every number.
func kindOf(value []byte) byte {
	switch c := value[0]; c {
	case '{', '[', '"', 't', 'n':
		return c
	case 'f':
		return 't'
	}
	return '0'
}

// typeNames are the types of JSON values, and "integer" for a number that has no fraction.
var typeNames = [...]string{"array", "boolean", "integer", "null", "number", "object", "string"}

func isType(value []byte, name string) truth {
	switch kindOf(value) {
	case '[':
		return truthOf(name == "array")
	case '{':
		return truthOf(name == "object")
	case '"':
		return truthOf(name == "string")
	case 't':
		return truthOf(name == "boolean")
	case 'n':
		return truthOf(name == "null")
	}
	if name != "integer" {
		return truthOf(name == "number")
	}
	n, ok := number(value)
	switch {
	case !ok:
		return unknown
	case n <= -1e15 || n >= 1e15:
		return yes // it has at most 15 digits, all before the point
	}
	return truthOf(n == float64(int64(n)))
}
