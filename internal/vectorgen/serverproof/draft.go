package serverproof

import (
	"crypto/ed25519"
	"encoding/json"
	"strings"

	"github.com/touchmark-dev/touchmark/internal/mcpwire"
)

type object = map[string]any

// A draft is a vector before its proof is signed. The functions that make
// drafts start from a good one and change one thing.
type draft struct {
	name, description, defect string

	client Client
	trust  Trust
	expect Expect
	err    error // of what changed it

	did, badge string
	document   object // the discovery document
	body       string // instead of document, if set
	status     int

	header, claims object // of the proof
	payload        string // instead of claims, if set
	key            ed25519.PrivateKey
	proof          func(token string) string // changes the proof after signing
	answer         func(a *Answer)           // changes the answer last
	published      string                    // proof, "" for none
	stdio          bool
}

// good is a server on the network that nothing is wrong with.
func (w *world) good(name, description string) *draft {
	d := &draft{
		name: name, description: description,
		client: Client{Now: now, Skew: 60, Endpoint: endpoint, Nonce: w.nonce, Exporter: w.exporter, MinLevel: "2"},
		expect: Expect{Verdict: Accepted, State: "VERIFIED_PRINCIPAL", DID: server, Level: "2", Binding: "tls-exporter"},
		did:    server, badge: w.badge, status: 200,
		document: object{"server_did": server, "server_badge": w.badge, "trust_level": "2", "updated_at": "2026-09-21T14:13:10Z"},
		header:   object{"alg": "EdDSA", "kid": server + "#" + fragment, "typ": mcpwire.TypeServerProof},
		claims: object{
			"badge_jti": badgeID, "binding": "tls-exporter", "exp": now + 60, "exporter": w.exporter,
			"iat": now, "iss": server, "nonce": w.nonce, "origin": origin,
		},
		key: w.server,
	}
	d.trust, d.err = w.trust()
	return d
}

// bad is a draft with a defect, refused with code. A change that is nil makes
// none.
func (w *world) bad(name, defect, code string, change func(*draft)) *draft {
	d := w.good(name, "refused: "+defect)
	return d.spoil(defect, code, change)
}

func (d *draft) spoil(defect, code string, change func(*draft)) *draft {
	d.description, d.defect = "refused: "+defect, defect
	d.expect = Expect{Verdict: Rejected, State: "DECLARED_PRINCIPAL", Code: code, DID: d.did}
	if change != nil {
		change(d)
	}
	return d
}

// unverified is for refusals of what names no DID.
func (d *draft) unverified() *draft {
	d.expect.State, d.expect.DID = "UNVERIFIED_ORIGIN", ""
	return d
}

// afterBadge is for refusals that come after the badge was found good.
func (d *draft) afterBadge() *draft {
	d.expect.BadgeValid = true
	return d
}

// open is for what no verdict can be given on.
func (d *draft) open() *draft {
	d.description = "undetermined: " + d.defect
	d.expect = Expect{Verdict: Undetermined, Code: d.expect.Code}
	return d
}

// overStdio makes of d the answer of a server on a pipe.
func (d *draft) overStdio() *draft {
	d.stdio = true
	d.client.Endpoint, d.client.Exporter = "", ""
	d.claims["binding"], d.claims["exporter"], d.claims["origin"] = "stdio", "", ""
	d.expect.Binding = "stdio"
	return d
}

// selfSigned makes of d a server with a did:key.
func (d *draft) selfSigned(w *world) *draft {
	token, err := w.selfSign()
	if err != nil {
		d.err = err
	}
	id := w.self.String()
	d.did, d.badge = id, token
	d.document = object{"server_did": id, "server_badge": token, "trust_level": "0", "updated_at": "2026-09-21T14:13:10Z"}
	d.header["kid"], d.claims["iss"] = w.self.KeyURL(), id
	d.trust = Trust{SelfSigned: []string{id}}
	d.client.MinLevel, d.expect.DID, d.expect.Level = "0", id, "0"
	return d
}

func (d *draft) vector() (*Vector, error) {
	if d.err != nil {
		return nil, d.err
	}
	proof, err := d.sign()
	if err != nil {
		return nil, err
	}
	v := &Vector{Name: d.name, Description: d.description, Defect: d.defect, Client: d.client, Trust: d.trust, Expect: d.expect}
	members := map[string]string{mcpwire.MetaServerDID: d.did, mcpwire.MetaServerBadge: d.badge, mcpwire.MetaServerProof: proof, mcpwire.MetaPublishedSignature: d.published}
	for name, text := range members {
		if text == "" {
			delete(members, name)
		}
	}
	if d.stdio {
		v.Answer.Meta = members
	} else {
		v.Answer.Status = d.status
		v.Answer.Headers = make(map[string][]string)
		for meta, name := range map[string]string{
			mcpwire.MetaServerDID: "Capiscio-Server-DID", mcpwire.MetaServerBadge: "Capiscio-Server-Badge", mcpwire.MetaServerProof: "Touchmark-Server-Proof",
		} {
			if text, ok := members[meta]; ok {
				v.Answer.Headers[name] = []string{text}
			}
		}
		if v.Answer.Body, err = text(d.body, d.document); err != nil {
			return nil, err
		}
	}
	if d.answer != nil {
		d.answer(&v.Answer)
	}
	return v, nil
}

func (d *draft) sign() (string, error) {
	header, err := json.Marshal(d.header)
	if err != nil {
		return "", err
	}
	payload, err := text(d.payload, d.claims)
	if err != nil {
		return "", err
	}
	input := b64(header) + "." + b64([]byte(payload))
	token := input + "." + b64(ed25519.Sign(d.key, []byte(input)))
	if d.proof != nil {
		token = d.proof(token)
	}
	return token, nil
}

func text(given string, members object) (string, error) {
	if given != "" {
		return given, nil
	}
	out, err := json.Marshal(members)
	return string(out), err
}

// flip changes the first character of the last part of a token.
func flip(token string) string {
	i := strings.LastIndexByte(token, '.') + 1
	c := byte('A')
	if token[i] == c {
		c = 'B'
	}
	return token[:i] + string(c) + token[i+1:]
}
