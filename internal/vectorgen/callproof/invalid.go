package callproof

import (
	"strings"

	"github.com/touchmark-dev/touchmark/badge/pop"
	"github.com/touchmark-dev/touchmark/internal/vectorgen/vectorkit"
)

func format(w *world) []*draft {
	bad := func(name, defect string, f func(h, p, s string) string) *draft {
		return w.good().mangled(f).reject(name, pop.CodeMalformed, "", defect)
	}
	payload := func(name, defect string, f func(string) string) *draft {
		return w.good().payload(f).reject(name, pop.CodeMalformed, "", defect)
	}
	ec := w.good().inHeader("alg", "ES256")
	ec.key, ec.badge.Key = w.ec, publicJWK(w.ec)
	return []*draft{
		w.good().mangled(func(_, _, _ string) string { return "" }).reject("missing", pop.CodeMissing, "", "the badge came without a proof"),
		bad("format-two-parts", "there is no signature part", func(h, p, _ string) string { return h + "." + p }),
		bad("format-padding", "the payload part has padding", func(h, p, s string) string { return h + "." + p + "=." + s }),
		bad("format-header-newline", "a line break inside the header part", func(h, p, s string) string { return h[:4] + "\n" + h[4:] + "." + p + "." + s }),
		bad("format-payload-empty", "the payload part is empty", func(h, _, s string) string { return h + ".." + s }),
		w.good().with("pad", strings.Repeat("x", 8<<10)).reject("format-too-long", pop.CodeMalformed, "", "more than 8192 bytes"),
		w.good().inHeader("typ", "JWT").reject("header-typ-badge", pop.CodeMalformed, "", "typ is that of a badge"),
		w.good().inHeader("typ", nil).reject("header-typ-missing", pop.CodeMalformed, "", "typ is missing"),
		w.good().inHeader("alg", "none").reject("header-alg-none", pop.CodeMalformed, "", "alg is none"),
		ec.reject("header-alg-es256", pop.CodeMalformed, "", "signed with ES256 by a badge's P-256 key"),
		w.good().inHeader("jwk", object{}).reject("header-jwk", pop.CodeMalformed, "", "the header brings a key along"),
		w.good().inHeader("kid", 1).reject("header-kid-number", pop.CodeMalformed, "", "kid is a number"),
		payload("payload-not-json", "the payload is not JSON", func(string) string { return "hop" }),
		payload("payload-array", "the payload is an array", func(p string) string { return "[" + p + "]" }),
		payload("payload-claim-twice", "hop_id is given twice", func(p string) string {
			return strings.Replace(p, `"hop_id":`, `"hop_id":"x","hop_id":`, 1)
		}),
		payload("payload-text-after", "text after the payload", func(p string) string { return p + "{}" }),
	}
}

// required are the claims that a proof must have.
func required() []string {
	return []string{
		"badge_jti", "call_hash", "call_salt", "exp", "hop_id", "htm", "htu", "iat", "iss", "srv", "target_aud", "txn_id",
	}
}

func fileName(claim string) string { return strings.ReplaceAll(claim, "_", "-") }

func missing(w *world) (all []*draft) {
	for _, claim := range required() {
		all = append(all, w.good().with(claim, nil).
			reject(fileName(claim)+"-missing", pop.CodeClaimsInvalid, claim, claim+" is missing"))
	}
	return all
}

// kinds has each claim once with a value of another type.
func kinds(w *world) (all []*draft) {
	for _, claim := range append(required(), "parent_hop_hash") {
		d := w.good().with(claim, 7)
		what := " is a number"
		if claim == "iat" || claim == "exp" {
			d, what = w.good().with(claim, "1790000000"), " is a string"
		}
		all = append(all, d.reject(fileName(claim)+"-type", pop.CodeClaimsInvalid, claim, claim+what))
	}
	return all
}

