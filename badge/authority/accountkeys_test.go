package authority

import (
	"context"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/internal/sqlstore/sqltest"
)

// TestRotateAccountKey: both keys for the overlap, the new one after it, each with the scopes of the old one.
func TestRotateAccountKey(t *testing.T) {
	sqltest.Each(t, func(t *testing.T, url string) {
		b, ctx := newBed(t, url, nil), context.Background()
		keys, err := b.AccountKeys(ctx, b.account)
		must(t, err)
		next, err := b.RotateAccountKey(ctx, keys[0].ID, time.Hour)
		must(t, err)
		for _, key := range []string{b.issue, next.Reveal()} {
			b.send("GET", "/v1/agents", key, nil).ok(nil)
		}
		b.pass(time.Hour)
		b.send("GET", "/v1/agents", b.issue, nil).refused(401, CodeUnauthorized)
		b.send("GET", "/v1/agents", next.Reveal(), nil).ok(nil)
		last, err := b.RotateAccountKey(ctx, next.ID(), 0)
		must(t, err)
		b.send("GET", "/v1/agents", next.Reveal(), nil).refused(401, CodeUnauthorized)
		b.send("POST", "/v1/agents/did%3Aweb%3Aa.example/level", last.Reveal(), nil).refused(403, CodeForbidden)

		for _, overlap := range []time.Duration{-1, maxKeyOverlap + 1} {
			if _, err := b.RotateAccountKey(ctx, last.ID(), overlap); err == nil {
				t.Errorf("overlap %v: accepted", overlap)
			}
		}
		if _, err := b.RotateAccountKey(ctx, "none", 0); !IsNotFound(err) || IsConflict(err) {
			t.Errorf("no such key: %v", err)
		}
		must(t, b.RevokeAccountKey(ctx, last.ID()))
		if _, err := b.RotateAccountKey(ctx, last.ID(), 0); !IsConflict(err) || IsNotFound(err) {
			t.Errorf("a revoked key: %v", err)
		}
		must(t, b.DisableAccount(ctx, b.account))
		if err := b.DisableAccount(ctx, b.account); !IsConflict(err) {
			t.Errorf("disabled twice: %v", err)
		}
	})
}
