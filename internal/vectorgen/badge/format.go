package badge

import (
	"strings"

	"github.com/touchmark-dev/touchmark/badge"
)

// parts changes the three parts of a token.
func parts(f func(header, payload, signature string) string) func(string) string {
	return func(token string) string {
		p := strings.Split(token, ".")
		return f(p[0], p[1], p[2])
	}
}

func structure(w *world) []*draft {
	bad := func(name, defect string, f func(h, p, s string) string) *draft {
		return w.good().mangled(parts(f)).reject(name, badge.CodeMalformed, "", defect)
	}
	return []*draft{
		bad("format-empty", "the token is empty", func(_, _, _ string) string { return "" }),
		bad("format-two-parts", "there is no signature part", func(h, p, _ string) string { return h + "." + p }),
		bad("format-four-parts", "there is a fourth part", func(h, p, s string) string { return h + "." + p + "." + s + "." + s }),
		bad("format-json-serialization", "JSON serialization instead of compact", func(h, p, s string) string {
			return `{"payload":"` + p + `","protected":"` + h + `","signature":"` + s + `"}`
		}),
		bad("format-header-empty", "the header part is empty", func(_, p, s string) string { return "." + p + "." + s }),
		bad("format-payload-empty", "the payload part is empty", func(h, _, s string) string { return h + ".." + s }),
		bad("format-signature-empty", "the signature part is empty", func(h, p, _ string) string { return h + "." + p + "." }),
		bad("format-header-padding", "the header part has padding", func(h, p, s string) string { return h + "=." + p + "." + s }),
		bad("format-payload-padding", "the payload part has padding", func(h, p, s string) string { return h + "." + p + "=." + s }),
		bad("format-signature-unused-bits", "the last character of the signature has bits that no byte uses",
			func(h, p, s string) string { return h + "." + p + "." + unusedBit(s) }),
		bad("format-header-newline", "a line break inside the header part", func(h, p, s string) string { return h[:4] + "\n" + h[4:] + "." + p + "." + s }),
		bad("format-payload-newline", "a line break inside the payload part", func(h, p, s string) string { return h + "." + p[:4] + "\r\n" + p[4:] + "." + s }),
		bad("format-signature-newline", "a line break at the end", func(h, p, s string) string { return h + "." + p + "." + s + "\n" }),
		w.good().with("pad", strings.Repeat("x", 12<<10)).reject("format-too-long", badge.CodeMalformed, "", "more than 16384 bytes"),
	}
}

// unusedBit sets the lowest bit of the last character, which no byte uses in a signature of 64 bytes.
func unusedBit(s string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, s[len(s)-1])
	return s[:len(s)-1] + alphabet[last|1:last|1+1]
}

func headers(w *world) []*draft {
	bad := func(name, defect string, d *draft) *draft {
		return d.reject(name, badge.CodeMalformed, "", defect)
	}
	member := func(name string, value any) *draft { return w.good().inHeader(name, value) }
	raw := func(text string) *draft {
		d := w.good()
		d.headerText = text
		return d
	}
	return []*draft{
		bad("header-not-json", "the header is not JSON", raw(`{"alg":"EdDSA","typ":"JWT"`)),
		bad("header-array", "the header is an array", raw(`["EdDSA","JWT"]`)),
		bad("header-alg-twice", "the header has alg twice", raw(`{"alg":"EdDSA","alg":"EdDSA","typ":"JWT"}`)),
		bad("header-trailing", "text follows the header's object", raw(`{"alg":"EdDSA","typ":"JWT"} {}`)),
		bad("header-no-alg", "the header has no alg", member("alg", nil)),
		bad("header-alg-none", "alg is none", member("alg", "none")),
		bad("header-alg-hs256", "alg is HS256", member("alg", "HS256")),
		bad("header-alg-rs256", "alg is RS256", member("alg", "RS256")),
		bad("header-alg-number", "alg is a number", member("alg", 1)),
		bad("header-alg-empty", "alg is empty", member("alg", "")),
		bad("header-no-typ", "the header has no typ", member("typ", nil)),
		bad("header-typ-other", "typ is that of a call proof", member("typ", "capiscio.hop+jwt")),
		bad("header-typ-number", "typ is a number", member("typ", 1)),
		bad("header-typ-empty", "typ is empty", member("typ", "")),
		bad("header-kid-number", "kid is a number", member("kid", 1)),
		bad("header-kid-empty", "kid is empty", member("kid", "")),
		bad("header-kid-long", "kid is longer than 512 bytes", member("kid", strings.Repeat("k", 513))),
		bad("header-crit", "crit asks for an extension", member("crit", []string{"exp"}).inHeader("exp", now+290)),
		bad("header-b64", "b64 says that the payload is not encoded", member("b64", false)),
		bad("header-zip", "zip says that the payload is compressed", member("zip", "DEF")),
		bad("header-jwk", "jwk brings a key", member("jwk", publicJWK(w.ca.Public()))),
		bad("header-x5c", "x5c brings a certificate", member("x5c", []string{"MIIB"})),
		bad("header-jku", "jku says where a key set is", member("jku", "https://registry.invalid/jwks.json")),
		bad("header-x5u", "x5u says where a certificate is", member("x5u", "https://registry.invalid/ca.pem")),
		bad("header-unknown", "the header has a member that is not alg, typ or kid", member("cty", "JWT")),
		bad("header-alg-case", "the header has ALG for alg", member("alg", nil).inHeader("ALG", "EdDSA")),
	}
}

func payloads(w *world) []*draft {
	bad := func(name, defect string, d *draft) *draft {
		return d.reject(name, badge.CodeMalformed, "", defect)
	}
	whole := func(text string) *draft {
		d := w.good()
		d.payloadText = text
		return d
	}
	return []*draft{
		bad("payload-not-json", "the payload is not JSON", whole("badge")),
		bad("payload-array", "the payload is an array", whole("[]")),
		bad("payload-truncated", "the payload ends early", whole(`{"jti":"`+badgeID+`"`)),
		bad("payload-trailing", "text follows the payload's object", w.good().inPayload(`{"exp"`, `{} {"exp"`)),
		bad("payload-claim-twice", "a claim is given twice", w.good().inPayload(`"ial":"0"`, `"ial":"0","ial":"1"`)),
		bad("payload-claim-twice-escaped", "a claim is given twice, once with an escape in its name",
			w.good().inPayload(`"ial":"0"`, `"ial":"0","\u0069al":"1"`)),
		bad("payload-level-twice", "the level is given twice", w.good().inPayload(`"level":"2"`, `"level":"2","level":"4"`)),
		bad("payload-unknown-twice", "a member that the specification does not name is given twice",
			w.good().inPayload(`"ial":"0"`, `"ial":"0","x":{"y":1,"y":2}`)),
		bad("payload-invalid-utf8", "a string is not UTF-8", w.good().inPayload(`"agents.example"`, "\"agents\xff.example\"")),
		bad("payload-lone-surrogate", "a string has half a surrogate pair", w.good().inPayload(`"agents.example"`, `"agents\ud800.example"`)),
		bad("payload-too-deep", "more than 32 levels of nesting",
			w.good().inPayload(`"ial":"0"`, `"ial":"0","x":`+strings.Repeat("[", 32)+strings.Repeat("]", 32))),
	}
}
