package badge

import (
	"fmt"
	"strings"

	"github.com/touchmark-dev/touchmark/badge"
)

// against is a badge with one claim against a rule.
func against(d *draft, name, claim, defect string) *draft {
	return d.reject(name, badge.CodeClaimsInvalid, claim, defect)
}

func identity(w *world) []*draft {
	bad := func(name, defect string, value any) *draft {
		return against(w.good().with("jti", value), name, "jti", defect)
	}
	return []*draft{
		bad("jti-missing", "jti is missing", nil),
		bad("jti-number", "jti is a number", 1),
		bad("jti-empty", "jti is empty", ""),
		bad("jti-not-uuid", "jti is not a UUID of version 4, but of version 1", "0b5c1f9e-6d3a-1c57-9f0e-2a8d4b7c6e10"),
		bad("jti-upper-case", "jti is in upper case", strings.ToUpper(badgeID)),
	}
}

func parties(w *world) []*draft {
	iss := func(name, defect string, value any) *draft {
		return against(w.good().with("iss", value), name, "iss", defect)
	}
	sub := func(name, defect string, value any) *draft {
		return against(w.good().with("sub", value), name, "sub", defect)
	}
	return []*draft{
		iss("iss-missing", "iss is missing", nil),
		iss("iss-array", "iss is an array", []string{issuer}),
		iss("iss-empty", "iss is empty", ""),
		iss("iss-long", "iss is longer than 1024 bytes", "https://"+strings.Repeat("a.", 600)+"example"),
		iss("iss-http", "iss is not https", "http://registry.example"),
		iss("iss-path", "iss has a path", issuer+"/"),
		iss("iss-upper-case", "iss has a host in upper case", "https://Registry.example"),
		iss("iss-default-port", "iss writes the default port", issuer+":443"),
		iss("iss-did-web", "iss is a did:web in the strict profile", "did:web:registry.example"),
		against(w.self0().with("iss", issuer), "iss-not-subject", "iss", "iss is not sub at level 0"),
		sub("sub-missing", "sub is missing", nil),
		sub("sub-number", "sub is a number", 7),
		sub("sub-empty", "sub is empty", ""),
		sub("sub-not-did", "sub is not a DID", "https://agents.example/ada"),
		sub("sub-did-method", "sub is a DID of another method", "did:example:ada"),
		sub("sub-did-key", "sub is a did:key at level 2", w.self.String()),
		against(w.self0().with("sub", subject).with("iss", subject), "sub-did-web-level-0", "sub", "sub is a did:web at level 0"),
	}
}

func times(w *world) []*draft {
	bad := func(name, claim, defect string, value any) *draft {
		return against(w.good().with(claim, value), name, claim, defect)
	}
	late := w.good().with("iat", now-360).with("exp", now-60)
	return []*draft{
		bad("iat-missing", "iat", "iat is missing", nil),
		bad("iat-string", "iat", "iat is a string", "1789999990"),
		bad("iat-fraction", "iat", "iat has a fraction", lit("1789999990.5")),
		bad("iat-exponent", "iat", "iat is written with an exponent", lit("1.78999999e9")),
		bad("iat-negative", "iat", "iat is negative", -1),
		bad("iat-beyond", "iat", "iat is beyond the year 9999", 253402300800),
		bad("exp-missing", "exp", "exp is missing", nil),
		bad("exp-null", "exp", "exp is null", lit("null")),
		bad("exp-fraction", "exp", "exp has a fraction", lit("1790000290.0")),
		bad("exp-beyond", "exp", "exp is beyond the year 9999", 253402300800),
		bad("exp-not-after-iat", "exp", "exp is iat", now-10),
		bad("exp-too-short", "exp", "exp is 59 s after iat", now+49),
		bad("exp-too-long", "exp", "exp is 3601 s after iat", now+3591),
		bad("nbf-string", "nbf", "nbf is a string", "1790000000"),
		bad("nbf-huge", "nbf", "nbf is no integer of any use", lit("1e400")),
		bad("nbf-beyond", "nbf", "nbf is beyond the year 9999", 253402300800),
		bad("nbf-not-before-exp", "nbf", "nbf is exp", now+290),
		late.reject("expired", badge.CodeExpired, "exp", "expired 60 s ago, one more than clocks may differ"),
		w.good().with("iat", now+61).with("exp", now+361).reject("iat-future", badge.CodeNotYetValid, "iat", "issued 61 s in the future"),
		w.good().with("nbf", now+61).reject("nbf-future", badge.CodeNotYetValid, "nbf", "valid in 61 s"),
	}
}

func audiences(w *world) []*draft {
	named := func(c *Config) { c.Audience = []string{server} }
	bad := func(name, defect string, value any) *draft {
		return against(w.good().with("aud", value).configured(named), name, "aud", defect)
	}
	many := make([]string, 17)
	for i := range many {
		many[i] = fmt.Sprintf("https://mcp-%d.example.com", i)
	}
	mismatch := func(name, defect string, value any, f func(*Config)) *draft {
		return w.good().with("aud", value).configured(f).reject(name, badge.CodeAudienceMismatch, "aud", defect)
	}
	return []*draft{
		bad("aud-string", "aud is a string", server),
		bad("aud-null", "aud is null", lit("null")),
		bad("aud-element-number", "aud has a number in it", []any{server, 1}),
		bad("aud-element-empty", "aud has an empty string in it", []any{server, ""}),
		bad("aud-too-many", "aud has more than 16 elements", many),
		mismatch("aud-other", "aud names another verifier", []string{"https://other.example"}, named),
		mismatch("aud-empty", "aud names nobody", []string{}, named),
		mismatch("aud-prefix", "aud has more than this verifier's name", []string{server + "/"}, named),
		mismatch("aud-nameless-verifier", "aud is present and the verifier has no name", []string{server}, func(*Config) {}),
	}
}

func assurances(w *world) []*draft {
	bad := func(name, defect string, value any) *draft {
		return against(w.good().with("ial", value), name, "ial", defect)
	}
	return []*draft{
		bad("ial-missing", "ial is missing", nil),
		bad("ial-number", "ial is a number", 0),
		bad("ial-empty", "ial is empty in the strict profile", ""),
		bad("ial-other", `ial is "2"`, "2"),
		against(w.self0().with("ial", "1").with("cnf", object{"kid": w.self.KeyURL()}), "ial-1-level-0", "ial", `ial is "1" at level 0`),
	}
}
