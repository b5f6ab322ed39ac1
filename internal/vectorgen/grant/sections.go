package grant

import "strings"

func accepted(w *world) []*draft {
	rotated := w.good("valid-old-key").inHeader("kid", "ca-2026-08-01-0001")
	rotated.key = w.old
	ahead := w.good("valid-iat-within-skew").with("iat", now+60)
	ahead.config.Skew = 60
	return []*draft{
		w.good("valid"),
		rotated,
		ahead,
		w.good("valid-iat-now").with("iat", now),
		w.good("valid-last-second").with("exp", now+1),
		w.good("valid-scope-absent").with("scope", nil),
		w.good("valid-scope-several").with("scope", []string{"other", "badge:dv"}),
		w.good("valid-a-label").with("sub", "xn--bcher-kva.acme.com"),
	}
}

func format(w *world) []*draft {
	const malformed = "GRANT_MALFORMED"
	mangled := func(name, defect string, f func(h, p, s string) string) *draft {
		d := w.bad(name, malformed, defect)
		d.token = f
		return d
	}
	payload := func(name, defect, text string) *draft {
		d := w.bad(name, malformed, defect)
		d.payload = text
		return d
	}
	return []*draft{
		mangled("format-empty", "there is nothing", func(_, _, _ string) string { return "" }),
		mangled("format-two-parts", "there is no signature part", func(h, p, _ string) string { return h + "." + p }),
		mangled("format-padding", "the payload part has padding", func(h, p, s string) string { return h + "." + p + "=." + s }),
		mangled("format-line-break", "a line break inside the header part", func(h, p, s string) string { return h[:4] + "\n" + h[4:] + "." + p + "." + s }),
		w.bad("format-too-long", malformed, "more than 4096 bytes").with("scope", []string{"badge:dv", strings.Repeat("x", 4096)}),
		w.bad("header-alg-none", malformed, "alg is none").inHeader("alg", "none"),
		w.bad("header-alg-es256", malformed, "alg is ES256").inHeader("alg", "ES256"),
		w.bad("header-kid-missing", malformed, "kid is missing").inHeader("kid", nil),
		w.bad("header-jwk", malformed, "the header brings a key along").inHeader("jwk", public(w.current)),
		w.bad("header-crit", malformed, "an extension that must be understood").inHeader("crit", []string{"exp"}),
		w.bad("header-typ-missing", malformed, "typ is missing").inHeader("typ", nil),
		payload("payload-not-json", "the payload is not JSON", "grant"),
		payload("payload-array", "the payload is an array", "[]"),
		payload("payload-claim-twice", "sub is given twice", `{"sub":"api.acme.com","sub":"other.acme.com"}`),
		payload("payload-text-after", "text after the payload", `{}{}`),
	}
}

func signatures(w *world) []*draft {
	const invalid = "GRANT_SIGNATURE_INVALID"
	stranger := w.bad("signature-other-key", invalid, "signed by somebody else")
	stranger.key = w.stranger
	changed := w.bad("signature-payload-changed", invalid, "the payload is not the one that was signed")
	changed.token = func(h, _, s string) string { return h + "." + b64([]byte(`{"sub":"other.acme.com"}`)) + "." + s }
	return []*draft{
		stranger,
		changed,
		w.bad("signature-kid-unknown", invalid, "the issuer has no key of that name").inHeader("kid", "ca-2026-01-01-0000"),
		w.bad("signature-kid-other", invalid, "kid is that of another key of the issuer").inHeader("kid", "ca-2026-08-01-0001"),
		w.bad("type-badge", "GRANT_INVALID_TYPE", "typ is that of a badge").inHeader("typ", "JWT"),
		w.bad("type-proof", "GRANT_INVALID_TYPE", "typ is that of a proof").inHeader("typ", "pop+jwt"),
		w.bad("type-case", "GRANT_INVALID_TYPE", "typ in other letters").inHeader("typ", "Capiscio.DVGrant+JWT"),
	}
}

