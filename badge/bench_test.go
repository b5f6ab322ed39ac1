package badge_test

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/badgetest"
)

// BenchmarkVerify reports, for a badge of level 2 with ial "0" and the key set at hand, beside the usual
// figures the ratio "x-ed25519" of a verification to its floor: one raw Ed25519 verification of the same
// signature. Both alternate within the loop, so that a busy machine slows both. ns/op is of the two together;
// ns/verify is of the verification alone.
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
	pub := floor.Key.Signer.Public().(ed25519.PublicKey)
	dot := strings.LastIndexByte(token, '.')
	msg := []byte(token[:dot])
	sig, err := base64.RawURLEncoding.DecodeString(token[dot+1:])
	if err != nil {
		b.Fatal(err)
	}
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
