package pins

import (
	"crypto/sha256"
	"encoding/base64"
	"strings"
)

const (
	endpoint = "https://mcp.example.com/mcp"
	server   = "did:web:mcp.example.com"
	first    = "2026-09-01T00:00:00Z"
	now      = "2026-09-21T14:13:20Z"
)

var key, otherKey = hash("a key"), hash("another key")

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func digest(text string) string { return "sha256:" + hash(text) }

// good is a line that nothing is wrong with.
var good = strings.Join([]string{endpoint, server, key, first, "-", digest("tools"), "-"}, " ")

func parse() []*Vector {
	accept := func(name, file string, pins int) *Vector {
		return &Vector{Name: name, Kind: Parse, File: file, Expect: Expect{Verdict: Accepted, Pins: pins}}
	}
	refuse := func(name, defect, old, repl string) *Vector {
		return &Vector{
			Name: name, Kind: Parse, Defect: defect, File: "# known servers\n" + strings.Replace(good, old, repl, 1) + "\n",
			Expect: Expect{Verdict: Rejected, Line: 2},
		}
	}
	twice := refuse("parse-endpoint-twice", "an endpoint has two pins", "", "")
	twice.File, twice.Expect.Line = twice.File+good+"\n", 3
	return []*Vector{
		accept("parse-one", good+"\n", 1),
		accept("parse-without-last-line-feed", good, 1),
		accept("parse-comments", "# a\n\n \t# b\n"+good+"\n\t\n", 1),
		accept("parse-aligned", strings.ReplaceAll(good, " ", " \t  ")+"\n", 1),
		accept("parse-any", strings.NewReplacer(key, "any", digest("tools"), "any").Replace(good)+"\n", 1),
		accept("parse-seen-and-forgotten", strings.TrimSuffix(strings.Replace(good, first+" -", first+" "+now, 1), "-")+"~"+now+"\n", 1),
		accept("parse-no-identity", "stdio:npx+-y+@scope/server+/a%20b - - "+first+" - - -\n", 1),
		accept("parse-unix", strings.Replace(good, endpoint, "unix:/run/mcp/s.sock:/mcp", 1)+"\n", 1),
		twice,
		refuse("parse-six-fields", "a field is missing", " -", ""),
		refuse("parse-eight-fields", "there is a field more", server, server+" x"),
		refuse("parse-endpoint-port", "the endpoint has the default port", "mcp.example.com/", "mcp.example.com:443/"),
		refuse("parse-endpoint-case", "the endpoint's host is in upper case", "mcp.example.com/", "MCP.example.com/"),
		refuse("parse-endpoint-query", "the endpoint has a query", "/mcp ", "/mcp?x=1 "),
		refuse("parse-endpoint-http", "the endpoint is plain http to another machine", "https:", "http:"),
		refuse("parse-endpoint-socket", "the socket's path is relative", endpoint, "unix:run/s.sock"),
		refuse("parse-endpoint-launch", "a word of the command line could be written in another way", endpoint, "stdio:%6Ede"),
		refuse("parse-did", "the DID is malformed", server, "did:web:MCP.example.com"),
		refuse("parse-did-missing", "there is a key and no DID", server, "-"),
		refuse("parse-key-missing", "there is a DID and no key", key, "-"),
		refuse("parse-key-padded", "the key is padded", key, key+"="),
		refuse("parse-key-short", "the key is not of 32 bytes", key, key[:42]),
		refuse("parse-first-seen-missing", "there is no time at which it was first seen", first, "-"),
		refuse("parse-time-offset", "a time has an offset", first, "2026-09-01T00:00:00+00:00"),
		refuse("parse-time-fraction", "a time has a fraction", first, "2026-09-01T00:00:00.0Z"),
		refuse("parse-time-none", "a time is none", first, "2026-02-30T00:00:00Z"),
		refuse("parse-tools", "the digest is of another kind", "sha256:", "sha512:"),
		refuse("parse-forgotten-never", "it is forgotten, and not when", digest("tools")+" -", digest("tools")+" ~-"),
		refuse("parse-carriage-return", "a line ends with a carriage return", digest("tools")+" -", digest("tools")+" -\r"),
		refuse("parse-escape", "a line has a control character", endpoint, "#\x1b[2J"),
		refuse("parse-long-line", "a line has more than 4096 bytes", good, "#"+strings.Repeat("x", 4096)),
	}
}

