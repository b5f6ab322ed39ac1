package badge_test

import (
	"context"
	"testing"

	"github.com/touchmark-dev/touchmark/badge"
	vectors "github.com/touchmark-dev/touchmark/internal/vectorgen/badge"
)

// FuzzVerify mutates the tokens of the vectors: the verifier of a good one accepts none but those that the
// issuer signed, which are known.
func FuzzVerify(f *testing.F) {
	signed := make(map[string]bool)
	var v *badge.Verifier
	for _, vec := range readVectors(f) {
		f.Add(vec.Token)
		if vec.Expect.Verdict == vectors.Accepted || vec.Config.Status != nil {
			signed[vec.Token] = true
		}
		if vec.Name == "valid-level-2" {
			cfg := vec.Config
			v = vectorVerifier(f, &cfg)
		}
	}
	f.Fuzz(func(t *testing.T, token string) {
		b, err := v.Verify(context.Background(), token)
		if err == nil && !signed[token] {
			t.Errorf("accepted badge %s: %s", b.ID(), token)
		}
		if err != nil && badge.CodeOf(err) == "" {
			t.Errorf("an error without a code: %v", err)
		}
		if u, err := badge.Inspect(token); (u == nil) == (err == nil) {
			t.Errorf("Inspect returned %v and %v", u, err)
		}
	})
}
