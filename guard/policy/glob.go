package policy

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxGlobBytes is the length of the longest pattern.
const MaxGlobBytes = 256

// reservedInGlob may get a meaning in a later version, and has none now.
const reservedInGlob = `[]{}\`

// A glob matches names: '*' stands for any number of characters, none too, '?' for exactly one, and everything
// else for itself, in the same case. There are no separators: '*' matches '/' and '.' like any other.
//
// The shapes that policies are mostly made of need no search: the pattern is then one literal, or one '*'
// with a literal before or after it.
type glob struct {
	text           string
	prefix, suffix string // what stands before the first '*' and after the last
	shape          shape
}

type shape uint8

const (
	shapeGeneral shape = iota
	shapeLiteral
	shapeOneStar // prefix, '*', suffix; no '?'
)

func parseGlob(text string) (glob, error) {
	if err := checkGlob(text); err != nil {
		return glob{}, err
	}
	g := glob{text: text}
	stars := strings.Count(text, "*")
	switch {
	case strings.Contains(text, "?") || stars > 1:
	case stars == 0:
		g.shape = shapeLiteral
	default:
		g.shape = shapeOneStar
		g.prefix, g.suffix, _ = strings.Cut(text, "*")
	}
	return g, nil
}

func checkGlob(text string) error {
	switch {
	case text == "":
		return errors.New("a pattern is empty; \"*\" matches everything")
	case len(text) > MaxGlobBytes:
		return fmt.Errorf("a pattern is longer than %d bytes", MaxGlobBytes)
	case !utf8.ValidString(text):
		return errors.New("a pattern is not UTF-8")
	case strings.Contains(text, "**"):
		return fmt.Errorf("pattern %q has two stars in a row; one means the same", text)
	}
	if i := strings.IndexAny(text, reservedInGlob); i >= 0 {
		return fmt.Errorf("pattern %q has %q, which is reserved; only '*' and '?' stand for something else", text, text[i])
	}
	for _, c := range text {
		if !unicode.IsPrint(c) { // it would look like a pattern that matches something else
			return fmt.Errorf("pattern %q has a control character or one that does not show, %U", text, c)
		}
	}
	return nil
}

// match reports whether the whole of name fits. A name that is not UTF-8 fits nothing.
func (g *glob) match(name string) bool {
	switch g.shape {
	case shapeLiteral:
		return name == g.text
	case shapeOneStar:
		return len(name) >= len(g.prefix)+len(g.suffix) && strings.HasPrefix(name, g.prefix) &&
			strings.HasSuffix(name, g.suffix) && utf8.ValidString(name)
	}
	return utf8.ValidString(name) && matchGeneral(g.text, name)
}

// matchGeneral goes back to the last star only, since an earlier one could not match what that one cannot:
// at most len(pattern)*len(name) steps.
func matchGeneral(pattern, name string) bool {
	p, n := 0, 0
	star, resume := -1, 0
	for n < len(name) {
		c, width := utf8.DecodeRuneInString(name[n:])
		pc, pwidth := utf8.DecodeRuneInString(pattern[p:])
		switch {
		case p < len(pattern) && pc == '*':
			star, resume = p, n
			p++
		case p < len(pattern) && (pc == '?' || pc == c):
			p += pwidth
			n += width
		case star >= 0:
			_, skip := utf8.DecodeRuneInString(name[resume:])
			resume += skip
			p, n = star+1, resume
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}
