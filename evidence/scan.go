package evidence

import (
	"strings"
	"unicode/utf8"

	"github.com/touchmark-dev/touchmark/internal/strictjson"
)

// A scanner walks over JSON in its RFC 8785 form, from left to right: what is in another form, it does not find. It
// knows the values that a record may have, and no others (spec/evidence.md section 2).
type scanner struct {
	text string
	pos  int
}

// skip passes over one character, and reports whether it was there.
func (s *scanner) skip(c byte) bool {
	if s.pos < len(s.text) && s.text[s.pos] == c {
		s.pos++
		return true
	}
	return false
}

// special says of each byte whether a string that has it needs a second look.
var special = specialBytes()

func specialBytes() (set [256]bool) {
	for c := range set {
		set[c] = c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf
	}
	return set
}

// str reads a string. It shares the memory of the text, unless something in it is escaped.
func (s *scanner) str() (string, bool) {
	if !s.skip('"') {
		return "", false
	}
	start, ascii := s.pos, true
	for i := start; i < len(s.text); i++ {
		c := s.text[i]
		switch {
		case !special[c]:
		case c == '"':
			s.pos = i + 1
			return s.text[start:i], ascii || utf8.ValidString(s.text[start:i])
		case c == '\\':
			return s.escaped(start)
		case c < ' ':
			return "", false
		default:
			ascii = false
		}
	}
	return "", false
}

// escaped reads a string that begins at start and has escapes in it, and compares it with the one form of its text.
func (s *scanner) escaped(start int) (string, bool) {
	end := start
	for ; end < len(s.text) && s.text[end] != '"'; end++ {
		if s.text[end] == '\\' {
			end++
		}
	}
	if end >= len(s.text) {
		return "", false
	}
	s.pos = end + 1
	quoted := s.text[start-1 : s.pos]
	text, _ := strictjson.Value(quoted).Text()
	return text, utf8.ValidString(text) && string(appendString(make([]byte, 0, len(quoted)), text)) == quoted
}

// maxDigits is how many digits maxNumber has.
const maxDigits = 15

// number reads a whole number without sign, of at most 15 digits.
func (s *scanner) number() (n uint64, ok bool) {
	start := s.pos
	for s.pos < len(s.text) && isDigit(s.text[s.pos]) && s.pos-start < maxDigits {
		n = n*10 + uint64(s.text[s.pos]-'0')
		s.pos++
	}
	digits := s.text[start:s.pos]
	return n, digits != "" && (digits == "0" || digits[0] != '0') && s.ended()
}

// ended reports whether a value that has no last character of its own ends here.
func (s *scanner) ended() bool {
	return s.pos < len(s.text) && (s.text[s.pos] == ',' || s.text[s.pos] == '}')
}

// A value is the value of a member.
type value struct {
	kind   valueKind
	text   string // of a string
	number uint64
}

type valueKind uint8

const (
	otherValue valueKind = iota // none that a record may have
	textValue
	numberValue
	trueValue
)

// value reads a value. It is false for a string in another form than that of RFC 8785.
func (s *scanner) value() (v value, ok bool) {
	if s.pos < len(s.text) && s.text[s.pos] == '"' {
		v.text, ok = s.str()
		v.kind = textValue
		return v, ok
	}
	if strings.HasPrefix(s.text[s.pos:], "true") {
		s.pos += len("true")
		if s.ended() {
			v.kind = trueValue
		}
	} else if v.number, ok = s.number(); ok {
		v.kind = numberValue
	}
	return v, true
}
