package issuance

import (
	"strings"

	"github.com/touchmark-dev/touchmark/badge/pop"
)

func accepted(w *world) []*draft {
	self := w.good().with("sub", w.self.String()).inHeader("kid", w.self.KeyURL())
	self.route, self.challenge.Subject, self.document = w.self.String(), w.self.String(), nil
	embedded := w.good()
	methods := embedded.document["verificationMethod"].([]object)
	embedded.documented("authentication", []any{methods[0]}).documented("verificationMethod", methods[1:]).
		documented("assertionMethod", nil)
	return []*draft{
		w.good().accept("valid", "the example of spec/issuance.md"),
		w.good().inHeader("alg", "ES256").inHeader("kid", subject+"#ec-1").signedBy(w.ec).accept("valid-es256", "a key on P-256"),
		w.good().inHeader("kid", subject+"#key-2").signedBy(w.second).accept("valid-second-key", "the second key of the document"),
		self.accept("valid-did-key", "the subject is a did:key, whose document nobody fetches"),
		embedded.accept("valid-embedded", "the document has the key in authentication instead of a reference to it"),
		w.good().with("scope", "badge").accept("valid-unknown-claim", "a claim that the specification does not name"),
		w.good().with("iat", now+60).with("exp", now+61).accept("valid-clock-fast", "signed 60 s from now"),
		w.good().challenged(func(c *Challenge) { c.CreatedAt = now + 58 }).accept("valid-clock-slow", "signed 60 s before the challenge"),
		w.good().with("exp", now+1).accept("valid-last-second", "one second is left"),
		w.good().challenged(func(c *Challenge) { c.ExpiresAt = now + 58 }).accept("valid-challenge-end", "ends with the challenge"),
		w.good().with("jti", strings.Repeat("j", 128)).accept("valid-jti-long", "jti has 128 characters"),
	}
}

func format(w *world) []*draft {
	const code = pop.IssuanceInvalidProof
	bad := func(name, defect string, f func(h, p, s string) string) *draft {
		return w.good().mangled(f).reject(name, 6, code, defect)
	}
	payload := func(name, defect string, f func(string) string) *draft {
		return w.good().payload(f).reject(name, 6, code, defect)
	}
	return []*draft{
		bad("format-empty", "there is no proof", func(_, _, _ string) string { return "" }),
		bad("format-two-parts", "there is no signature part", func(h, p, _ string) string { return h + "." + p }),
		bad("format-padding", "the payload part has padding", func(h, p, s string) string { return h + "." + p + "=." + s }),
		bad("format-newline", "a line break inside the header part", func(h, p, s string) string { return h[:4] + "\n" + h[4:] + "." + p + "." + s }),
		bad("format-payload-empty", "the payload part is empty", func(h, _, s string) string { return h + ".." + s }),
		w.good().with("pad", strings.Repeat("x", 8<<10)).reject("format-too-long", 6, code, "more than 8192 bytes"),
		w.good().inHeader("alg", "none").reject("header-alg-none", 6, code, "alg is none"),
		w.good().inHeader("alg", "HS256").reject("header-alg-hmac", 6, code, "alg is HS256"),
		w.good().inHeader("jwk", publicJWK(w.agent)).reject("header-jwk", 6, code, "the header brings its key along"),
		w.good().inHeader("crit", []string{"exp"}).reject("header-crit", 6, code, "an extension that must be understood"),
		w.good().inHeader("typ", nil).reject("header-typ-missing", 6, code, "typ is missing"),
		w.good().inHeader("kid", nil).reject("header-kid-missing", 6, code, "kid is missing"),
		w.good().inHeader("kid", 1).reject("header-kid-number", 6, code, "kid is a number"),
		w.good().inHeader("kid", subject+"?versionId=1#key-1").reject("header-kid-query", 6, code, "kid has a query"),
		payload("payload-not-json", "the payload is not JSON", func(string) string { return "pop" }),
		payload("payload-array", "the payload is an array", func(p string) string { return "[" + p + "]" }),
		payload("payload-claim-twice", "nonce is given twice", func(p string) string {
			return strings.Replace(p, `"nonce":`, `"nonce":"x","nonce":`, 1)
		}),
		payload("payload-text-after", "text after the payload", func(p string) string { return p + "{}" }),
		w.good().inHeader("typ", "JWT").reject("typ-badge", 7, code, "typ is that of a badge"),
		w.good().inHeader("typ", "capiscio.hop+jwt").reject("typ-call-proof", 7, code, "typ is that of a call proof"),
		w.good().inHeader("typ", "application/pop+jwt").reject("typ-media-type", 7, code, "typ is a whole media type"),
	}
}

// required are the claims that a proof must have.
func required() []string {
	return []string{"aud", "cid", "exp", "htm", "htu", "iat", "jti", "nonce", "sub"}
}

