package evidence

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"
)

// fourSecrets are a name that may be shown, and four that may not: each is one of ten thousand.
const (
	fourSecrets = `{"account":"DE02 1203","birth_year":"1984","cvv":"0815","otp":"4711","pin":"0042"}`
	candidates  = 10_000
)

// An attacker has the entry and the disclosure of one argument, knows all names, and all values but the one that it
// looks for. It tries every way to hash a candidate for which it has all that is hashed.
type attacker struct {
	public map[Hash]bool // every hash and every key that it sees
	keys   []Salt        // what it may take for a key, or for the salt
	t      tree
}

func newAttacker(entry *VerifiedEntry, d *Disclosure) *attacker {
	a := &attacker{public: map[Hash]bool{entry.Record().Decision.ParamsCommitment: true}, keys: []Salt{{}, d.Key}}
	for _, h := range slices.Concat(d.Siblings...) {
		a.public[h] = true
		a.keys = append(a.keys, Salt(h))
	}
	for _, known := range slices.Clone(a.keys) { // and what can be derived from these
		for _, name := range []string{"account", "birth_year", "cvv", "otp", "pin"} {
			a.keys = append(a.keys, a.t.deriveBytes(&known, []byte(MemberStep(name))))
		}
		a.keys = append(a.keys, a.t.derive(&known, contextPart, "arguments"), Salt(a.t.pad(&known, 0)), Salt(a.t.pad(&known, 1)))
	}
	return a
}

// hits reports whether what the attacker sees confirms the candidate for a name.
func (a *attacker) hits(name, candidate string) bool {
	step, value := []byte(MemberStep(name)), []byte(MemberStep(candidate))
	for i := range a.keys {
		if a.public[a.t.leaf(&a.keys[i], step, value)] {
			return true
		}
	}
	return false
}

// TestDictionaryAttackOnCommitment: one of five arguments is disclosed, and each of the others is one of ten thousand.
// Without the salt no candidate looks better than another, the right one included; with the salt, by the same
// search, it is found.
func TestDictionaryAttackOnCommitment(t *testing.T) {
	p := args(fourSecrets)
	entry, private := recorded(t, p)
	d := reread(t, mustDisclose(t, private.Salt, p, "/arguments/account"))
	if err := d.Check(entry); err != nil || string(d.Value) != `"DE02 1203"` {
		t.Fatalf("the argument that is shown: %s, %v", d.Value, err)
	}
	var values map[string]string
	if err := json.Unmarshal(p.Arguments, &values); err != nil {
		t.Fatal(err)
	}
	outside, tried, start := newAttacker(entry, d), 0, time.Now()
	for name, right := range values {
		if name == "account" {
			continue
		}
		for n := range candidates {
			candidate := fmt.Sprintf("%04d", n)
			tried += len(outside.keys)
			if outside.hits(name, candidate) {
				t.Errorf("%s %s is confirmed without the salt", name, candidate)
			}
			if n%100 != 42 && candidate != right {
				continue
			}
			wrong := *d
			wrong.Path, wrong.Value = []Step{PartArguments.step(), MemberStep(name)}, json.RawMessage(MemberStep(candidate))
			if wrong.Check(entry) == nil {
				t.Errorf("%s %s opens with the key of another argument", name, candidate)
			}
			guess := args(edit(t, fourSecrets, `"`+name+`":"`+right, `"`+name+`":"`+candidate))
			if err := CheckParams(entry, private.Salt, guess); (err == nil) != (candidate == right) {
				t.Errorf("%s %s with the salt: %v", name, candidate, err)
			}
		}
	}
	t.Logf("%d hashes tried in vain, %.0f in a second; a key has 2^256 values", tried, float64(tried)/time.Since(start).Seconds())
}

// TestDictionaryAttackOnPlainHash: switched on, the plain hash gives away the argument that is looked for, in no time.
func TestDictionaryAttackOnPlainHash(t *testing.T) {
	draft := fullDraft()
	draft.Arguments = json.RawMessage(fourSecrets)
	r, _, err := draft.prepare(true)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	start := time.Now()
	for n := range candidates {
		guess := fmt.Sprintf(`{"account":"DE02 1203","birth_year":"1984","cvv":"0815","otp":"4711","pin":"%04d"}`, n)
		hash, err := HashParams(json.RawMessage(guess))
		if err != nil {
			t.Fatal(err)
		}
		if hash == r.Decision.ParamsHash {
			found = append(found, guess)
		}
	}
	if !slices.Equal(found, []string{fourSecrets}) {
		t.Errorf("found %q", found)
	}
	t.Logf("found after at most %v", time.Since(start))
}
