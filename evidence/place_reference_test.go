package evidence

import (
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/strictjson"
)

// referenceSetValue reads v into place and reports whether it is of place's form.
func referenceSetValue(place any, v strictjson.Value) (ok bool) {
	if text, isText := v.Text(); isText {
		return referenceSetText(place, text)
	}
	if v == "true" {
		p, ok := place.(*bool)
		if ok {
			*p = true
		}
		return ok
	}
	n, ok := v.Uint()
	return ok && referenceSetNumber(place, n)
}

func referenceSetText(place any, text string) bool {
	var err error
	switch p := place.(type) {
	case *string:
		*p = text
	case **string:
		*p = &text
	case groupPlace:
		return p.set(text)
	case *did.DID:
		*p, err = did.Parse(text)
	case *Hash:
		*p, err = referenceParseHash(text)
	case *StreamID:
		*p, err = referenceParseStreamID(text)
	case *time.Time:
		*p, err = time.Parse(timeLayout, text)
	case derived: // compared by referenceCheckDerived, when all is known
	default:
		return false
	}
	return err == nil
}

func referenceSetNumber(place any, n uint64) bool {
	switch p := place.(type) {
	case *uint64:
		*p = n
	case **uint64:
		*p = &n
	case *count:
		*p = count(n)
	case *time.Duration:
		*p = time.Duration(n)
	case *nanoseconds:
		*p = nanoseconds(n)
	case version:
		return n == Version
	default:
		return false
	}
	return true
}

// referenceParseHash reads the text of a hash; there is one text for each value.
func referenceParseHash(text string) (Hash, error) {
	var h Hash
	rest, ok := strings.CutPrefix(text, hashPrefix)
	if !ok || len(text) != hashTextBytes || strings.ContainsAny(rest, "\r\n") {
		return h, fmt.Errorf("evidence: %.80q is not %q and 43 characters of base64url", text, hashPrefix)
	}
	raw, err := b64.DecodeString(rest)
	if err != nil || len(raw) != len(h) {
		return h, fmt.Errorf("evidence: %.80q is not %q and 43 characters of base64url", text, hashPrefix)
	}
	return Hash(raw), nil
}

// referenceParseStreamID reads the text of a StreamID and refuses that of the zero one.
func referenceParseStreamID(text string) (StreamID, error) {
	var id StreamID
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != len(id) || hex.EncodeToString(raw) != text {
		return id, fmt.Errorf("evidence: stream %.80q is not 32 lower-case hexadecimal digits", text)
	}
	id = StreamID(raw)
	if id.IsZero() {
		return id, fmt.Errorf("evidence: stream %q is the zero stream", text)
	}
	return id, nil
}
