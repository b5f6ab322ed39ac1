package serverproof

import (
	"crypto/ed25519"
	"encoding/json"
	"strings"
)

const failed = "SERVER_POP_FAILED"

// proofs are defects of the proof as a token.
func proofs(w *world) []*draft {
	list := []struct {
		name, defect string
		change       func(*draft)
	}{
		{"proof-missing", "there is no proof: a badge alone proves no possession", func(d *draft) { d.proof = func(string) string { return "" } }},
		{"proof-not-jws", "the proof has two parts", func(d *draft) {
			d.proof = func(t string) string { return t[:strings.LastIndexByte(t, '.')] }
		}},
		{"proof-typ-badge", "the proof has the typ of a badge", func(d *draft) { d.header["typ"] = "JWT" }},
		{"proof-typ-published", "the proof has the typ of the published one", func(d *draft) { d.header["typ"] = "pop+jws" }},
		{"proof-typ-missing", "the proof has no typ", func(d *draft) { delete(d.header, "typ") }},
		{"proof-header-jwk", "the proof brings a key of its own", func(d *draft) { d.header["jwk"] = object{"kty": "OKP"} }},
		{"proof-alg-none", "the proof has alg none", func(d *draft) { d.header["alg"] = "none" }},
		{"proof-kid-missing", "the proof names no key", func(d *draft) { delete(d.header, "kid") }},
		{"proof-kid-relative", "the proof names its key by a fragment", func(d *draft) { d.header["kid"] = "#" + fragment }},
		{"proof-kid-other-did", "the proof names a key of another DID", func(d *draft) { d.header["kid"] = "did:web:evil.example#" + fragment }},
		{"proof-signature-tampered", "the proof's signature was changed", func(d *draft) { d.proof = flip }},
		{"proof-key-stranger", "the proof is signed with a key of nobody's", func(d *draft) { d.key = w.stranger }},
		{"proof-payload-nonce", "the payload is the nonce alone, as in the published proof", func(d *draft) { d.payload = w.nonce }},
		{"proof-payload-list", "the payload is a list", func(d *draft) { d.payload = "[]" }},
	}
	var out []*draft
	for _, p := range list {
		out = append(out, w.bad(p.name, p.defect, failed, p.change).afterBadge())
	}
	twice := w.bad("proof-twice", "two proof headers", failed, func(d *draft) {
		d.answer = func(a *Answer) {
			a.Headers["Touchmark-Server-Proof"] = append(a.Headers["Touchmark-Server-Proof"], "a.b.c")
		}
	})
	unbound := w.bad("channel-unbound", "the client's connection has no exporter: TLS 1.2 without extended master secret", failed, func(d *draft) { d.client.Exporter = "" }).afterBadge()
	return append(out, twice, unbound)
}

// claims are defects of what the proof says.
func claims(w *world) []*draft {
	set := func(name string, value any) func(*draft) {
		return func(d *draft) {
			if value == nil {
				delete(d.claims, name)
			} else {
				d.claims[name] = value
			}
		}
	}
	list := []struct {
		name, defect string
		change       func(*draft)
	}{
		{"nonce-other", "the proof answers another nonce", set("nonce", b64(hash("another nonce")))},
		{"nonce-missing", "the proof has no nonce", set("nonce", nil)},
		{"exporter-relayed", "the proof was made on another connection: it was relayed", set("exporter", b64(hash("another exporter")))},
		{"exporter-empty", "the proof's exporter is empty", set("exporter", "")},
		{"exporter-missing", "the proof has no exporter", set("exporter", nil)},
		{"origin-other", "the proof is for another origin", set("origin", "https://evil.example")},
		{"origin-port", "the proof's origin spells out the default port", set("origin", origin+":443")},
		{"origin-missing", "the proof has no origin", set("origin", nil)},
		{"issuer-other", "the proof is of another DID", set("iss", "did:web:evil.example")},
		{"issuer-missing", "the proof has no iss", set("iss", nil)},
		{"badge-id-other", "the proof is made with another badge", set("badge_jti", "00000000-0000-4000-8000-000000000000")},
		{"badge-id-missing", "the proof has no badge_jti", set("badge_jti", nil)},
		{"binding-stdio", "the proof is one for stdio", set("binding", "stdio")},
		{"binding-none", "the proof is one for plain http", set("binding", "none")},
		{"binding-missing", "the proof has no binding", set("binding", nil)},
		{"member-unknown", "the proof has a member that is not defined", set("aud", "https://client.example")},
		{"member-case", "the member iss is written ISS", func(d *draft) {
			d.claims["ISS"] = d.claims["iss"]
			delete(d.claims, "iss")
		}},
		{"member-null", "the member origin is null", set("origin", json.RawMessage("null"))},
		{"member-twice", "the member nonce is given twice", func(d *draft) {
			good, err := json.Marshal(d.claims)
			if err != nil {
				d.err = err
			}
			d.payload = `{"nonce":"` + b64(hash("another nonce")) + `",` + string(good[1:])
		}},
	}
	var out []*draft
	for _, c := range list {
		out = append(out, w.bad(c.name, c.defect, failed, c.change).afterBadge())
	}
	return out
}

