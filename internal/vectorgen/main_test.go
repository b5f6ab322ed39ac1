package main

import (
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/touchmark-dev/touchmark/testvectors"
)

func TestCheck(t *testing.T) {
	made := []area{{"a", func() (map[string][]byte, error) {
		return map[string][]byte{"one.json": []byte("1\n"), "two.json": []byte("2\n")}, nil
	}}}
	for _, test := range []struct {
		name   string
		damage func(dir string) error
		want   string // in the error; empty for none
	}{
		{"untouched", func(string) error { return nil }, ""},
		{"altered", func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "a", "one.json"), []byte("3\n"), 0o644)
		}, "one.json is not what its generator makes"},
		{"missing", func(dir string) error {
			return os.Remove(filepath.Join(dir, "a", "two.json"))
		}, "two.json is missing"},
		{"left over", func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "a", "three.json"), nil, 0o644)
		}, "three.json is made by no generator"},
		{"area without a generator", func(dir string) error {
			return os.Mkdir(filepath.Join(dir, "b"), 0o755)
		}, "b is made by no area"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := run(io.Discard, made, dir, false); err != nil {
				t.Fatal(err)
			}
			if err := test.damage(dir); err != nil {
				t.Fatal(err)
			}
			err := run(io.Discard, made, dir, true)
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("check = %v, want %q", err, test.want)
			}
		})
	}
}

func TestWriteRemovesWhatIsLeftOver(t *testing.T) {
	dir := t.TempDir()
	area := func(files ...string) []area {
		return []area{{"a", func() (map[string][]byte, error) {
			all := make(map[string][]byte)
			for _, name := range files {
				all[name] = []byte("{}\n")
			}
			return all, nil
		}}}
	}
	for _, files := range [][]string{{"one.json", "two.json"}, {"two.json"}} {
		if err := run(io.Discard, area(files...), dir, false); err != nil {
			t.Fatal(err)
		}
	}
	left, err := filepath.Glob(filepath.Join(dir, "a", "*"))
	if err != nil || len(left) != 1 {
		t.Errorf("left %v (%v), want two.json alone", left, err)
	}
}

func TestGeneratorFails(t *testing.T) {
	broken := errors.New("broken")
	areas := []area{{"a", func() (map[string][]byte, error) { return nil, broken }}}
	if err := run(io.Discard, areas, t.TempDir(), true); !errors.Is(err, broken) {
		t.Errorf("run = %v, want %v", err, broken)
	}
}

// What is embedded is what is generated: every area, nothing else.
func TestEmbeddedAreas(t *testing.T) {
	entries, err := testvectors.FS.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	embedded := make(map[string]bool)
	for _, e := range entries {
		embedded[e.Name()] = true
	}
	made := make(map[string]bool)
	for _, a := range areas() {
		made[a.name] = true
	}
	if !maps.Equal(embedded, made) {
		t.Errorf("embedded %v, made %v", slices.Sorted(maps.Keys(embedded)), slices.Sorted(maps.Keys(made)))
	}
}
