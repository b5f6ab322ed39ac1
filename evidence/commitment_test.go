package evidence

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// recorded returns a verified decision about a call with these parameters, and what was kept back.
func recorded(t testing.TB, p *Params) (*VerifiedEntry, *Private) {
	t.Helper()
	s := newTestSigner("server")
	d := fullDraft()
	d.Arguments, d.InputResponses = p.Arguments, p.InputResponses
	r, private, err := d.prepare(false)
	if err != nil {
		t.Fatal(err)
	}
	r.Header = s.header(1)
	return mustVerify(t, mustSign(t, r, s), s.keys), private
}

func args(text string) *Params { return &Params{Arguments: json.RawMessage(text)} }

// A second opinion, from the words of spec/evidence.md section 4.
func TestCommitmentByHand(t *testing.T) {
	salt := Salt{7}
	sum := func(key []byte, text string) []byte {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(text))
		return h.Sum(nil)
	}
	all := []string{
		string(sum(salt[:], "touchmark/commitment/v1/blind\n")),
		string(sum(sum(salt[:], "touchmark/commitment/v1/member\narguments\npin"), `["arguments","pin",1234]`)),
		string(sum(sum(salt[:], "touchmark/commitment/v1/member\narguments\n\u20ac\""), `["arguments","€\"",{"a":1,"b":[]}]`)),
		string(sum(sum(salt[:], "touchmark/commitment/v1/member\ninput_responses\npin"), `["input_responses","pin","x"]`)),
	}
	slices.Sort(all)
	want := Hash(sha256.Sum256([]byte("touchmark/commitment/v1/root\n" + strings.Join(all, ""))))
	got, form := Commit(salt, &Params{
		Arguments:      json.RawMessage(`{"\u20ac\"": {"b":[], "a":1.0}, "pin":1234}`),
		InputResponses: json.RawMessage(`{"pin":"x"}`),
	})
	if got != want || form != ParamsMembers {
		t.Errorf("got %s (%s), want %s", got, form, want)
	}

	a, i := sha256.Sum256([]byte("[1]")), sha256.Sum256(nil)
	want = Hash(sum(sum(salt[:], "touchmark/commitment/v1/octets\n"), string(a[:])+string(i[:])))
	if got, form := Commit(salt, args("[1]")); got != want || form != ParamsOctets {
		t.Errorf("octets: got %s (%s), want %s", got, form, want)
	}
	want = Hash(sum(sum(salt[:], "touchmark/commitment/v1/result\n"), "result"))
	if got := CommitResult(salt, []byte("result")); got != want {
		t.Errorf("result: got %s, want %s", got, want)
	}
}

func TestNothingIsCommittedToInOneWay(t *testing.T) {
	salt := Salt{7}
	want, _ := Commit(salt, &Params{})
	for _, none := range []string{"null", "{}", " { } "} {
		got, form := Commit(salt, &Params{Arguments: json.RawMessage(none), InputResponses: json.RawMessage(none)})
		if got != want || form != ParamsMembers {
			t.Errorf("%q: %s (%s), want %s", none, got, form, want)
		}
	}
	for _, odd := range []string{"[]", `"x"`, "1", "{", " ", `{"a":1,"a":1}`, `{"a":12345678901234567890}`, "{\"a\":\"\xff\"}", strings.Repeat("[", 100)} {
		got, form := Commit(salt, args(odd))
		if got == want || got.IsZero() || form != ParamsOctets {
			t.Errorf("%q: %s (%s)", odd, got, form)
		}
	}
}

