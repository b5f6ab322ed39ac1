package registry

import (
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/jcs"
	"github.com/touchmark-dev/touchmark/internal/jwk"
	"github.com/touchmark-dev/touchmark/internal/jws"
	"github.com/touchmark-dev/touchmark/internal/strictjson"
)

// Type is the typ of a signed list.
const Type = "touchmark-registry+jwt"

// skew is how far the clock of who signs may be ahead.
const skew = time.Minute

// payload is a Document as it is written (spec/registry.md section 2).
type payload struct {
	Expires  *int64  `json:"exp"`
	IssuedAt *int64  `json:"iat"`
	Issuer   *string `json:"iss"`
	Serial   *uint64 `json:"serial"`
	Servers  []entry `json:"servers"`
}

type entry struct {
	DID         *string  `json:"did"`
	Endpoints   []string `json:"endpoints"`
	Environment *string  `json:"environment"`
	Keys        []string `json:"keys"`
	Launch      []string `json:"launch"`
	Owner       *string  `json:"owner"`
	Tools       []string `json:"tools"`
	ValidFrom   *int64   `json:"valid_from"`
	ValidUntil  *int64   `json:"valid_until"`
	Versions    []string `json:"versions"`
}

// Sign makes a signed list. key is an Ed25519 or P-256 key; its RFC 7638
// thumbprint is the list's kid. A list that [Verify] would refuse for what it
// says is an error.
func Sign(key crypto.Signer, d *Document) (string, error) {
	if err := d.check(); err != nil {
		return "", fmt.Errorf("registry: %w", err)
	}
	kid, err := jwk.Thumbprint(key.Public())
	if err != nil {
		return "", fmt.Errorf("registry: %w", err)
	}
	text, err := MarshalPayload(d)
	if err != nil {
		return "", err
	}
	token, err := jws.SignMax(jws.Header{Typ: Type, Kid: kid}, text, key, MaxBytes)
	if err != nil {
		return "", fmt.Errorf("registry: %w", err)
	}
	return token, nil
}

// Verify checks a signed list against the keys that may sign it, and that it
// is within its time at now. Whether it is the newest is for [Registry] to know.
func Verify(token string, keys []crypto.PublicKey, now time.Time) (*Document, error) {
	m, err := jws.ParseMax(token, MaxBytes)
	if err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	if m.Typ != Type {
		return nil, fmt.Errorf("registry: typ is %.60q, want %q", m.Typ, Type)
	}
	if err := verifySignature(m, keys); err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	d, err := ParsePayload(m.Payload)
	switch {
	case err != nil:
		return nil, err
	case d.IssuedAt.After(now.Add(skew)):
		return nil, fmt.Errorf("registry: the list is of the future: iat is %s", d.IssuedAt)
	case !now.Before(d.Expires):
		return nil, fmt.Errorf("registry: the list ended at %s", d.Expires)
	}
	return d, nil
}

func verifySignature(m *jws.Message, keys []crypto.PublicKey) error {
	for _, key := range keys {
		kid, err := jwk.Thumbprint(key)
		if err != nil {
			return err
		}
		if kid == m.Kid {
			return m.Verify(key)
		}
	}
	return fmt.Errorf("it is signed with the key %.60q, which is not trusted", m.Kid)
}

// ParsePayload reads the payload of a list. Every member is required, and no
// other may be there.
func ParsePayload(data []byte) (*Document, error) {
	if len(data) > MaxBytes {
		return nil, fmt.Errorf("registry: more than %d bytes", MaxBytes)
	}
	var p payload
	if err := strictjson.UnmarshalStrict(data, &p); err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	d, err := p.document()
	if err == nil {
		err = d.check()
	}
	if err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	return d, nil
}

func (p *payload) document() (*Document, error) {
	if p.Expires == nil || p.IssuedAt == nil || p.Issuer == nil || p.Serial == nil || p.Servers == nil {
		return nil, errors.New("want the members exp, iat, iss, serial and servers")
	}
	d := &Document{Issuer: *p.Issuer, Serial: *p.Serial, Servers: make([]Entry, 0, len(p.Servers))}
	var err error
	if d.IssuedAt, err = unix(*p.IssuedAt); err == nil {
		d.Expires, err = unix(*p.Expires)
	}
	if err != nil {
		return nil, err
	}
	for i := range p.Servers {
		e, err := p.Servers[i].entry()
		if err != nil {
			return nil, fmt.Errorf("server %d: %w", i, err)
		}
		d.Servers = append(d.Servers, e)
	}
	return d, nil
}

func (w *entry) entry() (Entry, error) {
	if w.DID == nil || w.Endpoints == nil || w.Environment == nil || w.Keys == nil || w.Launch == nil || w.Owner == nil ||
		w.Tools == nil || w.ValidFrom == nil || w.ValidUntil == nil || w.Versions == nil {
		return Entry{}, errors.New("want the members did, endpoints, environment, keys, launch, owner, tools, valid_from, valid_until and versions")
	}
	e := Entry{
		Environment: *w.Environment, Owner: *w.Owner, Endpoints: w.Endpoints, Launch: w.Launch, Keys: w.Keys,
		Versions: w.Versions, Tools: w.Tools,
	}
	var err error
	if e.DID, err = did.Parse(*w.DID); err != nil {
		return Entry{}, err
	}
	if e.ValidFrom, err = unix(*w.ValidFrom); err == nil {
		e.ValidUntil, err = unix(*w.ValidUntil)
	}
	return e, err
}

// maxUnix is the end of the year 9999.
const maxUnix = 253402300799

func unix(n int64) (time.Time, error) {
	if n < 0 || n > maxUnix {
		return time.Time{}, fmt.Errorf("%d is not a time in Unix seconds", n)
	}
	return time.Unix(n, 0).UTC(), nil
}

// MarshalPayload returns the payload of d in canonical form.
func MarshalPayload(d *Document) ([]byte, error) {
	p := &payload{
		Expires: seconds(d.Expires), IssuedAt: seconds(d.IssuedAt), Issuer: &d.Issuer, Serial: &d.Serial, Servers: make([]entry, 0, len(d.Servers)),
	}
	for i := range d.Servers {
		e := &d.Servers[i]
		name := e.DID.String()
		p.Servers = append(p.Servers, entry{
			DID: &name, Endpoints: array(e.Endpoints), Environment: &e.Environment, Keys: array(e.Keys), Launch: array(e.Launch), Owner: &e.Owner,
			Tools: array(e.Tools), ValidFrom: seconds(e.ValidFrom), ValidUntil: seconds(e.ValidUntil), Versions: array(e.Versions),
		})
	}
	text, err := json.Marshal(p)
	if err == nil {
		text, err = jcs.Canonicalize(text)
	}
	if err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	return text, nil
}

func seconds(t time.Time) *int64 {
	n := t.Unix()
	return &n
}

func array(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}
