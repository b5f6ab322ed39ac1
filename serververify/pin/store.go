package pin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/touchmark-dev/touchmark/internal/durable"
	"github.com/touchmark-dev/touchmark/internal/endpoint"
)

// A Mode says what happens to a server that has no pin. The zero Mode refuses it.
type Mode uint8

const (
	// AllowListOnly refuses servers without a pin, and lists of tools that
	// nobody approved.
	AllowListOnly Mode = iota
	// TrustOnFirstUse pins a server that was verified, and the tools that it
	// lists, when it is met for the first time.
	TrustOnFirstUse
)

const (
	lockTimeout = 10 * time.Second // that a change waits for others
	seenEvery   = time.Hour        // between two writes of when a server was last seen
	seenWait    = time.Second      // that such a write waits for others
)

// A Config configures a [Store]. The zero Config, and nil, is the strict one.
type Config struct {
	Mode Mode

	// FirstUseFor, if not zero, is how long a pin lasts that TrustOnFirstUse
	// made; the server is met for the first time again after it.
	FirstUseFor time.Duration

	// Command is how refusals spell the program that edits the file:
	// "touchmark server pin" when "".
	Command string

	// Time is the clock; nil means time.Now.
	Time func() time.Time
}

// A Store is a known-servers file. It is safe for concurrent use, and several
// processes may use one file: who changes it holds a lock, and readers see all
// of a change or nothing. Nothing of the file is kept in memory.
type Store struct {
	path string
	cfg  Config
	mu   sync.Mutex // held while the file is changed
}

// Open returns the store in the file at path, which need not exist yet. A file
// that cannot be read, or that others than its owner may write, is an error: it
// is never taken for an empty one.
func Open(path string, cfg *Config) (*Store, error) {
	if path == "" {
		return nil, errors.New("pin: no file")
	}
	if cfg == nil {
		cfg = &Config{}
	}
	if cfg.Mode > TrustOnFirstUse || cfg.FirstUseFor < 0 {
		return nil, errors.New("pin: a Mode that there is not, or a negative FirstUseFor")
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real // so that a change replaces the file, and not the link to it
	}
	s := &Store{path: path, cfg: *cfg}
	if s.cfg.Command == "" {
		s.cfg.Command = "touchmark server pin"
	}
	if s.cfg.Time == nil {
		s.cfg.Time = time.Now
	}
	if _, err := s.read(); err != nil {
		return nil, err
	}
	return s, nil
}

// Path returns the name of the file.
func (s *Store) Path() string { return s.path }

// List returns the pins in the order of the file.
func (s *Store) List() ([]Pin, error) {
	f, err := s.read()
	if err != nil {
		return nil, err
	}
	return f.pins(), nil
}

// Find returns the pin of an endpoint, which is made canonical first, and false
// when it has none.
func (s *Store) Find(at string) (Pin, bool, error) {
	at, err := endpoint.Canonical(at)
	if err != nil {
		return Pin{}, false, fmt.Errorf("pin: %w", err)
	}
	f, err := s.read()
	if err != nil {
		return Pin{}, false, err
	}
	if i := f.find(at); i >= 0 {
		return *f.lines[i].pin, true, nil
	}
	return Pin{}, false, nil
}

// Add pins a server. Endpoint is made canonical, and FirstSeen set when it is
// zero. An endpoint that has a pin already is an error: Remove or Rotate that.
func (s *Store) Add(ctx context.Context, p Pin) error {
	return s.edit(ctx, p.Endpoint, func(f *file, at string, i int) error {
		if i >= 0 {
			return fmt.Errorf("%s has a pin already; remove or rotate it: %s", at, f.lines[i].pin)
		}
		if p.Endpoint = at; p.FirstSeen.IsZero() {
			p.FirstSeen = s.cfg.Time()
		}
		return f.set(p)
	})
}

// Remove removes the pin of an endpoint. It is an error when there is none.
func (s *Store) Remove(ctx context.Context, endpoint string) error {
	return s.edit(ctx, endpoint, func(f *file, at string, i int) error {
		if i < 0 {
			return fmt.Errorf("%s has no pin", at)
		}
		f.remove(i)
		return nil
	})
}

// Approve makes the tool definitions with this digest the approved ones of an
// endpoint that has a pin. They are kept beside the file since a list of them
// was refused.
func (s *Store) Approve(ctx context.Context, endpoint, digest string) error {
	return s.edit(ctx, endpoint, func(f *file, at string, i int) error {
		if _, err := s.Definitions(digest); err != nil {
			return fmt.Errorf("cannot approve %s: %w", digest, err)
		}
		return s.approve(f, at, i, digest)
	})
}

// ApproveTools makes a list of tools the approved one of an endpoint that has a
// pin, and returns its digest.
func (s *Store) ApproveTools(ctx context.Context, endpoint string, tools json.RawMessage) (string, error) {
	list, err := parseTools(tools)
	if err != nil {
		return "", err
	}
	return list.digest, s.edit(ctx, endpoint, func(f *file, at string, i int) error {
		if err := s.keep(f, list); err != nil {
			return err
		}
		return s.approve(f, at, i, list.digest)
	})
}

func (s *Store) approve(f *file, at string, i int, digest string) error {
	if i < 0 {
		return fmt.Errorf("%s has no pin", at)
	}
	p := *f.lines[i].pin
	p.Tools = digest
	return f.set(p)
}

// edit changes the file for one endpoint, given in any spelling. change gets
// the canonical one, and the line that it has or -1.
func (s *Store) edit(ctx context.Context, at string, change func(f *file, at string, i int) error) error {
	at, err := endpoint.Canonical(at)
	if err != nil {
		return fmt.Errorf("pin: %w", err)
	}
	err = s.update(ctx, func(f *file) error { return change(f, at, f.find(at)) })
	if err != nil {
		return fmt.Errorf("pin: %w", err)
	}
	return nil
}

// read returns the file as it is now.
func (s *Store) read() (*file, error) {
	info, err := os.Stat(s.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &file{}, nil
	case err != nil:
		return nil, fmt.Errorf("pin: %w", err)
	case info.Mode().Perm()&0o022 != 0:
		return nil, fmt.Errorf("pin: %s can be changed by others than its owner; run: chmod go-w %s", s.path, quote(s.path))
	}
	data, err := durable.ReadFile(durable.OS{}, s.path, MaxFileBytes)
	if err != nil {
		return nil, fmt.Errorf("pin: %w", err)
	}
	f, err := parseFile(data)
	if err != nil {
		return nil, fmt.Errorf("pin: %s: %w", s.path, err)
	}
	return f, nil
}

// update changes the file under its lock. The file stays as it is when change
// fails or changes nothing.
func (s *Store) update(ctx context.Context, change func(*file) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := durable.MkdirAll(durable.OS{}, filepath.Dir(s.path)); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, lockTimeout)
	defer cancel()
	lock, err := durable.AwaitLock(ctx, durable.OS{}, s.path+".lock") // the file itself is replaced by each change
	if err != nil {
		return err
	}
	defer lock.Close() //nolint:errcheck // what was written is written
	f, err := s.read()
	if err != nil {
		return err
	}
	before := string(f.encode())
	if err := change(f); err != nil {
		return err
	}
	after := f.encode()
	if string(after) == before {
		return nil
	}
	if before == "" {
		after = append([]byte(header), after...)
	}
	if len(after) > MaxFileBytes {
		return fmt.Errorf("%s would have more than %d bytes; remove pins", s.path, MaxFileBytes)
	}
	return durable.WriteFile(durable.OS{}, s.path, after)
}
