package keyring

import (
	"crypto/ed25519"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/internal/jwk"
)

var begin = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// at is a number of minutes after begin.
func at(minutes int) time.Time { return begin.Add(time.Duration(minutes) * time.Minute) }

func public(n byte) ed25519.PublicKey {
	seed := make([]byte, ed25519.SeedSize)
	seed[0] = n
	return ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey)
}

// key is the n-th, made and active at the given minutes.
func key(n byte, made, active int) State {
	return State{KeyID: fmt.Sprintf("k%d", n), Public: public(n), CreatedAt: at(made), ActiveFrom: at(active)}
}

func (k State) retired(minute, lastBadge int) State {
	k.RetiredAt = at(minute)
	if lastBadge != 0 {
		k.LastBadgeExpires = at(lastBadge)
	}
	return k
}

func (k State) withdrawn(minute int) State {
	k.WithdrawnAt = at(minute)
	return k
}

func names(keys []State) string {
	out := make([]string, len(keys))
	for i, k := range keys {
		out[i] = k.KeyID
	}
	return strings.Join(out, " ")
}

func newSet(t testing.TB, states ...State) *Set {
	t.Helper()
	s, err := NewSet(states, 0)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSet(t *testing.T) {
	for _, test := range []struct {
		name   string
		states []State
		now    time.Time

		active, superseded, published, withdrawn string
	}{
		{name: "no key", now: at(0)},
		{"first", []State{key(1, 0, 0)}, at(0), "k1", "", "k1", ""},
		{"not made yet, by a clock that is behind", []State{key(1, 1, 1)}, at(0), "", "", "", ""},
		{"lead", []State{key(1, 0, 0), key(2, 60, 70)}, at(69), "k1", "", "k1 k2", ""},
		{"takes over", []State{key(1, 0, 0), key(2, 60, 70)}, at(70), "k2", "k1", "k1 k2", ""},
		{"in any order", []State{key(2, 60, 70), key(1, 0, 0)}, at(70), "k2", "k1", "k1 k2", ""},
		{"retired, badges left", []State{key(1, 0, 0).retired(71, 130), key(2, 60, 70)}, at(131), "k2", "", "k1 k2", ""},
		{"retired, skew over", []State{key(1, 0, 0).retired(71, 130), key(2, 60, 70)}, at(131).Add(1), "k2", "", "k2", ""},
		{"retired, lists left", []State{key(1, 0, 0).retired(71, 72), key(2, 60, 70)}, at(77), "k2", "", "k1 k2", ""},
		{"retired, lists over", []State{key(1, 0, 0).retired(71, 72), key(2, 60, 70)}, at(77).Add(1), "k2", "", "k2", ""},
		{"retired, never signed a badge", []State{key(1, 0, 0).retired(71, 0), key(2, 60, 70)}, at(78), "k2", "", "k2", ""},
		{"withdrawn", []State{key(1, 0, 0).withdrawn(10)}, at(10), "", "", "", "k1"},
		{"withdrawn with another one", []State{key(1, 0, 0), key(2, 60, 70).withdrawn(80)}, at(80), "k1", "", "k1", "k2"},
		{"withdrawn after it was retired", []State{key(1, 0, 0).retired(71, 130).withdrawn(80), key(2, 60, 70)}, at(80), "k2", "", "k2", "k1"},
		{"all retired", []State{key(1, 0, 0).retired(71, 130)}, at(80), "", "", "k1", ""},
		{"three at once", []State{key(1, 0, 0), key(2, 1, 1), key(3, 2, 2)}, at(2), "k3", "k1 k2", "k1 k2 k3", ""},
		{"a tie is for the later made", []State{key(2, 1, 5), key(1, 0, 5)}, at(5), "k2", "k1", "k1 k2", ""},
		{"and then for the greater id", []State{key(2, 0, 5), key(1, 0, 5)}, at(5), "k2", "k1", "k1 k2", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newSet(t, test.states...)
			active, ok := s.Active(test.now)
			if active.KeyID != test.active || ok != (test.active != "") {
				t.Errorf("active %q, %v, want %q", active.KeyID, ok, test.active)
			}
			for _, got := range []struct{ what, got, want string }{
				{"superseded", names(s.Superseded(test.now)), test.superseded},
				{"published", names(s.Published(test.now)), test.published},
				{"withdrawn", names(s.Withdrawn()), test.withdrawn},
			} {
				if got.got != got.want {
					t.Errorf("%s %q, want %q", got.what, got.got, got.want)
				}
			}
		})
	}
}

