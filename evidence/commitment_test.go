package evidence

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
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

func TestOctetsAndResultByHand(t *testing.T) {
	salt := Salt{7}
	a, i := sha256.Sum256([]byte("[1]")), sha256.Sum256(nil)
	want := Hash(hmacOf(hmacOf(salt[:], "touchmark/commitment/v1/octets\n"), string(a[:])+string(i[:])))
	if got, form := Commit(salt, args("[1]")); got != want || form != ParamsOctets {
		t.Errorf("octets: got %s (%s), want %s", got, form, want)
	}
	want = Hash(hmacOf(hmacOf(salt[:], "touchmark/commitment/v1/result\n"), "result"))
	if got := CommitResult(salt, []byte("result")); got != want {
		t.Errorf("result: got %s, want %s", got, want)
	}
}

func TestNothingIsCommittedToInOneWay(t *testing.T) {
	salt := Salt{7}
	want, _ := Commit(salt, &Params{})
	for _, none := range []string{"null", "{}", " { } "} {
		got, form := Commit(salt, &Params{Arguments: json.RawMessage(none), InputResponses: json.RawMessage(none)})
		if got != want || form != ParamsTree {
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
