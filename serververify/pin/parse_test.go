package pin

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestParseRefuses(t *testing.T) {
	good := strings.TrimSuffix(lineOf("did:web:mcp.example.com", keyA, "sha256:"+keyB, "~2027-01-01T00:00:00Z"), "\n")
	if pins, err := Parse([]byte(good)); err != nil || len(pins) != 1 || pins[0].String() != good {
		t.Fatalf("%v, %v", pins, err)
	}
	change := func(old, repl string) string { return strings.Replace(good, old, repl, 1) }
	for name, text := range map[string]string{
		"six fields":             strings.TrimSuffix(good, " ~2027-01-01T00:00:00Z"),
		"eight fields":           good + " -",
		"endpoint not canonical": change("mcp.example.com/mcp", "MCP.example.com/mcp"),
		"endpoint":               change("https://", "ftp://"),
		"DID":                    change("did:web:", "did:foo:"),
		"no DID":                 change("did:web:mcp.example.com", "-"),
		"no key":                 change(keyA, "-"),
		"key padded":             change(keyA, keyA+"="),
		"first seen missing":     change("2026-09-01T00:00:00Z", "-"),
		"time with offset":       change("2026-09-01T00:00:00Z", "2026-09-01T00:00:00+00:00"),
		"time with fraction":     change("2026-09-01T00:00:00Z", "2026-09-01T00:00:00.5Z"),
		"time that is none":      change("2026-09-01T00:00:00Z", "2026-02-30T00:00:00Z"),
		"tools":                  change("sha256:", "sha512:"),
		"forgotten never":        change("~2027-01-01T00:00:00Z", "~-"),
		"before 1970":            change("2026-09-01", "1969-12-31"),
		"twice":                  good + "\n" + good,
		"carriage return":        good + "\r",
		"byte order mark":        "\ufeff" + good,
		"control character":      "# \x1b[2J",
		"not UTF-8":              "# \xff",
		"long line":              "# " + strings.Repeat("x", MaxLineBytes),
		"long file":              strings.Repeat("#\n", MaxFileBytes/2+1),
	} {
		_, err := Parse([]byte("# one\n\n" + text))
		var syntax *SyntaxError
		if !errors.As(err, &syntax) || syntax.Line != map[string]int{"twice": 4, "long file": 0}[name] && syntax.Line != 3 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(header + lineOf("did:web:mcp.example.com", keyA, "sha256:"+keyB, "~2027-01-01T00:00:00Z")))
	f.Add([]byte("stdio:a+b - -\t2026-09-01T00:00:00Z - any -\n#\n\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		parsed, err := parseFile(data)
		if err != nil {
			return
		}
		if got := strings.TrimSuffix(string(parsed.encode()), "\n"); got != strings.TrimSuffix(string(data), "\n") {
			t.Fatalf("kept as %q", got)
		}
		for _, p := range parsed.pins() {
			if err := parsed.set(p); err != nil {
				t.Fatal(err)
			}
		}
		again, err := Parse(parsed.encode())
		if err != nil || !slices.Equal(again, parsed.pins()) {
			t.Fatalf("written as %q: %v", parsed.encode(), err)
		}
	})
}
