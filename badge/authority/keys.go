package authority

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/authority/internal/store"
	"github.com/touchmark-dev/touchmark/internal/jwk"
)

// keysFresh is how long a node goes by what it read about signing keys. A retired or withdrawn key is refused by the
// database at once all the same.
const keysFresh = time.Second

const (
	// publishedSkew is how much longer than its last badge a retired key is published: the clock skew of verifiers.
	publishedSkew = time.Minute
	// publishedList is how long a key is published at least after it was retired: while revocation lists that it
	// signed are recent enough to be used.
	publishedList = 5 * time.Minute
	// retireAfter is how long a newer key has signed when those before it are retired, so that a node whose clock is
	// behind always has a key that signs.
	retireAfter = time.Minute
)

type keyCache struct {
	read   time.Time
	states []store.CAKey
	signer map[string]crypto.Signer
}

// keyStates returns the states of all signing keys, oldest first.
func (a *Authority) keyStates(ctx context.Context) ([]store.CAKey, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	if age := now.Sub(a.keys.read); a.keys.states != nil && age >= 0 && age < keysFresh {
		return a.keys.states, nil
	}
	states, err := a.store.CAKeys(ctx)
	if err != nil {
		return nil, err
	}
	a.keys.states, a.keys.read = states, now
	return states, nil
}

func (a *Authority) forgetKeys() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.keys.states = nil
}

// signingKey returns the key that signs now: the one that became active last.
func (a *Authority) signingKey(ctx context.Context) (*badge.IssuerKey, error) {
	states, err := a.keyStates(ctx)
	if err != nil {
		return nil, err
	}
	k := activeKey(states, a.now())
	if k == nil {
		return nil, refuse(http.StatusServiceUnavailable, CodeUnavailable, "the authority has no key to sign with: its operator has to make one")
	}
	signer, err := a.signer(ctx, k)
	if err != nil {
		return nil, err
	}
	return &badge.IssuerKey{Issuer: a.cfg.Issuer, KeyID: k.ID, Signer: signer}, nil
}

func activeKey(states []store.CAKey, now time.Time) *store.CAKey {
	var found *store.CAKey
	for i := range states {
		k := &states[i]
		if k.RetiredAt.IsZero() && k.WithdrawnAt.IsZero() && !k.ActiveFrom.After(now) &&
			(found == nil || !k.ActiveFrom.Before(found.ActiveFrom)) {
			found = k
		}
	}
	return found
}

// signer returns the private half of a key, having made sure that it is that.
func (a *Authority) signer(ctx context.Context, k *store.CAKey) (crypto.Signer, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if s := a.keys.signer[k.ID]; s != nil {
		return s, nil
	}
	s, err := a.cfg.Signers.Signer(ctx, k.ID)
	if err != nil {
		return nil, fmt.Errorf("authority: signing key %q: %w", k.ID, err)
	}
	public, err := jwk.ParsePublic(k.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("authority: signing key %q: %w", k.ID, err)
	}
	if have, ok := s.Public().(interface{ Equal(crypto.PublicKey) bool }); !ok || !have.Equal(public.Key) {
		return nil, fmt.Errorf("authority: the signer of key %q has another key than was published", k.ID)
	}
	if a.keys.signer == nil {
		a.keys.signer = make(map[string]crypto.Signer)
	}
	a.keys.signer[k.ID] = s
	return s, nil
}

// isKeyOver reports whether the signing key was retired or withdrawn while it was used.
func isKeyOver(err error) bool {
	refused, ok := errors.AsType[*store.Error](err)
	return ok && refused.What == "signing key" && errors.Is(refused, store.ErrRevoked)
}

// published reports whether a key is in the key set: from before it signs until the last badge that it signed is over.
func published(k *store.CAKey, now time.Time) bool {
	switch {
	case !k.WithdrawnAt.IsZero():
		return false
	case k.RetiredAt.IsZero():
		return true
	}
	end := k.RetiredAt.Add(publishedList)
	if k.LastBadgeExpires.After(end) {
		end = k.LastBadgeExpires
	}
	return now.Before(end.Add(publishedSkew))
}

// getKeySet is spec/issuance.md, "Key set".
func (a *Authority) getKeySet(w http.ResponseWriter, r *http.Request) error {
	published, err := own{a}.IssuerKeys(r.Context(), a.cfg.Issuer)
	if err != nil {
		return err
	}
	var keys []*jwk.Public
	for _, k := range published {
		keys = append(keys, &jwk.Public{Key: k.Public, KeyID: k.ID, Alg: jwk.AlgEd25519, Use: "sig"})
	}
	text, err := jwk.MarshalSet(keys)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/jwk-set+json")
	w.Header().Set("Cache-Control", "public, max-age=60")
	_, _ = w.Write(text) // the client may be gone
	return nil
}

// AddKey publishes a signing key that Signers has, and lets it sign after KeyLead, or at once when it is the first one
// or now is set: badges of a key that verifiers do not know yet are refused until they have fetched it.
func (a *Authority) AddKey(ctx context.Context, keyID string, now bool) error {
	signer, err := a.cfg.Signers.Signer(ctx, keyID)
	if err != nil {
		return fmt.Errorf("authority: signing key %q: %w", keyID, err)
	}
	public, err := jwk.Marshal(signer.Public(), keyID)
	if err != nil {
		return err
	}
	thumbprint, err := jwk.Thumbprint(signer.Public())
	if err != nil {
		return err
	}
	states, err := a.store.CAKeys(ctx)
	if err != nil {
		return err
	}
	at := a.now()
	k := &store.CAKey{ID: keyID, PublicKey: public, CreatedAt: at, ActiveFrom: at.Add(a.cfg.KeyLead)}
	if now || activeKey(states, at) == nil {
		k.ActiveFrom = at
	}
	act, err := a.act(at, byOperator, &Entry{Type: EntryKeyPublished, KeyID: keyID, Key: thumbprint})
	if err != nil {
		return err
	}
	defer a.forgetKeys()
	return a.store.AddCAKey(ctx, k, act)
}

// RetireKeys ends keys in whose place a newer one signs. [Authority.Run] calls it.
func (a *Authority) RetireKeys(ctx context.Context) error {
	states, err := a.store.CAKeys(ctx)
	if err != nil {
		return err
	}
	now := a.now()
	active := activeKey(states, now)
	if active == nil || now.Sub(active.ActiveFrom) < retireAfter {
		return nil
	}
	defer a.forgetKeys()
	for i := range states {
		k := &states[i]
		if !k.RetiredAt.IsZero() || !k.WithdrawnAt.IsZero() || !k.ActiveFrom.Before(active.ActiveFrom) {
			continue
		}
		act, err := a.act(now, byOperator, &Entry{Type: EntryKeyRetired, KeyID: k.ID})
		if err != nil {
			return err
		}
		if err := a.store.RetireCAKey(ctx, k.ID, act); err != nil && !errors.Is(err, store.ErrRevoked) {
			return err
		}
	}
	return nil
}

// WithdrawKey says, in an emergency, that nothing a key signed is to be believed. Add another one first, or nothing can
// be issued until one is added.
func (a *Authority) WithdrawKey(ctx context.Context, keyID, reason string) error {
	act, err := a.act(a.now(), byOperator, &Entry{Type: EntryKeyWithdrawn, KeyID: keyID, Reason: reason})
	if err != nil {
		return err
	}
	defer a.forgetKeys()
	return a.store.WithdrawCAKey(ctx, keyID, reason, act)
}