// Published behaviour: the hash of the parameters has no salt, and a PIN of four digits is found by trying
// all. Here the same search over what the record holds finds nothing.
func TestKnownFault11UnsaltedParameterHash(t *testing.T) {
	entry, private := recorded(t, args(`{"pin":"4711"}`))
	d := entry.Record().Decision
	if !d.ParamsHash.IsZero() {
		t.Error("the plain hash was written without being asked for")
	}
	plain, err := HashParams(json.RawMessage(`{"pin":"4711"}`))
	if err != nil {
		t.Fatal(err)
	}
	text := string(entry.Bytes())
	if strings.Contains(text, plain.String()) {
		t.Error("the record holds the unsalted hash")
	}
	found := false
	for pin := range 10000 {
		p := args(fmt.Sprintf(`{"pin":"%04d"}`, pin))
		guess, _ := Commit(Salt{}, p)
		hash, err := HashParams(p.Arguments)
		if err != nil {
			t.Fatal(err)
		}
		for _, public := range []Hash{guess, hash, sha256.Sum256(p.Arguments)} {
			if strings.Contains(text, public.String()) {
				t.Fatalf("pin %04d was found without the salt", pin)
			}
		}
		if CheckParams(entry, private.Salt, p) == nil {
			found = found || pin == 4711
		}
	}
	if !found {
		t.Error("not even with the salt: the test proves nothing")
	}
	again, _ := recorded(t, args(`{"pin":"4711"}`))
	if again.Record().Decision.ParamsCommitment == d.ParamsCommitment {
		t.Error("two records of the same parameters show that they are the same")
	}
}

func TestPlainHashIsOptIn(t *testing.T) {
	d := fullDraft()
	r, _, err := d.prepare(true)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(`{"path":"/etc/passwd","pin":1234}`))
	if r.Decision.ParamsHash != Hash(sum) {
		t.Errorf("plain hash %s", r.Decision.ParamsHash)
	}
	d.Arguments = json.RawMessage("[1]")
	if r, _, _ = d.prepare(true); !r.Decision.ParamsHash.IsZero() || r.Decision.ParamsForm != ParamsOctets {
		t.Errorf("a hash of a form that does not exist: %+v", r.Decision)
	}
}

func TestDisclosure(t *testing.T) {
	p := &Params{Arguments: json.RawMessage(`{"path":"/etc/passwd","pin":1234,"deep":{"b":2,"a":1}}`), InputResponses: json.RawMessage(`{"path":"x"}`)}
	entry, private := recorded(t, p)
	for name, want := range map[string]string{"path": `"/etc/passwd"`, "pin": "1234", "deep": `{"a":1,"b":2}`} {
		d, err := OpenMember(private.Salt, p, PartArguments, name)
		if err != nil {
			t.Fatal(err)
		}
		if string(d.Value) != want || len(d.Others) != 4 {
			t.Errorf("%s: %s with %d others", name, d.Value, len(d.Others))
		}
		if err := d.Check(entry); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		text, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		back, err := ParseDisclosure(text)
		if err != nil || !reflect.DeepEqual(back, d) {
			t.Errorf("%s: read back as %+v, %v", name, back, err)
		}
		for _, secret := range []string{"passwd", "1234", `"b":2`} {
			if !strings.Contains(want, secret) && strings.Contains(string(text), secret) {
				t.Errorf("the disclosure of %s reveals %s", name, secret)
			}
		}
	}
	if d, err := OpenMember(private.Salt, p, PartInputResponses, "path"); err != nil || d.Check(entry) != nil {
		t.Errorf("input response: %v", err)
	}
}

