package log_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/touchmark-dev/touchmark/internal/vectorgen/log"
)

const dir = "../../../testvectors/log"

func TestFilesAreGenerated(t *testing.T) {
	files, err := log.Generate()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not what the generator makes (%v); run go run ./internal/vectorgen", name, err)
		}
	}
	there, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil || len(there) != len(files) {
		t.Errorf("%d files in %s, want %d (%v)", len(there), dir, len(files), err)
	}
	if len(files) < 60 {
		t.Errorf("%d vectors, want at least 60", len(files))
	}
}

func TestGenerateIsDeterministic(t *testing.T) {
	a, err := log.Generate()
	if err != nil {
		t.Fatal(err)
	}
	b, err := log.Generate()
	if err != nil {
		t.Fatal(err)
	}
	for name := range a {
		if !bytes.Equal(a[name], b[name]) {
			t.Errorf("%s differs between two runs", name)
		}
	}
}
