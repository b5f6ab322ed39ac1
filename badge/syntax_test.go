package badge

import (
	"errors"
	"strings"
	"testing"
)

func TestSyntax(t *testing.T) {
	const id = "3f2c9a6e-1b47-4d85-a0c3-5e6f7a8b9c0d"
	longest := strings.Repeat(strings.Repeat("a", 63)+".", 3) + strings.Repeat("a", 61) // 253 bytes
	const digest = "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"
	for _, c := range []struct {
		name      string
		is        func(string) bool
		good, bad []string
	}{
		{"isUUID4", isUUID4,
			[]string{id},
			[]string{"", id[1:], id + "0", strings.ToUpper(id), strings.Replace(id, "-4", "-1", 1), strings.Replace(id, "-a", "-c", 1),
				strings.ReplaceAll(id, "-", "0"), "g" + id[1:], "{" + id[2:] + "}"}},
		{"isChallengeID", isChallengeID,
			[]string{"ch-" + id, "ch-" + strings.Replace(id, "-4", "-7", 1)},
			[]string{"", "ch-", id, "ch-" + id[1:], "CH-" + id, "ch-" + strings.ToUpper(id)}},
		{"isHash", isHash,
			[]string{"sha256:" + digest},
			[]string{"", "sha256:", digest, "sha256:" + digest[1:], "sha256:" + digest + "=", "sha256:" + digest[:42] + "V",
				"sha256:" + digest[:42] + "\n", "SHA256:" + digest, "sha256:+" + digest[1:]}},
		{"isHostname", isHostname,
			[]string{"a", "a.b", "xn--bcher-kva.example", "1.2.3.4", "a-b.c", longest},
			[]string{"", ".", "a.", ".a", "a..b", "-a", "a-", "a_b", "A", "bücher.example", "a b", longest + "a", strings.Repeat("a", 64), "a:1", "a\n"}},
		{"checkOrigin", func(s string) bool { return checkOrigin(s) == "" },
			[]string{"https://a", "https://registry.example", "https://registry.example:8443", "https://127.0.0.1:1", "https://a:65535"},
			[]string{"", "a", "https://", "http://a", "HTTPS://a", "https://a/", "https://a?b", "https://a#b", "https://u@a", "https://a\\b",
				"https://a:", "https://a:0", "https://a:01", "https://a:443", "https://a:65536", "https://a:999999", "https://a:1:2", "https://[::1]", "https://a.", " https://a"}},
	} {
		for _, s := range c.good {
			if !c.is(s) {
				t.Errorf("%s(%q) is false", c.name, s)
			}
		}
		for _, s := range c.bad {
			if c.is(s) {
				t.Errorf("%s(%q) is true", c.name, s)
			}
		}
	}
}

// TestChain has lists whose chain does not hold, which SignRevocationList cannot make.
func TestChain(t *testing.T) {
	const good = `{"as_of":1,"base":"B","disabled_agents":[],"from":0,"head":"B","iss":"https://registry.example","revoked":[],"to":0,"withdrawn_keys":[]}`
	base := formatHash(emptyHead(testIssuer))
	whole := strings.ReplaceAll(good, `"B"`, `"`+base+`"`)
	if _, err := readRevocationList([]byte(whole), testIssuer, "ca-1"); err != nil {
		t.Fatal(err)
	}
	for name, pair := range map[string][2]string{
		"base no hash":     {`"base":"` + base, `"base":"sha512:`},
		"head no hash":     {`"head":"sha256:`, `"head":"sha256:A`},
		"to below from":    {`"from":0`, `"from":1`},
		"range too long":   {`"to":0`, `"to":1`},
		"agent no DID":     {`"disabled_agents":[]`, `"disabled_agents":["ada"]`},
		"agents null":      {`"disabled_agents":[]`, `"disabled_agents":null`},
		"as_of null":       {`"as_of":1`, `"as_of":null`},
		"as_of fraction":   {`"as_of":1`, `"as_of":1.5`},
		"as_of beyond":     {`"as_of":1`, `"as_of":253402300800`},
		"negative from":    {`"from":0`, `"from":-1`},
		"iss null":         {`"iss":"https://registry.example"`, `"iss":null`},
		"member by case":   {`"to":0`, `"To":0`},
		"revoked a string": {`"revoked":[]`, `"revoked":""`},
	} {
		if strings.Count(whole, pair[0]) != 1 {
			t.Fatalf("%s does not stand once in the list", pair[0])
		}
		if _, err := readRevocationList([]byte(strings.Replace(whole, pair[0], pair[1], 1)), testIssuer, "ca-1"); err == nil {
			t.Errorf("%s: usable", name)
		}
	}
	if _, err := readRevocationList([]byte(strings.ReplaceAll(whole, "https:", "http:")), "http://registry.example", "ca-1"); err == nil {
		t.Error("a list of an issuer that is no https origin is usable")
	}
}

func TestUnwrap(t *testing.T) {
	w := newCacheWorld(t, 0)
	_, err := w.v.Verify(t.Context(), "a.b.c")
	var rejected *RejectedError
	if !errors.As(err, &rejected) || rejected.Unwrap() == nil {
		t.Errorf("got %v", err)
	}
}
