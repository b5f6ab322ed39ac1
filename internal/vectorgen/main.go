// Command vectorgen makes the test vectors under testvectors:
//
//	go run ./internal/vectorgen          # write them
//	go run ./internal/vectorgen -check   # compare, change nothing
//
// Each area is a package below this one with a function Generate that returns
// the files of testvectors/AREA by name, the same bytes on every run.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/touchmark-dev/touchmark/internal/vectorgen/badge"
	"github.com/touchmark-dev/touchmark/internal/vectorgen/callproof"
	"github.com/touchmark-dev/touchmark/internal/vectorgen/did"
	"github.com/touchmark-dev/touchmark/internal/vectorgen/evidence"
	"github.com/touchmark-dev/touchmark/internal/vectorgen/grant"
	"github.com/touchmark-dev/touchmark/internal/vectorgen/issuance"
	"github.com/touchmark-dev/touchmark/internal/vectorgen/log"
	"github.com/touchmark-dev/touchmark/internal/vectorgen/pins"
	"github.com/touchmark-dev/touchmark/internal/vectorgen/policy"
	"github.com/touchmark-dev/touchmark/internal/vectorgen/registry"
	"github.com/touchmark-dev/touchmark/internal/vectorgen/serverproof"
)

// An area is one directory of testvectors.
type area struct {
	name     string
	generate func() (map[string][]byte, error)
}

func areas() []area {
	return []area{
		{"badge", badge.Generate},
		{"callproof", callproof.Generate},
		{"did", did.Generate},
		{"evidence", evidence.Generate},
		{"grant", grant.Generate},
		{"issuance", issuance.Generate},
		{"log", log.Generate},
		{"pins", pins.Generate},
		{"policy", policy.Generate},
		{"registry", registry.Generate},
		{"serverproof", serverproof.Generate},
	}
}

func main() {
	check := flag.Bool("check", false, "compare with the files that are there, and change nothing")
	dir := flag.String("dir", "testvectors", "the `directory` of the areas")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "vectorgen: unexpected argument %q\n", flag.Arg(0))
		os.Exit(2)
	}
	if err := run(os.Stdout, areas(), *dir, *check); err != nil {
		fmt.Fprintf(os.Stderr, "vectorgen: %v\n", err)
		os.Exit(1)
	}
}

// run makes the files of all areas, or compares them. It refuses a directory
// that no area makes, because nothing would ever look at it.
func run(out io.Writer, areas []area, dir string, check bool) error {
	var problems []error
	known := make(map[string]bool)
	for _, a := range areas {
		known[a.name] = true
		files, err := a.generate()
		if err != nil {
			return fmt.Errorf("area %s: %w", a.name, err)
		}
		if !check {
			if err := write(filepath.Join(dir, a.name), files); err != nil {
				return err
			}
		}
		problems = append(problems, compare(filepath.Join(dir, a.name), files)...)
		fmt.Fprintf(out, "%-12s %4d vectors\n", a.name, len(files))
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() && !known[e.Name()] {
			problems = append(problems, fmt.Errorf("%s is made by no area", filepath.Join(dir, e.Name())))
		}
	}
	return errors.Join(problems...)
}

// write replaces the JSON files of a directory.
func write(dir string, files map[string][]byte) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	old, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return err
	}
	for _, name := range old {
		if files[filepath.Base(name)] == nil {
			if err := os.Remove(name); err != nil {
				return err
			}
		}
	}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// compare says how the files of a directory differ from those it should have.
func compare(dir string, files map[string][]byte) []error {
	const remedy = "run: make vectors"
	var problems []error
	for _, name := range slices.Sorted(maps.Keys(files)) {
		path := filepath.Join(dir, name)
		switch got, err := os.ReadFile(path); {
		case errors.Is(err, fs.ErrNotExist):
			problems = append(problems, fmt.Errorf("%s is missing; %s", path, remedy))
		case err != nil:
			problems = append(problems, err)
		case !bytes.Equal(got, files[name]):
			problems = append(problems, fmt.Errorf("%s is not what its generator makes; %s", path, remedy))
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return append(problems, err)
	}
	for _, e := range entries {
		if files[e.Name()] == nil {
			problems = append(problems, fmt.Errorf("%s is made by no generator; remove it", filepath.Join(dir, e.Name())))
		}
	}
	return problems
}
