package main

import (
	"context"
	"io"
	"sync/atomic"

	"github.com/urfave/cli/v2"

	"github.com/touchmark-dev/touchmark/cmd/touchmark/internal/guarded"
	"github.com/touchmark-dev/touchmark/cmd/touchmark/internal/logs"
	"github.com/touchmark-dev/touchmark/guard/confirm"
	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/tlogclient"
	"github.com/touchmark-dev/touchmark/translog/trillianlog"
)

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
	if ctx.IsSet("cosign") || ctx.IsSet("cosign-interval") {
		return true, usagef("--cosign: others append to %s as well; it is cosigned where it is published, by log serve --cosign", where)
	}
	if _, err := place.Policy(); err != nil {
		return true, hint(malformed(err), "copy %s.policy from where the log was made", place.Dir)
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
