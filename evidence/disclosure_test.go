package evidence

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// decided is a verified decision with this commitment to parameters.
func decided(commitment Hash, form ParamsForm) *VerifiedEntry {
	return &VerifiedEntry{unverified: UnverifiedEntry{Record: &Record{Decision: &Decision{ParamsCommitment: commitment, ParamsForm: form}}}}
}

// everyPointer returns the pointers to all values in v, with the values.
func everyPointer(v any, at string, all map[string]any) {
	all[at] = v
	switch v := v.(type) {
	case map[string]any:
		for name, value := range v {
			everyPointer(value, at+"/"+pointerEscapes.Replace(name), all)
		}
	case []any:
		for i, value := range v {
			everyPointer(value, fmt.Sprint(at, "/", i), all)
		}
	}
}

// randomValue makes JSON of every kind, with names that are hard to tell apart.
func randomValue(r *rand.Rand, depth int) any {
	names := []string{"", "0", "1", "a", "A", "~", "/", "~0", "~1", "~01", "a/b", "m~n", "€", "\"", "\\", "\u2028", "\x00", "😀", "pad 0", "-"}
	kind := r.IntN(9)
	if depth == 0 {
		kind = r.IntN(7)
	}
	switch kind {
	case 0:
		return nil
	case 1:
		return r.IntN(2) == 0
	case 2:
		return float64(r.IntN(20)) - 10
	case 3:
		return r.ExpFloat64() * 1e-7
	case 4:
		return names[r.IntN(len(names))]
	case 5:
		return map[string]any{}
	case 6:
		return []any{}
	case 7:
		object := map[string]any{}
		for range r.IntN(9) {
			object[names[r.IntN(len(names))]] = randomValue(r, depth-1)
		}
		return object
	default:
		list := []any{}
		for range r.IntN(9) {
			list = append(list, randomValue(r, depth-1))
		}
		return list
	}
}

// TestEveryValueOpensAlone: each value in random parameters is shown by its pointer, in the JSON form, and no other
// value is.
func TestEveryValueOpensAlone(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	opened := 0
	for range 250 {
		object := map[string]any{"x": randomValue(r, 4), "y": randomValue(r, 2)}
		p := &Params{Arguments: json.RawMessage(mustCanonical(object)), InputResponses: json.RawMessage(`{"choice":[1,{"a":2}]}`)}
		salt := Salt{byte(r.Uint32()), byte(r.Uint32())}
		entry := decided(Commit(salt, p))
		all := map[string]any{}
		everyPointer(object, "/arguments", all)
		everyPointer(map[string]any{"choice": []any{1, map[string]any{"a": 2}}}, "/input_responses", all)
		for pointer, want := range all {
			d := mustDisclose(t, salt, p, pointer)
			if string(d.Value) != mustCanonical(want) || d.Pointer() != pointer {
				t.Fatalf("%s of %s: shown as %s: %s", pointer, p.Arguments, d.Pointer(), d.Value)
			}
			back := reread(t, d)
			if err := back.Check(entry); err != nil {
				t.Fatalf("%s of %s: %v", pointer, p.Arguments, err)
			}
			for _, value := range []string{"null", "{}", "[]", `"0"`, "0", "[" + string(d.Value) + "]"} {
				back.Value = json.RawMessage(value)
				if err := back.Check(entry); (err == nil) != (value == string(d.Value)) {
					t.Fatalf("%s of %s as %s: %v", pointer, p.Arguments, value, err)
				}
			}
			opened++
		}
	}
	if opened < 2000 {
		t.Errorf("only %d values", opened)
	}
}

func mustDisclose(t testing.TB, salt Salt, p *Params, pointer string) *Disclosure {
	t.Helper()
	d, err := Disclose(salt, p, pointer)
	if err != nil {
		t.Fatalf("%s: %v", pointer, err)
	}
	return d
}

