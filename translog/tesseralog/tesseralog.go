// Package tesseralog keeps a transparency log in a directory, with Tessera's
// tiles. It is the embedded engine: one process, one writer, no server.
//
// Make the log once with [Create], then [Open] it at each start. Feed it from
// one place in large batches with [Log.Append]; hand out proofs with
// [Log.Prove] once [Log.AwaitPublished] has returned the checkpoint. Serve
// Config.Dir to readers with tlogclient.Handler.
//
// # What it signs
//
// The log signs no checkpoint that is inconsistent with the last one it signed.
// That one is kept at [Config.StatePath], outside the directory, and replaced,
// durably and only if nobody else did, before a signature leaves the package.
// A directory restored from a backup is therefore refused and not signed as a
// fork: the error is a translog.RejectedError with CodeRolledBack or CodeForked.
// If the state file is lost, put the newest checkpoint there that a reader, a
// witness or a receipt still holds; nothing else says what was promised.
//
// # What it relies on
//
// Each append is written with O_SYNC and renamed into place by Tessera before it
// returns; a process or a machine that stops at any point leaves the entries
// acknowledged so far, and perhaps some that were not. The directory must not
// disappear under an open log: Tessera then panics in a goroutine of its own,
// which ends the process.
//
// Tessera logs through klog, which is global. The first Create or Open of a
// process silences klog; a program that wants to hear it can set it up after.
package tesseralog

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/transparency-dev/tessera"

	"github.com/touchmark-dev/touchmark/internal/durable"
	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/internal/signing"
	"github.com/touchmark-dev/touchmark/translog/tlogclient"
)

// Config describes a log. Dir, StatePath and Signer are needed; the zero value
// of every other field is its default.
type Config struct {
	// Dir is the directory of tiles, served to readers. One Log at a time may
	// have it open.
	Dir string
	// StatePath is the file that keeps the last checkpoint signed. It must lie
	// outside Dir, and outside what is backed up and restored together with it.
	StatePath string
	// Signer signs the checkpoints; its name is the log's origin.
	Signer *translog.Signer
	// CheckpointInterval is the time between two checkpoints, 1 s by default,
	// at least 100 ms.
	CheckpointInterval time.Duration
	// CollectInterval is the time between two removals of partial tiles that
	// full ones replaced, 2 s by default, from 1 s to 5 s. Each removal clears
	// the partial tiles of up to 25,600 entries.
	CollectInterval time.Duration
}

// The bounds of a Config.
const (
	defaultCheckpointInterval = time.Second
	minCheckpointInterval     = 100 * time.Millisecond
	defaultCollectInterval    = 2 * time.Second
	minCollectInterval        = time.Second
	maxCollectInterval        = 5 * time.Second
)

// ErrClosed is the error of calls to a closed log.
var ErrClosed = errors.New("tesseralog: the log is closed")

// A Log is an open log. It is safe for concurrent use.
type Log struct {
	dir      string
	policy   *translog.Policy
	guard    *signing.Guard
	client   *tlogclient.Client
	reader   tessera.LogReader
	appender *appender
	watch    *watcher

	closeOnce sync.Once
	closeErr  error
	shutdown  func(context.Context) error // of Tessera: waits for the checkpoint
	stop      context.CancelFunc          // of all goroutines
	unlock    func()
}

var _ translog.Appender = (*Log)(nil)

