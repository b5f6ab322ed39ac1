package main

import (
	"context"
	"path/filepath"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/tlogclient"
	"github.com/touchmark-dev/touchmark/translog/witness"
)

func cosignFlags() []cli.Flag {
	return []cli.Flag{
		&cli.PathFlag{Name: "cosign", Usage: "have the log's checkpoints cosigned by the witnesses of the policy `FILE`"},
		&cli.DurationFlag{Name: "cosign-interval", Usage: "how often", Value: witness.DefaultInterval},
	}
}

// A cosigning has the checkpoints of the log in dir cosigned. A nil one does nothing.
type cosigning struct {
	dir      string
	policy   *translog.Policy
	interval time.Duration
	wanted   chan struct{} // nil: nobody waits for what is cosigned
}

// readCosigning reads what --cosign names, nil without it.
func readCosigning(ctx *cli.Context, dir string) (*cosigning, error) {
	if !ctx.IsSet("cosign") {
		if ctx.IsSet("cosign-interval") {
			return nil, usagef("--cosign-interval without --cosign")
		}
		return nil, nil //nolint:nilnil // as documented
	}
	text, err := consoleOf(ctx).readInput(ctx.Path("cosign"))
	if err != nil {
		return nil, err
	}
	p, err := translog.ParsePolicy(text)
	return &cosigning{dir: dir, policy: p, interval: ctx.Duration("cosign-interval")}, malformed(err)
}

// urge asks for a round at once.
func (c *cosigning) urge() {
	select {
	case c.wanted <- struct{}{}:
	default: // one is asked for already
	}
}

// start has the log cosigned until ctx ends or stop is called, which waits for it.
func (c *cosigning) start(ctx context.Context, con *console) (stop func(), err error) {
	if c == nil {
		return func() {}, nil
	}
	source := tlogclient.Dir(c.dir)
	collector, err := witness.NewCollector(&witness.CollectorConfig{
		Policy: c.policy, Proof: tlogclient.New(source, c.policy).ConsistencyHashes,
		OnError: func(name string, err error) { con.note("witness %s: %v", name, err) },
	})
	if err != nil {
		return nil, malformed(err)
	}
	var told string // the same again is told once
	p := &witness.Publisher{
		Log: source, Policy: c.policy, Collector: collector, Interval: c.interval, Wanted: c.wanted,
		Path: filepath.Join(c.dir, tlogclient.CosignedName),
		OnError: func(err error) {
			if err.Error() != told {
				told = err.Error()
				con.note("not cosigned: %v", err)
			}
		},
		OnPublish: func(cp *translog.Checkpoint) {
			if told = ""; c.wanted == nil {
				con.note("%d entries cosigned by %d witnesses", cp.Size(), len(cp.Cosignatures()))
			}
		},
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = p.Run(ctx) // ends with ctx
	}()
	return func() { cancel(); <-ended }, nil
}
