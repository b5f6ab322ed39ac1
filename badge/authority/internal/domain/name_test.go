package domain

import (
	"strings"
	"testing"
)

func TestCheckDomain(t *testing.T) {
	for in, want := range map[string]string{
		"acme.com":                        "acme.com",
		"api.acme.com":                    "api.acme.com",
		"API.Acme.COM":                    "api.acme.com",
		"a.b.c.d.e.acme.co.uk":            "a.b.c.d.e.acme.co.uk",
		"1.2.3.acme.com":                  "1.2.3.acme.com",
		"0x7f.acme.com":                   "0x7f.acme.com",
		"xn--bcher-kva.example.com":       "xn--bcher-kva.example.com",
		"xn--fiqs8s.xn--fiqs8s":           "xn--fiqs8s.xn--fiqs8s",
		"a-b--c.acme.com":                 "a-b--c.acme.com",
		"local.acme.com":                  "local.acme.com",
		"127.0.0.1.nip.io":                "127.0.0.1.nip.io",
		strings.Repeat("a", 63) + ".com":  strings.Repeat("a", 63) + ".com",
		strings.Repeat("a.", 125) + "com": strings.Repeat("a.", 125) + "com",
	} {
		got, err := CheckDomain(in)
		if err != nil || got != want {
			t.Errorf("CheckDomain(%q) = %q, %v", in, got, err)
		}
	}
}

func TestCheckDomainRefuses(t *testing.T) {
	for code, names := range map[Code][]string{
		CodeDomainTooLong: {
			strings.Repeat("a.", 126) + "co", strings.Repeat("a", 64) + ".com", strings.Repeat("a.", 5000) + "com",
		},
		CodeDomainNotASCII: {
			"аpple.com", // Cyrillic a
			"ɢoogle.com", "bücher.com", "acme.ｃｏｍ", "acme。com", "ac\u200bme.com", "ac\u00adme.com", "acme.com\u202e", "\xff.com", "K\u212aelvin.com", "ſ.com",
		},
		CodeDomainIPAddress: {
			"127.0.0.1", "10.0.0.1", "169.254.169.254", "8.8.8.8", "[::1]", "::1", "::ffff:127.0.0.1", "fe80::1%eth0",
			"127.0.0.1:80", "[::1]:80", "64:ff9b::7f00:1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0x7f.0x0.0x0.0x1",
			"1.2.3.4.5", "acme.1", "acme.0x1",
		},
		CodeDomainNotBare: {
			"acme.com:80", "acme.com:8080", "acme.com:", "user@acme.com", "user:pw@acme.com", "http://acme.com",
			"//acme.com", "acme.com/", "acme.com/../x", "acme.com/.well-known", `acme.com\x`, "acme.com?x", "acme.com#x",
			"acme.com%2e", "acme.com\r\nHost: x", "acme.com%00", "..%2f..%2facme.com", "[acme.com]",
		},
		CodeDomainWildcard:    {"*.acme.com", "*", "a*.acme.com"},
		CodeDomainTrailingDot: {"acme.com.", "acme.com..", "."},
		CodeDomainSyntax: {
			"", " ", "acme .com", " acme.com", "acme.com ", "acme.com\n", "acme.com\r\nHost", "acme\x00.com", "ac\tme.com",
			"..acme.com", "acme..com", ".acme.com", "-acme.com", "acme-.com", "acme.-com", "_dmarc.acme.com", "ac_me.com",
			"ab--cd.com", "xn--.com", "acme.c", "acme.c0m", "acme.co-m", "acme,com", "acme!com", "$(id).acme.com", "acme.com;x",
		},
		CodeDomainSingleLabel: {"acme", "com", "metadata", "localhost", "kubernetes"},
		CodeDomainReserved: {
			"a.localhost", "a.local", "metadata.google.internal", "a.test", "a.example", "a.invalid", "a.onion",
			"a.home.arpa", "1.0.0.127.in-addr.arpa", "a.lan", "a.corp", "a.svc.cluster.local", "A.LOCAL", "a.localdomain",
		},
	} {
		for _, name := range names {
			got, err := CheckDomain(name)
			if CodeOf(err) != code || got != "" {
				t.Errorf("CheckDomain(%.60q) = %q, %v, want %s", name, got, err, code)
			}
		}
	}
}

// Each of the 256 characters, at each place of a label.
func TestCheckDomainCharacters(t *testing.T) {
	for c := range 256 {
		letterOrDigit := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		for i, name := range []string{
			string([]byte{byte(c)}) + "b.acme.com", "a" + string([]byte{byte(c)}) + "b.acme.com", "b" + string([]byte{byte(c)}) + ".acme.com",
		} {
			want := letterOrDigit || c == '-' && i == 1 || c == '.' && i == 1
			if _, err := CheckDomain(name); (err == nil) != want {
				t.Errorf("CheckDomain(%q): %v", name, err)
			}
		}
	}
}

func TestWireCodes(t *testing.T) {
	for code, want := range map[Code]string{
		CodeDomainSyntax:         "INVALID_DOMAIN",
		CodeChallengeMismatch:    "CHALLENGE_FAILED",
		CodeGrantExpired:         "GRANT_EXPIRED",
		CodeGrantInvalidAudience: "GRANT_INVALID_AUD",
		CodeGrantMissingIssuedAt: "GRANT_MISSING_IAT",
		CodeProofReplayed:        "POP_VERIFICATION_FAILED",
		CodeKeyMismatch:          "KEY_MISMATCH",
		CodeSubjectMismatch:      "DID_DOMAIN_MISMATCH",
	} {
		if got := code.Wire(); got != want {
			t.Errorf("%s is %s on the wire, want %s", code, got, want)
		}
	}
}
