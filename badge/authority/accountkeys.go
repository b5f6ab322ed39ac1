package authority

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/touchmark-dev/touchmark/badge/authority/internal/store"
)

// ID returns the id of the account key, which is no secret.
func (s Secret) ID() string {
	id, _, _ := strings.Cut(strings.TrimPrefix(s.text, keyPrefix), ".")
	return id
}

// RotateAccountKey adds a key of the same account and scopes, which is shown this once, and ends the one before after a
// time of at most 24 hours.
func (a *Authority) RotateAccountKey(ctx context.Context, keyID string, overlap time.Duration) (Secret, error) {
	if overlap < 0 || overlap > maxKeyOverlap {
		return Secret{}, fmt.Errorf("authority: overlap %v of account keys: from 0 to %v", overlap, maxKeyOverlap)
	}
	old, err := a.store.AccountKey(ctx, keyID)
	if err != nil {
		return Secret{}, err
	}
	_, key, err := a.rotate(ctx, old, byOperator, overlap)
	return key, err
}

// rotate adds a key in the place of another, which ends after the overlap, or before if it would have anyway.
func (a *Authority) rotate(ctx context.Context, old *store.AccountKey, by string, overlap time.Duration) (*store.Rotation, Secret, error) {
	until := a.now().Add(overlap)
	if !old.ExpiresAt.IsZero() && old.ExpiresAt.Before(until) {
		until = old.ExpiresAt
	}
	next, key, act, err := a.newKey(by, old.Scopes, &Entry{Account: old.AccountID, Replaces: old.ID, Expires: until.Unix()})
	if err != nil {
		return nil, Secret{}, err
	}
	r := &store.Rotation{Old: old.ID, Until: until, Next: next}
	return r, key, a.store.RotateAccountKey(ctx, r, act)
}

// RevokeAccountKey ends an account key at once.
func (a *Authority) RevokeAccountKey(ctx context.Context, keyID string) error {
	k, err := a.store.AccountKey(ctx, keyID)
	if err != nil {
		return err
	}
	return a.endKey(ctx, k, byOperator)
}

func (a *Authority) endKey(ctx context.Context, k *store.AccountKey, by string) error {
	act, err := a.act(a.now(), by, &Entry{Type: EntryAccountKeyEnded, Account: k.AccountID, AccountKey: k.ID})
	if err != nil {
		return err
	}
	return a.store.RevokeAccountKey(ctx, k.ID, act)
}

// IsConflict reports whether an error says that the state of an account, key, agent, badge or grant does not allow what
// was asked: it was disabled, revoked or ended before, or is there already.
func IsConflict(err error) bool { return errors.Is(err, store.ErrConflict) }
