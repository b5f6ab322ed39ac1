package did_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/touchmark-dev/touchmark/internal/vectorgen/did"
)

const dir = "../../../testvectors/did"

func generate(t *testing.T) map[string][]byte {
	t.Helper()
	files, err := did.Generate()
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestFilesAreGenerated(t *testing.T) {
	files := generate(t)
	for name, want := range files {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not what the generator makes (%v); run: make vectors", name, err)
		}
	}
	there, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil || len(there) != len(files) {
		t.Errorf("%d files in %s, want %d (%v)", len(there), dir, len(files), err)
	}
}

func TestGenerateIsDeterministic(t *testing.T) {
	a, b := generate(t), generate(t)
	for name := range a {
		if !bytes.Equal(a[name], b[name]) {
			t.Errorf("%s differs between two runs", name)
		}
	}
}

// Every refused vector reaches a refusal of its own.
func TestReasonsDiffer(t *testing.T) {
	seen := make(map[string]string)
	for name, data := range generate(t) {
		var v did.Vector
		if err := json.Unmarshal(data, &v); err != nil {
			t.Fatal(err)
		}
		if v.Expect.Result != did.Refused {
			continue
		}
		reason := v.Expect.Reason
		if v.WebURL != "" {
			reason = "URL: " + reason // the way from a URL is another one
		}
		if other, ok := seen[reason]; ok {
			t.Errorf("%s and %s are refused for the same reason %q", name, other, reason)
		}
		seen[reason] = name
	}
	if len(seen) < 40 {
		t.Errorf("%d refused vectors, want at least 40", len(seen))
	}
}
