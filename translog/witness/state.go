package witness

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/go-json-experiment/json"

	"github.com/touchmark-dev/touchmark/internal/durable"
	"github.com/touchmark-dev/touchmark/internal/strictjson"
	"github.com/touchmark-dev/touchmark/translog"
)

const (
	stateName     = "state.json"
	lockName      = ".lock"
	stateVersion  = 1
	maxStateBytes = 8 << 20
)

// A stateFile is all that a witness remembers: the last checkpoint of each log
// that it has cosigned. One file, so that no log can be forgotten by itself.
type stateFile struct {
	Version int               `json:"version"`
	Key     string            `json:"key"`
	Logs    map[string]string `json:"logs"` // signed notes by origin
}

func (s *stateFile) write(dir string) error {
	data, err := json.Marshal(s, json.Deterministic(true))
	if err != nil {
		return err
	}
	if len(data) > maxStateBytes {
		return fmt.Errorf("witness: the state would have more than %d bytes", maxStateBytes)
	}
	return durable.WriteFile(durable.OS{}, filepath.Join(dir, stateName), data)
}

// Create begins the state of a new witness in dir. A key that has cosigned
// before must not begin again: it would sign what contradicts its word. A witness
// that has lost its state needs a new key.
func Create(dir string, key *Key) error {
	if err := durable.MkdirAll(durable.OS{}, dir); err != nil {
		return fmt.Errorf("witness: %w", err)
	}
	lock, err := durable.OS{}.Lock(filepath.Join(dir, lockName))
	if err != nil {
		return fmt.Errorf("witness: %w", err)
	}
	defer lock.Close()
	if _, err := os.Lstat(filepath.Join(dir, stateName)); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("witness: %q holds the state of a witness already", dir)
	}
	s := &stateFile{Version: stateVersion, Key: key.VerifierKey(), Logs: map[string]string{}}
	if err := s.write(dir); err != nil {
		return fmt.Errorf("witness: state: %w", err)
	}
	return nil
}

// readState reads the state of the witness with this key, and verifies what is
// in it.
func readState(dir string, key *Key, logs *translog.Policy) (*stateFile, map[string]*translog.Checkpoint, error) {
	data, err := durable.ReadFile(durable.OS{}, filepath.Join(dir, stateName), maxStateBytes)
	if err != nil {
		return nil, nil, fmt.Errorf("witness: state: %w", err)
	}
	s := new(stateFile)
	if err := strictjson.UnmarshalStrict(data, s); err != nil {
		return nil, nil, fmt.Errorf("witness: the state in %q: %w", dir, err)
	}
	switch {
	case s.Version != stateVersion || s.Logs == nil:
		return nil, nil, fmt.Errorf("witness: the state in %q is of version %d, not %d", dir, s.Version, stateVersion)
	case s.Key != key.VerifierKey():
		return nil, nil, fmt.Errorf("witness: the state in %q is of the witness %q", dir, s.Key)
	}
	trusted := make(map[string]*translog.Checkpoint, len(s.Logs))
	for origin, raw := range s.Logs {
		cp, err := logs.VerifyCheckpoint([]byte(raw))
		var rejected *translog.RejectedError
		if errors.As(err, &rejected) && rejected.Code == translog.CodeOriginUnknown {
			continue // no longer witnessed; what was signed stays known
		}
		if err != nil {
			return nil, nil, fmt.Errorf("witness: the state in %q, log %q (was its key replaced?): %w", dir, origin, err)
		}
		if cp.Origin() != origin {
			return nil, nil, fmt.Errorf("witness: the state in %q has a checkpoint of %q under %q", dir, cp.Origin(), origin)
		}
		trusted[origin] = cp
	}
	return s, trusted, nil
}
