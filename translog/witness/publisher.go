package witness

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/touchmark-dev/touchmark/internal/durable"
	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/tlogclient"
)

// DefaultInterval is the time between two rounds of a [Publisher].
const DefaultInterval = 10 * time.Second

// refreshAfter is the age at which cosignatures of a tree that does not grow are
// collected again: they say that witnesses still see nothing else.
const refreshAfter = time.Hour

// A Publisher keeps the cosigned checkpoint of a log beside its own
// (spec/witness.md section 5). Path and the directory of the log belong
// together: Path is the file tlogclient.CosignedName in it.
type Publisher struct {
	Log       tlogclient.Source // of the log
	Policy    *translog.Policy  // of those who read the cosigned checkpoint
	Collector *Collector        // under the same policy
	Path      string
	Interval  time.Duration // zero means DefaultInterval

	// Wanted, if not nil, begins a round of Run at once when something is received
	// from it: somebody waits for cosignatures.
	Wanted <-chan struct{}

	// OnPublish and OnError, if not nil, are told what a round has come to.
	OnPublish func(*translog.Checkpoint)
	OnError   func(error)

	// Time is the clock; nil means time.Now.
	Time func() time.Time
}

// Run publishes until ctx ends, and returns its error.
func (p *Publisher) Run(ctx context.Context) error {
	interval := p.Interval
	if interval <= 0 {
		interval = DefaultInterval
	}
	for tick := time.NewTicker(interval); ; {
		cp, err := p.Publish(ctx)
		switch {
		case ctx.Err() != nil:
		case err != nil && p.OnError != nil:
			p.OnError(err)
		case err == nil && cp != nil && p.OnPublish != nil:
			p.OnPublish(cp)
		}
		select {
		case <-ctx.Done():
			tick.Stop()
			return ctx.Err()
		case <-tick.C:
		case <-p.Wanted:
		}
	}
}

// Publish does one round. The checkpoint is nil when what is published is good
// enough. What does not continue the published checkpoint is never published.
func (p *Publisher) Publish(ctx context.Context) (*translog.Checkpoint, error) {
	raw, err := p.Log.Checkpoint(ctx)
	if err != nil {
		return nil, err
	}
	latest, err := p.Policy.LogsOnly().VerifyCheckpoint(raw)
	if err != nil {
		return nil, err
	}
	published, err := p.published()
	if err != nil {
		return nil, err
	}
	if published != nil {
		if err := p.continues(ctx, published, latest); err != nil {
			return nil, err
		}
		if published.Tree() == latest.Tree() && p.now().Sub(published.CosignedAt()) < refreshAfter {
			return nil, nil //nolint:nilnil // nothing to publish, as documented
		}
	}
	cp, err := p.Collector.Collect(ctx, raw)
	if err != nil {
		return nil, err
	}
	if err := durable.WriteFile(durable.OS{}, p.Path, cp.Note()); err != nil {
		return nil, fmt.Errorf("witness: publish: %w", err)
	}
	if err := os.Chmod(p.Path, 0o644); err != nil { //nolint:gosec // a checkpoint is for everybody
		return nil, fmt.Errorf("witness: publish: %w", err)
	}
	return cp, nil
}

// published returns what is published, nil when nothing is.
func (p *Publisher) published() (*translog.Checkpoint, error) {
	raw, err := durable.ReadFile(durable.OS{}, p.Path, translog.MaxCheckpointBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // as documented
	}
	if err != nil {
		return nil, fmt.Errorf("witness: the published checkpoint: %w", err)
	}
	cp, err := p.Policy.VerifyCheckpoint(raw)
	if translog.CodeOf(err) == translog.CodeWitnessQuorum {
		// The policy asks for more than it did. The log's signature still binds.
		cp, err = p.Policy.LogsOnly().VerifyCheckpoint(raw)
	}
	if err != nil {
		return nil, fmt.Errorf("witness: the published checkpoint %q: %w", p.Path, err)
	}
	return cp, nil
}

func (p *Publisher) continues(ctx context.Context, published, latest *translog.Checkpoint) error {
	if published.Size() == 0 {
		return nil
	}
	_, err := tlogclient.New(p.Log, p.Policy.LogsOnly()).Consistency(ctx, published, latest)
	return err
}

func (p *Publisher) now() time.Time {
	if p.Time == nil {
		return time.Now()
	}
	return p.Time()
}
