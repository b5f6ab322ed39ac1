package badge

import (
	"encoding/json"
	"strings"
)

func accepted(w *world) []*draft {
	return append(append(acceptedLevels(w), acceptedForms(w)...), acceptedEdges(w)...)
}

func acceptedLevels(w *world) []*draft {
	return []*draft{
		w.self0().accept("valid-level-0", "self-signed, by a did:key that the verifier names"),
		w.atLevel("1").accept("valid-level-1", "registered"),
		w.good().accept("valid-level-2", "domain validated"),
		w.atLevel("3").accept("valid-level-3", "organisation validated"),
		w.atLevel("4").accept("valid-level-4", "extended validation"),
		w.possessed().accept("valid-ial-1", "possession shown to the issuer; the DID document has the key"),
		w.possessed().with("pop_challenge_id", "ch-3f2c9a6e-1b47-4d85-a0c3-5e6f7a8b9c0d").
			accept("valid-pop-challenge", "names the issuance challenge"),
		w.possessed().with("cnf", object{"kid": subject + "#key-1", "x5t#S256": certificate}).
			accept("valid-certificate", "bound to the certificate of a TLS client"),
		w.good().with("spiffe_id", "spiffe://agents.example/Ada_1/mcp-client.v2").
			accept("valid-spiffe-id", "bound to the X.509-SVID of a workload"),
		w.self0().with("spiffe_id", "spiffe://agents.example/ada").
			accept("valid-spiffe-id-level-0", "self-signed, and bound to the X.509-SVID of a workload"),
		w.good().inSubject("issuance_profile", "registered").accept("valid-profile-registered", "issued by grant: registered"),
		w.good().inSubject("issuance_profile", "anonymous_dv").accept("valid-profile-anonymous-dv", "issued by grant: anonymous_dv"),
		w.good().inSubject("actor", "supervised_ai").accept("valid-actor", "the issuer vouches for a class of actor"),
		w.good().with("agent_card_hash", "sha256:47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU").
			with("did_doc_hash", "sha256:47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU").
			accept("valid-hashes", "has both hashes"),
	}
}

func acceptedForms(w *world) []*draft {
	es256 := w.good().inHeader("alg", "ES256").inHeader("kid", ecKeyID)
	es256.key = w.ecCA
	ecSubject := ecKey("agent ec").Public()
	return []*draft{
		es256.configured(func(c *Config) {
			c.AllowES256 = []string{issuer}
			c.JWKS[issuer] = keySet(named{keyID, w.ca}, named{ecKeyID, w.ecCA})
		}).accept("valid-es256", "signed with P-256 by an issuer that may"),
		w.good().with("key", publicJWK(ecSubject)).accept("valid-subject-p256", "the subject's key is on P-256"),
		w.good().inHeader("kid", nil).accept("valid-no-kid", "names no key; the set has one"),
		w.good().inHeader("kid", nil).configured(func(c *Config) {
			c.JWKS[issuer] = keySet(named{"a", w.more[0]}, named{"b", w.more[1]}, named{"c", w.more[2]}, named{"d", w.more[3]}, named{keyID, w.ca})
		}).accept("valid-no-kid-fifth-key", "names no key; the fifth of the set signed"),
		w.good().configured(func(c *Config) {
			c.JWKS[issuer] = keySet(named{"ca-0", w.next}, named{keyID, w.ca})
		}).accept("valid-rotated", "the key is the second of the set"),
		w.self0().inHeader("kid", nil).accept("valid-level-0-no-kid", "level 0 names no key"),
		w.self0().inHeader("kid", strings.TrimPrefix(w.self.String(), "did:key:")).
			accept("valid-level-0-fragment-kid", "level 0 names its key by the fragment alone"),
		w.good().with("aud", []string{"https://other.example", server}).configured(func(c *Config) { c.Audience = []string{server} }).
			accept("valid-audience", "for two verifiers, this is the second"),
		w.good().configured(func(c *Config) { c.Audience = []string{server} }).
			accept("valid-no-audience", "for any verifier"),
		w.good().with("extra", object{"aud": "x", "level": 4}).inVC("@context", []string{"https://www.w3.org/2018/credentials/v1"}).
			inSubject("id", subject).accept("valid-unknown-members", "members that the specification does not name are ignored"),
		w.good().inSubject("Level", "4").with("EXP", 1).with("Aud", "x").
			accept("valid-other-case", "members in another case are other members"),
		w.good().inPayload(`"level":"2"`, "\"\\u006cevel\" : \"\\u0032\"\n").
			accept("valid-escapes", "names and values are compared after unescaping, space between is nothing"),
		w.good().inVC("type", []string{"Other", "AgentIdentity", "VerifiableCredential"}).
			accept("valid-more-types", "further types in another order"),
		w.good().with("iss", issuer+":8443").configured(func(c *Config) {
			c.Issuers = []string{issuer + ":8443"}
			c.JWKS = map[string]json.RawMessage{issuer + ":8443": keySet(named{keyID, w.ca})}
		}).accept("valid-issuer-port", "an issuer on a port of its own"),
	}
}

func acceptedEdges(w *world) []*draft {
	return []*draft{
		w.good().with("iat", now-10).with("exp", now+50).accept("valid-ttl-60", "the shortest life"),
		w.good().with("iat", now-10).with("exp", now+3590).accept("valid-ttl-3600", "the longest life"),
		w.good().with("iat", now-359).with("exp", now-59).accept("valid-expired-within-skew", "expired 59 s ago"),
		w.good().with("iat", now+60).with("exp", now+360).accept("valid-iat-within-skew", "issued 60 s in the future"),
		w.good().with("nbf", now+60).accept("valid-nbf-within-skew", "valid in 60 s"),
		w.good().with("nbf", now-10).accept("valid-nbf", "valid since its issue"),
		w.good().configured(func(c *Config) { c.Status = &Status{AsOf: now - 300} }).
			accept("valid-status-300", "the status is 300 s old"),
		w.good().configured(func(c *Config) { c.Status = nil; c.UnsafeNoStatus = true }).
			accept("valid-no-status", "the verifier asks for no status"),
		w.atLevel("1").configured(func(c *Config) { c.Status = &Status{Unreachable: true}; c.AllowLevel1WithoutStatus = true }).
			accept("valid-level-1-no-status", "the status is out of reach, and level 1 is allowed without"),
		w.atLevel("1").configured(func(c *Config) { c.Status = &Status{AsOf: now - 3600}; c.AllowLevel1WithoutStatus = true }).
			accept("valid-level-1-old-status", "the status is an hour old, and level 1 is allowed without"),
		w.self0().configured(func(c *Config) { c.Status = &Status{Unreachable: true} }).
			accept("valid-level-0-no-status", "level 0 has no status"),
	}
}
