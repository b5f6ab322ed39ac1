package tesseralog

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/transparency-dev/formats/log"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"

	"github.com/touchmark-dev/touchmark/internal/durable"
	"github.com/touchmark-dev/touchmark/translog"
)

// Names in the log's directory.
const (
	lockName       = ".lock" // ours
	engineDir      = ".state"
	treeStateName  = "treeState" // in engineDir
	checkpointName = "checkpoint"
)

// resume reads the trusted checkpoint of a log that exists.
func resume(c *Config, policy *translog.Policy) (*translog.Checkpoint, error) {
	trusted, err := readState(c.StatePath, policy)
	if err != nil {
		return nil, err
	}
	for _, name := range []string{checkpointName, filepath.Join(engineDir, treeStateName)} {
		_, err := os.Stat(filepath.Join(c.Dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			return nil, &translog.RejectedError{
				Code:   translog.CodeRolledBack,
				Reason: fmt.Sprintf("%q holds no log, but a checkpoint of %d entries was signed", c.Dir, trusted.Size()),
				Older:  trusted.Note(),
			}
		}
		if err != nil {
			return nil, fmt.Errorf("tesseralog: %w", err)
		}
	}
	return trusted, nil
}

// begin signs and keeps the empty tree of a new log. The state comes first: a
// crash leaves at most the checkpoint of an empty tree, which commits to nothing.
func begin(c *Config, policy *translog.Policy) (*translog.Checkpoint, error) {
	there, err := os.ReadDir(c.Dir)
	if err != nil {
		return nil, fmt.Errorf("tesseralog: %w", err)
	}
	for _, entry := range there {
		if name := entry.Name(); name != lockName && name != engineDir {
			return nil, fmt.Errorf("tesseralog: cannot begin a log in %q, which holds %q", c.Dir, name)
		}
	}
	trusted, err := readState(c.StatePath, policy)
	if err == nil && trusted.Size() > 0 {
		return nil, fmt.Errorf("tesseralog: a checkpoint of %d entries was signed already (%q); a lost log is restored, not begun again", trusted.Size(), c.StatePath)
	}
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return trusted, err
	}
	text := log.Checkpoint{Origin: c.Signer.Name(), Hash: rfc6962.DefaultHasher.EmptyRoot()}.Marshal()
	raw, err := note.Sign(&note.Note{Text: string(text)}, c.Signer)
	if err != nil {
		return nil, fmt.Errorf("tesseralog: %w", err)
	}
	empty, err := policy.VerifyCheckpoint(raw)
	if err != nil {
		//nolint:errorlint // the fault is the signer's: this is no verdict on a log
		return nil, fmt.Errorf("tesseralog: the signer does not sign for its own key: %v", err)
	}
	if err := durable.WriteFile(durable.OS{}, c.StatePath, raw); err != nil {
		return nil, fmt.Errorf("tesseralog: state: %w", err)
	}
	return empty, nil
}

func readState(path string, policy *translog.Policy) (*translog.Checkpoint, error) {
	raw, err := durable.ReadFile(durable.OS{}, path, translog.MaxCheckpointBytes)
	if err != nil {
		return nil, fmt.Errorf("tesseralog: state: %w", err)
	}
	cp, err := policy.VerifyCheckpoint(raw)
	if err != nil {
		return nil, fmt.Errorf("tesseralog: the state at %q is not this log's: %w", path, err)
	}
	return cp, nil
}

// swapState replaces the trusted checkpoint, if the file still holds the old one.
func swapState(path string, older, newer *translog.Checkpoint) error {
	raw, err := durable.ReadFile(durable.OS{}, path, translog.MaxCheckpointBytes)
	if err != nil {
		return fmt.Errorf("tesseralog: state: %w", err)
	}
	if !bytes.Equal(raw, older.Note()) {
		return fmt.Errorf("tesseralog: somebody else changed the state at %q", path)
	}
	if err := durable.WriteFile(durable.OS{}, path, newer.Note()); err != nil {
		return fmt.Errorf("tesseralog: state: %w", err)
	}
	return nil
}
