package badge

import (
	"crypto/ed25519"
	"strings"

	"github.com/touchmark-dev/touchmark/badge"
)

func keys(w *world) []*draft {
	x := b64(w.agent.Public().(ed25519.PublicKey))
	bad := func(name, defect, jwk string) *draft {
		return against(w.good().with("key", lit(strings.ReplaceAll(jwk, "$x", x))), name, "key", defect)
	}
	ec := string(publicJWK(ecKey("agent ec").Public()))
	return []*draft{
		against(w.good().with("key", nil), "key-missing", "key", "key is missing"),
		bad("key-string", "key is a string", `"$x"`),
		bad("key-no-kty", "key has no kty", `{"crv":"Ed25519","x":"$x"}`),
		bad("key-kty-number", "kty is a number", `{"crv":"Ed25519","kty":1,"x":"$x"}`),
		bad("key-rsa", "key is an RSA key", `{"kty":"RSA","n":"AQAB","e":"AQAB"}`),
		bad("key-x25519", "key is an X25519 key", `{"crv":"X25519","kty":"OKP","x":"$x"}`),
		bad("key-private", "key has the private half", `{"crv":"Ed25519","d":"$x","kty":"OKP","x":"$x"}`),
		bad("key-symmetric", "key has a shared secret", `{"crv":"Ed25519","k":"$x","kty":"OKP","x":"$x"}`),
		bad("key-no-x", "key has no x", `{"crv":"Ed25519","kty":"OKP"}`),
		bad("key-x-short", "x has 31 bytes", `{"crv":"Ed25519","kty":"OKP","x":"`+x[:42]+`"}`),
		bad("key-x-unused-bits", "x has bits that no byte uses", `{"crv":"Ed25519","kty":"OKP","x":"`+unusedBit(x)+`"}`),
		bad("key-x-newline", "x has a line break for its last character", `{"crv":"Ed25519","kty":"OKP","x":"`+x[:42]+`\n"}`),
		bad("key-small-order", "key is a point of small order", `{"crv":"Ed25519","kty":"OKP","x":"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}`),
		bad("key-ed25519-y", "an Ed25519 key has y", `{"crv":"Ed25519","kty":"OKP","x":"$x","y":"$x"}`),
		bad("key-p256-no-y", "a P-256 key has no y", `{"crv":"P-256","kty":"EC","x":"$x"}`),
		bad("key-p256-off-curve", "a P-256 key is not on the curve", swapped(ec)),
		bad("key-use", "key is for encryption", `{"crv":"Ed25519","kty":"OKP","use":"enc","x":"$x"}`),
		bad("key-alg", "key says the algorithm of another kind", `{"alg":"ES256","crv":"Ed25519","kty":"OKP","x":"$x"}`),
		bad("key-ops", "key is not for verifying", `{"crv":"Ed25519","key_ops":["sign"],"kty":"OKP","x":"$x"}`),
		bad("key-ops-string", "key_ops is a string", `{"crv":"Ed25519","key_ops":"verify","kty":"OKP","x":"$x"}`),
		bad("key-ops-number", "key_ops has a number in it", `{"crv":"Ed25519","key_ops":[1],"kty":"OKP","x":"$x"}`),
		bad("key-kid-empty", "key has an empty kid", `{"crv":"Ed25519","kid":"","kty":"OKP","x":"$x"}`),
		against(w.self0().with("key", publicJWK(w.stranger.Public())), "key-not-of-did", "key", "key is not that of the did:key"),
		against(w.good().with("key", publicJWK(w.ca.Public())), "key-of-issuer", "key", "key is the issuer's that signed"),
	}
}

// swapped gives x and y of a P-256 key to each other.
func swapped(jwk string) string {
	return strings.NewReplacer(`"x":`, `"y":`, `"y":`, `"x":`).Replace(jwk)
}

func confirmations(w *world) []*draft {
	bad := func(name, claim, defect string, cnf any) *draft {
		return against(w.possessed().with("cnf", cnf), name, claim, defect)
	}
	return []*draft{
		bad("cnf-missing", "cnf", `cnf is missing with ial "1"`, nil),
		against(w.good().with("cnf", object{"kid": subject + "#key-1"}), "cnf-with-ial-0", "cnf", `cnf is present with ial "0"`),
		bad("cnf-string", "cnf", "cnf is a string", subject+"#key-1"),
		bad("cnf-no-kid", "cnf.kid", "cnf has no kid", object{"jwk": publicJWK(w.agent.Public())}),
		bad("cnf-kid-number", "cnf.kid", "cnf.kid is a number", object{"kid": 1}),
		bad("cnf-kid-empty", "cnf.kid", "cnf.kid is empty", object{"kid": ""}),
		bad("cnf-kid-fragment", "cnf.kid", "cnf.kid is a fragment alone", object{"kid": "#key-1"}),
		bad("cnf-kid-did", "cnf.kid", "cnf.kid is a DID without fragment", object{"kid": subject}),
		bad("cnf-certificate-number", "cnf.x5t#S256", "cnf.x5t#S256 is a number", object{"kid": subject + "#key-1", "x5t#S256": 1}),
		bad("cnf-certificate-sha1", "cnf.x5t#S256", "cnf.x5t#S256 has 20 bytes",
			object{"kid": subject + "#key-1", "x5t#S256": certificate[:27]}),
		bad("cnf-certificate-unused-bits", "cnf.x5t#S256", "cnf.x5t#S256 has bits that no byte uses",
			object{"kid": subject + "#key-1", "x5t#S256": unusedBit(certificate)}),
		bad("cnf-certificate-alone", "cnf.kid", "cnf has x5t#S256 and no kid", object{"x5t#S256": certificate}),
		against(w.good().with("cnf", object{"x5t#S256": certificate}), "cnf-certificate-ial-0", "cnf",
			`cnf is present with ial "0", for a certificate`),
		bad("cnf-kid-other", "cnf.kid", "cnf.kid is a key of another DID", object{"kid": "did:web:agents.example:eve#key-1"}),
	}
}

