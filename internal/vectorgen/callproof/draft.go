package callproof

import (
	"crypto"
	"encoding/json"
	"maps"
	"strings"

	"github.com/touchmark-dev/touchmark/badge/pop"
	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/jcs"
	"github.com/touchmark-dev/touchmark/internal/vectorgen/vectorkit"
)

// object is a JSON object to be changed. Values may be json.RawMessage.
type object = map[string]any

// A draft is a vector before it is signed. The functions that make drafts start from a good one, and change
// one thing.
type draft struct {
	name, description, defect string

	header, claims object
	payloadText    string // instead of claims, if set
	key            crypto.Signer
	token          func(token string) string // changes the token after signing

	signed   pop.Call // what the proof is about
	executed *Call    // if it is something else
	salt     [32]byte

	txn    string
	badge  Badge
	config Config
	expect Expect
}

// good is a proof that nothing is wrong with, and a verifier that accepts it.
func (w *world) good() *draft {
	return &draft{
		header: object{"alg": "EdDSA", "typ": "capiscio.hop+jwt", "kid": subject + "#key-1"},
		claims: object{
			"txn_id": txnID, "hop_id": hopID, "iss": subject, "target_aud": origin, "badge_jti": badgeID,
			"iat": now - 5, "exp": now + 25, "srv": server,
		},
		key:    w.agent,
		signed: pop.Call{Method: "tools/call", Target: "read_file", Arguments: json.RawMessage(`{"path":"/srv/data/a.txt"}`)},
		salt:   seed("salt"),
		txn:    txnID,
		badge:  Badge{ID: badgeID, Subject: subject, Expires: now + 200, Key: publicJWK(w.agent)},
		config: Config{Now: now, Started: now - 3600, Server: server, Skew: 10, Window: 60},
	}
}

// fill adds the claims that follow from the call, unless they are there.
func (d *draft) fill() error {
	hash, err := d.signed.Hash(d.salt)
	if err != nil {
		return err
	}
	claims := object{
		"call_hash": hash, "call_salt": b64(d.salt[:]),
		"htm": pop.DefaultHTTPMethod, "htu": pop.TargetURI(did.MustParse(d.config.Server), d.signed.Method),
	}
	maps.Copy(claims, d.claims)
	maps.DeleteFunc(claims, func(_ string, value any) bool { return value == nil })
	d.claims = claims
	return nil
}

func (d *draft) vector() (*Vector, error) {
	if err := d.fill(); err != nil {
		return nil, err
	}
	header, err := json.Marshal(d.header)
	if err != nil {
		return nil, err
	}
	payload := []byte(d.payloadText)
	if d.payloadText == "" {
		if payload, err = json.Marshal(d.claims); err != nil {
			return nil, err
		}
	}
	input := b64(header) + "." + b64(payload)
	token := input + "." + b64(vectorkit.SignJWS(d.key, input))
	if d.token != nil {
		token = d.token(token)
	}
	v := &Vector{
		Name: d.name, Description: d.description, Defect: d.defect,
		Proof: token, TxnID: d.txn, Badge: d.badge, Config: d.config, Expect: d.expect,
	}
	if d.executed != nil {
		v.Call = *d.executed
	} else {
		v.Call = callOf(&d.signed)
	}
	if d.expect.Verdict == Accepted {
		err = d.expectation(v)
	}
	return v, err
}

func (d *draft) expectation(v *Vector) (err error) {
	v.Expect.HopID = d.claims["hop_id"].(string)
	v.Expect.CallHash = d.claims["call_hash"].(string)
	v.Expect.ParentHopHash, _ = d.claims["parent_hop_hash"].(string)
	v.Expect.HopHash, err = pop.HashHop(v.Proof)
	return err
}

func callOf(c *pop.Call) Call {
	return Call{Method: c.Method, Target: c.Target, Arguments: text(c.Arguments), InputResponses: text(c.InputResponses)}
}

func text(raw json.RawMessage) *string {
	if raw == nil {
		return nil
	}
	s := string(raw)
	return &s
}

// with sets a claim; nil removes it.
func (d *draft) with(claim string, value any) *draft {
	d.claims[claim] = value
	return d
}

// inHeader sets a header member; nil removes it.
func (d *draft) inHeader(member string, value any) *draft {
	if d.header[member] = value; value == nil {
		delete(d.header, member)
	}
	return d
}

// about makes the proof one about this call, which is also executed.
func (d *draft) about(c pop.Call) *draft {
	d.signed = c
	return d
}

// executing makes the server execute something else than what was signed.
func (d *draft) executing(change func(*Call)) *draft {
	c := callOf(&d.signed)
	change(&c)
	d.executed = &c
	return d
}

// payload replaces the payload by text, made of the canonical payload.
func (d *draft) payload(change func(payload string) string) *draft {
	must(d.fill())
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

func (d *draft) configured(change func(*Config)) *draft {
	change(&d.config)
	return d
}

// reject says that d is refused, and why.
func (d *draft) reject(name string, code pop.Code, claim, defect string) *draft {
	d.name, d.defect = name, defect
	d.description = "refused: " + defect
	d.expect = Expect{Verdict: Rejected, Code: string(code), Claim: claim}
	return d
}

// accept says that d is accepted.
func (d *draft) accept(name, description string) *draft {
	d.name, d.description = name, description
	d.expect = Expect{Verdict: Accepted}
	return d
}
