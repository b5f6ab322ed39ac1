package trillianlog

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"
	"time"

	"github.com/google/trillian"

	"github.com/touchmark-dev/touchmark/internal/durable"
	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/internal/signing"
	"github.com/touchmark-dev/touchmark/translog/internal/tiles"
	"github.com/touchmark-dev/touchmark/translog/tlogclient"
)

// DefaultLease is how long a publisher that is not heard of stays the one who signs.
const DefaultLease = 15 * time.Second

// A Publisher signs for a log that several append to, and shows it: it makes the tiles of what the database has, and
// signs its tree when that continues the last one signed. Of several for one log, one signs; the others follow it, so
// that each directory can be served, and one of them goes on when it ends.
type Publisher struct {
	cfg    *Config
	state  State
	memory string // file of what this candidate knows to have been signed; empty if that is the state
	id     string // of the candidate
	remote *remote
	policy *translog.Policy
	client *tlogclient.Client
	unlock func() error
	source *entrySource

	// Of Run alone.
	writer *tiles.Writer
	term   uint64
	failed int                  // turns, one after another, of the one who signs
	rests  time.Time            // until then it claims nothing
	guard  *signing.Guard       // nil: follows
	known  *translog.Checkpoint // the last one that this candidate knows to have been signed
	shown  *translog.Checkpoint // nil: none yet

	doubted   bool   // the last entries had another tree
	collected uint64 // entries that there are no partial tiles of, where there are full ones

	mu    sync.Mutex
	stats PublisherStats
}

// CreateShared begins a log that several append to: it signs the empty tree, keeps it in the state, and shows it. The
// tree must be empty. A CreateShared that was interrupted can be repeated.
func CreateShared(ctx context.Context, cfg *Config) error {
	c, err := checked(cfg)
	if err != nil {
		return err
	}
	if err := beginEmpty(ctx, c); err != nil {
		return err
	}
	raw, err := signing.Empty(c.Signer)
	if err != nil {
		return err
	}
	kept, err := c.stateOf().Begin(ctx, raw)
	if err != nil {
		return fmt.Errorf("trillianlog: state: %w", err)
	}
	policy, err := signing.Policy(c.Signer)
	if err != nil {
		return err
	}
	cp, err := policy.VerifyCheckpoint(kept)
	if err != nil {
		return fmt.Errorf("trillianlog: the state is not this log's: %w", err)
	}
	if cp.Size() > 0 {
		return fmt.Errorf("trillianlog: a checkpoint of %d entries was signed already: a lost log is restored, not begun again", cp.Size())
	}
	return durable.WriteFile(durable.OS{}, filepath.Join(c.Dir, checkpoint), kept)
}

// OpenPublisher makes a candidate of this process for signing the log that [CreateShared] began. The directory must be
// its own. It refuses a tree of another type than LOG with a [*KindError]. A state that has lost what this candidate
// knows to have been signed is marked (State.Halt).
func OpenPublisher(ctx context.Context, cfg *Config) (_ *Publisher, err error) {
	c, err := checked(cfg)
	if err != nil {
		return nil, err
	}
	policy, err := signing.Policy(c.Signer)
	if err != nil {
		return nil, err
	}
	p := &Publisher{cfg: c, state: c.stateOf(), id: rand.Text(), policy: policy, client: tlogclient.New(tlogclient.Dir(c.Dir), policy)}
	if c.State != nil {
		p.memory = c.StatePath
	}
	if err := p.lock(); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.release())
		}
	}()
	if p.remote, err = newRemote(c); err != nil {
		return nil, err
	}
	p.source = &entrySource{remote: p.remote, cfg: c}
	if err := p.remote.check(ctx, trillian.TreeType_LOG); err != nil {
		return nil, err
	}
	if err := p.recall(ctx); err != nil {
		return nil, err
	}
	if _, err = p.kept(ctx); halts(err) {
		bounded, cancel := context.WithTimeout(ctx, c.Timeout)
		defer cancel()
		err = errors.Join(err, p.halt(bounded, err))
	}
	return p, err
}

