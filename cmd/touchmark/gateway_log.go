package main

import (
	"context"

	"github.com/urfave/cli/v2"

	"github.com/touchmark-dev/touchmark/cmd/touchmark/internal/guarded"
	"github.com/touchmark-dev/touchmark/cmd/touchmark/internal/logs"
	"github.com/touchmark-dev/touchmark/guard/confirm"
	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/tlogclient"
)

// gatewayLog finds the log of a gateway, and what waits for it where rules demand that. The cosigning is nil without
// --cosign.
func gatewayLog(ctx *cli.Context, cfg *guarded.Config) (*cosigning, error) {
	where := ctx.Path("log")
	if where == "" {
		if ctx.IsSet("cosign") || ctx.IsSet("cosign-interval") {
			return nil, usagef("--cosign without --log: there is nothing to cosign")
		}
		return nil, nil //nolint:nilnil // as documented
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
