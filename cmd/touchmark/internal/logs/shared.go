package logs

import (
	"context"
	"errors"
	"fmt"

	"github.com/touchmark-dev/touchmark/internal/durable"
	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/tlogclient"
	"github.com/touchmark-dev/touchmark/translog/trillianlog"
)

const maxPolicy = 64 << 10

// A SharedError says that a log is one that several append to, or is not, where the other is wanted.
type SharedError struct {
	Shared bool // what it is
	err    error
}

func (e *SharedError) Error() string { return e.err.Error() }
func (e *SharedError) Unwrap() error { return e.err }

func kindError(kind *trillianlog.KindError) error {
	what := "tree %d is that of a log with one writer, which signs for it: no publisher is needed"
	if kind.Shared {
		what = "tree %d is shared: gateways append to it, and touchmark log publish signs; this needs a log of its own"
	}
	return &SharedError{Shared: kind.Shared, err: fmt.Errorf(what, kind.Tree)}
}

// Shared asks the Trillian of a log whether several append to it.
func (p *Place) Shared(ctx context.Context) (bool, error) {
	if p.Trillian == nil {
		return false, nil
	}
	cfg, err := p.treeConfig()
	if err != nil {
		return false, err
	}
	shared, err := trillianlog.IsShared(ctx, cfg)
	return shared, unavailable(err)
}

// Policy reads whom to trust about the log: DIR.policy.
func (p *Place) Policy() (*translog.Policy, error) {
	text, err := durable.ReadFile(durable.OS{}, p.Dir+".policy", maxPolicy)
	if err != nil {
		return nil, err
	}
	return translog.ParsePolicy(text)
}

// Source is where readers of the log find it: where it is served, if DIR.trillian says so, and else in DIR.
func (p *Place) Source() (tlogclient.Source, error) {
	if p.Trillian == nil || p.Trillian.URL == "" {
		return tlogclient.Dir(p.Dir), nil
	}
	return tlogclient.HTTP(&tlogclient.HTTPConfig{Prefix: p.Trillian.URL})
}

// OpenShared opens a log that several append to, for one of them. No key is needed.
func (p *Place) OpenShared(ctx context.Context) (*trillianlog.Shared, error) {
	if p.Trillian == nil {
		return nil, errors.New("the log is not in a Trillian: it has one writer")
	}
	cfg, err := p.treeConfig()
	if err != nil {
		return nil, err
	}
	sc := &trillianlog.SharedConfig{Server: cfg.Server, TLS: cfg.TLS, Tree: cfg.Tree}
	if sc.Source, err = p.Source(); err != nil {
		return nil, err
	}
	if sc.Policy, err = p.Policy(); err != nil {
		return nil, err
	}
	log, err := trillianlog.OpenShared(ctx, sc)
	return log, unavailable(err)
}

// OpenPublisher opens a log that several append to, to sign for it.
func (p *Place) OpenPublisher(ctx context.Context, signer *translog.Signer, o *Options) (*trillianlog.Publisher, error) {
	cfg, err := p.publisher(signer, o)
	if err != nil {
		return nil, err
	}
	cfg.Lease = o.Lease
	pub, err := trillianlog.OpenPublisher(ctx, cfg)
	return pub, unavailable(err)
}

// Halted returns why nothing is signed for a log that several append to, or nil.
func (p *Place) Halted(ctx context.Context, signer *translog.Signer) (*trillianlog.Halt, error) {
	cfg, err := p.publisher(signer, &Options{})
	if err != nil {
		return nil, err
	}
	h, err := trillianlog.Halted(ctx, cfg)
	return h, unavailable(err)
}

// Resume lets publishers sign again.
func (p *Place) Resume(ctx context.Context, signer *translog.Signer, id string) error {
	cfg, err := p.publisher(signer, &Options{})
	if err != nil {
		return err
	}
	return unavailable(trillianlog.Resume(ctx, cfg, id))
}

// publisher is how a publisher is configured.
func (p *Place) publisher(signer *translog.Signer, o *Options) (*trillianlog.Config, error) {
	if p.Trillian == nil {
		return nil, &SharedError{err: fmt.Errorf("%s is not in a Trillian: its writer signs for it, and no publisher is needed", p.Dir)}
	}
	return p.config(signer, o)
}
