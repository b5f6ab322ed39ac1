package pop

import (
	"context"
	"crypto/ed25519"
	"testing"
	"time"
)

// BenchmarkVerify reports, beside its own figures, the ratio "x-ed25519" of checking a call proof to one raw
// Ed25519 verification of the same bytes. Both alternate within the loop, so that a busy machine slows both.
func BenchmarkVerify(b *testing.B) {
	s := newScene()
	v, err := NewVerifier(s.cfg)
	if err != nil {
		b.Fatal(err)
	}
	v.replay = failingStore{} // remembers nothing: the same proof is good each time
	s.seen.Proof = s.sign(b)
	ctx := context.Background()
	msg := []byte(s.seen.Proof)
	sig := ed25519.Sign(s.key, msg)
	pub := s.key.Public().(ed25519.PublicKey)
	var ours, raw time.Duration
	b.ReportAllocs()
	for b.Loop() {
		t0 := time.Now()
		if _, err := v.Verify(ctx, s.seen); err != nil {
			b.Fatal(err)
		}
		t1 := time.Now()
		ed25519.Verify(pub, msg, sig)
		ours, raw = ours+t1.Sub(t0), raw+time.Since(t1)
	}
	b.ReportMetric(float64(ours)/float64(raw), "x-ed25519")
	b.ReportMetric(float64(ours.Nanoseconds())/float64(b.N), "ns-ours")
}

func BenchmarkSign(b *testing.B) {
	s := newScene()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Sign(s.key, s.stmt); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMemoryReplay(b *testing.B) {
	s := NewMemoryReplay(&MemoryReplayConfig{MaxEntries: 1 << 30, MaxPerSubject: 1 << 30})
	key := ReplayKey{KeyThumbprint: "thumbprint", Subject: agent}
	until := time.Now().Add(time.Minute)
	b.ReportAllocs()
	for b.Loop() {
		key.HopID = newUUID()
		if err := s.Use(context.Background(), key, until); err != nil {
			b.Fatal(err)
		}
	}
}
