package floor

import (
	"os"
	"path/filepath"
	"testing"
)

func TestTesseraFeederWritesEveryEntry(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	f, err := NewTesseraFeeder(dir, 256)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	batch := make([][]byte, 256)
	for i := range batch {
		batch[i] = []byte{byte(i)}
	}
	for range 2 {
		if err := f.Feed(batch); err != nil {
			t.Fatal(err)
		}
	}
	for _, bundle := range []string{"000", "001"} {
		info, err := os.Stat(filepath.Join(dir, "tile/entries", bundle))
		if err != nil || info.Size() != 256*3 {
			t.Errorf("bundle %s: %v, %v, want 768 bytes", bundle, info, err)
		}
	}
}
