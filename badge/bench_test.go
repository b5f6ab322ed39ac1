package badge_test

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/badgetest"
)

// BenchmarkVerify is for a badge of level 2 with ial "0" and the key set at hand. Beside the usual figures it
// reports the median time of one verification and, uncached, its ratio "x-ed25519" to the floor: one raw
// Ed25519 verification of the same signature. Both alternate within the loop, and medians are compared, so that
// other work on the machine does not decide.
func BenchmarkVerify(b *testing.B) {
	ca := badgetest.New(b)
	token := ca.Issue(badgetest.NewWebAgent(b, "did:web:agents.example:ada"), badge.LevelDomain)
	cfg := ca.Config()
	cfg.Keys = badge.StaticKeys{badgetest.Issuer: ca.Keys()}

	b.Run("uncached", func(b *testing.B) {
		cfg := *cfg
		cfg.CacheEntries = -1
		benchmarkUncached(b, newVerify(b, &cfg, token), rawVerify(b, ca, token))
	})
	b.Run("cached", func(b *testing.B) {
		cfg := *cfg
		cfg.Status, cfg.UnsafeNoStatus = nil, true
		benchmarkCached(b, newVerify(b, &cfg, token))
	})
	b.Run("cached/status", func(b *testing.B) {
		benchmarkCached(b, newVerify(b, cfg, token))
	})
}

// newVerify returns a function that verifies token.
func newVerify(b *testing.B, cfg *badge.Config, token string) func() {
	v, err := badge.NewVerifier(cfg)
	if err != nil {
		b.Fatal(err)
	}
	ctx := context.Background()
	return func() {
		if _, err := v.Verify(ctx, token); err != nil {
			b.Fatal(err)
		}
	}
}

// rawVerify returns a function that verifies nothing but the signature of token.
func rawVerify(b *testing.B, ca *badgetest.CA, token string) func() {
	pub := ca.Key.Signer.Public().(ed25519.PublicKey)
	dot := strings.LastIndexByte(token, '.')
	msg := []byte(token[:dot])
	sig, err := base64.RawURLEncoding.DecodeString(token[dot+1:])
	if err != nil {
		b.Fatal(err)
	}
	return func() {
		if !ed25519.Verify(pub, msg, sig) {
			b.Fatal("the floor does not verify")
		}
	}
}

func benchmarkUncached(b *testing.B, verify, raw func()) {
	var ours, floor []time.Duration
	b.ReportAllocs()
	for b.Loop() {
		t0 := time.Now()
		verify()
		t1 := time.Now()
		raw()
		ours, floor = append(ours, t1.Sub(t0)), append(floor, time.Since(t1))
	}
	b.ReportMetric(float64(median(ours))/float64(median(floor)), "x-ed25519")
	b.ReportMetric(float64(median(ours)), "median-ns/verify")
}

// batch is how many cached verifications are timed together: one is not much longer than reading the clock.
const batch = 100

func benchmarkCached(b *testing.B, verify func()) {
	verify()
	var times []time.Duration
	b.ReportAllocs()
	for b.Loop() {
		start := time.Now()
		for range batch {
			verify()
		}
		times = append(times, time.Since(start))
	}
	b.ReportMetric(float64(median(times))/batch, "median-ns/verify")
}

func median(times []time.Duration) time.Duration {
	slices.Sort(times)
	return times[len(times)/2]
}
