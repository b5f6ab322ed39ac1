package badge

import (
	"crypto"
	"encoding/json"
	"strings"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/internal/vectorgen/vectorkit"
)

// object is a JSON object to be changed. Values may be json.RawMessage, made with lit.
type object = map[string]any

// lit is JSON text as it is to stand in the token.
func lit(text string) json.RawMessage { return json.RawMessage(text) }

// A draft is a vector before it is signed. The functions that make drafts start from a good one, and change
// one thing.
type draft struct {
	name, description, defect string

	header, claims object
	headerText     string // instead of header, if set
	payloadText    string // instead of claims, if set
	key            crypto.Signer
	token          func(token string) string // changes the token after signing

	config Config
	expect Expect
}

// vc returns the credential subject of the draft, to be changed.
func (d *draft) subject() object {
	return d.claims["vc"].(object)["credentialSubject"].(object)
}

func (d *draft) vector() (*Vector, error) {
	header, err := text(d.headerText, d.header)
	if err != nil {
		return nil, err
	}
	payload, err := text(d.payloadText, d.claims)
	if err != nil {
		return nil, err
	}
	input := b64([]byte(header)) + "." + b64([]byte(payload))
	token := input + "." + b64(vectorkit.SignJWS(d.key, input))
	if d.token != nil {
		token = d.token(token)
	}
	return &Vector{
		Name: d.name, Description: d.description, Defect: d.defect,
		Token: token, Config: d.config, Expect: d.expect,
	}, nil
}

func text(given string, members object) (string, error) {
	if given != "" {
		return given, nil
	}
	out, err := json.Marshal(members)
	return string(out), err
}

// good is a badge of level 2 that nothing is wrong with, and a verifier that accepts it.
func (w *world) good() *draft {
	return &draft{
		header: object{"alg": "EdDSA", "typ": "JWT", "kid": keyID},
		claims: object{
			"jti": badgeID, "iss": issuer, "sub": subject,
			"iat": now - 10, "exp": now + 290,
			"ial": "0", "key": publicJWK(w.agent.Public()),
			"vc": object{
				"type":              []string{"VerifiableCredential", "AgentIdentity"},
				"credentialSubject": object{"level": "2", "domain": "agents.example"},
			},
		},
		key: w.ca,
		config: Config{
			Now: now, Issuers: []string{issuer},
			JWKS:   map[string]json.RawMessage{issuer: keySet(named{keyID, w.ca})},
			Status: &Status{Authoritative: true},
		},
	}
}

// self is a badge of level 0 that nothing is wrong with.
func (w *world) self0() *draft {
	d := w.good()
	d.header["kid"] = w.self.KeyURL()
	d.claims["iss"], d.claims["sub"] = w.self.String(), w.self.String()
	d.claims["vc"].(object)["credentialSubject"] = object{"level": "0"}
	d.key = w.agent
	d.config = Config{Now: now, SelfSigned: []string{w.self.String()}}
	return d
}

// possessed is a badge with ial "1" that nothing is wrong with.
func (w *world) possessed() *draft {
	d := w.good()
	d.claims["ial"] = "1"
	d.claims["cnf"] = object{"kid": subject + "#key-1"}
	d.config.Documents = map[string]json.RawMessage{subject: document(subject, "key-1", w.agent.Public())}
	return d
}

// atLevel is a good badge of levels 1 to 4.
func (w *world) atLevel(level string) *draft {
	d := w.good()
	d.subject()["level"] = level
	if level == "1" {
		delete(d.subject(), "domain")
	}
	return d
}

// reject says that d is refused, and why.
func (d *draft) reject(name string, code badge.Code, claim, defect string) *draft {
	d.name, d.defect = name, defect
	d.description = "refused: " + defect
	d.expect = Expect{Verdict: Rejected, Code: string(code), Claim: claim}
	return d
}

// undetermined says that of d nothing can be told, and why.
func (d *draft) undetermined(name string, code badge.Code, defect string) *draft {
	d.name, d.defect = name, defect
	d.description = "undetermined: " + defect
	d.expect = Expect{Verdict: Undetermined, Code: string(code)}
	return d
}

// accept says that d is accepted.
func (d *draft) accept(name, description string) *draft {
	d.name, d.description = name, description
	d.expect = Expect{Verdict: Accepted}
	for field, claim := range map[*string]string{
		&d.expect.BadgeID: "jti", &d.expect.Subject: "sub", &d.expect.Assurance: "ial",
	} {
		*field, _ = d.claims[claim].(string)
	}
	d.expect.SPIFFEID, _ = d.claims["spiffe_id"].(string)
	if cnf, ok := d.claims["cnf"].(object); ok {
		d.expect.Certificate, _ = cnf["x5t#S256"].(string)
	}
	if d.expect.Assurance == "" {
		d.expect.Assurance = "0" // the compat profile's reading
	}
	d.expect.Level, _ = d.subject()["level"].(string)
	d.expect.Actor, _ = d.subject()["actor"].(string)
	return d
}

// with changes a claim, or removes it when value is nil.
func (d *draft) with(claim string, value any) *draft {
	change(d.claims, claim, value)
	return d
}

// inVC changes a member of vc, inSubject one of vc.credentialSubject, inHeader one of the header.
func (d *draft) inVC(member string, value any) *draft {
	change(d.claims["vc"].(object), member, value)
	return d
}

func (d *draft) inSubject(member string, value any) *draft {
	change(d.subject(), member, value)
	return d
}

func (d *draft) inHeader(member string, value any) *draft {
	change(d.header, member, value)
	return d
}

func change(in object, member string, value any) {
	if value == nil {
		delete(in, member)
		return
	}
	in[member] = value
}

// inPayload replaces a piece of the payload's text.
func (d *draft) inPayload(old, replacement string) *draft {
	whole, err := text("", d.claims)
	must(err)
	if strings.Count(whole, old) != 1 {
		panic("vectorgen/badge: internal error: " + old + " does not stand once in " + whole)
	}
	d.payloadText = strings.Replace(whole, old, replacement, 1)
	return d
}

// mangled changes the token after signing.
func (d *draft) mangled(f func(token string) string) *draft {
	d.token = f
	return d
}

// configured changes the verifier or the world.
func (d *draft) configured(f func(*Config)) *draft {
	f(&d.config)
	return d
}
