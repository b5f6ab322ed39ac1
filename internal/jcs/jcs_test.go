package jcs_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	oracle "github.com/gowebpki/jcs"

	"github.com/touchmark-dev/touchmark/internal/jcs"
)

func TestCanonicalize(t *testing.T) {
	for src, want := range map[string]string{
		// the example of RFC 8785 section 3.2.2
		`{"numbers":[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001],
		  "string":"\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/","literals":[null,true,false]}`: `{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],` +
			"\"string\":\"\u20ac$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}",
		// the sorting example of section 3.2.3: by UTF-16 code units
		`{"\u20ac":"Euro Sign","\r":"Carriage Return","\ufb33":"Hebrew Letter Dalet With Dagesh","1":"One",` +
			`"\ud83d\ude00":"Emoji: Grinning Face","\u0080":"Control","\u00f6":"Latin Small Letter O With Diaeresis"}`: `{"\r":"Carriage Return","1":"One",` + "\"\u0080\":\"Control\",\"ö\":\"Latin Small Letter O With Diaeresis\"," +
			"\"€\":\"Euro Sign\",\"😀\":\"Emoji: Grinning Face\",\"\ufb33\":\"Hebrew Letter Dalet With Dagesh\"}",
		`-0`:                     `0`,
		`-0.0`:                   `0`,
		`1e21`:                   `1e+21`,
		`5e-324`:                 `5e-324`,
		`1.7976931348623157e308`: `1.7976931348623157e+308`,
		`9007199254740991`:       `9007199254740991`,
		`-9007199254740991`:      `-9007199254740991`,
		`90071992547409.91e2`:    `9007199254740991`,
		`"</script>&\u2028"`:     "\"</script>&\u2028\"",
		`[ ]`:                    `[]`,
		`"9007199254740993"`:     `"9007199254740993"`,
		`{"a":"1e400 \" 1e400"}`: `{"a":"1e400 \" 1e400"}`,
	} {
		got, err := jcs.Canonicalize([]byte(src))
		if err != nil || string(got) != want {
			t.Errorf("Canonicalize(%s)\n got %s, %v\nwant %s", src, got, err, want)
		}
	}
}

func TestRefused(t *testing.T) {
	deep := strings.Repeat("[", jcs.MaxDepth+1) + strings.Repeat("]", jcs.MaxDepth+1)
	for _, src := range []string{
		``, ` `, `{`, `{} {}`, `{"a":1,"a":1}`, `{"a":1,"\u0061":1}`, `"\ud800"`, "\"\xff\"", `{"a":1,}`,
		`1e400`, `-1e400`, `[1e309]`,
		`9007199254740992`, `9007199254740993`, `-9007199254740993`, `9007199254740992.0`, `9.007199254740993e15`,
		`100000000000000000000`, `1e20`, `1000000000000000000000`, `999999999999999900000`,
		`+1`, `01`, `1.`, `.5`, `1_0`, `0x10`, `NaN`, `Infinity`, `--1`, `1e`, `-`,
		deep, strings.Repeat(`{"a":`, 1<<20), "\ufeff{}",
	} {
		if got, err := jcs.Canonicalize([]byte(src)); err == nil {
			t.Errorf("Canonicalize(%.60q) = %.60q, want an error", src, got)
		}
	}
	deepest := strings.Repeat("[", jcs.MaxDepth) + strings.Repeat("]", jcs.MaxDepth)
	if _, err := jcs.Canonicalize([]byte(deepest)); err != nil {
		t.Error(err)
	}
}

func TestSourceUntouched(t *testing.T) {
	src := []byte(`{"b":1, "a":2}`)
	kept := bytes.Clone(src)
	if _, err := jcs.Canonicalize(src); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(src, kept) {
		t.Errorf("the source became %s", src)
	}
}