func admit() []*Vector {
	meet := func(name, defect, file, code string) *Vector {
		v := &Vector{Name: name, Kind: Admit, Defect: defect, File: file, Now: now, Server: &Server{endpoint, server, key}}
		v.Expect = Expect{Verdict: Accepted}
		if code != "" {
			v.Expect = Expect{Verdict: Rejected, Code: code}
		}
		return v
	}
	line := func(did, key, until string) string {
		return strings.Join([]string{endpoint, did, key, first, first, "-", until}, " ") + "\n"
	}
	seen := func(did, key, until string) string {
		return strings.Join([]string{endpoint, did, key, first, now, "-", until}, " ") + "\n"
	}
	pinned := meet("admit-pinned", "", line(server, key, "-"), "")
	pinned.Expect.File = seen(server, key, "-")
	anyKey := meet("admit-any-key", "", line(server, "any", "-"), "")
	anyKey.Expect.File = seen(server, "any", "-")
	query := meet("admit-query", "", line(server, key, "-"), "")
	query.Server.Endpoint, query.Expect.File = "https://MCP.example.com:443/mcp?x=1", seen(server, key, "-")
	recent := meet("admit-seen-recently", "", strings.Replace(line(server, key, "-"), first+" "+first, first+" 2026-09-21T13:13:21Z", 1), "")
	firstUse := meet("admit-first-use", "", "# mine\n", "")
	firstUse.FirstUse, firstUse.Expect.File = true, "# mine\n"+strings.Join([]string{endpoint, server, key, now, now, "-", "-"}, " ")+"\n"
	again := meet("admit-first-use-forgotten", "", line("did:web:old.example.com", otherKey, "~"+now), "")
	again.FirstUse, again.Expect.File = true, strings.Join([]string{endpoint, server, key, now, now, "-", "-"}, " ")+"\n"
	elsewhere := meet("admit-first-use-elsewhere", "the server is pinned at another endpoint with another key",
		strings.Replace(line(server, otherKey, "-"), "/mcp ", "/other ", 1), "SERVER_PIN_MISMATCH")
	elsewhere.FirstUse = true
	ended := meet("admit-first-use-expired", "the pin has ended, and first use is trusted", line(server, key, now), "SERVER_PIN_EXPIRED")
	ended.FirstUse = true
	mismatch := meet("admit-first-use-mismatch", "the server has another key, and first use is trusted", line(server, otherKey, "-"), "SERVER_PIN_MISMATCH")
	mismatch.FirstUse = true
	return []*Vector{
		pinned, anyKey, query, recent, firstUse, again, elsewhere, ended, mismatch,
		meet("admit-unknown", "the server has no pin", "# nobody\n", "SERVER_PIN_MISSING"),
		meet("admit-other-path", "another path of the server has a pin", strings.Replace(line(server, key, "-"), "/mcp ", "/mcp2 ", 1), "SERVER_PIN_MISSING"),
		meet("admit-forgotten", "the pin is forgotten", line(server, key, "~"+now), "SERVER_PIN_MISSING"),
		meet("admit-expired", "the pin has ended", line(server, key, now), "SERVER_PIN_EXPIRED"),
		meet("admit-other-did", "the pin is of another DID", line("did:web:old.example.com", key, "-"), "SERVER_PIN_MISMATCH"),
		meet("admit-other-key", "the pin has another key", line(server, otherKey, "-"), "SERVER_PIN_MISMATCH"),
		meet("admit-no-identity", "the pin is of a server without an identity", line("-", "-", "-"), "SERVER_PIN_MISMATCH"),
	}
}