func TestDisclosureRefused(t *testing.T) {
	p := args(`{"path":"/etc/passwd","pin":1234}`)
	entry, private := recorded(t, p)
	other, _ := recorded(t, p)
	s := newTestSigner("server")
	heartbeat := mustVerify(t, mustSign(t, everyRecord(t, s)[KindHeartbeat], s), s.keys)
	octets, octetsPrivate := recorded(t, args(`[1]`))
	for name, test := range map[string]struct {
		entry  *VerifiedEntry
		change func(*Disclosure)
	}{
		"other value":    {entry, func(d *Disclosure) { d.Value = json.RawMessage(`1235`) }},
		"no value":       {entry, func(d *Disclosure) { d.Value = nil }},
		"other name":     {entry, func(d *Disclosure) { d.Name = "pim" }},
		"other part":     {entry, func(d *Disclosure) { d.Part = PartInputResponses }},
		"no part":        {entry, func(d *Disclosure) { d.Part = "" }},
		"other key":      {entry, func(d *Disclosure) { d.Key[0]++ }},
		"the salt":       {entry, func(d *Disclosure) { d.Key = private.Salt }},
		"fewer others":   {entry, func(d *Disclosure) { d.Others = d.Others[1:] }},
		"further others": {entry, func(d *Disclosure) { d.Others = append(d.Others, Hash{}) }},
		"other record":   {other, func(*Disclosure) {}},
		"other kind":     {heartbeat, func(*Disclosure) {}},
		"octets":         {octets, func(*Disclosure) {}},
	} {
		d, err := OpenMember(private.Salt, p, PartArguments, "pin")
		if err != nil {
			t.Fatal(err)
		}
		test.change(d)
		if err := d.Check(test.entry); CodeOf(err) != CodeCommitmentMismatch {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := CheckParams(octets, octetsPrivate.Salt, args(`[1]`)); err != nil {
		t.Errorf("octets: %v", err)
	}
	for name, err := range map[string]error{
		"other params":    CheckParams(entry, private.Salt, args(`{"pin":1234}`)),
		"other salt":      CheckParams(entry, Salt{}, p),
		"other octets":    CheckParams(octets, octetsPrivate.Salt, args(`[2]`)),
		"octets for none": CheckParams(octets, octetsPrivate.Salt, &Params{}),
		"kind":            CheckParams(heartbeat, private.Salt, p),
		"result":          CheckResult(entry, private.Salt, nil),
	} {
		if CodeOf(err) != CodeCommitmentMismatch {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, bad := range []struct {
		p    *Params
		part Part
		name string
	}{{p, "result", "pin"}, {p, PartArguments, "pim"}, {p, PartInputResponses, "pin"}, {args(`[1]`), PartArguments, "0"},
		{&Params{Arguments: p.Arguments, InputResponses: json.RawMessage("1")}, PartArguments, "pin"}} {
		if d, err := OpenMember(private.Salt, bad.p, bad.part, bad.name); CodeOf(err) != CodeCommitmentMismatch {
			t.Errorf("opened %+v: %+v, %v", bad, d, err)
		}
	}
	for _, text := range []string{"", "{", `{"part":"arguments","x":1}`, `{"key":"AA"}`, `{"others":["x"]}`, `{"key":"` + strings.Repeat("A", 42) + `\n"}`} {
		if _, err := ParseDisclosure([]byte(text)); CodeOf(err) != CodeMalformed {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestDisclosureIsComplete: a member that is absent or null is not read as an empty one.
func TestDisclosureIsComplete(t *testing.T) {
	d, err := OpenMember(Salt{1}, args(`{"":null}`), PartArguments, "")
	if err != nil {
		t.Fatal(err)
	}
	d.Others, d.Key = []Hash{{}}, Salt{} // so that only the form is to blame
	text, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ParseDisclosure(text); err != nil {
		t.Fatal(err)
	}
	hash := `"` + Hash{}.String() + `"`
	for old, text := range map[string]string{
		`"part":"arguments",`: strings.Replace(string(text), `"part":"arguments",`, ``, 1),
		`"name":"",`:          strings.Replace(string(text), `"name":"",`, ``, 1),
		`"name":""`:           strings.Replace(string(text), `"name":""`, `"name":null`, 1),
		`"value":null,`:       strings.Replace(string(text), `"value":null,`, ``, 1),
		`"key":"` + strings.Repeat("A", 43) + `"`: strings.Replace(string(text), `"`+strings.Repeat("A", 43)+`"`, `null`, 1),
		`"others":[` + hash + `]`:                 strings.Replace(string(text), `[`+hash+`]`, `null`, 1),
		`,"others":[` + hash + `]`:                strings.Replace(string(text), `,"others":[`+hash+`]`, ``, 1),
		`[` + hash + `]`:                          strings.Replace(string(text), hash, `null`, 1),
	} {
		if _, err := ParseDisclosure([]byte(text)); CodeOf(err) != CodeMalformed {
			t.Errorf("without %s: %s: %v", old, text, err)
		}
	}
}

func TestResult(t *testing.T) {
	s := newTestSigner("server")
	decision := "6d0c1b8e-55c1-4b0e-8d57-0b7a3c4d5e6f"
	for _, result := range [][]byte{nil, {}, []byte(`{"content":[]}`)} {
		d := &Draft{Outcome: &Outcome{DecisionID: decision, DecisionSequence: 1, Status: OutcomeOK}, Result: result}
		r, private, err := d.prepare(false)
		if err != nil {
			t.Fatal(err)
		}
		if private.Salt == (Salt{}) != (result == nil) {
			t.Errorf("%q: salt is zero: %v", result, private.Salt == Salt{})
		}
		r.Header = s.header(2)
		entry := mustVerify(t, mustSign(t, r, s), s.keys)
		if got := entry.Record().Outcome; got.ResultSize != uint64(len(result)) || got.ResultCommitment.IsZero() != (result == nil) {
			t.Errorf("%q: recorded %+v", result, got)
		}
		if err := CheckResult(entry, private.Salt, result); (err == nil) != (result != nil) {
			t.Errorf("%q: %v", result, err)
		}
		if err := CheckResult(entry, private.Salt, []byte("other")); CodeOf(err) != CodeCommitmentMismatch {
			t.Errorf("%q: another result: %v", result, err)
		}
	}
}

func TestDraftRefused(t *testing.T) {
	for name, d := range map[string]*Draft{
		"nothing": {},
		"two":     {Decision: &Decision{}, Outcome: &Outcome{}},
		"result":  {Result: []byte("x")},
	} {
		if _, _, err := d.prepare(false); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestPrivate(t *testing.T) {
	p := &Private{Salt: Salt{1, 2}, Badge: "a.b.c", Proof: strings.Repeat("p", MaxTokenBytes)}
	text, err := p.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	var back Private
	if err := back.UnmarshalBinary(text); err != nil || back != *p {
		t.Errorf("read back as %v, %v", back, err)
	}
	for i := 0; i < len(text); i += 1 + i/100 {
		if err := back.UnmarshalBinary(text[:i]); err == nil {
			t.Errorf("cut after %d bytes: accepted", i)
		}
	}
	if err := back.UnmarshalBinary(append(text, 0)); err == nil {
		t.Error("a byte more: accepted")
	}
	long, err := (&Private{Proof: strings.Repeat("p", MaxTokenBytes+1)}).MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	if err := back.UnmarshalBinary(long); err == nil {
		t.Error("a token that is too long: accepted")
	}
	text[0]++
	if err := back.UnmarshalBinary(text); err == nil {
		t.Error("another version: accepted")
	}
	if shown := fmt.Sprintf("%v %+v %#v %s %v", p, p, p, p.Salt, p.Salt); strings.Contains(shown, "a.b.c") || strings.Contains(shown, "1") {
		t.Errorf("printed as %s", shown)
	}
}

func TestLongTokensAreNotKept(t *testing.T) {
	d := fullDraft()
	d.Badge = strings.Repeat("b", MaxTokenBytes+1)
	d.Proof = strings.Repeat("p", MaxTokenBytes)
	r, private, err := d.prepare(false)
	if err != nil {
		t.Fatal(err)
	}
	if private.Badge != "" || r.Decision.BadgeHash != Hash(sha256.Sum256([]byte(d.Badge))) || private.Proof != d.Proof {
		t.Errorf("kept %d bytes, hash %s", len(private.Badge), r.Decision.BadgeHash)
	}
}
