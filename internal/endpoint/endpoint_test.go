package endpoint

import (
	"slices"
	"strings"
	"testing"
)

func TestCanonical(t *testing.T) {
	for text, want := range map[string]string{
		"https://MCP.Example.com":               "https://mcp.example.com/",
		"https://mcp.example.com:443/mcp?x=1":   "https://mcp.example.com/mcp",
		"https://mcp.example.com:8443/mcp":      "https://mcp.example.com:8443/mcp",
		"https://[2001:DB8::1]/mcp":             "https://[2001:db8::1]/mcp",
		"http://127.0.0.1:8080/mcp":             "http://127.0.0.1:8080/mcp",
		"http://[::1]:80/":                      "http://[::1]/",
		"unix:/run/mcp/server.sock":             "unix:/run/mcp/server.sock",
		"unix:/run/mcp/server.sock:/":           "unix:/run/mcp/server.sock",
		"unix:/run/mcp/server.sock:/mcp":        "unix:/run/mcp/server.sock:/mcp",
		"stdio:npx+-y+@scope/server+/a%20b%2Bc": "stdio:npx+-y+@scope/server+/a%20b%2Bc",
		"stdio:%6epx":                           "stdio:npx",
	} {
		got, err := Canonical(text)
		if err != nil || got != want {
			t.Errorf("Canonical(%q) = %q, %v, want %q", text, got, err, want)
		}
		if again, err := Canonical(got); err != nil || again != got {
			t.Errorf("Canonical(%q) = %q, %v", got, again, err)
		}
	}
}

func TestCanonicalRefuses(t *testing.T) {
	for _, text := range []string{
		"", "mcp.example.com", "ftp://a/b", "https://", "https://a:/", "https://a:0/", "https://a:01/", "https://a:99999/",
		"https://u@a/", "https://a/#f", "https:a", "http://mcp.example.com/", "https://a/ b", "https://ä.example/", "https://a/\x7f",
		"unix:run/s", "unix:/run/../s", "unix:/", "unix://run/s", "unix:/run/s:", "unix:/run/s:mcp", "unix:/run/s:/a:b",
		"stdio:", "stdio:+a", "stdio:a+%zz", "https://a/" + strings.Repeat("x", MaxBytes), "https://a/" + strings.Repeat("|", MaxBytes-20),
	} {
		if got, err := Canonical(text); err == nil {
			t.Errorf("Canonical(%q) = %q", text, got)
		}
	}
}

// Two command lines never have one endpoint.
func TestLaunch(t *testing.T) {
	lines := [][]string{{"a", "b"}, {"a+b"}, {"a", "", "b"}, {"a", "b", ""}, {"a b"}, {"a%20b"}, {"a\nb"}, {"ä"}}
	var seen []string
	for _, argv := range lines {
		text, err := Launch(argv)
		if err != nil || slices.Contains(seen, text) {
			t.Errorf("Launch(%q) = %q, %v", argv, text, err)
		}
		if c, err := Canonical(text); err != nil || c != text {
			t.Errorf("Canonical(%q) = %q, %v", text, c, err)
		}
		seen = append(seen, text)
	}
	for _, argv := range [][]string{nil, {""}, {strings.Repeat("x", MaxBytes)}} {
		if text, err := Launch(argv); err == nil {
			t.Errorf("Launch(%.20q) = %.20q", argv, text)
		}
	}
	digest, err := LaunchDigest([]string{"a"})
	if err != nil || !IsDigest(digest) || IsDigest(digest+"A") || IsDigest(strings.TrimPrefix(digest, "sha256:")) {
		t.Errorf("digest %q, %v", digest, err)
	}
}

func FuzzCanonical(f *testing.F) {
	for _, text := range []string{"https://MCP.example.com:443/a%2Fb?x#", "unix:/run/s.sock:/mcp", "stdio:a+%2B+", "http://[::1]:80"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		once, err := Canonical(text)
		if err != nil {
			return
		}
		if twice, err := Canonical(once); err != nil || twice != once {
			t.Fatalf("%q became %q, and that %q, %v", text, once, twice, err)
		}
		if strings.ContainsAny(once, " \t\r\n") || len(once) > MaxBytes {
			t.Fatalf("%q is no field of a file", once)
		}
	})
}
