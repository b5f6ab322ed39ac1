package badge

import (
	"encoding/json"

	"github.com/touchmark-dev/touchmark/badge"
)

const compatIssuer = "did:web:registry.example"

func compat(w *world) []*draft {
	on := func(d *draft) *draft { return d.configured(func(c *Config) { c.Compat = true }) }
	didWeb := func() *draft {
		return on(w.good().with("iss", compatIssuer)).configured(func(c *Config) {
			c.CompatIssuers = []string{compatIssuer}
			c.JWKS = map[string]json.RawMessage{compatIssuer: keySet(named{keyID, w.ca})}
		})
	}
	return []*draft{
		on(w.good()).accept("compat-strict-badge", "compat: a badge of the strict profile"),
		on(w.good().inHeader("typ", nil).inHeader("kid", nil)).accept("compat-no-typ", "compat: neither typ nor kid"),
		on(w.good().with("ial", "")).accept("compat-ial-empty", `compat: an empty ial is read as "0"`),
		didWeb().accept("compat-iss-did-web", "compat: the issuer is a did:web that is listed"),
		on(w.good().inHeader("typ", "jwt")).reject("compat-typ-other", badge.CodeMalformed, "", "compat: typ is present and not JWT"),
		on(w.good().with("key", nil)).reject("compat-key-missing", badge.CodeClaimsInvalid, "key", "compat: key is missing"),
		on(w.good().with("ial", nil)).reject("compat-ial-missing", badge.CodeClaimsInvalid, "ial", "compat: ial is missing"),
		on(w.good().with("ial", "2")).reject("compat-ial-other", badge.CodeClaimsInvalid, "ial", `compat: ial is "2"`),
		on(w.good().with("aud", server)).reject("compat-aud-string", badge.CodeClaimsInvalid, "aud", "compat: aud is a string"),
		on(w.good().with("iss", compatIssuer)).reject("compat-iss-unlisted", untrusted, "iss", "compat: the did:web is not listed"),
		on(w.good().with("iss", "registry.example")).reject("compat-iss-neither", badge.CodeClaimsInvalid, "iss", "compat: iss is neither an origin nor a did:web"),
	}
}
