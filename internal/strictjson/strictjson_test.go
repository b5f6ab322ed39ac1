package strictjson_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/touchmark-dev/touchmark/internal/strictjson"
)

// corpus is where the public test data lies in a full checkout.
const corpus = "../../../shared/corpora/json-parsing/test_parsing"

func TestUnmarshal(t *testing.T) {
	type inner struct {
		Level string `json:"level"`
	}
	accepted := map[string]inner{
		`{"level":"1"}`:                      {"1"},
		` { "level" : "1" } `:                {"1"},
		`{"level":"1","Level":"4"}`:          {"1"}, // another name, so another member
		`{"level":"1","LEVEL":"4","x":[{}]}`: {"1"},
		`{"\u006cevel":"1"}`:                 {"1"},
		`{}`:                                 {},
	}
	for text, want := range accepted {
		var got inner
		if err := strictjson.Unmarshal([]byte(text), &got); err != nil || got != want {
			t.Errorf("Unmarshal(%s) = %v, %v, want %v", text, got, err, want)
		}
	}
	for name, text := range refused {
		var got inner
		if err := strictjson.Unmarshal([]byte(text), &got); err == nil {
			t.Errorf("%s: Unmarshal(%.60q) accepted it", name, text)
		}
		if err := strictjson.UnmarshalStrict([]byte(text), &got); err == nil {
			t.Errorf("%s: UnmarshalStrict(%.60q) accepted it", name, text)
		}
		if _, err := strictjson.Parse([]byte(text)); err == nil && !strings.HasPrefix(name, "type") {
			t.Errorf("%s: Parse(%.60q) accepted it", name, text)
		}
	}
	var got inner
	if err := strictjson.UnmarshalStrict([]byte(`{"level":"1","other":2}`), &got); err == nil {
		t.Error("UnmarshalStrict accepted an unknown member")
	}
	if err := strictjson.UnmarshalStrict([]byte(`{"level":"1"}`), &got); err != nil {
		t.Error(err)
	}
}

var refused = map[string]string{
	"empty":                   ``,
	"white space":             ` `,
	"two values":              `{} {}`,
	"trailing letter":         `{}x`,
	"trailing NUL":            "{}\x00",
	"duplicate":               `{"level":"1","level":"4"}`,
	"duplicate by escape":     `{"level":"1","\u006cevel":"4"}`,
	"duplicate of other":      `{"a":1,"a":1}`,
	"duplicate below":         `{"a":[{"b":1,"b":2}]}`,
	"invalid UTF-8":           "{\"level\":\"\xff\"}",
	"invalid UTF-8 in a name": "{\"\xc0\xaf\":1}",
	"lone surrogate":          `{"level":"\ud800"}`,
	"byte order mark":         "\ufeff{}",
	"unclosed":                `{"level":"1"`,
	"unclosed string":         `{"level":"1`,
	"ends in an escape":       `{"level":"\`,
	"comment":                 `{/**/}`,
	"single quotes":           `{'level':'1'}`,
	"trailing comma":          `{"level":"1",}`,
	"too deep":                strings.Repeat("[", strictjson.MaxDepth+1) + strings.Repeat("]", strictjson.MaxDepth+1),
	"much too deep":           strings.Repeat(`{"a":`, 1<<20),
	"type of the member":      `{"level":1}`,
	"type of the value":       `[]`,
}

func TestDepth(t *testing.T) {
	deepest := strings.Repeat("[", strictjson.MaxDepth) + strings.Repeat("]", strictjson.MaxDepth)
	if err := strictjson.Validate([]byte(deepest)); err != nil {
		t.Error(err)
	}
	brackets := `"` + strings.Repeat(`[{\"`, 100) + `"`
	if err := strictjson.Validate([]byte(brackets)); err != nil {
		t.Errorf("brackets in a string were counted: %v", err)
	}
}

func TestReasons(t *testing.T) {
	for text, want := range map[string]string{
		`{"a":1,"a":2}`: "duplicate",
		`{} {}`:         "text after the value",
		``:              "unexpected EOF",
		`[`:             "unexpected EOF",
	} {
		if err := strictjson.Validate([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Validate(%s) = %v, want something about %q", text, err, want)
		}
	}
}

func TestNoAllocation(t *testing.T) {
	text := []byte(`{"a":"b","c":[1,2,{"d":"e"}]}`)
	v, err := strictjson.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	n := testing.AllocsPerRun(100, func() {
		if strictjson.Validate(text) != nil {
			t.Fatal("not valid")
		}
		for m := v.Members(); m.Next(); {
			for e := m.Value.Elements(); e.Next(); {
				_, _ = e.Value.Text()
			}
		}
	})
	if n > 0 && !raceEnabled {
		t.Errorf("%v allocations, want none", n)
	}
}

// TestCorpus runs JSONTestSuite: y_ files are JSON, n_ files are not, i_ files are for each to decide.
func TestCorpus(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(corpus, "*.json"))
	if err != nil || len(files) == 0 {
		t.Skipf("JSONTestSuite is not at %s", corpus)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(file)
		err = strictjson.Validate(text)
		duplicate := strings.HasPrefix(name, "y_object_duplicated_key")
		switch {
		case name[0] == 'n' && err == nil:
			t.Errorf("%s: accepted", name)
		case name[0] == 'y' && err != nil && !duplicate:
			t.Errorf("%s: %v", name, err)
		case duplicate && err == nil:
			t.Errorf("%s: accepted a duplicate", name)
		}
	}
}
