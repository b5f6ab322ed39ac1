package did

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/touchmark-dev/touchmark/internal/jwk"
	"github.com/touchmark-dev/touchmark/internal/strictjson"
)

// Verification method types. Methods of other types are left out.
const (
	typeJSONWebKey  = "JsonWebKey2020"
	typeJSONWebKey1 = "JsonWebKey"
	typeMultikey    = "Multikey"
	typeEd255192018 = "Ed25519VerificationKey2018"
	typeEd255192020 = "Ed25519VerificationKey2020"
	typeP256        = "EcdsaSecp256r1VerificationKey2019"
)

// errLeftOut marks a method that is left out of the document without refusing
// the document: its key, controller or id is not one that we use.
var errLeftOut = errors.New("left out")

type wireDocument struct {
	ID              string            `json:"id"`
	Methods         []json.RawMessage `json:"verificationMethod"`
	Authentication  []json.RawMessage `json:"authentication"`
	AssertionMethod []json.RawMessage `json:"assertionMethod"`
}

type wireMethod struct {
	ID         string          `json:"id"`
	Type       string          `json:"type"`
	Controller string          `json:"controller"`
	JWK        json.RawMessage `json:"publicKeyJwk"`
	Multibase  *string         `json:"publicKeyMultibase"`
}

// ParseDocument reads the document of want. It refuses data that is too long,
// is not strict JSON, is the document of another DID or contradicts itself. A
// verification method that it cannot use is left out: one of an unknown type,
// with a key that it cannot read, or of another DID or controller. Members
// that it does not use are ignored. Every error is a *[DocumentError].
func ParseDocument(data []byte, want DID) (*Document, error) {
	p := &documentParser{doc: &Document{ID: want}, seen: make(map[string]bool)}
	if err := p.parse(data); err != nil {
		return nil, &DocumentError{DID: want, Reason: err.Error()}
	}
	return p.doc, nil
}

type documentParser struct {
	doc  *Document
	seen map[string]bool // ids of all methods, absolute, also of those left out
}

func (p *documentParser) parse(data []byte) error {
	if p.doc.ID.IsZero() {
		return errors.New("no DID asked for")
	}
	if len(data) > MaxDocumentBytes {
		return fmt.Errorf("%d bytes, the limit is %d", len(data), MaxDocumentBytes)
	}
	var w wireDocument
	if err := strictjson.Unmarshal(data, &w); err != nil {
		return err
	}
	if w.ID != p.doc.ID.text {
		return fmt.Errorf("it is the document of %q", shorten(w.ID))
	}
	if n := max(len(w.Methods), len(w.Authentication), len(w.AssertionMethod)); n > MaxMethods {
		return fmt.Errorf("a list of %d verification methods, the limit is %d", n, MaxMethods)
	}
	for _, raw := range w.Methods {
		if _, err := p.add(raw); err != nil && !errors.Is(err, errLeftOut) {
			return err
		}
	}
	// Only these may be referenced: an embedded method serves the
	// relationship that it stands in, and no other.
	listed := make(map[string]bool)
	for _, m := range p.doc.Methods {
		listed[m.ID.String()] = true
	}
	var err error
	if p.doc.Authentication, err = p.relationship(w.Authentication, listed); err != nil {
		return fmt.Errorf("authentication: %w", err)
	}
	if p.doc.AssertionMethod, err = p.relationship(w.AssertionMethod, listed); err != nil {
		return fmt.Errorf("assertionMethod: %w", err)
	}
	return nil
}

