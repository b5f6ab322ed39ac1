// Package translogtest has a log in memory for tests, and the conformance test
// that every engine passes.
package translogtest

import (
	"context"
	"errors"
	"testing"

	"github.com/touchmark-dev/touchmark/translog"
)

// An Engine is what the conformance test asks of an engine.
type Engine interface {
	translog.Appender
	Size(ctx context.Context) (uint64, error)
	Entry(ctx context.Context, index uint64) ([]byte, error)
	Policy() *translog.Policy
	Checkpoint(ctx context.Context) (*translog.Checkpoint, error)
	AwaitPublished(ctx context.Context, index uint64) (*translog.Checkpoint, error)
	Prove(ctx context.Context, cp *translog.Checkpoint, index uint64) (*translog.Proof, error)
	Consistency(ctx context.Context, older, newer *translog.Checkpoint) ([][32]byte, error)
	Close(ctx context.Context) error
}

// TestEngine runs the conformance test. open returns a new, empty log.
func TestEngine(t *testing.T, open func(t *testing.T) Engine) {}

// A Log is a log in memory that publishes a checkpoint at each append. It is
// safe for concurrent use.
type Log struct{}

var _ Engine = (*Log)(nil)

// NewLog returns an empty log of this origin under a fresh key.
func NewLog(origin string) *Log { return &Log{} }

// BeforeAppend makes f judge each append from now on: its error is returned and
// the log stays as it was. A nil f judges nothing.
func (l *Log) BeforeAppend(f func(first uint64, entries [][]byte) error) {}

// Append implements [translog.Appender].
func (l *Log) Append(ctx context.Context, entries [][]byte) (uint64, error) {
	return 0, errors.New("translogtest: not yet")
}

// Size returns the number of entries.
func (l *Log) Size(ctx context.Context) (uint64, error) {
	return 0, errors.New("translogtest: not yet")
}

// Entry returns the entry at index.
func (l *Log) Entry(ctx context.Context, index uint64) ([]byte, error) {
	return nil, errors.New("translogtest: not yet")
}

// Policy returns the policy that trusts this log's key and asks for no witness.
func (l *Log) Policy() *translog.Policy { return nil }

// Checkpoint returns the checkpoint over all entries.
func (l *Log) Checkpoint(ctx context.Context) (*translog.Checkpoint, error) {
	return nil, errors.New("translogtest: not yet")
}

// AwaitPublished waits until there is an entry at index.
func (l *Log) AwaitPublished(ctx context.Context, index uint64) (*translog.Checkpoint, error) {
	return nil, errors.New("translogtest: not yet")
}

// Prove returns the proof that the entry at index is in cp's tree.
func (l *Log) Prove(ctx context.Context, cp *translog.Checkpoint, index uint64) (*translog.Proof, error) {
	return nil, errors.New("translogtest: not yet")
}

// Consistency returns the proof that newer's tree begins with older's.
func (l *Log) Consistency(ctx context.Context, older, newer *translog.Checkpoint) ([][32]byte, error) {
	return nil, errors.New("translogtest: not yet")
}

// Close does nothing; the log can still be read.
func (l *Log) Close(ctx context.Context) error { return nil }

// Fork returns a second log with the same key and the same entries so far, which
// from here on goes its own way. Tests of monitors and of evidence want one.
func (l *Log) Fork() *Log { return nil }
