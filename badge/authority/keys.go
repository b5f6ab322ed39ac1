package authority

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/authority/internal/keyring"
	"github.com/touchmark-dev/touchmark/badge/authority/internal/store"
	"github.com/touchmark-dev/touchmark/internal/jwk"
)

const (
	// keysFresh is how long a node goes by what it read about signing keys. A retired or withdrawn key is refused by the
	// database at once all the same.
	keysFresh = time.Second

	// retireAfter is how long a newer key has signed when those before it are retired, so that a node whose clock is
	// behind always has a key that signs.
	retireAfter = time.Minute
)

// A keyCache is what a node knows of the signing keys.
type keyCache struct {
	read   time.Time
	known  *keySet
	signer map[string]crypto.Signer
}

// A keySet is the states of the signing keys at one time.
type keySet struct {
	*keyring.Set
	states []keyring.State
}

func newKeySet(rows []store.CAKey) (*keySet, error) {
	states := make([]keyring.State, len(rows))
	for i := range rows {
		k := &rows[i]
		public, err := jwk.ParsePublic(k.PublicKey)
		if err != nil {
			return nil, fmt.Errorf("authority: signing key %q: %w", k.ID, err)
		}
		key, ok := public.Key.(ed25519.PublicKey)
		if !ok {
			return nil, fmt.Errorf("authority: signing key %q is not Ed25519", k.ID)
		}
		states[i] = keyring.State{
			KeyID: k.ID, Public: key, CreatedAt: k.CreatedAt, ActiveFrom: k.ActiveFrom, RetiredAt: k.RetiredAt,
			WithdrawnAt: k.WithdrawnAt, LastBadgeExpires: k.LastBadgeExpires,
		}
	}
	set, err := keyring.NewSet(states, 0)
	return &keySet{set, states}, err
}

// keySet returns the states of all signing keys.
func (a *Authority) keySet(ctx context.Context) (*keySet, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	if age := now.Sub(a.keys.read); a.keys.known != nil && age >= 0 && age < keysFresh {
		return a.keys.known, nil
	}
	known, err := a.readKeySet(ctx)
	if err != nil {
		return nil, err
	}
	a.keys.known, a.keys.read = known, now
	return known, nil
}

func (a *Authority) readKeySet(ctx context.Context) (*keySet, error) {
	rows, err := a.store.CAKeys(ctx)
	if err != nil {
		return nil, err
	}
	return newKeySet(rows)
}

func (a *Authority) forgetKeys() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.keys.known = nil
}

// signingKey returns the key that signs now.
func (a *Authority) signingKey(ctx context.Context) (*badge.IssuerKey, error) {
	known, err := a.keySet(ctx)
	if err != nil {
		return nil, err
	}
	k, ok := known.Active(a.now())
	if !ok {
		return nil, refuse(http.StatusServiceUnavailable, CodeUnavailable, "the authority has no key to sign with: its operator has to make one")
	}
	signer, err := a.signer(ctx, &k)
	if err != nil {
		return nil, err
	}
	return &badge.IssuerKey{Issuer: a.cfg.Issuer, KeyID: k.KeyID, Signer: signer}, nil
}

// signer returns the private half of a key.
func (a *Authority) signer(ctx context.Context, k *keyring.State) (crypto.Signer, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if s := a.keys.signer[k.KeyID]; s != nil {
		return s, nil
	}
	s, err := keyring.Signer(ctx, a.cfg.Signers, k.KeyID, k.Public)
	if err != nil {
		return nil, err
	}
	if a.keys.signer == nil {
		a.keys.signer = make(map[string]crypto.Signer)
	}
	a.keys.signer[k.KeyID] = s
	return s, nil
}

// isKeyOver reports whether the signing key was retired or withdrawn while it was used.
func isKeyOver(err error) bool {
	refused, ok := errors.AsType[*store.Error](err)
	return ok && refused.What == "signing key" && errors.Is(refused, store.ErrRevoked)
}

// getKeySet is spec/issuance.md, "Key set".
func (a *Authority) getKeySet(w http.ResponseWriter, r *http.Request) error {
	known, err := a.keySet(r.Context())
	if err != nil {
		return err
	}
	text, err := known.JWKS(a.now())
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/jwk-set+json")
	w.Header().Set("Cache-Control", "public, max-age=60")
	_, _ = w.Write(text) // the client may be gone
	return nil
}

// AddKey publishes an Ed25519 signing key that Signers has, and lets it sign after KeyLead, or at once when it is the
// first one or now is set: badges of a key that verifiers do not know yet are refused until they have fetched it.
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
	rows, err := a.store.CAKeys(ctx)
	if err != nil {
		return err
	}
	known, err := newKeySet(rows)
	if err != nil {
		return err
	}
	at, lead := a.now(), a.cfg.KeyLead
	if now {
		lead = -1
	}
	k := store.CAKey{ID: keyID, PublicKey: public, CreatedAt: at, ActiveFrom: known.ActiveFrom(at, lead)}
	with, err := newKeySet(append(rows, k))
	if err != nil {
		return err // what the set does not hold, no node could read again
	}
	if n := len(with.Published(at)); n > jwk.MaxKeys {
		return fmt.Errorf("authority: with %q there would be %d published keys, and verifiers read at most %d: "+
			"a retired key goes when the last badge that it signed has expired", keyID, n, jwk.MaxKeys)
	}
	act, err := a.act(at, byOperator, &Entry{Type: EntryKeyPublished, KeyID: keyID, Key: thumbprint})
	if err != nil {
		return err
	}
	defer a.forgetKeys()
	return a.store.AddCAKey(ctx, &k, act)
}

// RetireKeys ends keys in whose place a newer one has signed for a minute. [Authority.Run] calls it.
func (a *Authority) RetireKeys(ctx context.Context) error {
	known, err := a.keySet(ctx)
	if err != nil {
		return err
	}
	now := a.now()
	for _, k := range known.Superseded(now.Add(-retireAfter)) {
		act, err := a.act(now, byOperator, &Entry{Type: EntryKeyRetired, KeyID: k.KeyID})
		if err != nil {
			return err
		}
		a.forgetKeys()
		if err := a.store.RetireCAKey(ctx, k.KeyID, act); err != nil && !errors.Is(err, store.ErrRevoked) {
			return err
		}
		a.forgetKeys()
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