// reread passes a disclosure through its JSON form.
func reread(t testing.TB, d *Disclosure) *Disclosure {
	t.Helper()
	text, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	back, err := ParseDisclosure(text)
	if err != nil || !reflect.DeepEqual(back, d) {
		t.Fatalf("%s read back as %+v, %v", text, back, err)
	}
	return back
}

// TestDisclosureTellsNothingElse: neither names nor values, nor how many there are below the next power of two.
func TestDisclosureTellsNothingElse(t *testing.T) {
	p := &Params{Arguments: json.RawMessage(`{"path":"/etc/passwd","pin":1234.5,"deep":{"secret":[7,8,9],"open":{"x":1}}}`), InputResponses: json.RawMessage(`{"path":"hidden"}`)}
	entry, private := recorded(t, p)
	for pointer, shown := range map[string]string{
		"/arguments/path": `"/etc/passwd"`, "/arguments/deep/secret/1": "8", "/arguments/deep/open": `{"x":1}`, "/input_responses": `{"path":"hidden"}`,
	} {
		d := reread(t, mustDisclose(t, private.Salt, p, pointer))
		if err := d.Check(entry); err != nil || string(d.Value) != shown {
			t.Errorf("%s: %s, %v", pointer, d.Value, err)
		}
		text, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{"passwd", "1234.5", `"pin"`, `"secret"`, `"open"`, "hidden", `"x"`} {
			name := strings.Trim(secret, `"`)
			if !strings.Contains(shown+pointer, name) && strings.Contains(string(text), secret) {
				t.Errorf("the disclosure of %s reveals %s", pointer, secret)
			}
		}
	}
	var lengths []int
	for n := 4; n < 8; n++ {
		members := make(map[string]int)
		for i := range n {
			members[fmt.Sprint(i)] = i
		}
		lengths = append(lengths, len(mustDisclose(t, Salt{}, args(mustCanonical(members)), "/arguments/3").Siblings[1]))
	}
	if !slices.Equal(lengths, []int{3, 3, 3, 3}) {
		t.Errorf("siblings of one of 4 to 7 members: %d", lengths)
	}
}