func TestNewSetRefuses(t *testing.T) {
	again := key(2, 0, 0)
	again.Public = public(1)
	small := key(1, 0, 0)
	small.Public = make(ed25519.PublicKey, ed25519.PublicKeySize)
	unnamed := key(1, 0, 0)
	unnamed.KeyID = "../k"
	never := key(1, 0, 0)
	never.CreatedAt = time.Time{}
	for name, states := range map[string][]State{
		"one id":      {key(1, 0, 0), {KeyID: "k1", Public: public(2), CreatedAt: at(0), ActiveFrom: at(0)}},
		"one key":     {key(1, 0, 0), again},
		"no key":      {{KeyID: "k1", CreatedAt: at(0), ActiveFrom: at(0)}},
		"small order": {small},
		"id":          {unnamed},
		"never made":  {never},
		"too early":   {key(1, 1, 0)},
	} {
		if _, err := NewSet(states, 0); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := NewSet(nil, -1); err == nil {
		t.Error("negative skew accepted")
	}
}

// A set does not change with what it was made of.
func TestSetIsCopied(t *testing.T) {
	states := []State{key(1, 0, 0)}
	s := newSet(t, states...)
	states[0].WithdrawnAt = at(0)
	if _, ok := s.Active(at(0)); !ok {
		t.Error("changed")
	}
}

func TestActiveFrom(t *testing.T) {
	empty, one := newSet(t), newSet(t, key(1, 0, 0))
	for _, test := range []struct {
		set  *Set
		lead time.Duration
		want time.Time
	}{
		{empty, 0, at(5)},
		{empty, time.Hour, at(5)},
		{one, 0, at(15)},
		{one, time.Hour, at(65)},
		{one, -1, at(5)},
		{newSet(t, key(1, 0, 0).withdrawn(3)), 0, at(5)},
	} {
		if got := test.set.ActiveFrom(at(5), test.lead); !got.Equal(test.want) {
			t.Errorf("%v: %v, want %v", test.lead, got, test.want)
		}
	}
}

// The key set reads back, and says what the keys are for.
func TestJWKS(t *testing.T) {
	text, err := newSet(t, key(1, 0, 0), key(2, 60, 70)).JWKS(at(60))
	if err != nil {
		t.Fatal(err)
	}
	keys, err := jwk.ParseSet(text)
	if err != nil || len(keys) != 2 {
		t.Fatalf("%v, %v", keys, err)
	}
	for i, k := range keys {
		if !public(byte(i+1)).Equal(k.Key) || k.KeyID != fmt.Sprintf("k%d", i+1) || k.Alg != "EdDSA" || k.Use != "sig" {
			t.Errorf("%+v", k)
		}
	}
	if text, err := newSet(t).JWKS(at(0)); err != nil || string(text) != `{"keys":[]}` {
		t.Errorf("%s, %v", text, err)
	}
}

// TestRotation plays an authority that rotates at random, and a verifier that reads the key set every ten minutes: no
// badge is refused for a key that the verifier does not have, while the badge lasts.
func TestRotation(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		var states []State
		states = append(states, key(1, 0, 0))
		type issued struct {
			keyID   string
			expires time.Time
		}
		var badges []issued
		known, rotated := map[string]bool{}, 0
		for minute := range 600 {
			now := at(minute)
			s := newSet(t, states...)
			if minute%10 == 0 {
				known = map[string]bool{}
				for _, k := range s.Published(now) {
					known[k.KeyID] = true
				}
			}
			if len(states) < 200 && random.IntN(40) == 0 {
				k := key(byte(len(states)+1), minute, minute)
				k.ActiveFrom = s.ActiveFrom(now, 0)
				states = append(states, k)
				rotated++
			}
			active, ok := s.Active(now)
			if !ok {
				t.Fatal("no key to sign with")
			}
			badges = append(badges, issued{active.KeyID, now.Add(time.Duration(1+random.IntN(60)) * time.Minute)})
			for i := range states {
				if states[i].KeyID == active.KeyID {
					if last := badges[len(badges)-1].expires; last.After(states[i].LastBadgeExpires) {
						states[i].LastBadgeExpires = last
					}
				}
				for _, old := range s.Superseded(now) {
					if states[i].KeyID == old.KeyID {
						states[i].RetiredAt = now
					}
				}
			}
			for _, b := range badges {
				if now.Before(b.expires) && !known[b.keyID] {
					t.Fatalf("minute %d: a badge of %s, which the verifier does not have", minute, b.keyID)
				}
			}
		}
		if rotated == 0 {
			t.Error("never rotated")
		}
	}
}
