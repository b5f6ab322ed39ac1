package issuance

import (
	"crypto"
	"encoding/json"
	"strings"

	"github.com/touchmark-dev/touchmark/badge/pop"
	"github.com/touchmark-dev/touchmark/internal/jcs"
	"github.com/touchmark-dev/touchmark/internal/vectorgen/vectorkit"
)

// object is a JSON object to be changed. Values may be json.RawMessage.
type object = map[string]any

// A draft is a vector before it is signed. The functions that make drafts start from a good one, and change one thing.
type draft struct {
	name, description, defect string

	header, claims object
	payloadText    string // instead of claims, if set
	key            crypto.Signer
	token          func(token string) string // changes the token after signing

	challenge    Challenge
	route        string
	document     object // nil for none
	documentText string // instead of document, if set
	unreachable  bool
	config       Config
	expect       Expect
}

// good is a proof that nothing is wrong with.
func (w *world) good() *draft {
	return &draft{
		header: object{"alg": "EdDSA", "typ": "pop+jwt", "kid": subject + "#key-1"},
		claims: object{
			"cid": challengeID, "nonce": w.nonce, "sub": subject, "aud": issuer, "htu": uri, "htm": "POST",
			"iat": now - 2, "exp": now + 58, "jti": proofID,
		},
		key: w.agent,
		challenge: Challenge{
			ID: challengeID, Nonce: w.nonce, Subject: subject, Audience: issuer, URI: uri, Method: "POST",
			CreatedAt: now - 10, ExpiresAt: now + 290,
		},
		route:    subject,
		document: w.document(),
		config:   Config{Now: now, Skew: 60},
	}
}

func (d *draft) vector() *Vector {
	header, err := json.Marshal(d.header)
	must(err)
	payload := []byte(d.payloadText)
	if d.payloadText == "" {
		payload, err = json.Marshal(d.claims)
		must(err)
	}
	input := b64(header) + "." + b64(payload)
	token := input + "." + b64(vectorkit.SignJWS(d.key, input))
	if d.token != nil {
		token = d.token(token)
	}
	v := &Vector{
		Name: d.name, Description: d.description, Defect: d.defect, Proof: token, Challenge: d.challenge, Route: d.route,
		Unreachable: d.unreachable, Config: d.config, Expect: d.expect,
	}
	text := d.documentText
	if text == "" && d.document != nil {
		canonical, err := jcs.Marshal(d.document)
		must(err)
		text = string(canonical)
	}
	if text != "" {
		v.Document = &text
	}
	if d.expect.Verdict == Accepted {
		v.Expect.ID = d.claims["jti"].(string)
		v.Expect.KeyID = d.header["kid"].(string)
		v.Expect.Key = publicJWK(d.key)
	}
	return v
}

// with sets a claim; nil removes it.
func (d *draft) with(claim string, value any) *draft { return d.set(d.claims, claim, value) }

// inHeader sets a header member; nil removes it.
func (d *draft) inHeader(member string, value any) *draft { return d.set(d.header, member, value) }

// documented sets a member of the document; nil removes it.
func (d *draft) documented(member string, value any) *draft { return d.set(d.document, member, value) }

func (d *draft) set(o object, name string, value any) *draft {
	if o[name] = value; value == nil {
		delete(o, name)
	}
	return d
}

func (d *draft) signedBy(key crypto.Signer) *draft {
	d.key = key
	return d
}

// payload replaces the payload by text, made of the canonical payload.
func (d *draft) payload(change func(payload string) string) *draft {
	text, err := jcs.Marshal(d.claims)
	must(err)
	d.payloadText = change(string(text))
	return d
}

func (d *draft) mangled(change func(header, payload, signature string) string) *draft {
	d.token = func(token string) string {
		p := strings.Split(token, ".")
		return change(p[0], p[1], p[2])
	}
	return d
}

func (d *draft) challenged(change func(*Challenge)) *draft {
	change(&d.challenge)
	return d
}

// reject says that d is refused, and why.
func (d *draft) reject(name string, step int, code pop.IssuanceCode, defect string) *draft {
	d.name, d.defect = name, defect
	d.description = "refused: " + defect
	d.expect = Expect{Verdict: Rejected, Code: string(code), Step: step}
	return d
}

// accept says that d is accepted.
func (d *draft) accept(name, description string) *draft {
	d.name, d.description = name, description
	d.expect = Expect{Verdict: Accepted}
	return d
}