func TestMarshal(t *testing.T) {
	type pair struct {
		B string `json:"b"`
		A int    `json:"a,omitzero"`
	}
	got, err := jcs.Marshal([]pair{{B: "<x>", A: 2}, {}})
	if want := `[{"a":2,"b":"<x>"},{"b":""}]`; err != nil || string(got) != want {
		t.Errorf("Marshal = %s, %v, want %s", got, err, want)
	}
	for _, v := range []any{make(chan int), uint64(1) << 60, "\xff"} {
		if got, err := jcs.Marshal(v); err == nil {
			t.Errorf("Marshal(%v) = %s, want an error", v, got)
		}
	}
}

// TestPublishedVectors runs the inputs that come with the module we use as an oracle.
func TestPublishedVectors(t *testing.T) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/gowebpki/jcs").Output()
	if err != nil {
		t.Fatalf("the module's directory is not to be had: %v", err)
	}
	dir := filepath.Join(strings.TrimSpace(string(out)), "testdata")
	inputs, err := filepath.Glob(filepath.Join(dir, "input", "*.json"))
	if err != nil || len(inputs) == 0 {
		t.Fatalf("no test data in %s", dir)
	}
	for _, input := range inputs {
		src, err := os.ReadFile(input)
		if err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile(filepath.Join(dir, "output", filepath.Base(input)))
		if err != nil {
			t.Fatal(err)
		}
		got, err := jcs.Canonicalize(src)
		if err != nil || !bytes.Equal(got, bytes.TrimSpace(want)) {
			t.Errorf("%s:\n got %s, %v\nwant %s", filepath.Base(input), got, err, want)
		}
	}
}

// FuzzCanonicalize holds the output to a second implementation, and to being its own canonical form.
func FuzzCanonicalize(f *testing.F) {
	for _, src := range []string{`{"b":[1,2.5,"x"],"a":{"\u00e9":null}}`, `-0`, `1e21`, `9007199254740993`, `"\ud83d\ude00"`, `[1e-7,123456789012345680000]`} {
		f.Add([]byte(src))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		got, err := jcs.Canonicalize(src)
		if err != nil {
			return
		}
		again, err := jcs.Canonicalize(got)
		if err != nil || !bytes.Equal(got, again) {
			t.Errorf("not its own canonical form: %s, then %s, %v", got, again, err)
		}
		want, err := oracle.Transform(src)
		if err != nil {
			t.Fatalf("the oracle refuses %q: %v", src, err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("differs from the oracle for %q:\n got %s\nwant %s", src, got, want)
		}
	})
}

func BenchmarkCanonicalize(b *testing.B) {
	src := []byte(`{"method":"tools/call","target":"read_file","arguments":{"path":"/data/report.txt","limit":100,` +
		`"tags":["a","b"],"nested":{"z":1.5,"y":null,"x":true}},"input_responses":null}`)
	b.SetBytes(int64(len(src)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := jcs.Canonicalize(src); err != nil {
			b.Fatal(err)
		}
	}
}

// TestCorpus runs JSONTestSuite: what is not JSON has no canonical form.
func TestCorpus(t *testing.T) {
	const dir = "../../../shared/corpora/json-parsing/test_parsing"
	files, err := filepath.Glob(filepath.Join(dir, "n_*.json"))
	if err != nil || len(files) == 0 {
		t.Skipf("JSONTestSuite is not at %s", dir)
	}
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := jcs.Canonicalize(src); err == nil {
			t.Errorf("%s: %s", filepath.Base(file), got)
		}
	}
}

// A number that float64 can only hold as zero has another value than zero.
func TestUnderflow(t *testing.T) {
	for _, num := range []string{"1e-400", "-1e-400", "0.1e-999999999", "0." + strings.Repeat("0", 400) + "1"} {
		if out, err := jcs.Canonicalize([]byte(`{"a":` + num + `}`)); err == nil {
			t.Errorf("%.20s: canonical form %s", num, out)
		}
	}
	for _, num := range []string{"0", "-0", "0.0", "0e5", "-0.00E-400", "5e-324"} {
		if _, err := jcs.Canonicalize([]byte(`{"a":` + num + `}`)); err != nil {
			t.Errorf("%s: %v", num, err)
		}
	}
}