func missing(w *world) (all []*draft) {
	for _, claim := range required() {
		all = append(all, w.good().with(claim, nil).
			reject(claim+"-missing", 6, pop.IssuanceInvalidProof, claim+" is missing"))
	}
	return all
}

// kinds has each claim once with a value of another type.
func kinds(w *world) (all []*draft) {
	for _, claim := range required() {
		d, what := w.good().with(claim, 7), " is a number"
		if claim == "iat" || claim == "exp" {
			d, what = w.good().with(claim, "1790000000"), " is a string"
		}
		all = append(all, d.reject(claim+"-type", 6, pop.IssuanceInvalidProof, claim+what))
	}
	return all
}

// forms has values of the right type that the specification does not admit.
func forms(w *world) []*draft {
	bad := func(name, claim string, value any, defect string) *draft {
		return w.good().with(claim, value).reject(name, 6, pop.IssuanceInvalidProof, defect)
	}
	return []*draft{
		bad("jti-empty", "jti", "", "jti is empty"),
		bad("jti-long", "jti", strings.Repeat("j", 129), "jti is longer than 128 characters"),
		bad("jti-control", "jti", "a\u0007b", "jti has a control character"),
		bad("aud-list", "aud", []string{issuer}, "aud is a list"),
		bad("iat-fraction", "iat", float64(now)-0.5, "iat is not a whole number"),
		bad("iat-huge", "iat", 1<<48, "iat is further away than times are"),
		bad("exp-iat", "exp", now-2, "exp is iat"),
		bad("claim-case", "Nonce", w.nonce, "nonce is written in other letters").with("nonce", nil),
	}
}

func bindings(w *world) []*draft {
	bad := func(name string, step int, code pop.IssuanceCode, claim, value, defect string) *draft {
		return w.good().with(claim, value).reject(name, step, code, defect)
	}
	other := w.good()
	other.route = "did:web:registry.example:agents:eve"
	lower := strings.ReplaceAll(uri, "%3A", "%3a")
	return []*draft{
		other.reject("route-other", 3, pop.IssuanceSubjectMismatch, "the request is about another agent than the challenge"),
		bad("cid-other", 8, pop.IssuanceChallengeMismatch, "cid", "ch-550e8400-e29b-41d4-a716-446655440001", "signed for another challenge"),
		bad("cid-no-prefix", 8, pop.IssuanceChallengeMismatch, "cid", strings.TrimPrefix(challengeID, "ch-"), "cid has no prefix"),
		bad("cid-case", 8, pop.IssuanceChallengeMismatch, "cid", "ch-"+strings.ToUpper(challengeID[3:]), "cid in upper case"),
		bad("nonce-other", 9, pop.IssuanceInvalidProof, "nonce", strings.Repeat("A", 43), "the nonce is another"),
		bad("nonce-padded", 9, pop.IssuanceInvalidProof, "nonce", w.nonce+"=", "the same bytes in another encoding"),
		bad("nonce-prefix", 9, pop.IssuanceInvalidProof, "nonce", w.nonce[:42], "the nonce is cut short"),
		bad("aud-other", 10, pop.IssuanceAudienceMismatch, "aud", "https://registry.example.net", "signed for another authority"),
		bad("aud-slash", 10, pop.IssuanceAudienceMismatch, "aud", issuer+"/", "aud ends with a slash"),
		bad("aud-endpoint", 10, pop.IssuanceAudienceMismatch, "aud", uri, "aud is the URI of the request"),
		bad("htu-other", 11, pop.IssuanceURIMismatch, "htu", uri+"/challenge", "signed for another request"),
		bad("htu-host-case", 11, pop.IssuanceURIMismatch, "htu", strings.Replace(uri, "registry", "Registry", 1), "the host in other letters"),
		bad("htu-unescaped", 11, pop.IssuanceURIMismatch, "htu", strings.ReplaceAll(uri, "%3A", ":"), "colons are not percent-encoded"),
		bad("htu-hex-case", 11, pop.IssuanceURIMismatch, "htu", lower, "percent-encoding in lower case"),
		bad("htu-slash", 11, pop.IssuanceURIMismatch, "htu", uri+"/", "htu ends with a slash"),
		bad("htm-get", 12, pop.IssuanceInvalidProof, "htm", "GET", "signed for another method"),
		bad("htm-case", 12, pop.IssuanceInvalidProof, "htm", "post", "the method in lower case"),
		bad("sub-other", 19, pop.IssuanceSubjectMismatch, "sub", "did:web:registry.example:agents:eve", "signed in the name of another agent"),
		bad("sub-key", 19, pop.IssuanceSubjectMismatch, "sub", w.self.String(), "sub is the did:key of the same key"),
	}
}

