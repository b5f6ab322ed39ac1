package did

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/touchmark-dev/touchmark/internal/jwk"
)

// Limits on documents.
const (
	MaxDocumentBytes = 100 << 10 // 100 KiB
	MaxMethods       = 64        // also the most entries of one relationship
)

// A Document says which keys a DID has and what they may be used for. It holds
// what this module uses of a DID document: the verification methods it can
// read, and two of the relationships.
//
// Documents come from a [Resolver], [ParseDocument] or [NewDocument]. They are
// shared and must not be changed.
type Document struct {
	ID DID

	// Methods are the verification methods with a key that was read, in the
	// order of the document. That a key stands here says that it is the
	// DID's, not what it may sign: see MayAuthenticate and MayAssert.
	Methods []VerificationMethod

	// Authentication and AssertionMethod are the absolute DID URLs of the
	// methods in these relationships. Each names one of Methods.
	Authentication  []string
	AssertionMethod []string
}

// A VerificationMethod is one key of a document.
type VerificationMethod struct {
	ID         URL
	Type       string
	Controller DID              // always the document's DID
	Key        crypto.PublicKey // ed25519.PublicKey or *ecdsa.PublicKey on P-256
}

// A DocumentKey is a key to publish with [NewDocument].
type DocumentKey struct {
	Key      crypto.PublicKey // ed25519.PublicKey or *ecdsa.PublicKey on P-256
	Fragment string           // empty for the RFC 7638 thumbprint of Key
}

// DocumentError reports a document that was examined and refused (spec/did.md
// section 4).
type DocumentError struct {
	DID    DID // whose document it was to be
	Reason string
}

func (e *DocumentError) Error() string {
	return fmt.Sprintf("did: document of %q refused: %s", e.DID.text, e.Reason)
}

// Method returns the verification method with the given DID URL. It does not
// say what the method may be used for.
func (d *Document) Method(id URL) (VerificationMethod, bool) {
	for _, m := range d.Methods {
		if m.ID == id {
			return m, true
		}
	}
	return VerificationMethod{}, false
}

// MayAuthenticate reports whether the method id may prove that its holder is
// the DID.
func (d *Document) MayAuthenticate(id URL) bool {
	return slices.Contains(d.Authentication, id.String())
}

// MayAssert reports whether the method id may sign statements of the DID.
func (d *Document) MayAssert(id URL) bool {
	return slices.Contains(d.AssertionMethod, id.String())
}

// NewDocument makes the document that publishes keys for d, each for
// authentication and assertion. It refuses what [ParseDocument] would refuse
// or leave out, so that a published document always reads back whole.
func NewDocument(d DID, keys ...DocumentKey) (*Document, error) {
	if len(keys) == 0 {
		return nil, &DocumentError{d, "no keys"}
	}
	doc := &Document{ID: d}
	for _, k := range keys {
		m, err := newMethod(d, k)
		if err != nil {
			return nil, &DocumentError{d, err.Error()}
		}
		doc.Methods = append(doc.Methods, m)
		doc.Authentication = append(doc.Authentication, m.ID.String())
		doc.AssertionMethod = append(doc.AssertionMethod, m.ID.String())
	}
	data, err := doc.MarshalJSON()
	if err != nil {
		return nil, &DocumentError{d, err.Error()}
	}
	back, err := ParseDocument(data, d)
	if err != nil {
		return nil, err
	}
	if len(back.Methods) != len(doc.Methods) {
		return nil, &DocumentError{d, "a key that nobody would accept"}
	}
	return back, nil
}

func newMethod(d DID, k DocumentKey) (VerificationMethod, error) {
	if d.Method() == MethodKey && k.Fragment == "" {
		k.Fragment = d.text[len(prefixKey):]
	}
	if k.Fragment == "" {
		thumbprint, err := jwk.Thumbprint(k.Key)
		if err != nil {
			return VerificationMethod{}, err
		}
		k.Fragment = thumbprint
	}
	if reason := checkFragment(k.Fragment); reason != "" {
		return VerificationMethod{}, errors.New(reason)
	}
	return VerificationMethod{
		ID: URL{d, k.Fragment}, Type: typeJSONWebKey, Controller: d, Key: k.Key,
	}, nil
}

// keyDocument returns the document that a did:key implies.
func keyDocument(d DID) (*Document, error) {
	key, err := d.PublicKey()
	if err != nil {
		return nil, err
	}
	id := URL{d, d.text[len(prefixKey):]}
	return &Document{
		ID:              d,
		Methods:         []VerificationMethod{{ID: id, Type: typeMultikey, Controller: d, Key: key}},
		Authentication:  []string{id.String()},
		AssertionMethod: []string{id.String()},
	}, nil
}

// MarshalJSON returns the document as JSON-LD to publish: every key a
// JsonWebKey2020, every relationship a list of absolute DID URLs.
func (d *Document) MarshalJSON() ([]byte, error) {
	type method struct {
		ID         string          `json:"id"`
		Type       string          `json:"type"`
		Controller string          `json:"controller"`
		JWK        json.RawMessage `json:"publicKeyJwk"`
	}
	out := struct {
		Context         []string `json:"@context"`
		ID              string   `json:"id"`
		Methods         []method `json:"verificationMethod"`
		Authentication  []string `json:"authentication"`
		AssertionMethod []string `json:"assertionMethod"`
	}{
		Context: []string{
			"https://www.w3.org/ns/did/v1",
			"https://w3id.org/security/suites/jws-2020/v1",
		},
		ID:              d.ID.text,
		Methods:         []method{},
		Authentication:  append([]string{}, d.Authentication...),
		AssertionMethod: append([]string{}, d.AssertionMethod...),
	}
	for _, m := range d.Methods {
		key, err := jwk.Marshal(m.Key, "")
		if err != nil {
			return nil, fmt.Errorf("did: method %q: %w", m.ID, err)
		}
		out.Methods = append(out.Methods, method{m.ID.String(), typeJSONWebKey, m.Controller.text, key})
	}
	return json.Marshal(out)
}

// clone copies d so deeply that its receiver cannot change the original.
func (d *Document) clone() *Document {
	c := *d
	c.Methods = slices.Clone(d.Methods)
	for i, m := range c.Methods {
		switch key := m.Key.(type) {
		case ed25519.PublicKey:
			c.Methods[i].Key = slices.Clone(key)
		case *ecdsa.PublicKey:
			k := *key
			c.Methods[i].Key = &k
		}
	}
	c.Authentication = slices.Clone(d.Authentication)
	c.AssertionMethod = slices.Clone(d.AssertionMethod)
	return &c
}
