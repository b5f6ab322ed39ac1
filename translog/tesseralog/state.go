package tesseralog

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/internal/signing"
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
	trusted, err := signing.ReadState(c.StatePath, policy)
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
func begin(c *Config, _ *translog.Policy) (*translog.Checkpoint, error) {
	there, err := os.ReadDir(c.Dir)
	if err != nil {
		return nil, fmt.Errorf("tesseralog: %w", err)
	}
	for _, entry := range there {
		if name := entry.Name(); name != lockName && name != engineDir {
			return nil, fmt.Errorf("tesseralog: cannot begin a log in %q, which holds %q", c.Dir, name)
		}
	}
	return signing.Begin(c.Signer, c.StatePath)
}
