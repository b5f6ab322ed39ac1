package keyring

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/touchmark-dev/touchmark/internal/jwk"
)

const (
	// DefaultLead is how long a key is published before it signs: verifiers read a set again within that time.
	DefaultLead = 10 * time.Minute

	// DefaultSkew is how far the clocks of verifiers may be off.
	DefaultSkew = time.Minute

	// listLife is how long a signed list of revocations is believed: such a list, too, needs the key that signed it.
	listLife = 5 * time.Minute
)

// A State is what the nodes of an authority know of one key.
type State struct {
	KeyID  string
	Public ed25519.PublicKey

	CreatedAt  time.Time // published from then on
	ActiveFrom time.Time // signs from then on, until a later key does

	RetiredAt        time.Time // signs no more; zero if it may
	WithdrawnAt      time.Time // nothing it signed is to be believed; zero if it is
	LastBadgeExpires time.Time // zero if it signed none; final once the key is retired
}

// maySign reports whether nothing but time keeps the key from signing.
func (k *State) maySign() bool { return k.RetiredAt.IsZero() && k.WithdrawnAt.IsZero() }

// publishedUntil returns when a retired key leaves the set, before any allowance for clocks.
func (k *State) publishedUntil() time.Time {
	lists := k.RetiredAt.Add(listLife)
	if k.LastBadgeExpires.After(lists) {
		return k.LastBadgeExpires
	}
	return lists
}

// A Set says what the keys of an authority are for at a given time. It is a function of their states and does not
// change; make another one when they do.
type Set struct {
	keys []State // in the order in which they sign
	skew time.Duration
}

// NewSet refuses states that contradict each other. skew is how much longer than necessary a retired key is published;
// zero means DefaultSkew.
func NewSet(states []State, skew time.Duration) (*Set, error) {
	if skew < 0 {
		return nil, fmt.Errorf("keyring: a skew of %v is negative", skew)
	}
	if skew == 0 {
		skew = DefaultSkew
	}
	s := &Set{keys: slices.Clone(states), skew: skew}
	ids, publics := make(map[string]bool), make(map[string]bool)
	for i := range s.keys {
		k := &s.keys[i]
		if err := k.check(); err != nil {
			return nil, fmt.Errorf("keyring: key %.80q: %w", k.KeyID, err)
		}
		if ids[k.KeyID] || publics[string(k.Public)] {
			return nil, fmt.Errorf("keyring: key %q is there twice, by its id or by its public key", k.KeyID)
		}
		ids[k.KeyID], publics[string(k.Public)] = true, true
	}
	slices.SortStableFunc(s.keys, func(a, b State) int {
		if c := a.ActiveFrom.Compare(b.ActiveFrom); c != 0 {
			return c
		}
		if c := a.CreatedAt.Compare(b.CreatedAt); c != 0 {
			return c
		}
		return strings.Compare(a.KeyID, b.KeyID)
	})
	return s, nil
}

func (k *State) check() error {
	if err := CheckID(k.KeyID); err != nil {
		return errors.New("no id that a key may have")
	}
	if err := jwk.CheckEd25519(k.Public); err != nil {
		return err
	}
	if k.CreatedAt.IsZero() || k.ActiveFrom.Before(k.CreatedAt) {
		return errors.New("it signs before it was made")
	}
	return nil
}

// Active returns the key that signs now: of those that may, the one that began last. There may be none.
func (s *Set) Active(now time.Time) (State, bool) {
	for _, k := range slices.Backward(s.keys) {
		if k.maySign() && !k.ActiveFrom.After(now) {
			return k, true
		}
	}
	return State{}, false
}

// Superseded returns the keys in whose place the active one signs, and which have not been retired: retire them.
func (s *Set) Superseded(now time.Time) []State {
	active, ok := s.Active(now)
	if !ok {
		return nil
	}
	var old []State
	for _, k := range s.keys {
		if k.KeyID == active.KeyID {
			break
		}
		if k.maySign() {
			old = append(old, k)
		}
	}
	return old
}

// Published returns the keys that belong in the authority's key set, in the order in which they sign: from when they
// are made until the last thing that they signed is no longer believed by anybody, whose clock may be behind.
func (s *Set) Published(now time.Time) []State {
	var out []State
	for _, k := range s.keys {
		switch {
		case !k.WithdrawnAt.IsZero(), k.CreatedAt.After(now):
		case k.RetiredAt.IsZero(), !now.After(k.publishedUntil().Add(s.skew)):
			out = append(out, k)
		}
	}
	return out
}

// Withdrawn returns the keys that were withdrawn, which every list of revocations names.
func (s *Set) Withdrawn() []State {
	var out []State
	for _, k := range s.keys {
		if !k.WithdrawnAt.IsZero() {
			out = append(out, k)
		}
	}
	return out
}

// ActiveFrom returns when a key that is made now begins to sign: after lead, so that verifiers have it by then, or at
// once when there is no other to sign in the meantime. Zero means DefaultLead; a negative lead, at once in any case:
// verifiers then refuse its badges until they read the set again.
func (s *Set) ActiveFrom(now time.Time, lead time.Duration) time.Time {
	if lead == 0 {
		lead = DefaultLead
	}
	if _, ok := s.Active(now); !ok || lead < 0 {
		return now
	}
	return now.Add(lead)
}

// JWKS returns the document at /.well-known/jwks.json (RFC 7517 section 5): the published keys, for signatures.
func (s *Set) JWKS(now time.Time) ([]byte, error) {
	keys := []*jwk.Public{}
	for _, k := range s.Published(now) {
		keys = append(keys, &jwk.Public{Key: k.Public, KeyID: k.KeyID, Alg: jwk.AlgEd25519, Use: "sig"})
	}
	text, err := jwk.MarshalSet(keys)
	if err != nil {
		return nil, fmt.Errorf("keyring: %w", err)
	}
	return text, nil
}
