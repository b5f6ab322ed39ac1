package authority

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/touchmark-dev/touchmark/badge/authority/internal/store"
)

const (
	headerAccountKey = "X-Capiscio-Registry-Key"

	keyPrefix      = "tmk_"
	keyIDBytes     = 9  // 12 characters
	keySecretBytes = 32 // 43 characters
	maxKeyBytes    = 128
)

var b64 = base64.RawURLEncoding.Strict()

// A Secret is an account key as it is shown once. It has no text form by itself, so that no log shows it.
type Secret struct{ text string }

// Reveal returns the key.
func (s Secret) Reveal() string { return s.text }

// String and GoString hide the key.
func (Secret) String() string { return "[secret]" }

// GoString hides the key from %#v.
func (Secret) GoString() string { return "[secret]" }

// newAccountKey makes an account key: its id, its text and the hash that is kept. The secret part has 256 random bits,
// so that one SHA-256 keeps it as well as a slow hash would.
func newAccountKey() (id string, key Secret, hash [sha256.Size]byte) {
	raw := make([]byte, keyIDBytes+keySecretBytes)
	rand.Read(raw) // never fails (crypto/rand)
	id = b64.EncodeToString(raw[:keyIDBytes])
	return id, Secret{keyPrefix + id + "." + b64.EncodeToString(raw[keyIDBytes:])}, sha256.Sum256(raw[keyIDBytes:])
}

// splitAccountKey returns the id and the hash of the secret of an account key.
func splitAccountKey(text string) (id string, hash [sha256.Size]byte, ok bool) {
	rest, ok := strings.CutPrefix(text, keyPrefix)
	if !ok || len(text) > maxKeyBytes {
		return "", hash, false
	}
	id, secret, ok := strings.Cut(rest, ".")
	raw, err := b64.DecodeString(secret)
	if !ok || err != nil || len(raw) != keySecretBytes || len(id) != b64.EncodedLen(keyIDBytes) {
		return "", hash, false
	}
	return id, sha256.Sum256(raw), true
}

// A caller is who sent a request.
type caller struct {
	keyID, account string
	admin          bool
}

// owns reports whether the caller may act for what an account has.
func (c *caller) owns(account string) bool { return c.admin || c.account == account }

var errNoKey = refuse(http.StatusUnauthorized, CodeUnauthorized, "no valid account key: send one in "+headerAccountKey)

// authenticate returns who sent a request, by its account key, who has to have a scope; an administrator has all.
func (a *Authority) authenticate(r *http.Request, scope string) (*caller, error) {
	text, err := single(r, headerAccountKey)
	if err != nil {
		return nil, err
	}
	if text == "" {
		// Clients before version 2.2.0 of the published one sent the key as a bearer token.
		bearer, err := single(r, "Authorization")
		if err != nil {
			return nil, err
		}
		text, _ = strings.CutPrefix(bearer, "Bearer ")
		if strings.HasPrefix(text, keyPrefix) && !a.cfg.AllowCompat {
			return nil, refuse(http.StatusUnauthorized, CodeCompatOff,
				"the account key is in Authorization, as older clients send it: send it in %s, or have the operator allow compat", headerAccountKey)
		}
	}
	return a.identify(r.Context(), text, scope)
}

func (a *Authority) identify(ctx context.Context, text, scope string) (*caller, error) {
	id, hash, ok := splitAccountKey(text)
	if !ok {
		return nil, errNoKey
	}
	key, err := a.store.AccountKey(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return nil, errNoKey
	}
	if err != nil {
		return nil, err
	}
	now := a.cfg.Time()
	switch {
	case subtle.ConstantTimeCompare(hash[:], key.SecretHash[:]) != 1,
		!key.RevokedAt.IsZero(),
		!key.ExpiresAt.IsZero() && !now.Before(key.ExpiresAt),
		!key.AccountDisabledAt.IsZero():
		return nil, errNoKey
	}
	c := &caller{keyID: id, account: key.AccountID, admin: key.IsAdmin()}
	if !c.admin && !slices.Contains(key.Scopes, scope) {
		return nil, refuse(http.StatusForbidden, CodeForbidden, "the account key does not have the scope %q", scope)
	}
	return c, nil
}

// ownedAgent returns a registered subject that the caller may act for.
func (a *Authority) ownedAgent(ctx context.Context, c *caller, did string) (*store.Agent, error) {
	agent, err := a.store.Agent(ctx, did)
	if err != nil {
		return nil, stored(err, CodeAgentNotFound)
	}
	if !c.owns(agent.AccountID) {
		return nil, refuse(http.StatusForbidden, CodeNotOwned, "agent %q belongs to another account", did)
	}
	return agent, nil
}
