package badge_test

import (
	"context"
	"crypto/ed25519"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/badgetest"
)

// BenchmarkVerify reports, beside its own figures, the ratio "x-ed25519" of a verification to one raw Ed25519
// verification of the same bytes. Both alternate within the loop, so that a busy machine slows both.
func BenchmarkVerify(b *testing.B) {
	ca := badgetest.New(b)
	token := ca.Issue(badgetest.NewWebAgent(b, "did:web:agents.example:ada"), badge.LevelDomain)
	cfg := ca.Config()
	cfg.Keys = badge.StaticKeys{badgetest.Issuer: ca.Keys()}

	b.Run("uncached", func(b *testing.B) {
		cfg := *cfg
		cfg.CacheEntries = -1
		benchmarkVerify(b, &cfg, ca, token)
	})
	b.Run("cached", func(b *testing.B) {
		cfg := *cfg
		cfg.Status, cfg.UnsafeNoStatus = nil, true
		benchmarkVerify(b, &cfg, nil, token)
	})
	b.Run("cached/status", func(b *testing.B) {
		benchmarkVerify(b, cfg, nil, token)
	})
}

func benchmarkVerify(b *testing.B, cfg *badge.Config, floor *badgetest.CA, token string) {
	v, err := badge.NewVerifier(cfg)
	if err != nil {
		b.Fatal(err)
	}
	ctx := context.Background()
	if _, err := v.Verify(ctx, token); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	if floor == nil {
		for b.Loop() {
			_, _ = v.Verify(ctx, token)
		}
		return
	}
	key := floor.Key.Signer.(ed25519.PrivateKey)
	msg := []byte(token)
	sig := ed25519.Sign(key, msg)
	pub := key.Public().(ed25519.PublicKey)
	var ours, raw time.Duration
	for b.Loop() {
		t0 := time.Now()
		if _, err := v.Verify(ctx, token); err != nil {
			b.Fatal(err)
		}
		t1 := time.Now()
		if !ed25519.Verify(pub, msg, sig) {
			b.Fatal("floor does not verify")
		}
		ours += t1.Sub(t0)
		raw += time.Since(t1)
	}
	b.ReportMetric(float64(ours)/float64(raw), "x-ed25519")
	b.ReportMetric(float64(ours.Nanoseconds())/float64(b.N), "ns/verify")
}
