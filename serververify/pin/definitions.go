package pin

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/touchmark-dev/touchmark/internal/durable"
)

// maxPending is how many lists of tools are kept that nobody approved: a server
// may offer another one each time.
const maxPending = 16

func (s *Store) definitionsDir() string { return s.path + ".tools" }

// Definitions returns the tools of a digest, as they are kept beside the file:
// those that are approved, and the last that were refused.
func (s *Store) Definitions(digest string) (json.RawMessage, error) {
	name, err := definitionsName(digest)
	if err != nil {
		return nil, fmt.Errorf("pin: %w", err)
	}
	path := filepath.Join(s.definitionsDir(), name)
	data, err := durable.ReadFile(durable.OS{}, path, MaxToolsBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("pin: no list of tools with the digest %s was kept", digest)
	}
	if err != nil {
		return nil, fmt.Errorf("pin: %w", err)
	}
	if list, err := parseTools(data); err != nil || list.digest != digest {
		return nil, fmt.Errorf("pin: %s was changed: it has not the digest in its name", path)
	}
	return data, nil
}

// keep puts a list of tools beside the file, whose lock is held.
func (s *Store) keep(f *file, list *toolList) error {
	if _, err := s.Definitions(list.digest); err == nil {
		return nil
	}
	name, err := definitionsName(list.digest)
	if err != nil {
		return err
	}
	dir := s.definitionsDir()
	if err := durable.MkdirAll(durable.OS{}, dir); err != nil {
		return err
	}
	if err := durable.WriteFile(durable.OS{}, filepath.Join(dir, name), list.canonical); err != nil {
		return err
	}
	return s.forget(f, name)
}

// forget removes the oldest of the lists that no pin names, but for a few.
func (s *Store) forget(f *file, justKept string) error {
	named := map[string]bool{justKept: true}
	for _, p := range f.pins() {
		if name, err := definitionsName(p.Tools); err == nil {
			named[name] = true
		}
	}
	entries, err := os.ReadDir(s.definitionsDir())
	if err != nil {
		return err
	}
	type kept struct {
		name string
		at   time.Time
	}
	var pending []kept
	for _, e := range entries {
		if info, err := e.Info(); err == nil && !named[e.Name()] && strings.HasSuffix(e.Name(), definitionsSuffix) {
			pending = append(pending, kept{e.Name(), info.ModTime()})
		}
	}
	slices.SortFunc(pending, func(a, b kept) int { return b.at.Compare(a.at) })
	for _, old := range pending[min(len(pending), maxPending-1):] {
		if err := os.Remove(filepath.Join(s.definitionsDir(), old.name)); err != nil {
			return err
		}
	}
	return nil
}
