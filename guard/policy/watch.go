package policy

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/guard"
)

// A WatchConfig says which file a [Watcher] follows, and who hears of it.
type WatchConfig struct {
	Path   string
	Policy Config

	// Evidence keeps a record of the policy it begins with, and of each change before it takes effect. Required: without
	// a record nothing changes.
	Evidence guard.Recorder

	// Shadow and BearerUnsafe are those of the guard, for the record.
	Shadow, BearerUnsafe bool

	// Interval is the time between two looks at the file. 0 means 2 seconds.
	Interval time.Duration

	// Changed hears of a policy that took effect, and Rejected why one did not: once for each content of the file.
	// Nil hears nothing.
	Changed  func(from, to *Policy)
	Rejected func(error)
}

const defaultInterval = 2 * time.Second

// A Watcher is a policy whose file may change. A file that is no policy, or whose change cannot be recorded, leaves
// the policy that was in force. It implements [guard.Policy], [guard.Versioned] and [guard.DiscoveryPolicy]. Make
// it with [Watch].
type Watcher struct {
	cfg     WatchConfig
	current atomic.Pointer[Policy]

	mu    sync.Mutex
	taken [sha256.Size]byte // digest of the content that is in force, or was rejected
	seen  [sha256.Size]byte // digest at the last look
}

var (
	_ guard.Policy          = (*Watcher)(nil)
	_ guard.Versioned       = (*Watcher)(nil)
	_ guard.DiscoveryPolicy = (*Watcher)(nil)
	_ guard.Constrainer     = (*Watcher)(nil)
)

// Watch reads the file for the first time, which must succeed, and records with what it begins: a change without a policy
// before. It follows the file only while [Watcher.Run] runs.
func Watch(cfg *WatchConfig) (*Watcher, error) {
	if cfg.Evidence == nil {
		return nil, errors.New("policy: WatchConfig has no Evidence: no record, no change")
	}
	w := &Watcher{cfg: *cfg}
	if w.cfg.Interval <= 0 {
		w.cfg.Interval = defaultInterval
	}
	text, err := w.read()
	if err != nil {
		return nil, err
	}
	p, err := w.cfg.Policy.Parse(text)
	if err != nil {
		return nil, err
	}
	if err := w.record(context.Background(), &evidence.Change{PolicyVersion: p.Version()}); err != nil {
		return nil, err
	}
	w.current.Store(p)
	w.taken = sha256.Sum256(text)
	w.seen = w.taken
	return w, nil
}

// Policy returns the policy that is in force.
func (w *Watcher) Policy() *Policy { return w.current.Load() }

// Decide implements [guard.Policy]: one decision is made by one policy.
func (w *Watcher) Decide(ctx context.Context, in *guard.Input) (guard.Decision, error) {
	return w.current.Load().Decide(ctx, in)
}

// Final implements [guard.FinalPolicy].
func (w *Watcher) Final(in *guard.Input) bool { return w.current.Load().Final(in) }

// Version returns the digest of the policy that is in force.
func (w *Watcher) Version() string { return w.current.Load().Version() }

// RequireDiscoveryProof is that of the policy that is in force.
func (w *Watcher) RequireDiscoveryProof() bool { return w.current.Load().RequireDiscoveryProof() }

// Constraints implements [guard.Constrainer]: all that the file may come to ask for.
func (w *Watcher) Constraints() []string { return slices.Sorted(slices.Values(w.cfg.Policy.Enforces)) }

// Run looks at the file until ctx ends. A content takes effect when it was the same at two looks: a file that is
// being written may be a policy already, with rules missing. A value from signals, which may be nil, is for a file
// that is complete.
func (w *Watcher) Run(ctx context.Context, signals <-chan os.Signal) {
	ticker := time.NewTicker(w.cfg.Interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			_ = w.look(ctx, true) // Rejected heard of it
		case _, open := <-signals:
			if !open {
				signals = nil
				continue
			}
			_ = w.look(ctx, false)
		}
	}
}

// Reload reads the file now, and returns why its content did not take effect.
func (w *Watcher) Reload(ctx context.Context) error { return w.look(ctx, false) }

// look takes what the file has, if it is new. When patient, it waits until the file keeps still.
func (w *Watcher) look(ctx context.Context, patient bool) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	text, err := w.read()
	if err != nil {
		text = []byte(err.Error()) // a file that is gone is reported once, too
	}
	sum := sha256.Sum256(text)
	still := sum == w.seen
	w.seen = sum
	if sum == w.taken && (patient || err == nil) || patient && !still {
		return nil
	}
	w.taken = sum
	if err == nil {
		err = w.take(ctx, text)
	}
	if err != nil && w.cfg.Rejected != nil {
		w.cfg.Rejected(err)
	}
	return err
}

// take puts a policy in force, after the record that says so.
func (w *Watcher) take(ctx context.Context, text []byte) error {
	next, err := w.cfg.Policy.Parse(text)
	if err != nil {
		return err
	}
	last := w.current.Load()
	if next.Version() == last.Version() {
		return nil
	}
	err = w.record(context.WithoutCancel(ctx), &evidence.Change{PolicyVersion: next.Version(), PreviousPolicyVersion: last.Version()})
	if err != nil {
		w.taken = [sha256.Size]byte{} // once evidence can be kept again, the file is looked at anew
		return err
	}
	w.current.Store(next)
	if w.cfg.Changed != nil {
		w.cfg.Changed(last, next)
	}
	return nil
}

// record keeps that a policy is in force from here on.
func (w *Watcher) record(ctx context.Context, c *evidence.Change) error {
	c.Subject, c.Shadow, c.BearerUnsafe = evidence.ChangePolicy, w.cfg.Shadow, w.cfg.BearerUnsafe
	ack, err := w.cfg.Evidence.Record(ctx, &evidence.Draft{Change: c})
	switch {
	case err != nil:
		return fmt.Errorf("policy: the change could not be recorded, and has no effect: %w", err)
	case ack == nil || ack.ID == "":
		return errors.New("policy: the change was not acknowledged, and has no effect")
	}
	return nil
}

func (w *Watcher) read() ([]byte, error) {
	f, err := os.Open(w.cfg.Path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, MaxBytes+1))
}