func times(w *world) []*draft {
	between := func(name, defect, code string, iat, exp any) *draft {
		return w.bad(name, defect, code, func(d *draft) { d.claims["iat"], d.claims["exp"] = iat, exp }).afterBadge()
	}
	return []*draft{
		between("time-expired", "the proof has expired, skew included", "SERVER_POP_EXPIRED", now-120, now-60),
		between("time-future", "the proof is made 61 seconds ahead", failed, now+61, now+121),
		between("time-too-long", "the proof is good for 61 seconds", failed, now, now+61),
		between("time-backwards", "the proof ends before it begins", failed, now, now-1),
		between("time-string", "iat is a string", failed, "1790000000", now+60),
		between("time-fraction", "exp is no integer", failed, now, now+0.5),
		between("time-huge", "iat and exp are the greatest integers", failed, json.RawMessage("9223372036854775806"), json.RawMessage("9223372036854775807")),
	}
}

// documents are defects of what the DID's own document says.
func documents(w *world) []*draft {
	with := func(change func(object)) func(*draft) {
		return func(d *draft) { d.setDocument(w, change) }
	}
	stranger, err := document(server, w.stranger.Public().(ed25519.PublicKey), nil)
	other := w.bad("key-differs", "the DID document has another key under the proof's kid", failed, func(d *draft) {
		d.err, d.trust.Documents = err, map[string]json.RawMessage{server: stranger}
	}).afterBadge()
	return []*draft{
		other,
		w.bad("key-not-listed", "the DID document has no key of the proof's kid", failed, func(d *draft) { d.header["kid"] = server + "#key-2" }).afterBadge(),
		w.bad("key-not-for-authentication", "the DID document has the key for assertions only", failed, with(func(doc object) { doc["authentication"] = []string{} })).afterBadge(),
		w.bad("document-of-another", "the DID document is that of another DID", "SERVER_DID_RESOLUTION_FAILED", with(func(doc object) { doc["id"] = "did:web:evil.example" })).afterBadge(),
		w.bad("document-unreachable", "the DID document cannot be had", "SERVER_DID_RESOLUTION_FAILED", func(d *draft) { d.trust.Documents = nil }).open(),
	}
}

func stdio(w *world) []*draft {
	over := func(name, defect string, change func(*draft)) *draft {
		return w.good(name, "").overStdio().spoil(defect, failed, change).afterBadge()
	}
	none := w.good("stdio-did-missing", "").overStdio().spoil("the result names no DID", "SERVER_IDENTITY_MISSING", func(d *draft) { d.did = "" }).unverified()
	return []*draft{
		none,
		over("stdio-proof-missing", "the challenge is not answered", func(d *draft) { d.proof = func(string) string { return "" } }),
		over("stdio-nonce-other", "another client's challenge is answered", func(d *draft) { d.claims["nonce"] = b64(hash("another nonce")) }),
		over("stdio-binding-tls", "the proof is one made on a TLS connection", func(d *draft) {
			d.claims["binding"], d.claims["origin"], d.claims["exporter"] = "tls-exporter", origin, w.exporter
		}),
		over("stdio-origin", "the proof names an origin", func(d *draft) { d.claims["origin"] = origin }),
		over("stdio-exporter", "the proof names a channel", func(d *draft) { d.claims["exporter"] = w.exporter }),
	}
}
