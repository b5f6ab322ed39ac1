package trillianlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"sync"
	"time"

	"github.com/touchmark-dev/touchmark/internal/durable"
	"github.com/touchmark-dev/touchmark/translog"
)

// ErrNotElected is the error of a State that is to be changed by somebody who is not, or no longer, the one who signs.
var ErrNotElected = errors.New("trillianlog: somebody else signs now")

// A State is where the candidates who may sign for one log keep the checkpoint that was signed last, and which of them
// signs. It must not lie in the database of Trillian, nor be restored together with it. A file is one, for candidates
// on one machine ([Config.StatePath]); package pgstate has another.
//
// What keeps the log from forking is Swap: a candidate who was stopped, and goes on when another signs, changes
// nothing with an old term, and shows no signature without a change. A candidate that finds out that what was signed is
// lost or changed ends signing for all of them with Halt.
type State interface {
	// Begin keeps the first checkpoint of a log, and returns what is kept: another one if there was one before.
	Begin(ctx context.Context, note []byte) ([]byte, error)
	// Read returns the checkpoint kept, as Swap would find it: never that of a replica, which may be an older one. The
	// error is fs.ErrNotExist where the log was not begun.
	Read(ctx context.Context) ([]byte, error)
	// Claim makes the candidate the one who signs, for this long from now on, unless another one is. The term is that of
	// the claim before if it was the candidate's and has not been claimed by another since, else a new one. The error is
	// ErrHalted if there is a mark.
	Claim(ctx context.Context, candidate string, lease time.Duration) (term uint64, elected bool, err error)
	// Swap replaces older with newer, durably, if the term is the last one claimed and older is what is kept. Its error
	// is ErrNotElected if not, and ErrHalted if there is a mark; after another one it may have happened.
	Swap(ctx context.Context, term uint64, older, newer []byte) error
	// Release ends the term, so that another candidate need not wait for its end.
	Release(ctx context.Context, term uint64) error

	// Halt keeps a mark in the place of older, or of none if that is nil, durably, whoever signs: once it has returned, Claim
	// and Swap do nothing. Another mark stays, which is an error.
	Halt(ctx context.Context, older, mark []byte) error
	// Halted returns the mark, or nil.
	Halted(ctx context.Context) ([]byte, error)
	// Resume takes away the mark and replaces older with newer, durably and at once, if both are what is kept, else it is an
	// error.
	Resume(ctx context.Context, mark, older, newer []byte) error
}

// A fileState keeps the checkpoint in a file, and a mark in another one beside it. Who has the lock signs, until its
// process ends.
type fileState struct {
	path string

	mu   sync.Mutex
	lock io.Closer
}

const (
	fileTerm   = 1
	haltSuffix = ".halt"
	haltLock   = ".halt.lock" // of whoever leaves a mark or takes it away
)

func (f *fileState) Begin(_ context.Context, note []byte) ([]byte, error) {
	kept, err := durable.ReadFile(durable.OS{}, f.path, translog.MaxCheckpointBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return note, durable.WriteFile(durable.OS{}, f.path, note)
	}
	return kept, err
}

func (f *fileState) Read(context.Context) ([]byte, error) {
	return durable.ReadFile(durable.OS{}, f.path, translog.MaxCheckpointBytes)
}

func (f *fileState) Claim(context.Context, string, time.Duration) (uint64, bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.free(); err != nil {
		return 0, false, err
	}
	if f.lock != nil {
		return fileTerm, true, nil
	}
	lock, err := durable.OS{}.Lock(f.path + ".lock")
	if errors.Is(err, durable.ErrLocked) {
		return 0, false, nil
	}
	f.lock = lock
	return fileTerm, err == nil, err
}

func (f *fileState) Swap(_ context.Context, _ uint64, older, newer []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.free(); err != nil {
		return err
	}
	if f.lock == nil {
		return ErrNotElected
	}
	if err := f.replace(older, newer); err != nil {
		return err
	}
	return f.free() // a mark that came meanwhile: nothing is shown behind it
}

// replace keeps newer if older is what is kept.
func (f *fileState) replace(older, newer []byte) error {
	kept, err := durable.ReadFile(durable.OS{}, f.path, translog.MaxCheckpointBytes)
	if err != nil {
		return err
	}
	if !bytes.Equal(kept, older) {
		return fmt.Errorf("%w: the checkpoint in %q was changed", ErrNotElected, f.path)
	}
	return durable.WriteFile(durable.OS{}, f.path, newer)
}

func (f *fileState) Release(context.Context, uint64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.lock == nil {
		return nil
	}
	lock := f.lock
	f.lock = nil
	return lock.Close()
}

// free returns ErrHalted if there is a mark.
func (f *fileState) free() error {
	mark, err := f.mark()
	if err == nil && mark != nil {
		err = ErrHalted
	}
	return err
}

func (f *fileState) mark() ([]byte, error) {
	mark, err := durable.ReadFile(durable.OS{}, f.path+haltSuffix, maxHalt)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return append([]byte{}, mark...), nil // never nil
}

func (f *fileState) Halt(ctx context.Context, older, mark []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	lock, err := durable.AwaitLock(ctx, durable.OS{}, f.path+haltLock)
	if err != nil {
		return err
	}
	defer lock.Close() //nolint:errcheck // nothing was written to it
	there, err := f.mark()
	if err != nil {
		return err
	}
	if (there == nil) != (older == nil) || !bytes.Equal(there, older) {
		return errOtherMark
	}
	return durable.WriteFile(durable.OS{}, f.path+haltSuffix, mark)
}

func (f *fileState) Halted(context.Context) ([]byte, error) { return f.mark() }

func (f *fileState) Resume(ctx context.Context, mark, older, newer []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	lock, err := durable.AwaitLock(ctx, durable.OS{}, f.path+haltLock)
	if err != nil {
		return err
	}
	defer lock.Close() //nolint:errcheck // nothing was written to it
	there, err := f.mark()
	if err != nil {
		return err
	}
	if there == nil || !bytes.Equal(there, mark) {
		return errOtherMark
	}
	if err := f.replace(older, newer); err != nil {
		return err
	}
	if err := (durable.OS{}).Remove(f.path + haltSuffix); err != nil {
		return err
	}
	return durable.OS{}.SyncDir(filepath.Dir(f.path))
}

// A fenced state is the state as the Guard of one term swaps it. What the candidate signed itself it remembers in a file
// of its own, too: a state that was restored from a backup is found out.
type fenced struct {
	publisher *Publisher
	term      uint64
}

func (f *fenced) Swap(older, newer *translog.Checkpoint) error {
	ctx, cancel := context.WithTimeout(context.Background(), f.publisher.cfg.Timeout)
	defer cancel()
	if err := f.publisher.state.Swap(ctx, f.term, older.Note(), newer.Note()); err != nil {
		return fmt.Errorf("trillianlog: state: %w", err)
	}
	return f.publisher.remember(newer)
}
