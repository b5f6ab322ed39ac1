package signing

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"

	"github.com/transparency-dev/formats/log"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"

	"github.com/touchmark-dev/touchmark/internal/durable"
	"github.com/touchmark-dev/touchmark/translog"
)

// Begin signs the empty tree of a new log, and keeps it at path. One that is there is returned, unless more than the
// empty tree was signed.
func Begin(signer *translog.Signer, path string) (*translog.Checkpoint, error) {
	policy, err := Policy(signer)
	if err != nil {
		return nil, err
	}
	trusted, err := ReadState(path, policy)
	if err == nil && trusted.Size() > 0 {
		return nil, fmt.Errorf("translog: a checkpoint of %d entries was signed already (%q); a lost log is restored, not begun again", trusted.Size(), path)
	}
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return trusted, err
	}
	raw, err := Empty(signer)
	if err != nil {
		return nil, err
	}
	empty, err := policy.VerifyCheckpoint(raw)
	if err != nil {
		//nolint:errorlint // the fault is the signer's: this is no verdict on a log
		return nil, fmt.Errorf("translog: the signer does not sign for its own key: %v", err)
	}
	if err := durable.WriteFile(durable.OS{}, path, raw); err != nil {
		return nil, fmt.Errorf("translog: state: %w", err)
	}
	return empty, nil
}

// Empty signs the empty tree: the first checkpoint of a log.
func Empty(signer *translog.Signer) ([]byte, error) {
	text := log.Checkpoint{Origin: signer.Name(), Hash: rfc6962.DefaultHasher.EmptyRoot()}.Marshal()
	raw, err := note.Sign(&note.Note{Text: string(text)}, signer)
	if err != nil {
		return nil, fmt.Errorf("translog: %w", err)
	}
	return raw, nil
}

// ReadState reads the checkpoint that was signed last.
func ReadState(path string, policy *translog.Policy) (*translog.Checkpoint, error) {
	raw, err := durable.ReadFile(durable.OS{}, path, translog.MaxCheckpointBytes)
	if err != nil {
		return nil, fmt.Errorf("translog: state: %w", err)
	}
	cp, err := policy.VerifyCheckpoint(raw)
	if err != nil {
		return nil, fmt.Errorf("translog: the state at %q is not this log's: %w", path, err)
	}
	return cp, nil
}

// A File is the path of a file that holds the checkpoint signed last. Whoever swaps holds a lock beside it.
type File string

// Swap implements [State].
func (f File) Swap(older, newer *translog.Checkpoint) error {
	path := string(f)
	raw, err := durable.ReadFile(durable.OS{}, path, translog.MaxCheckpointBytes)
	if err != nil {
		return fmt.Errorf("translog: state: %w", err)
	}
	if !bytes.Equal(raw, older.Note()) {
		return fmt.Errorf("translog: somebody else changed the state at %q", path)
	}
	if err := durable.WriteFile(durable.OS{}, path, newer.Note()); err != nil {
		return fmt.Errorf("translog: state: %w", err)
	}
	return nil
}
