package evidence

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

// exhibit shows two of the parameters of a recorded call, and all of them if told to.
func exhibit(t testing.TB, all bool) (*Exhibit, *Private) {
	t.Helper()
	p := &Params{Arguments: json.RawMessage(`{"path":"/etc/passwd","list":[1,{"pin":1234.5}]}`), InputResponses: json.RawMessage(`{"sure":"yes"}`)}
	entry, private := recorded(t, p)
	x := &Exhibit{Entry: entry.Bytes(), Receipt: "receipt\n"}
	for _, pointer := range []string{"/arguments/list/0", "/input_responses/sure"} {
		x.Disclosures = append(x.Disclosures, mustDisclose(t, private.Salt, p, pointer))
	}
	if all {
		x.Opening = &Opening{private.Salt, *p}
	}
	return x, private
}

func mustExhibit(t testing.TB, x *Exhibit) string {
	t.Helper()
	text, err := x.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestExhibit(t *testing.T) {
	keys := newTestSigner("server").keys
	for _, all := range []bool{false, true} {
		x, private := exhibit(t, all)
		text := mustExhibit(t, x)
		back, err := ParseExhibit([]byte(" " + text + "\n"))
		if err != nil || !reflect.DeepEqual(back, x) {
			t.Fatalf("%s read back as %+v, %v", text, back, err)
		}
		entry, err := back.Verify(keys)
		if err != nil || string(entry.Bytes()) != string(x.Entry) {
			t.Errorf("all %v: %v", all, err)
		}
		salt, err := private.Salt.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{string(salt), "passwd", "1234.5"} {
			if strings.Contains(text, secret) != all {
				t.Errorf("all %v: %s in %s", all, secret, text)
			}
		}
		for _, never := range []string{private.Badge, private.Proof} {
			if never == "" || strings.Contains(text, never) {
				t.Errorf("all %v: %q in %s", all, never, text)
			}
		}
	}
}

func TestExhibitRefused(t *testing.T) {
	s := newTestSigner("server")
	for name, test := range map[string]struct {
		change func(*Exhibit)
		want   Code
	}{
		"other value":      {func(x *Exhibit) { x.Disclosures[1].Value = json.RawMessage(`"no"`) }, CodeCommitmentMismatch},
		"other place":      {func(x *Exhibit) { x.Disclosures[0].Path[2] = ElementStep(1) }, CodeCommitmentMismatch},
		"other parameters": {func(x *Exhibit) { x.Opening.Params.InputResponses = nil }, CodeCommitmentMismatch},
		"other salt":       {func(x *Exhibit) { x.Opening.Salt[0]++ }, CodeCommitmentMismatch},
		"other entry":      {func(x *Exhibit) { other, _ := exhibit(t, false); x.Entry = other.Entry }, CodeCommitmentMismatch},
		"changed entry": {func(x *Exhibit) {
			x.Entry = []byte(edit(t, string(x.Entry), `"method":"tools/call"`, `"method":"tools/list"`))
		}, CodeSignatureInvalid},
		"no entry": {func(x *Exhibit) { x.Entry = []byte(`{}`) }, CodeMalformed},
	} {
		x, _ := exhibit(t, true)
		test.change(x)
		text := mustExhibit(t, x)
		back, err := ParseExhibit([]byte(text))
		if err == nil {
			_, err = back.Verify(s.keys)
		}
		if CodeOf(err) != test.want {
			t.Errorf("%s: %v, want %s", name, err, test.want)
		}
	}
	x, _ := exhibit(t, false)
	if _, err := x.Verify(newTestSigner("stranger").keys); CodeOf(err) != CodeKeyUnknown {
		t.Errorf("keys of another server: %v", err)
	}
	if _, err := (&Exhibit{Entry: x.Entry}).Verify(s.keys); err == nil {
		t.Error("an exhibit that shows nothing was verified")
	}
	if _, err := (&Exhibit{Entry: x.Entry}).MarshalJSON(); CodeOf(err) != CodeMalformed {
		t.Errorf("an exhibit that shows nothing was written: %v", err)
	}
	if _, err := (&Exhibit{Entry: x.Entry, Opening: &Opening{Params: Params{Arguments: []byte("\xff")}}}).MarshalJSON(); err == nil {
		t.Error("octets that are no text were written")
	}
}

func TestParseExhibit(t *testing.T) {
	x, _ := exhibit(t, true)
	good := mustExhibit(t, x)
	for name, text := range map[string]string{
		"nothing": "", "empty": "{}", "list": "[]", "null": "null", "two": good + "{}", "cut": good[1:],
		"version":              edit(t, good, `\n","v":1`, `\n","v":2`),
		"text for version":     edit(t, good, `\n","v":1`, `\n","v":"1"`),
		"no version":           edit(t, good, `\n","v":1`, `\n"`),
		"further member":       edit(t, good, `\n","v":1`, `\n","v":1,"further":1`),
		"empty receipt":        edit(t, good, `"receipt":"receipt\n"`, `"receipt":""`),
		"null receipt":         edit(t, good, `"receipt":"receipt\n"`, `"receipt":null`),
		"two entries":          edit(t, good, `"entry":`, `"entry":"x","entry":`),
		"no entry":             edit(t, good, `"entry":`, `"Entry":`),
		"entry as text":        edit(t, good, `"entry":{`, `"entry":"x","parameters":{`),
		"long salt":            edit(t, good, `"salt":"`, `"salt":"A`),
		"no salt":              edit(t, good, `,"salt":"`, `,"input_response":"`),
		"further parameters":   edit(t, good, `"parameters":{`, `"parameters":{"x":"",`),
		"parameters as JSON":   edit(t, good, `"input_responses":"`, `"input_responses":{},"x":"`),
		"parameters null":      edit(t, good, `"parameters":{`, `"parameters":null,"x":{`),
		"empty disclosure":     edit(t, good, `"disclosures":[`, `"disclosures":[{},`),
		"null disclosure":      edit(t, good, `"disclosures":[`, `"disclosures":[null,`),
		"disclosures null":     edit(t, good, `"disclosures":[`, `"disclosures":null,"x":[`),
		"disclosure of levels": edit(t, good, `"levels":32`, `"levels":33`),
		"shows nothing":        `{"disclosures":[],"entry":{},"v":1}`,
	} {
		if _, err := ParseExhibit([]byte(text)); CodeOf(err) != CodeMalformed {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ParseExhibit(make([]byte, MaxExhibitBytes+1)); CodeOf(err) != CodeTooLarge {
		t.Errorf("too large: %v", err)
	}
}

// FuzzParseExhibit: what is accepted is written in one way, and read back as the same.
func FuzzParseExhibit(f *testing.F) {
	for _, all := range []bool{false, true} {
		x, _ := exhibit(f, all)
		f.Add([]byte(mustExhibit(f, x)))
	}
	f.Add([]byte(`{"v":1,"entry":{},"disclosures":[],"parameters":{"salt":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","arguments":""}}`))
	keys := newTestSigner("server").keys
	f.Fuzz(func(t *testing.T, data []byte) {
		x, err := ParseExhibit(data)
		if err != nil {
			return
		}
		back, err := ParseExhibit([]byte(mustExhibit(t, x)))
		if err != nil || !reflect.DeepEqual(back, x) {
			t.Fatalf("%+v read back as %+v, %v", x, back, err)
		}
		_, _ = x.Verify(keys)
	})
}
