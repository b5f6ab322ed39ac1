package cedar

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"unicode"
	"unicode/utf8"

	"github.com/cedar-policy/cedar-go"
)

func at(p *cedar.Policy, format string, args ...any) *Error {
	pos := p.Position()
	return &Error{Line: pos.Line, Column: pos.Column, Reason: fmt.Sprintf(format, args...)}
}

// parse hands the text to the parser, and gives its error our form.
func parse(data []byte) (list cedar.PolicyList, err error) {
	defer func() {
		if r := recover(); r != nil { // the parser's own failure; it is not ours to crash of
			list, err = nil, &Error{Reason: "the parser cannot read the file"}
		}
	}()
	switch list, err = cedar.NewPolicyListFromBytes("", data); {
	case err != nil:
		return nil, syntaxError(err)
	case len(list) == 0:
		return nil, &Error{Reason: "the file has no policies; to deny everything write a policy that does"}
	case len(list) > MaxPolicies:
		return nil, &Error{Reason: fmt.Sprintf("the file has more than %d policies", MaxPolicies)}
	}
	return list, nil
}

var place = regexp.MustCompile(`at <input>:(\d+):(\d+) (?s:(.*))`)

func syntaxError(err error) *Error {
	if m := place.FindStringSubmatch(err.Error()); m != nil {
		line, err1 := strconv.Atoi(m[1])
		column, err2 := strconv.Atoi(m[2])
		if errors.Join(err1, err2) == nil {
			return &Error{line, column, "not Cedar: at " + m[3]}
		}
	}
	return &Error{Reason: "not Cedar: " + err.Error()}
}

// A scanner looks over the text before the parser does: it bounds what a recursive parser would recurse into, and
// refuses characters by which a reader sees another text than the parser.
type scanner struct {
	line, column  int
	start, nested int
	quoted        bool
	comment       bool
	last          rune
}

func scan(data []byte) error {
	switch {
	case len(data) > MaxBytes:
		return &Error{Reason: fmt.Sprintf("the file is longer than %d bytes", MaxBytes)}
	case !utf8.Valid(data):
		return &Error{Reason: "the file is not UTF-8"}
	}
	s := scanner{line: 1}
	for i, c := range string(data) {
		if s.column++; s.column == 1 {
			s.comment = false
		}
		if reason := s.step(i, c); reason != "" {
			return &Error{s.line, s.column, reason}
		}
		if c == '\n' {
			s.line, s.column = s.line+1, 0
		}
	}
	return nil
}

// step returns what is wrong with the character c at offset i.
func (s *scanner) step(i int, c rune) string {
	last := s.last
	s.last = c
	switch {
	case last == '\r' && c != '\n':
		return "a carriage return without a line feed"
	case c == 0x85 || c == 0x2028 || c == 0x2029 || c == 0xfeff || unicode.Is(unicode.Bidi_Control, c):
		return fmt.Sprintf("the character %U, which changes how lines are read or shown", c)
	case s.comment:
	case s.quoted:
		switch {
		case last == '\\':
			s.last = 0 // whatever it was, it is spent
		case c == '"':
			s.quoted = false
		}
	case c == '/' && last == '/':
		s.comment = true
	default:
		return s.token(i, c)
	}
	return ""
}

func (s *scanner) token(i int, c rune) string {
	switch c {
	case '"':
		s.quoted = true
	case '(', '[', '{':
		if s.nested++; s.nested > maxNesting {
			return fmt.Sprintf("more than %d brackets in each other", maxNesting)
		}
	case ')', ']', '}':
		s.nested--
	case ';':
		s.start, s.nested = i, 0
	}
	if i-s.start > MaxStatementBytes {
		return fmt.Sprintf("a policy is longer than %d bytes", MaxStatementBytes)
	}
	return ""
}
