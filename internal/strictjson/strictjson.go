// Package strictjson reads JSON that somebody else wrote, in the one way that leaves no choice to the reader:
// valid UTF-8, no member given twice in one object (also not by way of escapes), member names compared by
// their exact bytes, nothing after the value, and at most [MaxDepth] levels of nesting.
//
// Use [Unmarshal] for anything that fits a struct. [Parse] gives the text itself as a [Value] that can be
// walked without allocating; it is for the few places that are measured per call. Neither bounds the size of
// the text: the caller does, before it reads it.
//
// The grammar is checked by github.com/go-json-experiment/json; this package adds the depth, and the walk.
package strictjson

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// MaxDepth is how many objects and arrays may be open at once.
const MaxDepth = 32

// Unmarshal decodes data into v. Members that v does not know are ignored; a member whose name differs from
// a field's in case alone is one of those.
//
// A JSON null sets a Go value to its zero, whatever its type: a caller to whom absence and null are not the
// same as zero uses pointers or [Parse].
func Unmarshal(data []byte, v any) error {
	if err := checkDepth(data); err != nil {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("strictjson: %w", err)
	}
	return nil
}

// UnmarshalStrict is [Unmarshal], and refuses members that v does not know.
func UnmarshalStrict(data []byte, v any) error {
	if err := checkDepth(data); err != nil {
		return err
	}
	if err := json.Unmarshal(data, v, json.RejectUnknownMembers(true)); err != nil {
		return fmt.Errorf("strictjson: %w", err)
	}
	return nil
}

// Validate reports whether data is one JSON value by the rules of this package. It does not allocate when
// the answer is yes.
func Validate(data []byte) error {
	if err := checkDepth(data); err != nil {
		return err
	}
	if jsontext.Value(data).IsValid() {
		return nil
	}
	return reasonInvalid(data)
}

// checkDepth counts brackets outside strings. On text that is not JSON its count means nothing, but then the
// decoder refuses the text afterwards; what matters is that deep nesting never reaches a recursive decoder.
func checkDepth(data []byte) error {
	depth := 0
	for i := 0; i < len(data); i++ {
		switch data[i] {
		case '"':
			i = skipString(data, i)
		case '{', '[':
			if depth++; depth > MaxDepth {
				return fmt.Errorf("strictjson: more than %d levels of nesting", MaxDepth)
			}
		case '}', ']':
			depth--
		}
	}
	return nil
}

// skipString returns the index of the quote that closes the string opened at i, or the length of the text
// when there is none.
func skipString[T ~string | ~[]byte](text T, i int) int {
	for i++; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i
		}
	}
	return len(text)
}

// reasonInvalid finds out why data is not valid, at leisure: IsValid says only that it is not.
func reasonInvalid(data []byte) error {
	dec := jsontext.NewDecoder(bytes.NewReader(data))
	if err := dec.SkipValue(); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return fmt.Errorf("strictjson: %w", err)
	}
	return fmt.Errorf("strictjson: text after the value, at byte %d", dec.InputOffset())
}