// forms has values of the right type that the specification does not admit.
func forms(w *world) []*draft {
	bad := func(name, claim string, value any, defect string) *draft {
		return w.good().with(claim, value).reject(name, pop.CodeClaimsInvalid, claim, defect)
	}
	return []*draft{
		bad("hop-id-empty", "hop_id", "", "hop_id is empty"),
		bad("hop-id-long", "hop_id", strings.Repeat("h", 129), "hop_id is longer than 128 characters"),
		bad("hop-id-space", "hop_id", "a b", "hop_id has a space"),
		bad("target-aud-list", "target_aud", []string{origin}, "target_aud is a list"),
		bad("iat-fraction", "iat", float64(now)+0.5, "iat is not a whole number"),
		bad("call-salt-short", "call_salt", strings.Repeat("A", 42), "call_salt has 31 bytes"),
		bad("call-salt-unused-bits", "call_salt", strings.Repeat("A", 42)+"B", "call_salt has bits that no byte uses"),
		bad("call-hash-hex", "call_hash", "sha256:"+strings.Repeat("0", 64), "call_hash is in hexadecimal"),
		bad("parent-hop-hash-form", "parent_hop_hash", strings.Repeat("A", 43), "parent_hop_hash has no prefix"),
	}
}

func windows(w *world) []*draft {
	return []*draft{
		w.good().with("iat", now).with("exp", now+61).reject("window-long", pop.CodeClaimsInvalid, "exp", "the window is longer than 60 s"),
		w.good().with("exp", now-5).reject("window-empty", pop.CodeClaimsInvalid, "exp", "exp is iat"),
		w.good().configured(func(c *Config) { c.Window = 20 }).reject("window-configured", pop.CodeClaimsInvalid, "exp", "the window is longer than the server allows"),
	}
}

func bindings(w *world) []*draft {
	otherTxn := w.good()
	otherTxn.txn = "018f4e1d-7e5d-7a9f-a9d2-8b6a0f2c9b12"
	noTxn := w.good()
	noTxn.txn = ""
	return []*draft{
		otherTxn.reject("txn-other", pop.CodeTxnMismatch, "txn_id", "the transaction beside the proof is another"),
		noTxn.reject("txn-not-sent", pop.CodeTxnMismatch, "txn_id", "no transaction was sent beside the proof"),
		w.good().with("badge_jti", "0b5c1f9e-6d3a-4c57-9f0e-2a8d4b7c6e11").reject("badge-other", pop.CodeBadgeMismatch, "badge_jti", "signed for another badge"),
		w.good().with("iss", "did:web:agents.example:eve").reject("subject-other", pop.CodeBadgeMismatch, "iss", "signed in the name of another agent"),
		w.good().with("srv", "did:web:evil.example").reject("server-other", pop.CodeServerMismatch, "srv", "signed for another server, which sent it on"),
		w.good().with("srv", strings.ToLower(server)).reject("server-spelling", pop.CodeServerMismatch, "srv", "the server's DID in another spelling"),
		w.good().with("target_aud", "https://mcp.example.com").reject("audience-other", pop.CodeServerMismatch, "target_aud", "the audience is the origin with another port"),
		w.good().with("target_aud", origin+"/").reject("audience-slash", pop.CodeServerMismatch, "target_aud", "the audience ends with a slash"),
		w.good().with("htm", "GET").reject("htm-other", pop.CodeTargetMismatch, "htm", "signed for another HTTP method"),
		w.good().with("htu", "mcp://did%3aweb%3amcp.example.com%253A8443%3Afiles/tools/call").reject("htu-spelling", pop.CodeTargetMismatch, "htu", "percent-encoding in lower case"),
		w.good().with("htu", "mcp://files/tools/call").reject("htu-name", pop.CodeTargetMismatch, "htu", "htu names the server by an advertised name"),
	}
}

