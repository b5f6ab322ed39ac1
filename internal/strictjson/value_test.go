package strictjson_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/touchmark-dev/touchmark/internal/strictjson"
)

// rebuild makes Go values out of a Value, in the manner of encoding/json with UseNumber.
func rebuild(t testing.TB, v strictjson.Value) any {
	switch v.Kind() {
	case '{':
		out := map[string]any{}
		for m := v.Members(); m.Next(); {
			out[m.Name] = rebuild(t, m.Value)
		}
		return out
	case '[':
		out := []any{}
		for e := v.Elements(); e.Next(); {
			out = append(out, rebuild(t, e.Value))
		}
		return out
	case '"':
		s, ok := v.Text()
		if !ok {
			t.Errorf("string %s has no text", v)
		}
		return s
	case '0':
		return json.Number(v)
	case 't', 'f':
		return v == "true"
	case 'n':
		return nil
	}
	t.Errorf("value %q is of no kind", string(v))
	return nil
}

func reference(t testing.TB, text string) any {
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	var out any
	if err := dec.Decode(&out); err != nil {
		t.Errorf("encoding/json refuses %q: %v", text, err)
	}
	return out
}

var walks = []string{
	`{"a":1,"b":[true,false,null],"c":{"d":"e\"}{"},"f":-1.5e3}`,
	" [ 1 , \"\\\\\" , [ ] , { } , [ [ ] ] , \"\\u00e9\\n\" ]\n",
	`{"":{"":[""]}}`,
	`"text"`, `12`, `-0`, `true`, `null`, `[]`, `{}`,
	`{"a\u0062":"\ud83d\ude00"}`,
}

func TestWalk(t *testing.T) {
	for _, text := range walks {
		v, err := strictjson.Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(reference(t, text), rebuild(t, v)); diff != "" {
			t.Errorf("%s: walk differs:\n%s", text, diff)
		}
	}
}

func TestWrongKind(t *testing.T) {
	for _, v := range []strictjson.Value{"", "12", `"x"`, "true"} {
		if m := v.Members(); m.Next() {
			t.Errorf("%q has members", string(v))
		}
		if e := v.Elements(); e.Next() {
			t.Errorf("%q has elements", string(v))
		}
	}
	if _, ok := strictjson.Value("12").Text(); ok {
		t.Error("a number has text")
	}
	if strictjson.Value("").Kind() != 0 {
		t.Error("the zero Value has a kind")
	}
}

// TestHandMade shows that text which never was valid JSON does not panic.
func TestHandMade(*testing.T) {
	whole := `{"a\u0041":[1,{"b":"c\""}],"d":"\ud800"}`
	for i := range whole {
		for j := i; j <= len(whole); j++ {
			v := strictjson.Trusted(whole[i:j])
			for m := v.Members(); m.Next(); {
				_, _ = m.Value.Text()
			}
			for e := v.Elements(); e.Next(); {
				_, _ = e.Value.Uint()
			}
			_, _ = v.Text()
		}
	}
}

func TestUint(t *testing.T) {
	for text, want := range map[strictjson.Value]uint64{"0": 0, "7": 7, "1700000000": 1700000000, "999999999999999": 999999999999999} {
		if got, ok := text.Uint(); !ok || got != want {
			t.Errorf("Uint(%s) = %d, %v", text, got, ok)
		}
	}
	for _, text := range []strictjson.Value{"", "-1", "1.0", "1e3", "01", "00", "1000000000000000", `"1"`, "null", "+1"} {
		if got, ok := text.Uint(); ok {
			t.Errorf("Uint(%s) = %d, want none", text, got)
		}
	}
}

// FuzzUnmarshal holds the walk to encoding/json, which is less strict but decodes what is valid alike.
func FuzzUnmarshal(f *testing.F) {
	for _, text := range walks {
		f.Add([]byte(text))
	}
	for _, text := range refused {
		if len(text) < 1000 {
			f.Add([]byte(text))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := strictjson.Parse(data)
		var whole any
		if uerr := strictjson.Unmarshal(data, &whole); (uerr == nil) != (err == nil) && !outOfRange(data) {
			t.Fatalf("Parse says %v, Unmarshal says %v", err, uerr)
		}
		if err != nil {
			return
		}
		if diff := cmp.Diff(reference(t, string(data)), rebuild(t, v)); diff != "" {
			t.Errorf("walk differs:\n%s", diff)
		}
	})
}

// outOfRange reports whether a number in data has no float64: Unmarshal into any refuses those, Parse does
// not look.
func outOfRange(data []byte) bool {
	dec := json.NewDecoder(strings.NewReader(string(data)))
	dec.UseNumber()
	for {
		token, err := dec.Token()
		if err != nil {
			return false
		}
		if num, ok := token.(json.Number); ok {
			if _, err := num.Float64(); err != nil {
				return true
			}
		}
	}
}
