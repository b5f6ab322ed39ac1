package client

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/touchmark-dev/touchmark/internal/durable"
)

// Run keeps the badge until ctx ends, which is no error, or the authority
// refuses for good: a [*StoppedError] with the [*RefusedError] in it. The last
// badge is handed out until it expires all the same. Run fails at once when
// File is another Keeper's, and when it was called before.
func (k *Keeper) Run(ctx context.Context) error {
	if err := k.start(); err != nil {
		return err
	}
	unlock, err := lockFile(k.cfg.File)
	if err == nil {
		err = k.keep(ctx)
		unlock()
	}
	k.end(ctx, err)
	return err
}

func (k *Keeper) start() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.started {
		return errors.New("badge/client: Keeper.Run is called once")
	}
	k.started = true
	return nil
}

func (k *Keeper) end(ctx context.Context, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.stopped = err; err == nil {
		k.stopped = &StoppedError{ctx.Err()}
	}
	close(k.changed) // for good: changed is not waited for any more
}

func (k *Keeper) keep(ctx context.Context) error {
	for ctx.Err() == nil {
		err := k.round(ctx)
		if ctx.Err() != nil {
			break
		}
		var refused *RefusedError
		if errors.As(err, &refused) && refused.Permanent() {
			return &StoppedError{refused}
		}
		if !k.pause(ctx, err) {
			break
		}
	}
	return nil
}

// pause waits for the next round.
func (k *Keeper) pause(ctx context.Context, err error) bool {
	if err == nil {
		k.pace.failures = 0
		return k.pace.wait(ctx, k.renew.Sub(k.cfg.Time()), k.wake)
	}
	wait := k.pace.next(err)
	k.mu.Lock()
	k.last = err
	k.mu.Unlock()
	if k.cfg.OnError != nil {
		k.cfg.OnError(err, wait)
	}
	return k.pace.wait(ctx, wait, nil)
}

// round gets a badge if one is due, and writes it.
func (k *Keeper) round(ctx context.Context) error {
	if now := k.cfg.Time(); k.unsaved == nil || !now.Before(k.renew) {
		b, err := k.request(ctx)
		if err != nil {
			return err
		}
		if !b.Valid(k.cfg.Time().Add(ExpiryMargin)) {
			return fmt.Errorf("badge/client: badge %s is as good as over when it comes: set the clock", b.ID)
		}
		k.publish(b, now)
	}
	if k.cfg.File == "" {
		k.unsaved = nil
		return nil
	}
	if err := durable.WriteFile(durable.OS{}, k.cfg.File, []byte(k.unsaved.token+"\n")); err != nil {
		return fmt.Errorf("badge/client: the badge could not be written to its file: %w", err)
	}
	k.unsaved = nil
	return nil
}

// publish has a new badge handed out.
func (k *Keeper) publish(b *Issued, now time.Time) {
	life := b.ExpiresAt.Sub(b.IssuedAt)
	// From when it was asked for, by this clock.
	k.renew, k.unsaved = now.Add(k.pace.spread(life/2, life*3/4)), b
	k.mu.Lock()
	k.badge, k.last = b, nil
	close(k.changed)
	k.changed = make(chan struct{})
	select {
	case <-k.wake: // it was about the badge before
	default:
	}
	k.mu.Unlock()
	if k.cfg.OnBadge != nil {
		k.cfg.OnBadge(b)
	}
}

// lockFile makes this the one writer of a file. No name has no writers.
func lockFile(name string) (unlock func(), err error) {
	if name == "" {
		return func() {}, nil
	}
	lock, err := durable.OS{}.Lock(filepath.Clean(name) + ".lock")
	if err != nil {
		return nil, fmt.Errorf("badge/client: file %q: %w", name, err)
	}
	return func() { _ = lock.Close() }, nil
}
