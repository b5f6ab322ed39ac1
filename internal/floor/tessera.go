package floor

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/storage/posix"
	"golang.org/x/mod/sumdb/note"
)

// A TesseraFeeder is the least that feeding a Tessera log on a disk takes: add
// a batch, wait for every future, add the next. It checks nothing, guards
// nothing, and its batches flush by count, so that none waits for its age.
type TesseraFeeder struct {
	appender *tessera.Appender
	stop     context.CancelFunc
}

// NewTesseraFeeder makes a new log in dir whose batches have this many entries,
// with the intervals of tesseralog's defaults.
func NewTesseraFeeder(dir string, batch int) (*TesseraFeeder, error) {
	skey, _, err := note.GenerateKey(rand.Reader, "floor.invalid/tessera")
	if err != nil {
		return nil, err
	}
	signer, err := note.NewSigner(skey)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	driver, err := posix.New(ctx, posix.Config{Path: dir})
	if err != nil {
		stop()
		return nil, err
	}
	appender, _, _, err := tessera.NewAppender(ctx, driver, tessera.NewAppendOptions().
		WithCheckpointSigner(signer).
		WithBatching(uint(batch), time.Second).
		WithCheckpointInterval(time.Second).
		WithGarbageCollectionInterval(2*time.Second))
	if err != nil {
		stop()
		return nil, err
	}
	return &TesseraFeeder{appender: appender, stop: stop}, nil
}

// Feed adds one batch and returns when all of it is durable.
func (f *TesseraFeeder) Feed(entries [][]byte) error {
	futures := make([]tessera.IndexFuture, len(entries))
	for i, e := range entries {
		futures[i] = f.appender.Add(context.Background(), tessera.NewEntry(e))
	}
	for _, future := range futures {
		if _, err := future(); err != nil {
			return fmt.Errorf("floor: %w", err)
		}
	}
	return nil
}

// Close stops the log's goroutines.
func (f *TesseraFeeder) Close() { f.stop() }
