package grant

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"

	"github.com/touchmark-dev/touchmark/internal/jwk"
)

// The fixed points of all vectors.
const (
	now     = 1790000000 // Unix seconds, in the year 2026
	issued  = now - 3600
	expires = issued + 90*24*3600
	issuer  = "https://ca.acme.org"
	domain  = "api.acme.com"
	grantID = "grant-550e8400-e29b-41d4-a716-446655440000"
)

// object is a JSON object to be changed.
type object = map[string]any

// A world has the keys of everybody.
type world struct {
	old, current, stranger ed25519.PrivateKey
	thumbprint             string // of the agent's key
}

func newWorld() *world {
	w := &world{old: edKey("old"), current: edKey("current"), stranger: edKey("stranger")}
	var err error
	w.thumbprint, err = jwk.Thumbprint(edKey("agent").Public())
	must(err)
	return w
}

func edKey(name string) ed25519.PrivateKey {
	s := sha256.Sum256([]byte("touchmark grant vectors: " + name))
	return ed25519.NewKeyFromSeed(s[:])
}

// must is for what fixed input cannot fail.
func must(err error) {
	if err != nil {
		panic("vectorgen/grant: internal error: " + err.Error())
	}
}

func b64(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }

// A draft is a vector before it is signed. The functions that make drafts start from a good one, and change one
// thing.
type draft struct {
	name, defect, code string

	header, claims object
	payload        string // instead of claims, if set
	key            ed25519.PrivateKey
	token          func(h, p, s string) string // puts the parts together in another way
	config         Config
}

func (w *world) good(name string) *draft {
	return &draft{
		name:   name,
		header: object{"alg": "EdDSA", "typ": "capiscio.dvgrant+jwt", "kid": "ca-2026-11-21-0002"},
		claims: object{
			"iss": issuer, "sub": domain, "jti": grantID, "iat": issued, "exp": expires, "aud": "capiscio:mint",
			"cnf": object{"jkt": w.thumbprint}, "scope": []string{"badge:dv"},
		},
		key: w.current,
		config: Config{Now: now, Issuer: issuer, Keys: []Key{
			{"ca-2026-08-01-0001", public(w.old)}, {"ca-2026-11-21-0002", public(w.current)},
		}},
	}
}

func public(key ed25519.PrivateKey) json.RawMessage {
	text, err := jwk.Marshal(key.Public(), "")
	must(err)
	return text
}

// bad is a good draft that is going to be refused.
func (w *world) bad(name, code, defect string) *draft {
	d := w.good(name)
	d.code, d.defect = code, defect
	return d
}

// with changes a claim; nil takes it out.
func (d *draft) with(claim string, value any) *draft { return d.change(d.claims, claim, value) }

// inHeader changes a member of the header; nil takes it out.
func (d *draft) inHeader(member string, value any) *draft { return d.change(d.header, member, value) }

func (d *draft) change(o object, name string, value any) *draft {
	if o[name] = value; value == nil {
		delete(o, name)
	}
	return d
}

func (d *draft) vector(w *world) *Vector {
	header, err := json.Marshal(d.header)
	must(err)
	payload := []byte(d.payload)
	if d.payload == "" {
		payload, err = json.Marshal(d.claims)
		must(err)
	}
	h, p := b64(header), b64(payload)
	sig := b64(ed25519.Sign(d.key, []byte(h+"."+p)))
	v := &Vector{Name: d.name, Defect: d.defect, Grant: h + "." + p + "." + sig, Config: d.config}
	if d.token != nil {
		v.Grant = d.token(h, p, sig)
	}
	if d.code != "" {
		v.Expect = Expect{Verdict: Rejected, Code: d.code}
		return v
	}
	v.Expect = Expect{
		Verdict: Accepted, ID: grantID, Domain: d.claims["sub"].(string), Thumbprint: w.thumbprint,
		IssuedAt: int64(d.claims["iat"].(int)), ExpiresAt: int64(d.claims["exp"].(int)),
	}
	return v
}
