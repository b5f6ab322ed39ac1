package tesseralog

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"sync"
	"time"

	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/storage/posix"
	"k8s.io/klog/v2"

	"github.com/touchmark-dev/touchmark/translog"
)

// How Tessera gathers entries. One batch of ours goes in at a time and should
// become one batch of Tessera's, whose queue flushes when batchEntries are there
// or batchAge after the first. Adding takes up to a microsecond an entry: larger
// batches would be cut in two by their age whenever the machine is busy, and a
// longer age would be added to every append that fills no batch.
//
// It must not become two of Tessera's: a flush by age hands its entries over after
// it has let go of the queue's lock, so that the next one can overtake it, and the
// order is lost. So nothing is added later than addingTime after the first.
const (
	batchEntries = 512
	batchAge     = time.Millisecond
	addingTime   = batchAge * 3 / 4
)

// start starts the engine and judges what it finds in the directory.
func (l *Log) start(ctx context.Context, c *Config) (err error) {
	silenceKlog()
	// Not ctx: Tessera's queue stops with its context and then never resolves
	// the futures of what is in it.
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer func() {
		if err != nil {
			stop()
		}
	}()
	driver, err := posix.New(background, posix.Config{Path: c.Dir})
	if err != nil {
		return fmt.Errorf("tesseralog: %w", err)
	}
	if l.guard.Trusted().Size() == 0 {
		// A new directory gets its first checkpoint within NewAppender. Any other
		// is judged first: its tree would become the trusted one.
		if _, err := l.client.Checkpoint(ctx); errors.Is(err, fs.ErrNotExist) {
			l.guard.AllowFirst()
		}
	}
	engine, shutdown, reader, err := tessera.NewAppender(background, driver, tessera.NewAppendOptions().
		WithCheckpointSigner(l.guard).
		WithBatching(batchEntries, batchAge).
		WithCheckpointInterval(c.CheckpointInterval).
		WithGarbageCollectionInterval(c.CollectInterval))
	if err != nil {
		return fmt.Errorf("tesseralog: %w", err)
	}
	l.reader, l.shutdown, l.stop = reader, shutdown, stop
	size, err := l.admit(ctx)
	if err != nil {
		l.guard.Dismiss()
		return err
	}
	l.watch = newWatcher(l.client.Checkpoint, l.guard.Verdict, c.CheckpointInterval)
	l.appender = newAppender(engine, l.integratedSize, size)
	go l.watch.run(background)
	go stayPresent(background, c.Dir, c.CheckpointInterval)
	go l.appender.run()
	return nil
}

// admit judges the directory: the tree in its tiles must continue the trusted
// checkpoint, and what is published must not be ahead of it.
func (l *Log) admit(ctx context.Context) (size uint64, err error) {
	if size, err = l.integratedSize(ctx); err != nil {
		return 0, err
	}
	trusted := l.guard.Trusted()
	tree := translog.Tree{Size: size}
	if size >= trusted.Size() { // else the roll-back is plain, and tiles may be missing
		if tree.Root, err = l.client.Root(ctx, size); err != nil {
			return 0, err
		}
	}
	if err := l.guard.Judge(tree); err != nil {
		return 0, err
	}
	if err := l.judgePublished(ctx, tree); err != nil {
		return 0, err
	}
	return size, l.guard.Admit(tree) // last: from here on Tessera replaces what is published
}

// judgePublished judges what readers see, beside the tree in the tiles.
func (l *Log) judgePublished(ctx context.Context, tree translog.Tree) error {
	trusted := l.guard.Trusted()
	published, err := l.client.Checkpoint(ctx)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil // Create was interrupted; Tessera publishes soon
	case err != nil:
		return err
	case published.Size() > trusted.Size():
		return &translog.RejectedError{
			Code:       translog.CodeRolledBack,
			Reason:     fmt.Sprintf("the directory has published %d entries, the state knows of %d", published.Size(), trusted.Size()),
			Older:      published.Note(),
			Checkpoint: trusted.Note(),
		}
	case published.Size() == trusted.Size() && published.Root() != trusted.Root():
		return &translog.RejectedError{
			Code:       translog.CodeForked,
			Reason:     fmt.Sprintf("the directory has published another tree of %d entries", published.Size()),
			Older:      trusted.Note(),
			Checkpoint: published.Note(),
		}
	case 0 < published.Size() && published.Size() < trusted.Size():
		return l.continues(ctx, published, tree)
	}
	return nil
}

// continues checks that the tree in the tiles begins with the published one too,
// which is older than the trusted one after a crash. If it does not, the key
// signed two histories, and this checkpoint, which the next one would replace,
// shows it.
func (l *Log) continues(ctx context.Context, published *translog.Checkpoint, tree translog.Tree) error {
	hashes, err := l.client.ConsistencyHashes(ctx, published.Size(), tree.Size)
	if err != nil {
		return err
	}
	err = translog.CheckConsistency(published.Tree(), tree, hashes)
	var rejected *translog.RejectedError
	if errors.As(err, &rejected) {
		rejected.Older, rejected.Checkpoint = published.Note(), l.guard.Trusted().Note()
	}
	return err
}

func (l *Log) integratedSize(ctx context.Context) (uint64, error) {
	size, err := l.reader.IntegratedSize(ctx)
	if err != nil {
		return 0, fmt.Errorf("tesseralog: size: %w", err)
	}
	if size > translog.MaxTreeSize {
		return 0, fmt.Errorf("tesseralog: the engine claims %d entries", size)
	}
	return size, nil
}

// silenceKlog keeps Tessera off the standard error. klog offers no other way
// than its global flags; setting them is safe beside running goroutines.
var silenceKlog = sync.OnceFunc(func() {
	flags := flag.NewFlagSet("klog", flag.PanicOnError)
	klog.InitFlags(flags)
	for name, value := range map[string]string{"logtostderr": "false", "alsologtostderr": "false", "stderrthreshold": "FATAL"} {
		if err := flags.Set(name, value); err != nil {
			panic("tesseralog: internal error: klog: " + err.Error())
		}
	}
	klog.SetOutput(io.Discard)
})
