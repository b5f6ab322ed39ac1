package jws_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/touchmark-dev/touchmark/internal/jws"
)

// TestCookbook runs the examples of RFC 7520 and RFC 7797: other algorithms, other serializations, detached and
// unencoded payloads, and no typ in any of them. None is a token of ours.
func TestCookbook(t *testing.T) {
	const dir = "../../../shared/corpora/jose-cookbook"
	var files []string
	for _, pattern := range []string{"jws/*.json", "rfc7797/*.json", "curve25519/jws.json", "jwe/*.json"} {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	if len(files) == 0 {
		t.Skipf("the JOSE cookbook is not at %s", dir)
	}
	tried := 0
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var example struct {
			Output map[string]json.RawMessage `json:"output"`
		}
		if err := json.Unmarshal(data, &example); err != nil {
			t.Fatal(err)
		}
		for form, text := range example.Output {
			var token string
			if json.Unmarshal(text, &token) != nil {
				token = string(text) // one of the JSON serializations
			}
			tried++
			if _, err := jws.Parse(token); err == nil {
				t.Errorf("%s, %s: parsed", filepath.Base(file), form)
			}
		}
	}
	t.Logf("%d examples", tried)
}