// checked returns cfg with defaults, or says what is wrong with it.
func checked(cfg *Config) (*Config, error) {
	c := *cfg
	if c.Dir == "" || c.StatePath == "" || c.Signer == nil {
		return nil, errors.New("tesseralog: Dir, StatePath and Signer are needed")
	}
	if c.CheckpointInterval == 0 {
		c.CheckpointInterval = defaultCheckpointInterval
	}
	if c.CheckpointInterval < minCheckpointInterval {
		return nil, fmt.Errorf("tesseralog: CheckpointInterval %v is under %v", c.CheckpointInterval, minCheckpointInterval)
	}
	if c.CollectInterval == 0 {
		c.CollectInterval = defaultCollectInterval
	}
	if c.CollectInterval < minCollectInterval || c.CollectInterval > maxCollectInterval {
		return nil, fmt.Errorf("tesseralog: CollectInterval %v is not from %v to %v", c.CollectInterval, minCollectInterval, maxCollectInterval)
	}
	for _, path := range []*string{&c.Dir, &c.StatePath} {
		abs, err := filepath.Abs(*path)
		if err != nil {
			return nil, fmt.Errorf("tesseralog: %w", err)
		}
		*path = abs
	}
	if inside(c.Dir, c.StatePath) {
		return nil, fmt.Errorf("tesseralog: StatePath %q lies in Dir %q and would be restored with it", c.StatePath, c.Dir)
	}
	return &c, nil
}

// inside reports whether path is dir or below it, links resolved where they can be.
func inside(dir, path string) bool {
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	if real, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
		path = filepath.Join(real, filepath.Base(path))
	}
	return path == dir || strings.HasPrefix(path, dir+string(filepath.Separator))
}

// Create makes a new, empty log. It refuses when anything is in Dir or a
// checkpoint at StatePath: a log is begun once, and a lost directory is not a
// new log. A Create that was interrupted can be repeated.
func Create(ctx context.Context, cfg *Config) error {
	c, err := checked(cfg)
	if err != nil {
		return err
	}
	for _, dir := range []string{c.Dir, filepath.Dir(c.StatePath)} {
		if err := durable.MkdirAll(durable.OS{}, dir); err != nil {
			return fmt.Errorf("tesseralog: %w", err)
		}
	}
	l, err := openLocked(ctx, c, begin)
	if err != nil {
		return err
	}
	_, err = l.watch.await(ctx, 0)
	return errors.Join(err, l.Close(ctx))
}

// Open opens the log that [Create] made. It refuses a directory that another
// Log holds, in this process or another, and one that does not continue the
// last checkpoint signed.
func Open(ctx context.Context, cfg *Config) (*Log, error) {
	c, err := checked(cfg)
	if err != nil {
		return nil, err
	}
	// Before the lock, which makes a file: none in a directory that is not a log's.
	if _, err := os.Stat(c.StatePath); err != nil {
		return nil, fmt.Errorf("tesseralog: no trusted checkpoint (Create begins a log): %w", err)
	}
	policy, err := signing.Policy(c.Signer)
	if err != nil {
		return nil, err
	}
	if _, err := resume(c, policy); err != nil {
		return nil, err
	}
	return openLocked(ctx, c, resume)
}

// openLocked takes the locks, finds the trusted checkpoint and starts the engine.
func openLocked(ctx context.Context, c *Config, first func(*Config, *translog.Policy) (*translog.Checkpoint, error)) (_ *Log, err error) {
	policy, err := signing.Policy(c.Signer)
	if err != nil {
		return nil, err
	}
	unlock, err := lockBoth(c)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			unlock()
		}
	}()
	trusted, err := first(c, policy)
	if err != nil {
		return nil, err
	}
	client := tlogclient.New(tlogclient.Dir(c.Dir), policy)
	g, err := signing.New(c.Signer, signing.File(c.StatePath), client, trusted)
	if err != nil {
		return nil, err
	}
	l := &Log{dir: c.Dir, policy: policy, guard: g, client: client, unlock: unlock}
	if err := l.start(ctx, c); err != nil {
		return nil, err
	}
	return l, nil
}

// lockBoth keeps every other Log away from the directory and from the state.
func lockBoth(c *Config) (unlock func(), err error) {
	state, err := durable.OS{}.Lock(c.StatePath + ".lock")
	if err != nil {
		return nil, fmt.Errorf("tesseralog: state: %w", err)
	}
	dir, err := durable.OS{}.Lock(filepath.Join(c.Dir, lockName))
	if err != nil {
		state.Close()
		return nil, fmt.Errorf("tesseralog: directory: %w", err)
	}
	return func() {
		dir.Close()
		state.Close()
	}, nil
}
