package authority

import (
	"context"
	"testing"

	"github.com/touchmark-dev/touchmark/badge"
)

// TestIssue has a badge of each assurance accepted by a verifier.
func TestIssue(t *testing.T) {
	bedded(t, nil, func(t *testing.T, b *bed) {
		ada := b.agent("ada")
		for want, out := range map[badge.Assurance]*badgeAnswer{"0": b.badge0(ada), "1": b.badge1(ada)} {
			got, err := b.verifier(b.list()).Verify(context.Background(), out.Badge)
			must(t, err)
			if got.Assurance() != want || got.Subject() != ada.did || got.Level() != badge.LevelRegistered || got.ID() != out.ID {
				t.Errorf("badge %+v of %+v", got, out)
			}
		}
	})
}
