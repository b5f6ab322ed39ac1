package jcs

import (
	"bytes"
	"strings"
	"testing"
)

func TestPlain(t *testing.T) {
	deepest := strings.Repeat("[", MaxDepth) + strings.Repeat("]", MaxDepth)
	for src, want := range map[string]string{
		`{}`: `{}`, ` [ ] `: `[]`, `true`: `true`, "\tnull\r\n": `null`, `""`: `""`, `-7`: `-7`, `0`: `0`,
		`{"b" : [1, {"z":0,"a":false}] , "a":"x y"}`: `{"a":"x y","b":[1,{"a":false,"z":0}]}`,
		`{"b":1,"a":2,"ab":3,"":4}`:                  `{"":4,"a":2,"ab":3,"b":1}`,
		`{"a!":1,"a":2}`:                             `{"a":2,"a!":1}`,
		`999999999999999`:                            `999999999999999`,
		deepest:                                      deepest,
	} {
		if got, ok := canonicalizePlain([]byte(src)); !ok || string(got) != want {
			t.Errorf("%s: %s, %v", src, got, ok)
		}
	}
	for _, src := range []string{
		``, ` `, `{`, `[`, `{"a"`, `{"a":`, `{"a":1`, `{"a":1,`, `{"a":1,}`, `[1,]`, `[,1]`, `{,}`, `[}`, `{]`, `"`, `"a`, `tru`, `truex`,
		`1 2`, `{} {}`, "1\x00", "\x00", `{1:2}`, `{"a" 1}`, `{"a":1 "b":2}`, `{"a":1,"a":1}`, `{"a":1,"b":2,"a":3}`, `{"b":1,"a":2,"b":3}`,
		`-`, `--1`, `-0`, `00`, `01`, `-01`, `+1`, `1.5`, `1e2`, `1-`, `1-1`, `9999999999999999`, `1a`, `.5`,
		`"\u0061"`, `"é"`, "\"\x7f\"", "\"\n\"", "[" + deepest + "]",
	} {
		if got, ok := canonicalizePlain([]byte(src)); ok {
			t.Errorf("%.60q was taken for %.60q", src, got)
		}
	}
}

// FuzzPlain holds what is plain against the canonicalizer.
func FuzzPlain(f *testing.F) {
	for _, src := range []string{
		`{"path":"/data/report.txt","limit":4096,"encoding":"utf-8"}`, `{"b":[1,-2,{"z":null,"y":{}}],"a":true}`, `{"a":1,"a":1}`,
		`[0,-0,1.0,1e3,012]`, `{"é":1,"\n":2}`, " [ \"x\" ,\ttrue] ", `{"aa":1,"a":2,"a!":3,"":4}`,
	} {
		f.Add([]byte(src))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		got, ok := canonicalizePlain(src)
		if !ok {
			return
		}
		if want, err := canonicalize(src); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%q became %q, want %q, %v", src, got, want, err)
		}
	})
}
