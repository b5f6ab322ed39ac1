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
	next, key, act, err := a.newKey(old.AccountID, byOperator, old.Scopes)
	if err != nil {
		return Secret{}, err
	}
	rotation := &store.Rotation{Old: keyID, Until: next.CreatedAt.Add(overlap), Next: next}
	return key, a.store.RotateAccountKey(ctx, rotation, act)
}

// IsConflict reports whether an error says that the state of an account, key, agent, badge or grant does not allow what
// was asked: it was disabled, revoked or ended before, or is there already.
func IsConflict(err error) bool { return errors.Is(err, store.ErrConflict) }
