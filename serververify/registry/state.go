package registry

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/touchmark-dev/touchmark/internal/durable"
	"github.com/touchmark-dev/touchmark/internal/endpoint"
	"github.com/touchmark-dev/touchmark/internal/jcs"
	"github.com/touchmark-dev/touchmark/internal/strictjson"
)

// A state is the newest list that was seen (spec/registry.md section 4).
type state struct {
	Digest string `json:"digest"` // of the list's text
	Issuer string `json:"iss"`
	Serial uint64 `json:"serial"`
}

const (
	maxStateBytes = 4 << 10
	lockTimeout   = 10 * time.Second
)

// advance takes a list as the newest, in memory and in the file at path unless
// that is "". It refuses a list that is older than the newest one, and another
// with the same serial. Several processes may have one file.
func (s *state) advance(ctx context.Context, path string, d *Document, token string) error {
	next := state{endpoint.Digest([]byte(token)), d.Issuer, d.Serial}
	if err := s.admits(next); err != nil {
		return err
	}
	if path == "" {
		*s = next
		return nil
	}
	saved, err := readState(path)
	if err != nil {
		return err
	}
	if err := saved.admits(next); err != nil {
		return err
	}
	if saved != next {
		if err := writeState(ctx, path, next); err != nil {
			return fmt.Errorf("the serial cannot be kept: %w", err)
		}
	}
	*s = next
	return nil
}

func (s state) admits(next state) error {
	switch {
	case s == state{} || s == next:
	case s.Issuer != next.Issuer:
		return fmt.Errorf("the list is called %q, and was %q before", next.Issuer, s.Issuer)
	case next.Serial < s.Serial:
		return fmt.Errorf("the list has the serial %d, and %d was seen: somebody shows an old list", next.Serial, s.Serial)
	case next.Serial == s.Serial:
		return fmt.Errorf("another list with the serial %d was seen", s.Serial)
	}
	return nil
}

func readState(path string) (state, error) {
	var s state
	data, err := durable.ReadFile(durable.OS{}, path, maxStateBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err == nil {
		err = strictjson.UnmarshalStrict(data, &s)
	}
	if err == nil && (s.Issuer == "" || s.Serial == 0 || !endpoint.IsDigest(s.Digest)) {
		err = errors.New("no digest, iss and serial")
	}
	if err != nil {
		return s, fmt.Errorf("state file %q: %w", path, err)
	}
	return s, nil
}

// writeState keeps next unless somebody else kept a newer one meanwhile.
func writeState(ctx context.Context, path string, next state) error {
	if err := durable.MkdirAll(durable.OS{}, filepath.Dir(path)); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, lockTimeout)
	defer cancel()
	lock, err := durable.AwaitLock(ctx, durable.OS{}, path+".lock")
	if err != nil {
		return err
	}
	defer lock.Close() //nolint:errcheck // what was written is written
	saved, err := readState(path)
	if err == nil {
		err = saved.admits(next)
	}
	if err != nil {
		return err
	}
	text, err := jcs.Marshal(next)
	if err != nil {
		return err
	}
	return durable.WriteFile(durable.OS{}, path, append(text, '\n'))
}
