package badge

import (
	"crypto"
	"encoding/json"
	"strings"

	"github.com/touchmark-dev/touchmark/badge"
)

func trust(w *world) []*draft {
	es256 := w.good().inHeader("alg", "ES256").inHeader("kid", ecKeyID)
	es256.key = w.ecCA
	es256.config.JWKS[issuer] = keySet(named{ecKeyID, w.ecCA})
	self256 := w.self0().inHeader("alg", "ES256")
	self256.key = w.ecCA
	return []*draft{
		w.good().with("iss", unlisted).configured(func(c *Config) { c.JWKS[unlisted] = keySet(named{keyID, w.ca}) }).
			reject("issuer-unlisted", untrusted, "iss", "the issuer is not on the list; its key set is never fetched"),
		w.good().configured(func(c *Config) { c.Issuers, c.SelfSigned = nil, []string{w.self.String()} }).
			reject("issuer-none-listed", untrusted, "iss", "no issuer is on the list"),
		w.self0().configured(func(c *Config) { c.Issuers, c.SelfSigned = []string{issuer}, nil; c.UnsafeNoStatus = true }).
			reject("self-signed-unlisted", untrusted, "iss", "the did:key is not on the list"),
		es256.reject("issuer-es256", badge.CodeMalformed, "", "the issuer is not configured for ES256"),
		self256.reject("self-signed-es256", badge.CodeMalformed, "", "level 0 is signed with ES256"),
		w.good().configured(func(c *Config) { c.JWKS = nil }).
			undetermined("issuer-keys-unreachable", noKeys, "the issuer's key set cannot be fetched"),
	}
}

func signatures(w *world) []*draft {
	signedBy := func(d *draft, key crypto.Signer) *draft { d.key = key; return d }
	flip := func(s string, i int) string {
		c := byte('A')
		if s[i] == 'A' {
			c = 'B'
		}
		return s[:i] + string(c) + s[i+1:]
	}
	sixth := w.good().inHeader("kid", nil)
	sixth.config.JWKS[issuer] = keySet(named{"a", w.more[0]}, named{"b", w.more[1]}, named{"c", w.more[2]}, named{"d", w.more[3]}, named{"e", w.more[4]}, named{keyID, w.ca})
	wrongKind := w.good().configured(func(c *Config) { c.JWKS[issuer] = keySet(named{keyID, w.ecCA}) })
	return []*draft{
		w.good().inHeader("kid", "ca-9").reject("kid-unknown", unsigned, "", "the issuer's set lacks the kid"),
		w.good().configured(func(c *Config) { c.JWKS[issuer] = json.RawMessage(`{"keys":[]}`) }).inHeader("kid", nil).
			reject("key-set-empty", unsigned, "", "the issuer's set is empty"),
		signedBy(w.good(), w.stranger).reject("signed-by-stranger", unsigned, "", "signed with a key that is not the issuer's"),
		signedBy(w.good(), w.agent).reject("signed-by-subject", unsigned, "", "signed with the subject's own key"),
		signedBy(w.good(), w.next).configured(func(c *Config) { c.JWKS[issuer] = keySet(named{keyID, w.ca}, named{"ca-next", w.next}) }).
			reject("signed-by-other-kid", unsigned, "", "signed with a key of the set other than the kid names"),
		sixth.reject("sixth-key", unsigned, "", "names no key; the sixth of the set signed, and five are tried"),
		wrongKind.reject("alg-of-other-key", unsigned, "", "alg is EdDSA and the kid names a key on P-256"),
		w.good().mangled(parts(func(h, p, s string) string { return h + "." + p + "." + flip(s, 10) })).
			reject("signature-flipped", unsigned, "", "one character of the signature was changed"),
		w.good().mangled(parts(func(h, p, s string) string { return h + "." + p + "." + s[:80] })).
			reject("signature-short", unsigned, "", "the signature has 60 bytes"),
		w.good().mangled(parts(func(h, p, s string) string { return h + "." + raiseLevel(p) + "." + s })).
			reject("payload-changed", unsigned, "", "the level was raised after signing"),
		signedBy(w.self0(), w.stranger).reject("self-signed-by-stranger", unsigned, "", "level 0 is signed with a key that is not the did:key's"),
		w.self0().inHeader("kid", "ca-1").reject("self-signed-kid", unsigned, "", "level 0 names a key that is not the did:key's"),
		w.good().with("key", publicJWK(w.next.Public())).
			configured(func(c *Config) { c.JWKS[issuer] = keySet(named{keyID, w.ca}, named{"ca-next", w.next}) }).
			reject("key-of-issuer-other", badge.CodeClaimsInvalid, "key", "key is one of the issuer's that did not sign"),
	}
}

// raiseLevel changes the level in the text of a payload.
func raiseLevel(payload string) string {
	text, err := decode(payload)
	must(err)
	return b64([]byte(strings.Replace(text, `"level":"2"`, `"level":"4"`, 1)))
}

func bindings(w *world) []*draft {
	doc := func(d json.RawMessage) func(*Config) {
		return func(c *Config) { c.Documents = map[string]json.RawMessage{subject: d} }
	}
	return []*draft{
		w.possessed().configured(doc(document(subject, "key-2", w.agent.Public()))).
			reject("document-no-method", badDocument, "cnf.kid", "the subject's document lacks the method"),
		w.possessed().configured(doc(document(subject, "key-1", w.stranger.Public()))).
			reject("document-other-key", badDocument, "key", "the subject's document has another key there"),
		w.possessed().configured(doc(document("did:web:agents.example:eve", "key-1", w.agent.Public()))).
			reject("document-of-other", badDocument, "cnf.kid", "the document that is served is of another DID"),
		w.possessed().configured(doc(json.RawMessage(`[]`))).
			reject("document-array", badDocument, "cnf.kid", "the document that is served is an array"),
		w.possessed().configured(func(c *Config) {
			c.Documents = map[string]json.RawMessage{"did:web:agents.example:eve": document("did:web:agents.example:eve", "key-1", w.agent.Public())}
		}).
			undetermined("document-unreachable", noDocument, "the subject's document cannot be fetched"),
		w.possessed().configured(func(c *Config) { c.Documents = nil }).
			undetermined("document-no-resolver", noDocument, "the verifier has no resolver"),
	}
}
