package badge_test

import (
	"context"
	"testing"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/badgetest"
)

// The allocations that one verification may take. Uncached it is go-jose that takes most of them.
const (
	maxUncachedAllocations = 100
	maxCachedAllocations   = 2
)

func TestAllocations(t *testing.T) {
	ca := badgetest.New(t)
	token := ca.Issue(badgetest.NewWebAgent(t, "did:web:agents.example:ada"), badge.LevelDomain)
	for _, c := range []struct {
		name    string
		entries int
		most    float64
	}{
		{"uncached", -1, maxUncachedAllocations},
		{"cached", 0, maxCachedAllocations},
	} {
		cfg := ca.Config()
		cfg.CacheEntries = c.entries
		v, err := badge.NewVerifier(cfg)
		if err != nil {
			t.Fatal(err)
		}
		ctx := context.Background()
		n := testing.AllocsPerRun(100, func() {
			if _, err := v.Verify(ctx, token); err != nil {
				t.Fatal(err)
			}
		})
		t.Logf("%s: %v allocations", c.name, n)
		if n > c.most && !raceEnabled {
			t.Errorf("%s: %v allocations, want at most %v", c.name, n, c.most)
		}
	}
}
