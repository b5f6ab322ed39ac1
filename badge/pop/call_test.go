package pop

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"testing"

	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/jcs"
	"github.com/touchmark-dev/touchmark/internal/jws"
)

// The parts put together are the canonical form of the whole.
func TestCanonicalCall(t *testing.T) {
	calls := []Call{
		{Method: "ping"},
		{Method: "tools/call", Target: "a\"b\\c\u2028\x00é😀", Arguments: json.RawMessage(`{"z":1.50,"a":[true,null,{"y":"\u20ac","x":2E1}]}`)},
		{Method: "resources/read", Target: "file:///a b", InputResponses: json.RawMessage(` { "k" : { } } `)},
	}
	for _, c := range calls {
		got, err := c.canonical()
		if err != nil {
			t.Fatal(err)
		}
		whole := map[string]any{"method": c.Method, "target": c.Target, "arguments": map[string]any{}, "input_responses": map[string]any{}}
		if c.Arguments != nil {
			whole["arguments"] = c.Arguments
		}
		if c.InputResponses != nil {
			whole["input_responses"] = c.InputResponses
		}
		text, err := json.Marshal(whole)
		if err != nil {
			t.Fatal(err)
		}
		want, err := jcs.Canonicalize(text)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestNothingHasOneForm(t *testing.T) {
	var salt [32]byte
	want, err := (&Call{Method: "m"}).Hash(salt)
	if err != nil {
		t.Fatal(err)
	}
	for _, none := range []string{"", "null", "{}", " {\n} ", "\tnull"} {
		c := &Call{Method: "m", Arguments: json.RawMessage(none), InputResponses: json.RawMessage(none)}
		if got, err := c.Hash(salt); err != nil || got != want {
			t.Errorf("%q: %s, %v; want %s", none, got, err, want)
		}
	}
	for _, some := range []string{"[]", `""`, "0", "false", " ", "{", `{"a":null}`} {
		c := &Call{Method: "m", Arguments: json.RawMessage(some)}
		if got, err := c.Hash(salt); err == nil && got == want {
			t.Errorf("%q: hashed as nothing", some)
		}
	}
}

func TestHashDependsOnEverything(t *testing.T) {
	seen := make(map[string]string)
	for name, c := range map[string]Call{
		"plain":     {Method: "m", Target: "t"},
		"method":    {Method: "n", Target: "t"},
		"target":    {Method: "m", Target: "u"},
		"boundary":  {Method: "mt", Target: ""},
		"arguments": {Method: "m", Target: "t", Arguments: json.RawMessage(`{"a":1}`)},
		"responses": {Method: "m", Target: "t", InputResponses: json.RawMessage(`{"a":1}`)},
	} {
		for _, salt := range [][32]byte{{}, {1}} {
			hash, err := c.Hash(salt)
			if err != nil {
				t.Fatal(err)
			}
			if other, ok := seen[hash]; ok {
				t.Errorf("%s and %s have one hash", name, other)
			}
			seen[hash] = name
		}
	}
}

func TestTargetURI(t *testing.T) {
	for _, test := range []struct{ server, method, want string }{
		{"did:web:mcp.example.com", "tools/call", "mcp://did%3Aweb%3Amcp.example.com/tools/call"},
		{"did:web:mcp.example.com%3A8443:a-b", "tools/call", "mcp://did%3Aweb%3Amcp.example.com%253A8443%3Aa-b/tools/call"},
		{"did:web:mcp.example.com", "azAZ09/-._~@[`{:", "mcp://did%3Aweb%3Amcp.example.com/azAZ09/-._~%40%5B%60%7B%3A"},
		{"did:web:mcp.example.com", "x?y#z é", "mcp://did%3Aweb%3Amcp.example.com/x%3Fy%23z%20%C3%A9"},
	} {
		if got := TargetURI(did.MustParse(test.server), test.method); got != test.want {
			t.Errorf("got %s, want %s", got, test.want)
		}
	}
}

// The example of RFC-004 section 8.3 hashes to the same whether or not its payload was written canonically.
func TestHashHop(t *testing.T) {
	key := newKey("agent")
	var hashes []string
	for _, payload := range []string{
		`{"b":1,"a":"x"}`,
		"{ \"a\" : \"\\u0078\",\n\"b\": 1.0 }",
	} {
		token, err := jws.Sign(jws.Header{Typ: headerTyp}, []byte(payload), key)
		if err != nil {
			t.Fatal(err)
		}
		hash, err := HashHop(token)
		if err != nil {
			t.Fatal(err)
		}
		hashes = append(hashes, hash)
	}
	if hashes[0] != hashes[1] || hashes[0] != "sha256:zasGfp876zLRJSz9Y-SSWS_sv1kbDQjK2yS7F_OGQkY" {
		t.Errorf("hashes %q", hashes)
	}
	for _, bad := range []string{"", "a.b.c"} {
		if _, err := HashHop(bad); CodeOf(err) != CodeMalformed {
			t.Errorf("%q: %v", bad, err)
		}
	}
	token, err := jws.Sign(jws.Header{Typ: headerTyp}, []byte("no JSON"), key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := HashHop(token); CodeOf(err) != CodeMalformed {
		t.Errorf("payload without a canonical form: %v", err)
	}
}

// RFC-004 signs hops with EdDSA alone, whatever signed the badge.
func TestOnlyEdDSA(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s := newScene()
	if _, err := Sign(key, s.stmt); err == nil {
		t.Error("signed with P-256")
	}
	payload, err := jcs.Marshal(s.claims(t))
	if err != nil {
		t.Fatal(err)
	}
	token, err := jws.Sign(jws.Header{Typ: headerTyp}, payload, key)
	if err != nil {
		t.Fatal(err)
	}
	s.seen.Key = key.Public()
	s.refused(t, token, CodeMalformed, "")
	s.refused(t, s.sign(t), CodeSignatureInvalid, "")
}
