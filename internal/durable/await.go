package durable

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// AwaitLock is [FS.Lock] that asks again, until ctx ends, while somebody else
// holds the lock. Its error then wraps [ErrLocked] as well as that of ctx.
func AwaitLock(ctx context.Context, fsys FS, name string) (io.Closer, error) {
	for wait := time.Millisecond; ; wait = min(2*wait, 50*time.Millisecond) {
		l, err := fsys.Lock(name)
		if !errors.Is(err, ErrLocked) {
			return l, err
		}
		pause := time.NewTimer(wait)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return nil, fmt.Errorf("%w: %w", ctx.Err(), err)
		}
	}
}
