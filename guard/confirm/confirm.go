package confirm

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/tlogclient"
)

// urgeLooks is how many looks there are between two calls of Urge.
const urgeLooks = 5

// DefaultInterval is the time between two looks at a log while somebody waits for it.
const DefaultInterval = 50 * time.Millisecond

// A Config says which log is waited for, and whom to trust about it. Log and Policy are required.
type Config struct {
	// Log is where the ledger's log is read.
	Log tlogclient.Source

	// Index says where a record is, when the log has it: in a log that others append to as well. evidence.Ledger.LogIndex
	// knows. Nothing is believed of it: the record is proven to be there. Nil is for the log of one ledger alone, where
	// the sequence number is the index.
	Index func(ctx context.Context, ack *evidence.Ack) (uint64, error)

	// Policy has the log's key, and for [Cosigned] its witnesses and their quorum.
	Policy *translog.Policy

	// Interval is the time between two looks while somebody waits. 0 means DefaultInterval.
	Interval time.Duration

	// Urge, if not nil, is called by [Cosigned] when the log has signed what somebody waits for, and no quorum has cosigned
	// it: again and again, some times a second. It must not block.
	Urge func()
}

// A Waiter waits for a log. It is a [guard.Confirmer]; make it with [Included] or [Cosigned]. It looks at the log only
// while somebody waits, and once for all who do.
type Waiter struct {
	cfg    Config
	client *tlogclient.Client
	own    *tlogclient.Client // what the log alone has signed; nil if nobody is to be urged

	mu      sync.Mutex
	waiting int
	stop    context.CancelFunc   // of the looks; nil while nobody waits
	seen    *translog.Checkpoint // the largest
	err     error                // of the last look
	changed chan struct{}        // closed at the next look that sees more
}

var _ guard.Confirmer = (*Waiter)(nil)

// Included waits for checkpoints that the log has signed. Witnesses in the policy are not asked for.
func Included(cfg *Config) (*Waiter, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	return newWaiter(cfg, cfg.Policy.LogsOnly()), nil
}

// Cosigned waits for checkpoints that a quorum of witnesses has cosigned. It refuses a policy that asks for none.
func Cosigned(cfg *Config) (*Waiter, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if !cfg.Policy.NeedsWitnesses() {
		return nil, errors.New("confirm: the policy asks for no witness: its quorum is none")
	}
	w := newWaiter(cfg, cfg.Policy)
	if cfg.Urge != nil {
		w.own = tlogclient.New(cfg.Log, cfg.Policy.LogsOnly())
	}
	return w, nil
}

func (c *Config) check() error {
	switch {
	case c == nil || c.Log == nil || c.Policy == nil:
		return errors.New("confirm: Config needs a Log and a Policy")
	case c.Interval < 0:
		return errors.New("confirm: Interval is not below 0; leave it 0 for the default")
	}
	return nil
}

func newWaiter(cfg *Config, policy *translog.Policy) *Waiter {
	w := &Waiter{cfg: *cfg, client: tlogclient.New(cfg.Log, policy), changed: make(chan struct{})}
	if w.cfg.Interval == 0 {
		w.cfg.Interval = DefaultInterval
	}
	return w
}

// Confirm implements [guard.Confirmer]: it returns nil when the record is proven to be in the tree of a checkpoint. It
// gives up when ctx ends, and at once when the log has another entry in the place of the record.
func (w *Waiter) Confirm(ctx context.Context, ack *evidence.Ack) error {
	index := ack.Sequence
	if w.cfg.Index != nil {
		var err error
		if index, err = w.cfg.Index(ctx, ack); err != nil {
			return err
		}
	}
	defer w.leave()
	w.enter()
	for {
		cp, changed, _ := w.latest()
		if cp != nil && cp.Size() > index {
			_, err := w.client.Prove(ctx, cp, index, [32]byte(ack.LeafHash))
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			_, _, err := w.latest()
			return errors.Join(context.Cause(ctx), err)
		}
	}
}

// latest returns what is known, and what is closed when more is.
func (w *Waiter) latest() (*translog.Checkpoint, <-chan struct{}, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seen, w.changed, w.err
}

// enter begins the looks with the first who waits, and leave ends them with the last.
func (w *Waiter) enter() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.waiting++; w.stop == nil {
		ctx, cancel := context.WithCancel(context.Background())
		w.stop = cancel
		go w.look(ctx)
	}
}

func (w *Waiter) leave() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.waiting--; w.waiting == 0 {
		w.stop()
		w.stop = nil
	}
}

// look looks until ctx ends.
func (w *Waiter) look(ctx context.Context) {
	tick := time.NewTicker(w.cfg.Interval)
	defer tick.Stop()
	for lacking := 0; ; {
		lacking = w.once(ctx, lacking)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// once looks once, and returns how many looks there were since cosignatures began to lack; of some of them, Urge is told.
// A source that panics has shown nothing, and an Urge that does is not called as often.
func (w *Waiter) once(ctx context.Context, lacked int) (lacking int) {
	defer func() {
		if p := recover(); p != nil {
			w.saw(nil, fmt.Errorf("confirm: panic: %v", p))
		}
	}()
	w.saw(w.client.Checkpoint(ctx))
	if w.own == nil {
		return 0
	}
	cp, err := w.own.Checkpoint(ctx)
	seen, _, _ := w.latest()
	if err != nil || seen != nil && cp.Size() <= seen.Size() {
		return 0
	}
	if lacking = lacked + 1; lacking%urgeLooks == 1 {
		w.cfg.Urge()
	}
	return lacking
}

// saw keeps the largest checkpoint.
func (w *Waiter) saw(cp *translog.Checkpoint, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err = err; err != nil || w.seen != nil && cp.Size() <= w.seen.Size() {
		return
	}
	w.seen = cp
	close(w.changed)
	w.changed = make(chan struct{})
}