func credentials(w *world) []*draft {
	vc := func(name, claim, defect, member string, value any) *draft {
		return against(w.good().inVC(member, value), name, claim, defect)
	}
	sub := func(name, defect, member string, value any) *draft {
		return against(w.good().inSubject(member, value), name, "vc.credentialSubject."+member, defect)
	}
	many := make([]string, 0, 17)
	for range 15 {
		many = append(many, "Other")
	}
	many = append(many, "VerifiableCredential", "AgentIdentity")
	missing, array := w.good().with("vc", nil), w.good().with("vc", []string{"VerifiableCredential"})
	return []*draft{
		against(missing, "vc-missing", "vc", "vc is missing"),
		against(array, "vc-array", "vc", "vc is an array"),
		vc("vc-type-missing", "vc.type", "vc.type is missing", "type", nil),
		vc("vc-type-string", "vc.type", "vc.type is a string", "type", "AgentIdentity"),
		vc("vc-type-number", "vc.type", "vc.type has a number in it", "type", []any{"VerifiableCredential", "AgentIdentity", 1}),
		vc("vc-type-too-many", "vc.type", "vc.type has more than 16 elements", "type", many),
		vc("vc-type-no-credential", "vc.type", "vc.type lacks VerifiableCredential", "type", []string{"AgentIdentity"}),
		vc("vc-type-no-identity", "vc.type", "vc.type lacks AgentIdentity", "type", []string{"VerifiableCredential"}),
		vc("vc-subject-missing", "vc.credentialSubject", "credentialSubject is missing", "credentialSubject", nil),
		vc("vc-subject-array", "vc.credentialSubject", "credentialSubject is an array", "credentialSubject", []string{"2"}),
		sub("level-missing", "level is missing", "level", nil),
		sub("level-number", "level is a number", "level", 2),
		sub("level-empty", "level is empty", "level", ""),
		sub("level-5", `level is "5"`, "level", "5"),
		sub("level-padded", `level is "02"`, "level", "02"),
		sub("domain-missing", "domain is missing at level 2", "domain", nil),
		sub("domain-number", "domain is a number", "domain", 1),
		sub("domain-empty", "domain is empty", "domain", ""),
		sub("domain-url", "domain is a URL", "domain", "https://agents.example"),
		sub("domain-upper-case", "domain is in upper case", "domain", "Agents.example"),
		sub("profile-number", "issuance_profile is a number", "issuance_profile", 1),
		sub("actor-number", "actor is a number", "actor", 1),
		sub("actor-empty", "actor is empty", "actor", ""),
		sub("actor-other", "actor is none of the classes", "actor", "robot"),
		against(w.self0().inSubject("actor", "human"), "actor-level-0", "vc.credentialSubject.actor", "actor is present at level 0"),
		sub("profile-other", "issuance_profile is none that is known", "issuance_profile", "special"),
	}
}

func optional(w *world) []*draft {
	bad := func(name, claim, defect string, value any) *draft {
		return against(w.good().with(claim, value), name, claim, defect)
	}
	const digest = "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"
	spiffe := func(name, defect string, value any) *draft {
		return against(w.good().with("spiffe_id", value), "spiffe-id-"+name, "spiffe_id", defect)
	}
	return []*draft{
		spiffe("number", "spiffe_id is a number", 1),
		spiffe("empty", "spiffe_id is empty", ""),
		spiffe("scheme", "spiffe_id is an https URL", "https://agents.example/ada"),
		spiffe("no-path", "spiffe_id is that of a trust domain", "spiffe://agents.example"),
		spiffe("empty-segment", "spiffe_id ends in a slash", "spiffe://agents.example/ada/"),
		spiffe("dot-segment", "spiffe_id has a segment ..", "spiffe://agents.example/eve/../ada"),
		spiffe("upper-case", "spiffe_id has a trust domain in upper case", "spiffe://Agents.example/ada"),
		spiffe("port", "spiffe_id has a port", "spiffe://agents.example:8443/ada"),
		spiffe("escape", "spiffe_id has an escape", "spiffe://agents.example/%61da"),
		spiffe("query", "spiffe_id has a query", "spiffe://agents.example/ada?x"),
		bad("agent-card-hash-number", "agent_card_hash", "agent_card_hash is a number", 1),
		bad("agent-card-hash-sha512", "agent_card_hash", "agent_card_hash is of another hash", "sha512:"+digest),
		bad("did-doc-hash-array", "did_doc_hash", "did_doc_hash is an array", []string{"sha256:" + digest}),
		bad("did-doc-hash-padding", "did_doc_hash", "did_doc_hash has padding", "sha256:"+digest+"="),
		bad("pop-challenge-number", "pop_challenge_id", "pop_challenge_id is a number", 1),
		bad("pop-challenge-form", "pop_challenge_id", "pop_challenge_id is not ch- and a UUID", "challenge-1"),
	}
}

// The codes that are used more than once below.
const (
	untrusted   = badge.CodeIssuerUntrusted
	unsigned    = badge.CodeSignatureInvalid
	revoked     = badge.CodeRevoked
	noStatus    = badge.CodeRevocationCheckFailed
	noDocument  = badge.CodeDIDResolutionFailed
	noKeys      = badge.CodeKeyFetchFailed
	badDocument = badge.CodeClaimsInvalid
)
