package limitkey

import "testing"

// TestOf: whatever differs between two calls differs in the keys that it counts for, and in no other.
func TestOf(t *testing.T) {
	p, q := [32]byte{1}, [32]byte{2}
	base := Of("a", "tool", "x", p, 10)
	if base != Of("a", "tool", "x", p, 10) {
		t.Fatal("not the same twice")
	}
	for name, test := range map[string]struct {
		keys                           Keys
		caller, retries, running, rate bool // which ones are the same
	}{
		"caller":     {Of("b", "tool", "x", p, 10), false, false, false, false},
		"kind":       {Of("a", "prompt", "x", p, 10), true, false, false, false},
		"name":       {Of("a", "tool", "y", p, 10), true, false, false, false},
		"parameters": {Of("a", "tool", "x", q, 10), true, false, true, true},
		"rate":       {Of("a", "tool", "x", p, 11), true, true, true, false},
		"border":     {Of("a", "too", "lx", p, 10), true, false, false, false},
	} {
		k := test.keys
		if (k.Caller == base.Caller) != test.caller || (k.Retries == base.Retries) != test.retries ||
			(k.Running == base.Running) != test.running || (k.Rate == base.Rate) != test.rate {
			t.Errorf("%s: %+v", name, k)
		}
	}
	if all := [...]Key{base.Caller, base.Retries, base.Running, base.Rate}; all[0] == all[1] || all[1] == all[2] || all[2] == all[3] {
		t.Error("two kinds of keys are the same")
	}
}