// lock keeps every other publisher away from the directory and from the memory.
func (p *Publisher) lock() error {
	if err := durable.MkdirAll(durable.OS{}, p.cfg.Dir); err != nil {
		return fmt.Errorf("trillianlog: %w", err)
	}
	dir, err := durable.OS{}.Lock(filepath.Join(p.cfg.Dir, lockName))
	if err != nil {
		return fmt.Errorf("trillianlog: directory: %w", err)
	}
	p.unlock = dir.Close
	if p.memory == "" {
		return nil
	}
	memory, err := durable.OS{}.Lock(p.memory + ".lock")
	if err != nil {
		return errors.Join(fmt.Errorf("trillianlog: state: %w", err), dir.Close())
	}
	p.unlock = func() error { return errors.Join(dir.Close(), memory.Close()) }
	return nil
}

func (p *Publisher) release() error {
	if p.remote != nil {
		p.remote.close()
	}
	return p.unlock()
}

// recall finds what this candidate knows to have been signed: the larger of what it remembers and what it shows. The
// tiles of that are in the directory, or made again.
func (p *Publisher) recall(ctx context.Context) error {
	tree := tiles.Empty()
	names := []string{filepath.Join(p.cfg.Dir, checkpoint)}
	if p.memory != "" {
		names = append(names, p.memory)
	}
	for _, name := range names {
		raw, err := durable.ReadFile(durable.OS{}, name, translog.MaxCheckpointBytes)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("trillianlog: %w", err)
		}
		cp, err := p.policy.VerifyCheckpoint(raw)
		if err != nil {
			return fmt.Errorf("trillianlog: %q is not of this log: %w", name, err)
		}
		if p.known == nil || p.known.Size() < cp.Size() {
			p.known, tree = cp, cp.Tree()
		}
	}
	return p.reopen(ctx, tree)
}

// reopen goes on from the tiles of a tree that was signed.
func (p *Publisher) reopen(ctx context.Context, tree translog.Tree) error {
	w, err := tiles.Open(ctx, p.cfg.Dir, tree)
	if errors.Is(err, fs.ErrNotExist) {
		p.cfg.Notice(fmt.Errorf("trillianlog: tiles are missing, and made again: %w", err))
		w, err = tiles.Open(ctx, p.cfg.Dir, tiles.Empty())
	}
	if err == nil {
		p.writer = w
	}
	return err
}

// rewind forgets the tiles of entries that are not known to have been signed: the database may have others by now.
func (p *Publisher) rewind(ctx context.Context) error {
	if p.known == nil {
		return p.reopen(ctx, tiles.Empty())
	}
	return p.reopen(ctx, p.known.Tree())
}

// remember keeps what was signed beside the directory, for the next start.
func (p *Publisher) remember(cp *translog.Checkpoint) error {
	if p.memory != "" {
		if err := durable.WriteFile(durable.OS{}, p.memory, cp.Note()); err != nil {
			return fmt.Errorf("trillianlog: state: %w", err)
		}
	}
	p.known = cp
	return nil
}

// Run publishes until ctx ends, or until the database or the state has something that no honest one can have: then the
// error is a translog.RejectedError, and where what was signed is lost or changed, no publisher of the log signs before an
// operator calls [Resume]. Those that find that out from the state end with [CodeHalted]. The mark has the largest checkpoint
// that any of them knows. It is closed then.
func (p *Publisher) Run(ctx context.Context) error {
	err := p.run(ctx)
	if halts(err) || translog.CodeOf(err) == CodeHalted {
		if failed := p.halt(ctx, err); failed != nil {
			return errors.Join(err, failed, p.release()) // and keeps its term while it lasts
		}
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.cfg.Timeout)
	defer cancel()
	if p.term > 0 {
		err = errors.Join(err, p.state.Release(end, p.term))
	}
	return errors.Join(err, p.release())
}

