package did

import (
	"crypto/ed25519"
	"fmt"
	"strings"
)

// The methods that Parse accepts, as [DID.Method] names them.
const (
	MethodKey = "key"
	MethodWeb = "web"
)

// MaxLength is the longest DID that Parse accepts, in bytes. A DID is carried
// in badges, HTTP headers and evidence; a longer one serves nobody.
const MaxLength = 1024

const (
	prefixKey = "did:key:"
	prefixWeb = "did:web:"
)

// A DID is a parsed did:key or did:web identifier. DIDs are comparable with
// ==, and equal exactly when they name the same subject. The zero DID names
// nobody and equals no parsed DID.
type DID struct {
	text string // canonical, "" for the zero DID
}

// ParseError reports an identifier, DID URL or web URL that was examined and
// refused (spec/did.md section 2).
type ParseError struct {
	Input  string // what was given, shortened when it is long
	Reason string
}

func (e *ParseError) Error() string {
	return fmt.Sprintf("did: %q refused: %s", e.Input, e.Reason)
}

func refuse(input, format string, args ...any) *ParseError {
	const shown = 120
	if len(input) > shown {
		input = input[:shown] + "..."
	}
	return &ParseError{Input: input, Reason: fmt.Sprintf(format, args...)}
}

// Parse reads a DID. It accepts did:key with an Ed25519 key and did:web, each
// in its canonical spelling only: it refuses rather than repairs. Every error
// is a *[ParseError].
func Parse(s string) (DID, error) {
	switch {
	case len(s) > MaxLength:
		return DID{}, refuse(s, "%d bytes, the limit is %d", len(s), MaxLength)
	case strings.HasPrefix(s, prefixKey):
		if _, err := decodeKey(s); err != nil {
			return DID{}, refuse(s, "%s", err)
		}
	case strings.HasPrefix(s, prefixWeb):
		if _, err := splitWeb(s); err != nil {
			return DID{}, refuse(s, "%s", err)
		}
	case strings.HasPrefix(s, "did:"):
		return DID{}, refuse(s, "method not supported, use did:key or did:web")
	default:
		return DID{}, refuse(s, "not a DID, which begins with did:key: or did:web:")
	}
	return DID{s}, nil
}

// MustParse is Parse for constants. It panics when s is not a DID.
func MustParse(s string) DID {
	d, err := Parse(s)
	if err != nil {
		panic(err)
	}
	return d
}

// FromKey returns the did:key of pub. It returns the zero DID when pub is not
// a key that [Parse] would accept: of another length than
// ed25519.PublicKeySize, not canonically encoded, or of small order.
func FromKey(pub ed25519.PublicKey) DID {
	if checkEd25519(pub) != nil {
		return DID{}
	}
	return DID{prefixKey + encodeMultikey(codecEd25519, pub)}
}

// String returns the canonical text, "" for the zero DID.
func (d DID) String() string { return d.text }

// IsZero reports whether d is the zero DID.
func (d DID) IsZero() bool { return d.text == "" }

// Method returns [MethodKey], [MethodWeb], or "" for the zero DID.
func (d DID) Method() string {
	switch {
	case strings.HasPrefix(d.text, prefixKey):
		return MethodKey
	case strings.HasPrefix(d.text, prefixWeb):
		return MethodWeb
	}
	return ""
}

// PublicKey returns the key that a did:key consists of. It fails for any other
// method: a did:web names its keys in a document.
func (d DID) PublicKey() (ed25519.PublicKey, error) {
	if d.Method() != MethodKey {
		return nil, fmt.Errorf("did: %q is not a did:key, resolve its document instead", d.text)
	}
	return decodeKey(d.text)
}

// KeyURL returns the DID URL of the one verification method of a did:key,
// did:key:z...#z..., and "" for any other method.
func (d DID) KeyURL() string {
	if d.Method() != MethodKey {
		return ""
	}
	return d.text + "#" + d.text[len(prefixKey):]
}

// MarshalText returns the canonical text, empty for the zero DID.
func (d DID) MarshalText() ([]byte, error) { return []byte(d.text), nil }

// UnmarshalText sets d to what [Parse] makes of text. Empty text is refused,
// so that a missing DID is never read as one.
func (d *DID) UnmarshalText(text []byte) error {
	parsed, err := Parse(string(text))
	if err != nil {
		return err
	}
	*d = parsed
	return nil
}
