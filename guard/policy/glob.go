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
	return g.matchValid(name) && (g.shape == shapeLiteral || utf8.ValidString(name))
}

// matchValid is match for a name that is UTF-8. Of another it may be wrong.
func (g *glob) matchValid(name string) bool {
	switch g.shape {
	case shapeLiteral:
		return name == g.text
	case shapeOneStar:
		return len(name) >= len(g.prefix)+len(g.suffix) && strings.HasPrefix(name, g.prefix) &&
			strings.HasSuffix(name, g.suffix)
	}
	return matchGeneral(g.text, name)
}

// anyOf reports whether one of the patterns fits.
func anyOf(globs []glob, name string) bool {
	for i := range globs {
		g := &globs[i]
		if g.shape == shapeLiteral {
			if name == g.text {
				return true
			}
		} else if g.match(name) {
			return true
		}
	}
	return false
}

// ends returns the literals with which every name that fits begins and ends. For a literal both are all of it.
func (g *glob) ends() (prefix, suffix string) {
	first, last := strings.IndexAny(g.text, "*?"), strings.LastIndexAny(g.text, "*?")
	if first < 0 {
		return g.text, g.text
	}
	return g.text[:first], g.text[last+1:]
}

// covers reports whether every name that fits other fits g too. It may miss that, and never errs the other way.
func (g *glob) covers(other *glob) bool {
	switch {
	case g.text == other.text || g.text == "*":
		return true
	case other.shape == shapeLiteral:
		return g.match(other.text)
	case g.shape != shapeOneStar:
		return false
	}
	prefix, suffix := other.ends()
	return strings.HasPrefix(prefix, g.prefix) && strings.HasSuffix(suffix, g.suffix)
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