func times(w *world) []*draft {
	const invalid = pop.IssuanceIssuedAtInvalid
	strict := w.good().with("iat", now+1)
	strict.config.Skew = -1
	slow := w.good().challenged(func(c *Challenge) { c.CreatedAt = now - 1 })
	slow.config.Skew = -1
	return []*draft{
		w.good().with("iat", now+61).with("exp", now+62).reject("iat-future", 13, invalid, "signed 61 s from now"),
		strict.reject("iat-future-strict", 13, invalid, "signed a second from now, where no skew is allowed"),
		w.good().challenged(func(c *Challenge) { c.CreatedAt = now + 59 }).
			reject("iat-before-challenge", 14, invalid, "signed 61 s before the challenge was made"),
		slow.reject("iat-before-challenge-strict", 14, invalid, "signed a second before the challenge was made, where no skew is allowed"),
		w.good().with("iat", now+21).with("exp", now+22).challenged(func(c *Challenge) { c.ExpiresAt = now + 20 }).
			reject("iat-after-challenge", 15, invalid, "signed a second after the challenge was over"),
		w.good().with("exp", now+59).reject("exp-too-long", 16, pop.IssuanceTooLong, "exp is 61 s after iat"),
		w.good().with("exp", now).reject("exp-now", 17, pop.IssuanceExpired, "expires now"),
		w.good().challenged(func(c *Challenge) { c.ExpiresAt = now + 57 }).
			reject("exp-after-challenge", 18, pop.IssuanceOutlivesChallenge, "exp is a second after the challenge is over"),
	}
}

func documents(w *world) []*draft {
	const code = pop.IssuanceDocumentInvalid
	away := w.good()
	away.document, away.unreachable = nil, true
	away.reject("document-unreachable", 20, pop.IssuanceResolutionFailed, "the document could not be had")
	away.expect.Verdict, away.description = Undetermined, "not told: the document could not be had"
	text := w.good()
	text.documentText = "<html>"
	twice := w.good()
	methods := twice.document["verificationMethod"].([]object)
	methods[1]["id"] = methods[0]["id"]
	return []*draft{
		away,
		text.reject("document-not-json", 20, code, "the document is a page"),
		w.good().documented("id", "did:web:registry.example:agents:eve").reject("document-other", 20, code, "the document is that of another agent"),
		w.good().documented("id", nil).reject("document-no-id", 20, code, "the document does not say whose it is"),
		twice.reject("document-key-twice", 20, code, "the document has two keys of one name"),
	}
}

func keys(w *world) []*draft {
	const unknown, may = pop.IssuanceKeyNotFound, pop.IssuanceKeyNotAuthenticator
	kid := func(name, kid, defect string) *draft {
		return w.good().inHeader("kid", kid).reject(name, 21, unknown, defect)
	}
	foreign := w.good().inHeader("kid", "did:web:registry.example:agents:eve#key-1")
	foreign.document["verificationMethod"].([]object)[0]["id"] = "did:web:registry.example:agents:eve#key-1"
	foreign.documented("authentication", nil).documented("assertionMethod", nil)
	return []*draft{
		kid("kid-unknown", subject+"#key-3", "the document has no such key"),
		kid("kid-other-did", w.self.KeyURL(), "kid is a key of another DID, which is the same key"),
		kid("kid-did", subject, "kid has no fragment"),
		kid("kid-relative", "#key-1", "kid is relative"),
		kid("kid-case", subject+"#Key-1", "the fragment in other letters"),
		kid("kid-encoded", subject+"#key%2D1", "the fragment in another encoding"),
		foreign.reject("kid-foreign-method", 21, unknown, "the document claims a key of another agent"),
		w.good().documented("authentication", []string{subject + "#key-2"}).
			reject("authentication-other", 22, may, "the key is for assertions alone"),
		w.good().documented("authentication", nil).reject("authentication-missing", 22, may, "the document has no authentication"),
	}
}

func signatures(w *world) []*draft {
	const code = pop.IssuanceSignatureInvalid
	bad := func(d *draft, name, defect string) *draft { return d.reject(name, 23, code, defect) }
	return []*draft{
		bad(w.good().signedBy(w.stranger), "signature-stranger", "signed by somebody else"),
		bad(w.good().signedBy(w.second), "signature-other-key", "signed with another key of the subject than kid names"),
		bad(w.good().inHeader("kid", subject+"#ec-1"), "signature-alg-other", "signed with EdDSA where kid names a key on P-256"),
		bad(w.good().inHeader("alg", "ES256").signedBy(w.ec), "signature-alg-es256", "signed with ES256 where kid names an Ed25519 key"),
		bad(w.good().mangled(func(h, p, _ string) string {
			return h + "." + p + "." + b64(make([]byte, 64))
		}), "signature-zero", "the signature is all zeroes"),
		bad(w.good().mangled(func(h, p, s string) string {
			return h + "." + b64([]byte(strings.Replace(mustText(p), proofID, strings.Replace(proofID, "6", "7", 1), 1))) + "." + s
		}), "signature-payload-changed", "jti was changed after signing"),
	}
}