func signatures(w *world) []*draft {
	thief := w.good()
	thief.key = w.stranger
	ec := w.good()
	ec.badge.Key = publicJWK(w.ec)
	moved := w.good()
	moved.mangled(func(h, p, _ string) string {
		return h + "." + p + "." + b64(vectorkit.SignJWS(w.agent, h+"."+b64([]byte("{}"))))
	})
	return []*draft{
		thief.reject("signature-thief", pop.CodeSignatureInvalid, "", "signed by somebody who has the badge and not its key"),
		ec.reject("signature-p256-badge", pop.CodeSignatureInvalid, "", "signed with EdDSA where the badge's key is on P-256"),
		moved.reject("signature-moved", pop.CodeSignatureInvalid, "", "the signature is of another payload"),
	}
}

func times(w *world) []*draft {
	badge := w.good()
	badge.badge.Expires = now - 5
	return []*draft{
		w.good().with("iat", now+11).with("exp", now+41).reject("time-early", pop.CodeNotYetValid, "iat", "signed 11 s ahead of the server's clock"),
		w.good().with("iat", now-40).with("exp", now-10).reject("time-late", pop.CodeExpired, "exp", "expired for as long as is tolerated"),
		badge.reject("time-after-badge", pop.CodeExpired, "iat", "signed when the badge had expired"),
		w.good().configured(func(c *Config) { c.Started = now + 6 }).reject("time-before-start", pop.CodeExpired, "iat", "signed before the server began to remember proofs"),
	}
}

func calls(w *world) []*draft {
	other := func(name, defect string, change func(*Call)) *draft {
		return w.good().executing(change).reject(name, pop.CodeParamsMismatch, "call_hash", defect)
	}
	arguments := func(name, defect, text string) *draft {
		return other(name, defect, func(c *Call) { c.Arguments = &text })
	}
	return []*draft{
		w.good().executing(func(c *Call) { c.Method = "prompts/get" }).reject("call-method", pop.CodeTargetMismatch, "htu", "another method is executed"),
		other("call-target", "another tool is executed", func(c *Call) { c.Target = "write_file" }),
		other("call-target-case", "the tool's name differs in case", func(c *Call) { c.Target = "Read_file" }),
		arguments("call-argument", "an argument is another", `{"path":"/srv/data/b.txt"}`),
		arguments("call-argument-null", "there is a further argument, which is null", `{"path":"/srv/data/a.txt","mode":null}`),
		arguments("call-argument-case", "an argument's name differs in case", `{"Path":"/srv/data/a.txt"}`),
		other("call-arguments-absent", "the arguments were taken away", func(c *Call) { c.Arguments = nil }),
		other("call-input-responses", "input responses were added", func(c *Call) { r := `{"approval":{"action":"accept"}}`; c.InputResponses = &r }),
		other("call-parts-swapped", "the arguments come as input responses", func(c *Call) { c.InputResponses, c.Arguments = c.Arguments, nil }),
		arguments("call-argument-twice", "an argument is given twice", `{"path":"/srv/data/a.txt","path":"/srv/data/a.txt"}`),
		arguments("call-argument-number", "an argument is a number that float64 does not hold", `{"path":9007199254740993}`),
		arguments("call-argument-tiny", "an argument is a number that float64 takes for zero", `{"path":1e-400}`),
		arguments("call-arguments-array", "the arguments are an array", `["/srv/data/a.txt"]`),
		other("call-input-responses-text", "the input responses are not an object", func(c *Call) { r := `"accept"`; c.InputResponses = &r }),
		w.good().with("call_salt", strings.Repeat("A", 43)).reject("call-salt-other", pop.CodeParamsMismatch, "call_hash", "the salt is another"),
	}
}

func replays(w *world) []*draft {
	return []*draft{
		w.good().configured(func(c *Config) { c.Used = []string{hopID} }).reject("replayed", pop.CodeReplayed, "hop_id", "the proof was used before"),
		w.good().configured(func(c *Config) { c.StoreFull = true }).reject("store-full", pop.CodeReplayStoreFull, "", "the replay store has no room"),
	}
}
