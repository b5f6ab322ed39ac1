// Package tesseralog keeps a transparency log in a directory, with Tessera's
// tiles. It is the embedded engine: one process, one writer, no server.
//
// Make the log once with [Create], then [Open] it at each start. Feed it from
// one place in large batches with [Log.Append]; hand out proofs with
// [Log.Prove] once [Log.AwaitPublished] has returned the checkpoint.
//
// The log signs no checkpoint that is inconsistent with the last one it signed.
// That one is kept at [Config.StatePath], outside the directory, so that a
// directory restored from a backup is refused instead of signed as a fork.
package tesseralog

import (
	"context"
	"errors"
	"time"

	"github.com/touchmark-dev/touchmark/translog"
)

// Config describes a log. Dir, StatePath and Signer are needed; the zero value
// of every other field is its default.
type Config struct {
	// Dir is the directory of tiles, served to readers. One process at a time
	// may have it open.
	Dir string
	// StatePath is the file that keeps the last checkpoint signed. It must lie
	// outside Dir and outside what is restored with it.
	StatePath string
	// Signer signs the checkpoints; its name is the log's origin.
	Signer *translog.Signer
	// CheckpointInterval is the time between two checkpoints, 1 s by default,
	// at least 100 ms.
	CheckpointInterval time.Duration
	// CollectInterval is the time between two removals of partial tiles that
	// full ones replaced, 2 s by default, at least 1 s and at most 5 s.
	CollectInterval time.Duration
}

// Create makes a new, empty log. It refuses when anything is in Dir or at
// StatePath: a log is begun once, and a lost directory is not a new log.
func Create(ctx context.Context, cfg *Config) error { return errors.New("tesseralog: not yet") }

// A Log is an open log. It is safe for concurrent use.
type Log struct{}

var _ translog.Appender = (*Log)(nil)

// Open opens the log that [Create] made. It refuses a directory that another
// Log holds, in this process or another, and one that does not continue the
// last checkpoint signed.
func Open(ctx context.Context, cfg *Config) (*Log, error) {
	return nil, errors.New("tesseralog: not yet")
}

// Append implements [translog.Appender]. Concurrent calls are gathered into
// common batches; each call's entries stay together and in order.
func (l *Log) Append(ctx context.Context, entries [][]byte) (uint64, error) {
	return 0, errors.New("tesseralog: not yet")
}

// Size returns the number of entries that are durable in the log, published or not.
func (l *Log) Size(ctx context.Context) (uint64, error) {
	return 0, errors.New("tesseralog: not yet")
}

// Entry returns the entry at index, published or not, as the log stores it.
func (l *Log) Entry(ctx context.Context, index uint64) ([]byte, error) {
	return nil, errors.New("tesseralog: not yet")
}

// Policy returns the policy that trusts this log's key and asks for no witness.
func (l *Log) Policy() *translog.Policy { return nil }

// Checkpoint returns the last published checkpoint.
func (l *Log) Checkpoint(ctx context.Context) (*translog.Checkpoint, error) {
	return nil, errors.New("tesseralog: not yet")
}

// AwaitPublished waits until a published checkpoint covers the entry at index
// and returns that checkpoint.
func (l *Log) AwaitPublished(ctx context.Context, index uint64) (*translog.Checkpoint, error) {
	return nil, errors.New("tesseralog: not yet")
}

// Prove returns the proof, already verified, that the entry at index is in cp's tree.
func (l *Log) Prove(ctx context.Context, cp *translog.Checkpoint, index uint64) (*translog.Proof, error) {
	return nil, errors.New("tesseralog: not yet")
}

// Consistency returns the proof, already verified, that newer's tree begins with older's.
func (l *Log) Consistency(ctx context.Context, older, newer *translog.Checkpoint) ([][32]byte, error) {
	return nil, errors.New("tesseralog: not yet")
}

// Close waits for appends under way and for the checkpoint that covers them,
// then releases the directory. When ctx ends first the directory is released
// all the same and the error is ctx's.
func (l *Log) Close(ctx context.Context) error { return errors.New("tesseralog: not yet") }