func TestDisclosureRefused(t *testing.T) {
	p := args(`{"path":"/etc/passwd","pin":1234,"list":[[1],{"0":1},"x"]}`)
	entry, private := recorded(t, p)
	other, _ := recorded(t, p)
	s := newTestSigner("server")
	heartbeat := mustVerify(t, mustSign(t, everyRecord(t, s)[KindHeartbeat], s), s.keys)
	octets, octetsPrivate := recorded(t, args(`[1]`))
	for name, test := range map[string]struct {
		pointer string
		entry   *VerifiedEntry
		change  func(*Disclosure)
		want    Code
	}{
		"other value":      {"/arguments/pin", entry, func(d *Disclosure) { d.Value = json.RawMessage(`1235`) }, CodeCommitmentMismatch},
		"no value":         {"/arguments/pin", entry, func(d *Disclosure) { d.Value = nil }, CodeCommitmentMismatch},
		"two values":       {"/arguments/pin", entry, func(d *Disclosure) { d.Value = json.RawMessage(`1234 1234`) }, CodeCommitmentMismatch},
		"rounded value":    {"/arguments/pin", entry, func(d *Disclosure) { d.Value = json.RawMessage(`12345678901234567890`) }, CodeCommitmentMismatch},
		"other name":       {"/arguments/pin", entry, func(d *Disclosure) { d.Path[1] = MemberStep("pim") }, CodeCommitmentMismatch},
		"other part":       {"/arguments/pin", entry, func(d *Disclosure) { d.Path[0] = PartInputResponses.step() }, CodeCommitmentMismatch},
		"other key":        {"/arguments/pin", entry, func(d *Disclosure) { d.Key[0]++ }, CodeCommitmentMismatch},
		"the salt":         {"/arguments/pin", entry, func(d *Disclosure) { d.Key = private.Salt }, CodeCommitmentMismatch},
		"other siblings":   {"/arguments/pin", entry, func(d *Disclosure) { d.Siblings[1][0][0]++ }, CodeCommitmentMismatch},
		"fewer siblings":   {"/arguments/pin", entry, func(d *Disclosure) { d.Siblings[1] = d.Siblings[1][1:] }, CodeCommitmentMismatch},
		"further siblings": {"/arguments/pin", entry, func(d *Disclosure) { d.Siblings[1] = append(d.Siblings[1], Hash{}) }, CodeCommitmentMismatch},
		"other element":    {"/arguments/list/2", entry, func(d *Disclosure) { d.Path[2] = ElementStep(1) }, CodeCommitmentMismatch},
		"element as name":  {"/arguments/list/0/0", entry, func(d *Disclosure) { d.Path[3] = MemberStep("0") }, CodeCommitmentMismatch},
		"name as element":  {"/arguments/list/1/0", entry, func(d *Disclosure) { d.Path[3] = ElementStep(0) }, CodeCommitmentMismatch},
		"array as object":  {"/arguments/list/0", entry, func(d *Disclosure) { d.Value = json.RawMessage(`{"0":1}`) }, CodeCommitmentMismatch},
		"object as array":  {"/arguments/list/1", entry, func(d *Disclosure) { d.Value = json.RawMessage(`[1]`) }, CodeCommitmentMismatch},
		"cut shorter":      {"/arguments/list/1", entry, func(d *Disclosure) { d.Levels = 3 }, CodeCommitmentMismatch},
		"other record":     {"/arguments/pin", other, func(*Disclosure) {}, CodeCommitmentMismatch},
		"other kind":       {"/arguments/pin", heartbeat, func(*Disclosure) {}, CodeCommitmentMismatch},
		"octets":           {"/arguments/pin", octets, func(*Disclosure) {}, CodeCommitmentMismatch},
		"no part":          {"/arguments/pin", entry, func(d *Disclosure) { d.Path = nil }, CodeMalformed},
		"unknown part":     {"/arguments/pin", entry, func(d *Disclosure) { d.Path[0] = MemberStep("result") }, CodeMalformed},
		"step of no kind":  {"/arguments/pin", entry, func(d *Disclosure) { d.Path[1] = "{}" }, CodeMalformed},
		"step with more":   {"/arguments/pin", entry, func(d *Disclosure) { d.Path[1] = `"pin":"x"` }, CodeMalformed},
		"step not closed":  {"/arguments/pin", entry, func(d *Disclosure) { d.Path[1] = `"pin` }, CodeMalformed},
		"step escaped":     {"/arguments/pin", entry, func(d *Disclosure) { d.Path[1] = `"p\u0069n"` }, CodeMalformed},
		"part as array":    {"/arguments/pin", entry, func(d *Disclosure) { d.Path[1] = ElementStep(0) }, CodeMalformed},
		"part as text":     {"/arguments", entry, func(d *Disclosure) { d.Value = json.RawMessage(`"x"`) }, CodeCommitmentMismatch},
		"levels":           {"/arguments/pin", entry, func(d *Disclosure) { d.Levels = 1 }, CodeMalformed},
		"many levels":      {"/arguments/pin", entry, func(d *Disclosure) { d.Levels = MaxTreeLevels + 1 }, CodeMalformed},
		"no siblings":      {"/arguments/pin", entry, func(d *Disclosure) { d.Siblings[1] = nil }, CodeMalformed},
		"many siblings":    {"/arguments/pin", entry, func(d *Disclosure) { d.Siblings[1] = make([]Hash, maxTreeDepth+1) }, CodeMalformed},
		"lists":            {"/arguments/pin", entry, func(d *Disclosure) { d.Siblings = d.Siblings[:1] }, CodeMalformed},
		"two parts":        {"/arguments/pin", entry, func(d *Disclosure) { d.Siblings[0] = make([]Hash, 2) }, CodeMalformed},
		"element beyond":   {"/arguments/list/2", entry, func(d *Disclosure) { d.Path[2] = ElementStep(2 + 4) }, CodeMalformed},
	} {
		d := mustDisclose(t, private.Salt, p, test.pointer)
		if err := d.Check(entry); err != nil {
			t.Errorf("%s: before the change: %v", name, err)
		}
		test.change(d)
		if err := d.Check(test.entry); CodeOf(err) != test.want {
			t.Errorf("%s: %v, want %s", name, err, test.want)
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
}

func TestPointersRefused(t *testing.T) {
	p := &Params{Arguments: json.RawMessage(`{"a":[0,1],"m":{"-":1,"01":2},"~":3,"/":4}`), InputResponses: json.RawMessage(`null`)}
	for _, pointer := range []string{
		"", "/", "arguments", "arguments/a", "#/arguments/a", "/Arguments", "/result", "/arguments/", "/arguments/b", "/arguments/a/2", "/arguments/a/-",
		"/arguments/a/00", "/arguments/a/01", "/arguments/a/+1", "/arguments/a/-1", "/arguments/a/1.0", "/arguments/a/1e0", "/arguments/a/ 1", "/arguments/a/0/",
		"/arguments/a/99999999999999999999", "/arguments/~", "/arguments/~2", "/arguments/~0~", "/arguments/m/-/", "/arguments/m/1", "/input_responses/a",
	} {
		if d, err := Disclose(Salt{}, p, pointer); CodeOf(err) != CodeCommitmentMismatch {
			t.Errorf("opened %q: %+v, %v", pointer, d, err)
		}
	}
	for pointer, want := range map[string]string{
		"/arguments/~0": "3", "/arguments/~1": "4", "/arguments/m/-": "1", "/arguments/m/01": "2", "/arguments/a/1": "1", "/input_responses": "{}",
	} {
		if d := mustDisclose(t, Salt{}, p, pointer); string(d.Value) != want {
			t.Errorf("%s: %s, want %s", pointer, d.Value, want)
		}
	}
	for _, bad := range []*Params{args(`[1]`), {Arguments: p.Arguments, InputResponses: json.RawMessage("1")}} {
		if d, err := Disclose(Salt{}, bad, "/arguments/a"); CodeOf(err) != CodeCommitmentMismatch {
			t.Errorf("opened %s, %s: %+v, %v", bad.Arguments, bad.InputResponses, d, err)
		}
	}
}

// TestLargeParameters: beyond the limits what is taken apart ends at a level, and what is above it still opens alone.
func TestLargeParameters(t *testing.T) {
	list := func(n int) string { return "[" + strings.TrimSuffix(strings.Repeat("0,", n), ",") + "]" }
	deep := strings.Repeat("[", 60) + strings.Repeat("]", 60)
	for _, test := range []struct{ arguments, opens, refuses string }{
		{`{"a":` + list(MaxTreeValues-3) + `}`, "/arguments/a/9", ""},
		{`{"a":` + list(MaxTreeValues-2) + `}`, "/arguments/a", "/arguments/a/9"},
		{`{"a":` + list(MaxTreeValues-4) + `,"b":{"c":[[]]}}`, "/arguments/b", "/arguments/b/c"},
		{`{"a":` + deep + `}`, "/arguments/a" + strings.Repeat("/0", MaxTreeLevels-2), "/arguments/a" + strings.Repeat("/0", MaxTreeLevels-1)},
	} {
		p := args(test.arguments)
		entry := decided(Commit(Salt{1}, p))
		for _, pointer := range []string{test.opens, "/arguments", "/input_responses"} {
			if err := reread(t, mustDisclose(t, Salt{1}, p, pointer)).Check(entry); err != nil {
				t.Errorf("%.40s: %s: %v", test.arguments, pointer, err)
			}
		}
		if _, err := Disclose(Salt{1}, p, test.refuses); test.refuses != "" && (CodeOf(err) != CodeCommitmentMismatch || !strings.Contains(err.Error(), "show ")) {
			t.Errorf("%.40s: %s: %v", test.arguments, test.refuses, err)
		}
		if err := CheckParams(entry, Salt{1}, p); err != nil {
			t.Errorf("%.40s: all: %v", test.arguments, err)
		}
	}
	d := mustDisclose(t, Salt{1}, args(`{"a":[]}`), "/arguments/a")
	d.Value = json.RawMessage(list(MaxTreeValues))
	if err := d.Check(decided(Hash{1}, ParamsTree)); CodeOf(err) != CodeCommitmentMismatch || !strings.Contains(err.Error(), "none so large") {
		t.Errorf("a value that makes work: %v", err)
	}
}

// TestParseDisclosure: a member that is absent, null or of another form is not read as an empty one.
func TestParseDisclosure(t *testing.T) {
	d := mustDisclose(t, Salt{1}, args(`{"":[null,1]}`), "/arguments//0")
	raw, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	good := string(raw)
	key := good[strings.Index(good, `"key":"`)+7:][:43]
	hash := d.Siblings[0][0].String()
	for _, text := range []string{
		"", "{", "[]", "null", `"x"`, good + good, good + "x", good[:len(good)-1], "\ufeff" + good,
		edit(t, good, `"path":`, `"Path":`), edit(t, good, `"path":`, `"further":1,"path":`), edit(t, good, `"path":`, `"value":null,"path":`),
		edit(t, good, `"value":null,`, ``), edit(t, good, `"levels":32`, `"levels":"32"`), edit(t, good, `"levels":32`, `"levels":32.5`),
		edit(t, good, `"levels":32`, `"levels":-1`), edit(t, good, `"levels":32`, `"levels":4294967296`), edit(t, good, `"levels":32`, `"levels":null`),
		edit(t, good, key, key[1:]), edit(t, good, key, key+"A"), edit(t, good, key, key[:42]+"="), edit(t, good, `"`+key+`"`, "null"),
		edit(t, good, `["arguments","",0]`, `"/arguments//0"`), edit(t, good, `["arguments","",0]`, `["arguments",null,0]`),
		edit(t, good, `["arguments","",0]`, `["arguments","",-1]`), edit(t, good, `["arguments","",0]`, `["arguments","",true]`),
		edit(t, good, `["arguments","",0]`, `["arguments","",0.5]`), edit(t, good, `["arguments","",0]`, `["arguments","",1024]`),
		edit(t, good, `["arguments","",0]`, `["arguments","",{}]`), edit(t, good, `["arguments","",0]`, `[]`), edit(t, good, `["arguments","",0]`, `["",0]`),
		edit(t, good, `"`+hash+`"`, `"`+hash[1:]+`"`), edit(t, good, `"`+hash+`"`, `null`), edit(t, good, `["`+hash+`"]`, `null`), edit(t, good, `["`+hash+`"]`, `"`+hash+`"`),
		edit(t, good, `["`+hash+`"]`, `[]`), edit(t, good, `["`+hash+`"],`, ``),
	} {
		if d, err := ParseDisclosure([]byte(text)); CodeOf(err) != CodeMalformed {
			t.Errorf("%s: %+v, %v", text, d, err)
		}
	}
	other := edit(t, edit(t, good, `"arguments"`, ` "argument\u0073"`), `,0]`, `, 0e1]`)
	if back, err := ParseDisclosure([]byte(other)); err != nil || !reflect.DeepEqual(back, d) {
		t.Errorf("%s: %+v, %v", other, back, err)
	}
}

func edit(t testing.TB, text, old, with string) string {
	t.Helper()
	if !strings.Contains(text, old) {
		t.Fatalf("no %s in %s", old, text)
	}
	return strings.Replace(text, old, with, 1)
}
