// Package jcs makes the canonical form of JSON that RFC 8785 defines, for everything of ours that is hashed
// or signed as JSON. Use [Canonicalize] for text, [Marshal] for Go values.
//
// It is stricter than the RFC where two different texts would otherwise have one canonical form, or where a
// reader of the canonical form would not see what the writer meant: integers that float64 holds only
// approximately are refused, so are numbers too large or too small for it, lone surrogates and duplicate
// members. Fractions are rounded to the nearest float64, as every reader of the RFC rounds them.
// Canonical text is its own canonical form.
package jcs

import (
	"bytes"
	"fmt"
	"math"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// MaxDepth is how many objects and arrays may be open at once.
const MaxDepth = 64

// tooBig is the magnitude from which on an integer may share its float64 with a neighbour: 2^53+1 is read as
// 2^53, so 2^53 is out as well.
const tooBig = 1 << 53

// Canonicalize returns the RFC 8785 form of src, in memory of its own. It does not bound the size of src.
func Canonicalize(src []byte) ([]byte, error) {
	if out, ok := canonicalizePlain(src); ok {
		return out, nil
	}
	return canonicalize(src)
}

// canonicalize does it for any text.
func canonicalize(src []byte) ([]byte, error) {
	if err := checkText(src); err != nil {
		return nil, err
	}
	out := append(jsontext.Value(nil), src...)
	if err := out.Canonicalize(); err != nil {
		return nil, fmt.Errorf("jcs: %w", err)
	}
	return out, nil
}

// Marshal encodes v as JSON (github.com/go-json-experiment/json: struct tags as in encoding/json, byte slices
// as base64, no HTML escaping) and returns the canonical form.
func Marshal(v any) ([]byte, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("jcs: %w", err)
	}
	return Canonicalize(text)
}

// checkText looks at depth and numbers, outside strings. On text that is not JSON it may let anything pass:
// the canonicalizer refuses such text afterwards.
func checkText(src []byte) error {
	depth := 0
	for i := 0; i < len(src); i++ {
		switch c := src[i]; {
		case c == '"':
			i = endOfString(src, i)
		case c == '{' || c == '[':
			if depth++; depth > MaxDepth {
				return fmt.Errorf("jcs: more than %d levels of nesting", MaxDepth)
			}
		case c == '}' || c == ']':
			depth--
		case c == '-' || (c >= '0' && c <= '9'):
			end := endOfNumber(src, i)
			if err := checkNumber(src[i:end]); err != nil {
				return err
			}
			i = end - 1
		}
	}
	return nil
}

func endOfString(src []byte, i int) int {
	for i++; i < len(src); i++ {
		switch src[i] {
		case '\\':
			i++
		case '"':
			return i
		}
	}
	return i
}

func endOfNumber(src []byte, i int) int {
	for i < len(src) {
		switch c := src[i]; {
		case c >= '0' && c <= '9', c == '-', c == '+', c == '.', c == 'e', c == 'E':
			i++
		default:
			return i
		}
	}
	return i
}

// shortDigits is a length at which no integer literal can reach tooBig.
const shortDigits = 15

// checkNumber refuses what float64 cannot hold, and integers that it holds only approximately: written as
// digits, or of a size that the canonical form writes as digits (below 1e21).
func checkNumber(num []byte) error {
	integer := true
	for _, c := range num {
		if c == '.' || c == 'e' || c == 'E' {
			integer = false
		}
	}
	if integer && len(num) <= shortDigits {
		return nil
	}
	f, err := strconv.ParseFloat(string(num), 64)
	if err != nil {
		return fmt.Errorf("jcs: number %q has no float64", num)
	}
	if f == 0 && !isZero(num) {
		return fmt.Errorf("jcs: number %.40q has no float64 but zero", num)
	}
	size := math.Abs(f)
	if size >= tooBig && (integer || size < 1e21) {
		return fmt.Errorf("jcs: integer %q is not below 2^53: write it as a string", num)
	}
	return nil
}

// isZero reports whether a number is written as zero: no other digit before the exponent.
func isZero(num []byte) bool {
	digits, _, _ := bytes.Cut(bytes.ToLower(num), []byte("e"))
	return !bytes.ContainsAny(digits, "123456789")
}
