package policy

import (
	"encoding/json"
	"strings"
	"testing"
)

// FuzzPointer compares tests of arguments with the reference, on any document that is JSON by strict rules, and
// shows that any other text is never told anything about.
func FuzzPointer(f *testing.F) {
	f.Add("/a/0", "eq", `"x"`, `{"a":["x"]}`)
	f.Add("/a~1b", "lt", `3`, `{"a/b":2.5}`)
	f.Add("/path", "prefix", `"/data"`, `{"PATH":"/data","path":"\/data"}`)
	f.Add("", "type", `"integer"`, ` 1e2 `)
	f.Add("/a", "matches", `"a|b"`, `{"a":"ab"}`)
	f.Add("/a", "in", `[1,2]`, `{"a":1.0,"b":{"c":[]}}`)
	f.Add("/a", "exists", `true`, `{"b":1,"a":null}`)
	f.Fuzz(func(t *testing.T, pointer, op, operand, text string) {
		if !json.Valid([]byte(operand)) || len(operand) > 100 {
			return
		}
		file, err := json.Marshal(map[string]any{"version": 1, "rules": []any{map[string]any{
			"id": "a", "decision": "allow", "min_level": 1,
			"match": map[string]any{"arguments": []any{map[string]any{"pointer": pointer, op: json.RawMessage(operand)}}},
		}}})
		if err != nil {
			return
		}
		p, err := Parse(file)
		if err != nil {
			return
		}
		var tree map[string]any
		if err := json.Unmarshal(file, &tree); err != nil {
			t.Fatal(err)
		}
		match := tree["rules"].([]any)[0].(map[string]any)["match"].(map[string]any)
		d := document{text: json.RawMessage(text)}
		got := p.rules[0].conditions[0].test.holds(&d)
		if text != "" && !d.valid() {
			if got != unknown {
				t.Errorf("%q is not JSON by strict rules: got %v", text, got)
			}
			return
		}
		if want := tests(match["arguments"], json.RawMessage(text)); got != want {
			t.Errorf("%s of %q: got %v, want %v", file, text, got, want)
		}
	})
}

// TestPointers: what readers of JSON could differ about is not told.
func TestPointers(t *testing.T) {
	for _, c := range []struct {
		test, text string
		want       truth
	}{
		{`{pointer: /path, eq: a}`, `{"path":"a"}`, yes},
		{`{pointer: /path, eq: a}`, `{"path":"\u0061"}`, yes},
		{`{pointer: /path, eq: a}`, `{"p\u0061th":"a"}`, yes},
		{`{pointer: /path, eq: a}`, `{"path":"a","path":"b"}`, unknown},
		{`{pointer: /path, eq: a}`, `{"path":"a","p\u0061th":"b"}`, unknown},
		{`{pointer: /path, eq: a}`, `{"path":"a","Path":"b"}`, unknown},
		{`{pointer: /path, exists: false}`, `{"PATH":"b"}`, unknown},
		{`{pointer: /k, exists: false}`, `{"\u212a":"b"}`, unknown}, // the Kelvin sign is a k to some
		{`{pointer: /path, exists: false}`, `{}`, yes},
		{`{pointer: /path, exists: false}`, ``, yes},
		{`{pointer: /path, exists: true}`, `{"path":null}`, yes},
		{`{pointer: /path, exists: false}`, `{"path":`, unknown},
		{`{pointer: /path, eq: a}`, `{"path":["a"]}`, unknown},
		{`{pointer: /n, eq: 1}`, `{"n":"1"}`, unknown},
		{`{pointer: /n, eq: 1}`, `{"n":1.0e0}`, yes},
		{`{pointer: /n, lt: 5}`, `{"n":9007199254740993}`, unknown},
		{`{pointer: /n, gt: 5}`, `{"n":123456789012345e1}`, yes},
		{`{pointer: /n, eq: 0}`, `{"n":1e-400}`, unknown},
		{`{pointer: /n, eq: 0}`, `{"n":0e-400}`, yes},
		{`{pointer: /n, type: integer}`, `{"n":12345678901234567890}`, unknown},
		{`{pointer: /n, type: integer}`, `{"n":1.5}`, no},
		{`{pointer: /s, matches: "[a-z]+"}`, `{"s":"ab;c"}`, no},
		{`{pointer: /s, matches: "[a-z]+"}`, `{"s":"ab\n"}`, no},
		{`{pointer: /s, matches: "[a-z]+"}`, `{"s":"` + strings.Repeat("a", MaxMatchedBytes+1) + `"}`, unknown},
		{`{pointer: /l/1, eq: b}`, `{"l":["a","b"]}`, yes},
		{`{pointer: /l/01, eq: b}`, `{"l":["a","b"]}`, unknown},
		{`{pointer: /l/-, exists: false}`, `{"l":["a","b"]}`, yes},
		{`{pointer: /l/1, eq: b}`, `{"l":{"1":"b"}}`, yes},
	} {
		p := mustParse(t, "version: 1\nrules: [{id: a, match: {arguments: ["+c.test+"]}, min_level: 1, decision: allow}]")
		if got := p.rules[0].conditions[0].test.holds(&document{text: json.RawMessage(c.text)}); got != c.want {
			t.Errorf("%s of %s: got %v, want %v", c.test, c.text, got, c.want)
		}
	}
}
