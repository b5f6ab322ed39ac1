package main

import (
	"context"
	"io"
	"sync/atomic"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/touchmark-dev/touchmark/cmd/touchmark/internal/guarded"
	"github.com/touchmark-dev/touchmark/cmd/touchmark/internal/logs"
	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/guard/confirm"
	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/tlogclient"
	"github.com/touchmark-dev/touchmark/translog/trillianlog"
)

// sharedLook is the time between two looks at a log that others read as well, perhaps over a network.
const sharedLook = 250 * time.Millisecond

// gatewayLog finds the log of a gateway, and what waits for it where rules demand that. The cosigning is nil without
// --cosign.
func gatewayLog(ctx *cli.Context, cfg *guarded.Config, watch *watcher) (*cosigning, error) {
	where := ctx.Path("log")
	if where == "" {
		if ctx.IsSet("cosign") || ctx.IsSet("cosign-interval") {
			return nil, usagef("--cosign without --log: there is nothing to cosign")
		}
		return nil, nil //nolint:nilnil // as documented
	}
	if shared, err := gatewaySharedLog(ctx, cfg, watch, where); shared || err != nil {
		return nil, err
	}
	place, signer, err := logPlace(where)
	if err != nil {
		return nil, err
	}
	cfg.LogForm = place.Form
	cfg.Log = func(ctx context.Context) (guarded.Log, error) {
		return place.Open(ctx, signer, &logs.Options{Notice: func(err error) { cfg.Logger.Warn("log", "error", err) }})
	}
	own, err := translog.ParsePolicy([]byte("log " + signer.VerifierKey() + "\nquorum none\n"))
	if err != nil {
		return nil, malformed(err)
	}
	source := tlogclient.Dir(place.Dir)
	if cfg.Included, err = confirm.Included(&confirm.Config{Log: source, Policy: own}); err != nil {
		return nil, err
	}
	c, err := readCosigning(ctx, place.Dir)
	if c == nil || err != nil {
		return nil, err
	}
	if _, err := tlogclient.New(source, c.policy.LogsOnly()).Checkpoint(ctx.Context); err != nil {
		return nil, hint(err, "--cosign names a policy with the key of this log, and its witnesses")
	}
	c.wanted = make(chan struct{}, 1)
	cfg.Cosigned, err = confirm.Cosigned(&confirm.Config{Log: source, Policy: c.policy, Urge: c.urge})
	return c, malformed(err)
}

// gatewaySharedLog reports whether others append to the log as well; then the gateway has no key of it, and does not
// sign.
func gatewaySharedLog(ctx *cli.Context, cfg *guarded.Config, watch *watcher, where string) (bool, error) {
	place, err := logs.At(where)
	if err != nil {
		return false, logError(err)
	}
	shared, err := place.Shared(ctx.Context)
	if err != nil || !shared {
		return false, logError(err)
	}
	if ctx.IsSet("cosign-interval") {
		return true, usagef("--cosign-interval: others append to %s as well; it is cosigned where it is published, by log serve --cosign", where)
	}
	own, err := place.Policy()
	if err != nil {
		return true, hint(malformed(err), "copy %s.policy from where the log was made", place.Dir)
	}
	if err := waitForShared(ctx, cfg, place, own); err != nil {
		return true, err
	}
	cfg.LogForm = place.Form
	var open atomic.Pointer[trillianlog.Shared]
	cfg.Shared = func(ctx context.Context) (guarded.SharedLog, error) {
		log, err := place.OpenShared(ctx)
		if err != nil {
			return nil, err
		}
		open.Store(log)
		return log, nil
	}
	watch.more = append(watch.more, func(w io.Writer) error {
		if log := open.Load(); log != nil {
			return log.WriteMetrics(w)
		}
		return nil
	})
	return true, nil
}

// waitForShared makes what waits for a log that others append to as well, where rules demand that. What --cosign names says
// whose cosignatures count; somebody else asks for them.
func waitForShared(ctx *cli.Context, cfg *guarded.Config, place *logs.Place, own *translog.Policy) error {
	source, err := place.Source()
	if err != nil {
		return malformed(err)
	}
	var ledger atomic.Pointer[evidence.Ledger]
	cfg.Ledger = ledger.Store
	wait := &confirm.Config{Log: source, Policy: own, Interval: sharedLook, Index: func(ctx context.Context, ack *evidence.Ack) (uint64, error) {
		return ledger.Load().LogIndex(ctx, ack.Sequence) // it made the ack
	}}
	if cfg.Included, err = confirm.Included(wait); err != nil {
		return err
	}
	c, err := readCosigning(ctx, place.Dir)
	if c == nil || err != nil {
		return err
	}
	if _, err := tlogclient.New(source, c.policy.LogsOnly()).Checkpoint(ctx.Context); translog.CodeOf(err) != "" {
		return hint(err, "--cosign names a policy with the key of this log, and its witnesses")
	}
	of := *wait
	of.Policy = c.policy
	cfg.Cosigned, err = confirm.Cosigned(&of)
	return malformed(err)
}
