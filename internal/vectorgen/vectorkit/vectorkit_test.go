package vectorkit_test

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"math/big"
	"testing"

	"github.com/touchmark-dev/touchmark/internal/vectorgen/vectorkit"
)

func TestFiles(t *testing.T) {
	files := make(vectorkit.Files)
	if err := files.Add("a", map[string]int{"n": 1}); err != nil {
		t.Fatal(err)
	}
	if got := string(files["a.json"]); got != "{\n  \"n\": 1\n}\n" {
		t.Errorf("got %q", got)
	}
	for _, name := range []string{"a", "", "b/c", "b c", "../b"} {
		if files.Add(name, 2) == nil {
			t.Errorf("%q added", name)
		}
	}
	if files.Add("b", func() {}) == nil || len(files) != 1 {
		t.Errorf("%d files", len(files))
	}
}

func TestSignJWS(t *testing.T) {
	key := vectorkit.ECKey(sha256.Sum256([]byte("a test")))
	sig, again := vectorkit.SignJWS(key, "input"), vectorkit.SignJWS(key, "input")
	if string(sig) != string(again) {
		t.Error("two signatures of one input differ")
	}
	digest := sha256.Sum256([]byte("input"))
	if !ecdsa.Verify(&key.PublicKey, digest[:], new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])) {
		t.Error("the signature does not hold")
	}
}
