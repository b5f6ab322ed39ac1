package jcs

import (
	"bytes"
	"slices"
)

// plain makes the canonical form of text as most parameters are: printable ASCII without escapes, and integers of at
// most shortDigits characters. All other text, and all that is wrong, is left to the canonicalizer.
type plain struct {
	src, out []byte
	pos      int
	depth    int
}

// A plainMember is a member of an object in out: name, without quotes, and value.
type plainMember struct{ name, nameEnd, end int }

// canonicalizePlain returns the canonical form of src; ok is false when it is not plain.
func canonicalizePlain(src []byte) (out []byte, ok bool) {
	p := plain{src: src, out: make([]byte, 0, len(src))}
	ok = p.value() && p.next() == 0 && p.pos == len(src)
	return p.out, ok
}

// next passes over white space and returns the character after it, 0 at the end.
func (p *plain) next() byte {
	for ; p.pos < len(p.src); p.pos++ {
		switch c := p.src[p.pos]; c {
		case ' ', '\t', '\n', '\r':
		default:
			return c
		}
	}
	return 0
}

// take appends one character if it is the next.
func (p *plain) take(c byte) bool {
	if p.next() != c {
		return false
	}
	p.pos++
	p.out = append(p.out, c)
	return true
}

func (p *plain) value() bool {
	switch c := p.next(); c {
	case '{':
		return p.container('}', p.members)
	case '[':
		return p.container(']', p.elements)
	case '"':
		return p.text()
	case 't':
		return p.word("true")
	case 'f':
		return p.word("false")
	case 'n':
		return p.word("null")
	}
	return p.integer()
}

// container passes over an object or array: the bracket, what is in it, and the end.
func (p *plain) container(end byte, content func() bool) bool {
	p.depth++
	p.out = append(p.out, p.src[p.pos])
	p.pos++
	ok := p.depth <= MaxDepth && (p.next() == end || content()) && p.take(end)
	p.depth--
	return ok
}

func (p *plain) elements() bool {
	for p.value() {
		if !p.take(',') {
			return true
		}
	}
	return false
}

func (p *plain) members() bool {
	start := len(p.out)
	var room [16]plainMember
	list, sorted := room[:0], true
	for {
		m := plainMember{name: len(p.out) + 1}
		if p.next() != '"' || !p.text() {
			return false
		}
		m.nameEnd = len(p.out) - 1
		if !p.take(':') || !p.value() {
			return false
		}
		m.end = len(p.out)
		if n := len(list); n > 0 && p.compare(list[n-1], m) >= 0 {
			sorted = false
		}
		list = append(list, m)
		if !p.take(',') {
			return sorted || p.sort(start, list)
		}
	}
}

// compare compares names. Those of ASCII are in the same order as bytes and in UTF-16.
func (p *plain) compare(a, b plainMember) int {
	return bytes.Compare(p.out[a.name:a.nameEnd], p.out[b.name:b.nameEnd])
}

// sort puts the members that begin at start in order, unless two of them have the same name.
func (p *plain) sort(start int, list []plainMember) bool {
	slices.SortFunc(list, p.compare)
	sorted := make([]byte, 0, len(p.out)-start)
	for i, m := range list {
		if i > 0 {
			if p.compare(list[i-1], m) == 0 {
				return false
			}
			sorted = append(sorted, ',')
		}
		sorted = append(sorted, p.out[m.name-1:m.end]...)
	}
	copy(p.out[start:], sorted)
	return true
}

// text passes over a string.
func (p *plain) text() bool {
	for i := p.pos + 1; i < len(p.src); i++ {
		switch c := p.src[i]; {
		case c == '"':
			p.out = append(p.out, p.src[p.pos:i+1]...)
			p.pos = i + 1
			return true
		case c == '\\' || c < ' ' || c > '~':
			return false
		}
	}
	return false
}

// integer passes over digits. What they could be part of is no value that ends there, and is found out by who looks for
// what comes next.
func (p *plain) integer() bool {
	end := endOfNumber(p.src, p.pos)
	digits := bytes.TrimPrefix(p.src[p.pos:end], []byte("-"))
	if len(digits) == 0 || end-p.pos > shortDigits || digits[0] == '0' && end-p.pos > 1 {
		return false
	}
	for _, c := range digits {
		if c < '0' || c > '9' {
			return false
		}
	}
	p.out = append(p.out, p.src[p.pos:end]...)
	p.pos = end
	return true
}

func (p *plain) word(word string) bool {
	if !bytes.HasPrefix(p.src[p.pos:], []byte(word)) {
		return false
	}
	p.pos += len(word)
	p.out = append(p.out, word...)
	return true
}