// relationship returns the absolute DID URLs of the methods in one
// relationship: references to listed methods, and methods embedded here.
func (p *documentParser) relationship(entries []json.RawMessage, listed map[string]bool) ([]string, error) {
	var ids []string
	for _, raw := range entries {
		var id string
		if raw[0] == '"' {
			if err := strictjson.Unmarshal(raw, &id); err != nil {
				return nil, err
			}
			if id = p.absolute(id); !listed[id] {
				continue
			}
		} else {
			m, err := p.add(raw)
			if errors.Is(err, errLeftOut) {
				continue
			}
			if err != nil {
				return nil, err
			}
			id = m.ID.String()
		}
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// add reads one verification method and appends it to the document. It returns
// errLeftOut for a method that is to be passed over.
func (p *documentParser) add(raw json.RawMessage) (VerificationMethod, error) {
	var none VerificationMethod
	var w wireMethod
	if err := strictjson.Unmarshal(raw, &w); err != nil {
		return none, fmt.Errorf("verification method: %w", err)
	}
	if w.ID == "" || w.Type == "" || w.Controller == "" {
		return none, errors.New("a verification method without id, type or controller")
	}
	id := p.absolute(w.ID)
	if p.seen[id] {
		return none, fmt.Errorf("verification method %q is given twice", shorten(id))
	}
	p.seen[id] = true
	if len(p.seen) > MaxMethods {
		return none, fmt.Errorf("more than %d verification methods", MaxMethods)
	}
	key, err := readKey(&w)
	if err != nil {
		return none, err
	}
	u, err := ParseURL(id)
	if err != nil || u.DID != p.doc.ID || w.Controller != p.doc.ID.text {
		return none, errLeftOut
	}
	m := VerificationMethod{ID: u, Type: w.Type, Controller: u.DID, Key: key}
	if err := p.checkOwnKey(m); err != nil {
		return none, err
	}
	p.doc.Methods = append(p.doc.Methods, m)
	return m, nil
}

// checkOwnKey holds the document of a did:key to the one key that it can have.
func (p *documentParser) checkOwnKey(m VerificationMethod) error {
	if p.doc.ID.Method() != MethodKey {
		return nil
	}
	own, err := p.doc.ID.PublicKey()
	if err != nil {
		return err
	}
	if !own.Equal(m.Key) {
		return fmt.Errorf("verification method %q has another key than the did:key", m.ID)
	}
	return nil
}

// absolute completes a relative reference with the document's DID.
func (p *documentParser) absolute(id string) string {
	if strings.HasPrefix(id, "#") {
		return p.doc.ID.text + id
	}
	return id
}

// readKey reads the key of a method. A method that gives the key twice must
// give the same key.
func readKey(w *wireMethod) (crypto.PublicKey, error) {
	hasJWK := len(w.JWK) > 0 && string(w.JWK) != "null"
	if hasJWK {
		if err := checkJWK(w); err != nil {
			return nil, err
		}
	}
	if !knownType(w.Type) || (!hasJWK && w.Multibase == nil) {
		return nil, errLeftOut
	}
	var keys []crypto.PublicKey
	if hasJWK {
		if key, err := readJWK(w.JWK); err == nil {
			keys = append(keys, key)
		}
	}
	if w.Multibase != nil {
		if key, err := decodeMultikey(*w.Multibase); err == nil {
			keys = append(keys, key)
		}
	}
	both := hasJWK && w.Multibase != nil
	switch {
	case len(keys) == 0:
		return nil, errLeftOut
	case both && (len(keys) == 1 || !sameKey(keys[0], keys[1])):
		return nil, fmt.Errorf("verification method %q has two keys that differ", shorten(w.ID))
	case !typeHolds(w.Type, keys[0]):
		return nil, fmt.Errorf("verification method %q has a key that its type %q does not allow", shorten(w.ID), w.Type)
	}
	return keys[0], nil
}

func readJWK(raw json.RawMessage) (crypto.PublicKey, error) {
	pub, err := jwk.ParsePublic(raw)
	if err != nil {
		return nil, err
	}
	if key, ok := pub.Key.(ed25519.PublicKey); ok {
		return key, checkEd25519(key)
	}
	return pub.Key, nil
}

// checkJWK refuses a publicKeyJwk that is no object, and one with a private
// key: whoever reads the document can sign, so that nothing it says about its
// keys is to be relied on.
func checkJWK(w *wireMethod) error {
	var private struct {
		D json.RawMessage `json:"d"`
	}
	if w.JWK[0] != '{' {
		return fmt.Errorf("verification method %q has a publicKeyJwk that is not an object", shorten(w.ID))
	}
	if err := strictjson.Unmarshal(w.JWK, &private); err != nil {
		return err
	}
	if len(private.D) > 0 {
		return fmt.Errorf("verification method %q publishes a private key, replace the key", shorten(w.ID))
	}
	return nil
}

func knownType(typ string) bool {
	switch typ {
	case typeJSONWebKey, typeJSONWebKey1, typeMultikey, typeEd255192018, typeEd255192020, typeP256:
		return true
	}
	return false
}

// typeHolds reports whether a method of the known type typ may hold key.
func typeHolds(typ string, key crypto.PublicKey) bool {
	switch typ {
	case typeEd255192018, typeEd255192020:
		_, ok := key.(ed25519.PublicKey)
		return ok
	case typeP256:
		_, ok := key.(*ecdsa.PublicKey)
		return ok
	}
	return true
}

func sameKey(a, b crypto.PublicKey) bool {
	k, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.Equal(b)
}

// shorten keeps hostile text out of error messages beyond a glance's worth.
func shorten(s string) string {
	const shown = 120
	if len(s) > shown {
		return s[:shown] + "..."
	}
	return s
}
