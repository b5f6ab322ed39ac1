// Package logs makes and opens the logs of the command. A log is a directory of tiles with its files beside it; a log in
// Trillian has one more, DIR.trillian, that says where its entries are.
package logs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/tesseralog"
	"github.com/touchmark-dev/touchmark/translog/trillianlog"
	"github.com/touchmark-dev/touchmark/translog/trillianlog/pgstate"
)

// A Log is an open log, whichever engine keeps it.
type Log interface {
	translog.Appender
	evidence.LogReader
	evidence.Checkpointer
	AwaitPublished(ctx context.Context, index uint64) (*translog.Checkpoint, error)
	Prove(ctx context.Context, cp *translog.Checkpoint, index uint64) (*translog.Proof, error)
	Close(ctx context.Context) error
}

// A Place is where a log is.
type Place struct {
	Dir      string    // of the tiles
	Trillian *Trillian // nil: the embedded engine
	Form     evidence.LogForm
}

// Options say how a log is opened.
type Options struct {
	CheckpointInterval time.Duration // 0 means the engine's
	Lease              time.Duration // of a publisher; 0 means the package's
	Notice             func(error)   // hears of what is tried again; may be nil
}

// An UnavailableError says that Trillian did not answer, or not as it should. It is no verdict on the log.
type UnavailableError struct{ err error }

func (e *UnavailableError) Error() string { return e.err.Error() }
func (e *UnavailableError) Unwrap() error { return e.err }

const scheme = "trillian://"

// Dir returns the directory of tiles of a log: DIR itself, or that of trillian://HOST:PORT/TREE?dir=DIR.
func Dir(where string) (string, error) {
	p, err := parse(where)
	if err != nil {
		return "", err
	}
	return p.Dir, nil
}

// IsTrillian reports whether a log is written out as a trillian:// URL.
func IsTrillian(where string) bool { return strings.HasPrefix(where, scheme) }

// At finds out where a log is: DIR, with what DIR.form and DIR.trillian say if they are there, or
// trillian://HOST:PORT/TREE?dir=DIR, which such a file must not contradict.
func At(where string) (*Place, error) {
	p, err := parse(where)
	if err != nil {
		return nil, err
	}
	if p.Form, err = Form(p.Dir); err != nil {
		return nil, err
	}
	kept, err := readTrillian(p.Dir)
	switch {
	case errors.Is(err, fs.ErrNotExist) && p.Trillian == nil:
		return p, nil
	case errors.Is(err, fs.ErrNotExist):
		kept = p.Trillian
	case err != nil:
		return nil, err
	case p.Trillian != nil && (p.Trillian.Server != kept.Server || p.Trillian.Tree != kept.Tree):
		return nil, fmt.Errorf("%s%s speaks of tree %s at %s, not of %s", p.Dir, Suffix, kept.Tree, kept.Server, where)
	}
	p.Trillian = kept
	_, err = kept.config()
	return p, err
}

func parse(where string) (*Place, error) {
	if !IsTrillian(where) {
		return &Place{Dir: strings.TrimRight(where, "/")}, nil
	}
	u, err := url.Parse(where)
	if err != nil {
		return nil, err
	}
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, err
	}
	dir := strings.TrimRight(q.Get("dir"), "/")
	t := &Trillian{Server: u.Host, Tree: strings.TrimPrefix(u.Path, "/")}
	if err := t.check(); err != nil || dir == "" || len(q) != 1 || len(q["dir"]) != 1 || u.User != nil || u.Fragment != "" {
		return nil, fmt.Errorf("%q: want trillian://HOST:PORT/TREE?dir=DIR", where)
	}
	return &Place{Dir: dir, Trillian: t}, nil
}

// Create begins a log.
func (p *Place) Create(ctx context.Context, signer *translog.Signer) error {
	if p.Trillian == nil {
		return tesseralog.Create(ctx, &tesseralog.Config{Dir: p.Dir, StatePath: p.state(), Signer: signer})
	}
	cfg, err := p.config(signer, &Options{})
	if err != nil {
		return err
	}
	if p.Trillian.Shared {
		return unavailable(trillianlog.CreateShared(ctx, cfg))
	}
	if err := trillianlog.Create(ctx, cfg); err != nil {
		return unavailable(err)
	}
	log, err := p.Open(ctx, signer, &Options{}) // shows the checkpoint of the empty log to readers
	if err != nil {
		return err
	}
	return log.Close(ctx)
}

// Open opens a log for writing.
func (p *Place) Open(ctx context.Context, signer *translog.Signer, o *Options) (Log, error) {
	if p.Trillian == nil {
		return tesseralog.Open(ctx, &tesseralog.Config{
			Dir: p.Dir, StatePath: p.state(), Signer: signer, CheckpointInterval: o.CheckpointInterval,
		})
	}
	cfg, err := p.config(signer, o)
	if err != nil {
		return nil, err
	}
	log, err := trillianlog.Open(ctx, cfg)
	if err != nil {
		return nil, unavailable(err)
	}
	return log, nil
}

func (p *Place) state() string { return p.Dir + ".state" }

// treeConfig is how the tree is met.
func (p *Place) treeConfig() (*trillianlog.Config, error) {
	cfg, err := p.Trillian.config()
	if err != nil {
		return nil, err
	}
	cfg.Tree, err = strconv.ParseInt(p.Trillian.Tree, 10, 64)
	return cfg, err
}

func (p *Place) config(signer *translog.Signer, o *Options) (*trillianlog.Config, error) {
	cfg, err := p.treeConfig()
	if err != nil {
		return nil, err
	}
	cfg.Dir, cfg.StatePath, cfg.Signer = p.Dir, p.state(), signer
	cfg.CheckpointInterval, cfg.Notice = o.CheckpointInterval, o.Notice
	if p.Trillian.State != "" {
		cfg.State, err = pgstate.Open(p.Trillian.State, signer.Name())
	}
	return cfg, err
}

// unavailable marks what is neither a verdict nor a fault of this machine.
func unavailable(err error) error {
	var path *os.PathError
	var kind *trillianlog.KindError
	if err == nil || translog.CodeOf(err) != "" || errors.As(err, &path) {
		return err
	}
	if errors.As(err, &kind) {
		return kindError(kind)
	}
	return &UnavailableError{err: err}
}
