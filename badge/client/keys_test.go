package client

import (
	"crypto/ed25519"
	"testing"
	"time"

	jwxjwk "github.com/lestrrat-go/jwx/v2/jwk"

	"github.com/touchmark-dev/touchmark/badge"
)

// A key counts only if both parsers read it, as the same key under the same
// name.
func TestParsersMustAgree(t *testing.T) {
	one := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)).Public().(ed25519.PublicKey)
	two := ed25519.NewKeyFromSeed(append(make([]byte, ed25519.SeedSize-1), 1)).Public().(ed25519.PublicKey)
	set := jwxjwk.NewSet()
	key, err := jwxjwk.FromRaw(one)
	if err != nil {
		t.Fatal(err)
	}
	if err := key.Set(jwxjwk.KeyIDKey, "a"); err != nil {
		t.Fatal(err)
	}
	if err := set.AddKey(key); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		read []badge.Key
		ok   bool
	}{
		"the same":     {[]badge.Key{{ID: "a", Public: one}}, true},
		"fewer":        {nil, true},
		"another key":  {[]badge.Key{{ID: "a", Public: two}}, false},
		"another name": {[]badge.Key{{ID: "b", Public: one}}, false},
		"one more":     {[]badge.Key{{ID: "a", Public: one}, {ID: "b", Public: two}}, false},
		"no key":       {[]badge.Key{{ID: "a"}}, false},
	} {
		k := &issuerKeys{}
		f := &feed{keys: k, read: c.read}
		if _, err := f.PostFetch("", set); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
		if !c.ok && (k.keys != nil || f.failure() == nil) {
			t.Errorf("%s: published %v", name, k.keys)
		}
	}
}

// A fetch that began earlier and ends later does not bring old keys back.
func TestNewestKeysStay(t *testing.T) {
	k := &issuerKeys{}
	now := time.Unix(1e9, 0)
	k.publish([]badge.Key{{ID: "new"}}, now)
	k.publish([]badge.Key{{ID: "old"}}, now.Add(-time.Second))
	if k.keys[0].ID != "new" || !k.fetched.Equal(now) {
		t.Errorf("%v of %v", k.keys, k.fetched)
	}
}
