package policy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// parseYAML returns the one value of a file that is YAML without the parts that make YAML surprising: anchors,
// aliases, tags, other encodings and further documents.
func parseYAML(data []byte) (root *yaml.Node, err error) {
	switch {
	case len(data) > MaxBytes:
		return nil, &Error{Reason: fmt.Sprintf("the file is longer than %d bytes", MaxBytes)}
	case !utf8.Valid(data):
		return nil, &Error{Reason: "the file is not UTF-8"}
	case bytes.HasPrefix(data, []byte("\ufeff")):
		return nil, &Error{Line: 1, Column: 1, Reason: "the file begins with a byte order mark; remove it"}
	}
	marks, err := lines(data)
	if err != nil {
		return nil, err
	}
	defer func() {
		if r := recover(); r != nil { // the parser's own failure; it is not ours to crash of
			root, err = nil, &Error{Reason: "the YAML parser cannot read the file"}
		}
	}()
	var doc, further yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(data))
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		return nil, &Error{Reason: "the file is empty"}
	} else if err != nil {
		return nil, syntaxError(err)
	}
	if err := dec.Decode(&further); err == nil {
		return nil, at(&further, "a second document; want one")
	} else if !errors.Is(err, io.EOF) {
		return nil, syntaxError(err)
	}
	if doc.Kind != yaml.DocumentNode || len(doc.Content) != 1 {
		return nil, &Error{Reason: "the file is empty"}
	}
	return doc.Content[0], plain(doc.Content[0], marks)
}

// A place is a line and a column of a file, from 1.
type place struct{ line, column int }

// lines refuses what would let a reader of the file see other lines than the parser: line breaks of YAML 1.1
// and old terminals, with which a comment can end in the middle of what an editor shows as one, characters that
// change the order in which others are shown, and directives. It returns where there are exclamation marks.
func lines(data []byte) (marks map[place]bool, err error) {
	marks = make(map[place]bool)
	line, column := 1, 0
	for i, c := range string(data) {
		column++
		switch {
		case c == '\n':
			line, column = line+1, 0
		case c == '!':
			marks[place{line, column}] = true
		case c == '\r' && (i+1 == len(data) || data[i+1] != '\n'):
			return nil, &Error{line, column, "a carriage return without a line feed"}
		case c == '%' && column == 1:
			return nil, &Error{line, column, "a line begins with '%'; want no directives"}
		case c == 0x85 || c == 0x2028 || c == 0x2029 || unicode.Is(unicode.Bidi_Control, c):
			return nil, &Error{line, column, fmt.Sprintf("the character %U, which changes how lines are read or shown", c)}
		}
	}
	return marks, nil
}

// syntaxError gives the parser's error our form: it names the line in its text.
func syntaxError(err error) error {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	e := &Error{Reason: "not YAML: " + text}
	if rest, ok := strings.CutPrefix(text, "line "); ok {
		if number, reason, ok := strings.Cut(rest, ": "); ok {
			if n, err := strconv.Atoi(number); err == nil {
				e.Line, e.Reason = n, "not YAML: "+reason
			}
		}
	}
	return e
}

// plain refuses what nodes can be beside their values. The parser forgets the tag "!", so that it has to be
// looked for where the node begins.
func plain(n *yaml.Node, marks map[place]bool) error {
	switch {
	case n.Kind == yaml.AliasNode:
		return at(n, "an alias; write the value out")
	case n.Anchor != "":
		return at(n, "an anchor; nothing can refer to it")
	case n.Style&yaml.TaggedStyle != 0 || marks[place{n.Line, n.Column}]:
		return at(n, "a tag; values have the types that this format gives them")
	}
	for _, c := range n.Content {
		if err := plain(c, marks); err != nil {
			return err
		}
	}
	return nil
}

// mapping walks the members of n, each once and each known to field, which returns false for a name that it
// does not know.
func mapping(n *yaml.Node, what string, field func(name string, key, value *yaml.Node) (bool, error)) error {
	if n.Kind != yaml.MappingNode {
		return at(n, "%s is not a mapping", what)
	}
	seen := make(map[string]bool, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		name, err := text(key, "a name in "+what)
		if err != nil {
			return err
		}
		if seen[name] {
			return at(key, "%s has %q twice", what, name)
		}
		seen[name] = true
		known, err := field(name, key, value)
		if err != nil {
			return err
		}
		if !known {
			return at(key, "%s has %q, which this version does not know", what, name)
		}
	}
	return nil
}

func text(n *yaml.Node, what string) (string, error) {
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str" {
		return "", at(n, "%s is not a string; quote it if it is meant as one", what)
	}
	return n.Value, nil
}