func claims(w *world) []*draft {
	const audience, invalid, scope = "GRANT_INVALID_AUD", "GRANT_CLAIMS_INVALID", "GRANT_SCOPE_INSUFFICIENT"
	return []*draft{
		w.bad("aud-missing", audience, "aud is missing").with("aud", nil),
		w.bad("aud-list", audience, "aud is a list").with("aud", []string{"capiscio:mint"}),
		w.bad("aud-other", audience, "aud is the issuer").with("aud", issuer),
		w.bad("iss-missing", "GRANT_ISSUER_MISMATCH", "iss is missing").with("iss", nil),
		w.bad("iss-other", "GRANT_ISSUER_MISMATCH", "iss is another authority").with("iss", "https://ca.acme.net"),
		w.bad("iss-slash", "GRANT_ISSUER_MISMATCH", "iss is a URL with a path").with("iss", issuer+"/"),
		w.bad("jti-missing", invalid, "jti is missing").with("jti", nil),
		w.bad("jti-bare", invalid, "jti is a UUID without prefix").with("jti", strings.TrimPrefix(grantID, "grant-")),
		w.bad("jti-upper-case", invalid, "jti has letters in upper case").with("jti", "grant-550E8400-E29B-41D4-A716-446655440000"),
		w.bad("jti-version", invalid, "jti is a UUID of version 1").with("jti", "grant-550e8400-e29b-11d4-a716-446655440000"),
		w.bad("sub-missing", invalid, "sub is missing").with("sub", nil),
		w.bad("sub-list", invalid, "sub is a list").with("sub", []string{domain}),
		w.bad("sub-upper-case", invalid, "sub has letters in upper case").with("sub", "API.acme.com"),
		w.bad("sub-wildcard", invalid, "sub is a wildcard").with("sub", "*.acme.com"),
		w.bad("sub-u-label", invalid, "sub has a letter outside ASCII").with("sub", "b\u00fccher.acme.com"),
		w.bad("sub-port", invalid, "sub has a port").with("sub", domain+":8443"),
		w.bad("sub-address", invalid, "sub is an IP address").with("sub", "127.0.0.1"),
		w.bad("sub-localhost", invalid, "sub is no public name").with("sub", "localhost"),
		w.bad("sub-trailing-dot", invalid, "sub ends with a dot").with("sub", domain+"."),
		w.bad("cnf-missing", invalid, "cnf is missing").with("cnf", nil),
		w.bad("cnf-text", invalid, "cnf is the thumbprint itself").with("cnf", w.thumbprint),
		w.bad("cnf-empty", invalid, "cnf has no jkt").with("cnf", object{}),
		w.bad("cnf-kid", invalid, "cnf has a kid, too").with("cnf", object{"jkt": w.thumbprint, "kid": "x"}),
		w.bad("cnf-prefix", invalid, "jkt has a prefix").with("cnf", object{"jkt": "sha256:" + w.thumbprint}),
		w.bad("cnf-short", invalid, "jkt is cut short").with("cnf", object{"jkt": w.thumbprint[:42]}),
		w.bad("scope-empty", scope, "scope is empty").with("scope", []string{}),
		w.bad("scope-other", scope, "scope has no badge:dv").with("scope", []string{"badge:ov"}),
		w.bad("scope-text", invalid, "scope is a string").with("scope", "badge:dv"),
		w.bad("claim-unknown", invalid, "a claim that is not known").with("nbf", issued),
		w.bad("claim-case", invalid, "a claim in other letters").with("Sub", domain),
	}
}

func times(w *world) []*draft {
	const missing, invalid, early, late = "GRANT_MISSING_IAT", "GRANT_CLAIMS_INVALID", "GRANT_NOT_YET_VALID", "GRANT_EXPIRED"
	skewed := func(d *draft) *draft {
		d.config.Skew = 60
		return d
	}
	return []*draft{
		w.bad("iat-missing", missing, "iat is missing").with("iat", nil),
		w.bad("iat-zero", missing, "iat is 0").with("iat", 0),
		w.bad("iat-text", missing, "iat is a string").with("iat", "1790000000"),
		w.bad("iat-fraction", missing, "iat has a fraction").with("iat", 1789999999.5),
		w.bad("iat-future", early, "issued a second from now").with("iat", now+1),
		skewed(w.bad("iat-beyond-skew", early, "issued 61 s from now, with a skew of 60 s").with("iat", now+61)),
		w.bad("exp-missing", invalid, "exp is missing").with("exp", nil),
		w.bad("exp-text", invalid, "exp is a string").with("exp", "1797776000"),
		w.bad("exp-now", late, "expires now").with("exp", now),
		skewed(w.bad("exp-within-skew", late, "expired a second ago, with a skew of 60 s").with("exp", now-1)),
		w.bad("exp-too-late", invalid, "valid for 90 days and a second").with("exp", expires+1),
	}
}