func (p *Publisher) run(ctx context.Context) error {
	tick := time.NewTicker(p.cfg.CheckpointInterval)
	defer tick.Stop()
	for {
		err := p.halted(ctx, p.step(ctx))
		switch {
		case translog.CodeOf(err) != "":
			return err
		case ctx.Err() != nil:
			return nil
		case err != nil:
			p.cfg.Notice(err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// maxFailed is how many turns of the one who signs may fail one after another, before another one is let sign.
const maxFailed = 3

// step is one turn: as the one who signs, or as one who follows.
func (p *Publisher) step(ctx context.Context) error {
	term, elected, err := p.claim(ctx)
	if err != nil {
		return fmt.Errorf("trillianlog: state: %w", err)
	}
	err = p.turn(ctx, term, elected)
	if !elected || err == nil || translog.CodeOf(err) != "" || errors.Is(err, ErrNotElected) || errors.Is(err, ErrHalted) {
		p.failed = 0
		return err
	}
	if p.failed++; p.failed < maxFailed {
		return err
	}
	return errors.Join(err, p.rest(ctx))
}

// claim asks the state for the term. One that rests learns of a mark all the same.
func (p *Publisher) claim(ctx context.Context) (term uint64, elected bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, p.cfg.Timeout)
	defer cancel()
	if time.Now().Before(p.rests) {
		mark, err := p.state.Halted(ctx)
		if err == nil && mark != nil {
			err = ErrHalted
		}
		return 0, false, err
	}
	return p.state.Claim(ctx, p.id, p.cfg.Lease)
}

// rest hands the term over, and claims none for the time of a lease: another one may have the database, or the room on its disk,
// that this one lacks.
func (p *Publisher) rest(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, p.cfg.Timeout)
	defer cancel()
	if err := p.state.Release(ctx, p.term); err != nil {
		return fmt.Errorf("trillianlog: state: %w", err)
	}
	p.term, p.guard, p.failed, p.rests = 0, nil, 0, time.Now().Add(p.cfg.Lease)
	return fmt.Errorf("trillianlog: %d turns failed: another one may sign, for %v", maxFailed, p.cfg.Lease)
}

// turn is the turn of a step, in the term if it is elected.
func (p *Publisher) turn(ctx context.Context, term uint64, elected bool) error {
	if !elected || term != p.term {
		p.guard = nil // what is signed now is read again
	}
	if !elected {
		term = 0
	}
	p.term = term
	kept, err := p.kept(ctx)
	if err != nil {
		return err
	}
	root, err := p.remote.root(ctx)
	if err != nil {
		return err
	}
	p.count(func(s *PublisherStats) { s.Term, s.Entries, s.Signed = term, root.Size, kept.Size() })
	if root, err = atLeast(ctx, p.cfg, root, kept.Size()); err != nil {
		return err
	}
	if root.Size < kept.Size() { // a replica that lags, or a restored database: either way nobody can sign from it
		return fmt.Errorf("trillianlog: the database has %d entries, and had %d: it is a replica that lags, or was restored, and nothing is signed before it has them", root.Size, kept.Size())
	}
	if had := p.writer.Size(); root.Size < had {
		p.cfg.Notice(fmt.Errorf("trillianlog: the database has %d entries, and had %d: what it lost was not signed, and is to be appended again", root.Size, had))
		if err := p.rewind(ctx); err != nil {
			return err
		}
	}
	if p.guard == nil {
		if err := p.follow(ctx, kept); err != nil || !elected {
			return err
		}
		if p.guard, err = signing.New(p.cfg.Signer, &fenced{publisher: p, term: term}, p.client, kept); err != nil {
			return err
		}
		if err := p.guard.Admit(kept.Tree()); err != nil {
			p.guard = nil
			return err
		}
		p.count(func(s *PublisherStats) { s.Elections++ })
	}
	p.source.grown(ctx, p.writer.Size())
	return p.sign(ctx, root)
}

// kept reads the state, and holds it against what this candidate knows.
func (p *Publisher) kept(ctx context.Context) (*translog.Checkpoint, error) {
	ctx, cancel := context.WithTimeout(ctx, p.cfg.Timeout)
	defer cancel()
	raw, err := p.state.Read(ctx)
	if err != nil {
		return nil, fmt.Errorf("trillianlog: state (CreateShared begins a log): %w", err)
	}
	cp, err := p.policy.VerifyCheckpoint(raw)
	if err != nil {
		return nil, fmt.Errorf("trillianlog: the state is not this log's: %w", err)
	}
	switch known := p.known; {
	case known == nil:
	case cp.Size() < known.Size():
		return nil, p.verdict(translog.CodeRolledBack, known, cp.Tree(), "the state has a checkpoint of %d entries, and one of %d was signed: the state was restored from a backup", cp.Size(), known.Size())
	case cp.Size() == known.Size() && cp.Root() != known.Root():
		return nil, p.verdict(translog.CodeForked, known, cp.Tree(), "the state has another tree of %d entries than was signed", cp.Size())
	}
	return cp, nil
}

// follow makes the tiles of what was signed, and shows it.
func (p *Publisher) follow(ctx context.Context, kept *translog.Checkpoint) error {
	if p.shown != nil && p.shown.Tree() == kept.Tree() {
		return nil
	}
	if p.writer.Size() > kept.Size() { // it was elected, and did not come to sign
		if err := p.rewind(ctx); err != nil {
			return err
		}
	}
	if err := p.extend(ctx, kept.Tree(), kept); err != nil {
		return err
	}
	for _, cp := range []*translog.Checkpoint{p.known, kept} {
		if err := p.holds(ctx, cp); err != nil {
			return err
		}
	}
	if p.known == nil || p.known.Size() < kept.Size() {
		if err := p.remember(kept); err != nil {
			return err
		}
	}
	return p.show(kept)
}

// holds computes the tree of a checkpoint from the tiles.
func (p *Publisher) holds(ctx context.Context, cp *translog.Checkpoint) error {
	if cp == nil {
		return nil
	}
	root, err := p.client.RootWithin(ctx, cp.Size(), p.writer.Size())
	if err == nil && root != cp.Root() {
		return p.verdict(translog.CodeConsistencyInvalid, cp, translog.Tree{Size: cp.Size(), Root: root}, "the first %d entries of the database have another root than was signed", cp.Size())
	}
	return err
}

// sign makes the tiles of what is new in the database, and signs and shows its tree.
func (p *Publisher) sign(ctx context.Context, root translog.Tree) error {
	trusted := p.guard.Trusted()
	if err := p.extend(ctx, root, trusted); err != nil {
		return err
	}
	if root == trusted.Tree() {
		return p.show(trusted)
	}
	cp, err := p.guard.SignTree(root)
	if err != nil {
		p.guard = nil // the state is read again: it may hold either
		p.count(func(s *PublisherStats) { s.Lost++ })
		return err
	}
	return p.show(cp)
}

// extend makes the tiles of a tree. Where the entries have another one, the tiles of those that are not known to have been
// signed are made again in the next turn, before it is a verdict: the database may have lost them, just now or before.
func (p *Publisher) extend(ctx context.Context, tree translog.Tree, signed *translog.Checkpoint) error {
	err := extend(ctx, p.writer, tree, p.source.read, func(code translog.Code, tree translog.Tree, format string, args ...any) error {
		return p.verdict(code, signed, tree, format, args...)
	})
	if translog.CodeOf(err) == translog.CodeConsistencyInvalid && !p.doubted {
		p.doubted = true
		return errors.Join(fmt.Errorf("trillianlog: the tiles are made again: %v", err), p.rewind(ctx)) //nolint:errorlint // no verdict yet
	}
	p.doubted = p.doubted && err != nil
	return err
}

// show makes a checkpoint the one that readers of the directory see, and removes the partial tiles that there are full ones
// of for them.
func (p *Publisher) show(cp *translog.Checkpoint) error {
	if p.shown != nil && p.shown.Size() >= cp.Size() {
		return nil
	}
	if err := durable.WriteFile(durable.OS{}, filepath.Join(p.cfg.Dir, checkpoint), cp.Note()); err != nil {
		return fmt.Errorf("trillianlog: %w", err)
	}
	p.shown = cp
	now := time.Now()
	p.count(func(s *PublisherStats) { s.Shown, s.ShownAt = cp.Size(), now })
	from := p.collected // 0 at first, for what another run left
	to := min(cp.Size(), from+maxCollected)
	if err := collect(p.writer, from, to); err != nil {
		p.cfg.Notice(err) // and tried again
		return nil
	}
	p.collected = to
	return nil
}

// verdict is a refusal about a tree of the database or of the state.
func (p *Publisher) verdict(code translog.Code, signed *translog.Checkpoint, tree translog.Tree, format string, args ...any) error {
	return &translog.RejectedError{
		Code: code, Reason: fmt.Sprintf(format, args...) + fmt.Sprintf(" (tree %d, root %x)", p.cfg.Tree, tree.Root), Older: signed.Note(),
	}
}

func (p *Publisher) count(change func(*PublisherStats)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(&p.stats)
}
