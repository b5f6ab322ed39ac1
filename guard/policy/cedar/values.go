package cedar

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/cedar-policy/cedar-go/types"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/touchmark-dev/touchmark/internal/strictjson"
)

// Limits of what policies can look into.
const (
	MaxDocumentBytes = 256 << 10 // arguments, or claims
	MaxStringBytes   = 4096
	MaxElements      = 1024 // of an array
)

// typeOpaque is the type of what Cedar has no value for, so that every comparison of it as a number or a text fails
// to evaluate, and it is there all the same.
const typeOpaque = "Touchmark::Opaque"

func opaque(kind string, text []byte) types.Value {
	return types.NewEntityUID(typeOpaque, types.String(kind+string(text)))
}

// errAmbiguous says that tools and policies could differ about a document.
var errAmbiguous = errors.New("a member has the name of one that policies look at, in another case")

// document makes a record of a JSON object that somebody else wrote. The forms by which Cedar reads entities from
// JSON mean nothing here: an object is a record.
func document(text json.RawMessage, asks *mentions) (types.Value, error) {
	switch {
	case len(text) > MaxDocumentBytes:
		return nil, fmt.Errorf("more than %d bytes, which policies cannot look into", MaxDocumentBytes)
	case strictjson.Validate(text) != nil:
		return nil, errors.New("not JSON by strict rules")
	}
	return value(jsontext.NewDecoder(bytes.NewReader(text)), asks)
}

// value reads one value of a text that is valid.
func value(d *jsontext.Decoder, asks *mentions) (types.Value, error) {
	switch d.PeekKind() {
	case jsontext.KindBeginObject:
		return record(d, asks)
	case jsontext.KindBeginArray:
		return set(d, asks)
	case jsontext.KindNumber:
		text, err := d.ReadValue()
		if err != nil {
			return nil, err
		}
		return number(text), nil
	}
	token, err := d.ReadToken()
	if err != nil {
		return nil, err
	}
	switch token.Kind() {
	case jsontext.KindTrue, jsontext.KindFalse:
		return types.Boolean(token.Bool()), nil
	case jsontext.KindString:
		if s := token.String(); len(s) <= MaxStringBytes {
			return types.String(s), nil
		} else {
			return opaque("string:", []byte(s)), nil
		}
	}
	return opaque("null", nil), nil
}

func record(d *jsontext.Decoder, asks *mentions) (types.Value, error) {
	if _, err := d.ReadToken(); err != nil {
		return nil, err
	}
	members := make(types.RecordMap)
	for d.PeekKind() != jsontext.KindEndObject {
		token, err := d.ReadToken()
		if err != nil {
			return nil, err
		}
		name := token.String()
		if asks.ambiguous(name) {
			return nil, errAmbiguous
		}
		if members[types.String(name)], err = value(d, asks); err != nil {
			return nil, err
		}
	}
	_, err := d.ReadToken()
	return types.NewRecord(members), err
}

// set reads an array as a set, as Cedar has no lists. A long one is opaque: who wrote it could make sets slow.
func set(d *jsontext.Decoder, asks *mentions) (types.Value, error) {
	if _, err := d.ReadToken(); err != nil {
		return nil, err
	}
	start, n := d.InputOffset(), 0
	var elements []types.Value
	for ; d.PeekKind() != jsontext.KindEndArray; n++ {
		v, err := value(d, asks)
		if err != nil {
			return nil, err
		}
		if n < MaxElements {
			elements = append(elements, v)
		}
	}
	_, err := d.ReadToken()
	if n > MaxElements {
		return opaque("array:", strconv.AppendInt(nil, start, 10)), err
	}
	return types.NewSet(elements...), err
}

const (
	maxDigits  = 15 // that every float64 keeps apart
	maxInteger = 1 << 53
	decimals   = 4 // that Cedar's decimal has
)

// number makes a Long of an integer, also of 1.0, and a decimal of what fits one. Where readers of JSON could differ
// about a number, it is opaque.
func number(text []byte) types.Value {
	digits := strings.TrimLeft(strings.NewReplacer("-", "", ".", "").Replace(mantissa(text)), "0")
	f, err := strconv.ParseFloat(string(text), 64)
	switch {
	case err != nil || len(digits) > maxDigits || len(text) > 2*maxDigits || f == 0 && digits != "":
		return opaque("number:", text)
	case f == math.Trunc(f) && math.Abs(f) < maxInteger:
		return types.Long(int64(f))
	}
	plain := strconv.FormatFloat(f, 'f', -1, 64)
	if _, fraction, ok := strings.Cut(plain, "."); ok && len(fraction) <= decimals {
		if d, err := types.ParseDecimal(plain); err == nil {
			return d
		}
	}
	return opaque("number:", text)
}

func mantissa(text []byte) string {
	if i := bytes.IndexAny(text, "eE"); i >= 0 {
		text = text[:i]
	}
	return string(text)
}
