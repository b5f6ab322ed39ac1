package main

import (
	"net/netip"

	"github.com/urfave/cli/v2"

	"github.com/touchmark-dev/touchmark/cmd/touchmark/internal/guarded"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/policy"
	"github.com/touchmark-dev/touchmark/guard/policy/authzen"
	"github.com/touchmark-dev/touchmark/guard/policy/cedar"
)

// serviceFlags name a decision service that is asked beside the rules (spec/decision-services.md).
func serviceFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "authzen", Usage: "ask the AuthZEN decision service at `URL`, or unix:/path, about what the rules allow: it can forbid it, and add limits. No answer is no"},
		&cli.StringFlag{Name: "authzen-opa", Usage: "the service is an Open Policy Agent, which decides at `PATH`, such as /v1/data/touchmark/answer"},
		&cli.PathFlag{Name: "authzen-token", Usage: "a bearer token for the service, from `FILE`, read for each request"},
		&cli.DurationFlag{Name: "authzen-timeout", Usage: "how long the service may take", Value: authzen.DefaultTimeout},
		&cli.StringSliceFlag{Name: "authzen-allow-network", Usage: "the service may be in the network `CIDR`; public addresses alone by default"},
		&cli.BoolFlag{Name: "authzen-send-arguments", Usage: "tell the service the arguments of calls, and not their hash alone"},
		&cli.BoolFlag{Name: "authzen-unsafe-no-request-id", Usage: "take answers that do not say which request they answer"},
	}
}

// service makes the decision service that --authzen names, nil without it. It is not asked anything yet.
func (t *trust) service(cfg *guarded.Config) (guard.Policy, error) {
	ctx := t.ctx
	if ctx.String("authzen") == "" {
		for _, f := range serviceFlags()[1:] {
			if ctx.IsSet(f.Names()[0]) {
				return nil, usagef("--%s without --authzen", f.Names()[0])
			}
		}
		return nil, nil //nolint:nilnil // as documented
	}
	c := &authzen.Config{
		Endpoint: ctx.String("authzen"), TokenFile: ctx.Path("authzen-token"), Timeout: ctx.Duration("authzen-timeout"),
		Anonymous:     true, // the levels are those of the rules beside it
		SendArguments: ctx.Bool("authzen-send-arguments"), UnsafeNoRequestID: ctx.Bool("authzen-unsafe-no-request-id"),
		Enforces: cfg.Enforces(), RootCAs: t.roots, Server: cfg.Facts.Server, Environment: cfg.Facts.Environment,
	}
	if path := ctx.String("authzen-opa"); path != "" {
		c.Form, c.Path = authzen.OPA, path
	}
	for _, text := range ctx.StringSlice("authzen-allow-network") {
		network, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, usagef("--authzen-allow-network %q is no network, such as 10.1.0.0/16", text)
		}
		c.AllowNetworks = append(c.AllowNetworks, network)
	}
	var err error
	if c.Capabilities, err = readCapabilities(ctx); err != nil {
		return nil, err
	}
	service, err := authzen.New(c)
	if err != nil {
		return nil, malformed(err)
	}
	return service, nil
}

// readCapabilities reads what --capabilities names, nil without it.
func readCapabilities(ctx *cli.Context) (*policy.Capabilities, error) {
	from := ctx.Path("capabilities")
	if from == "" {
		return nil, nil //nolint:nilnil // as documented
	}
	text, err := consoleOf(ctx).readInput(from)
	if err != nil {
		return nil, err
	}
	c, err := policy.ParseCapabilities(text)
	return c, inFile(from, err)
}

// readCedarRules reads the rules of a gateway in Cedar. They are those of its start: the file is not followed.
func readCedarRules(ctx *cli.Context, cfg *guarded.Config, text []byte) (*cedar.Policy, error) {
	about, err := readCapabilities(ctx)
	if err != nil {
		return nil, err
	}
	return (&cedar.Config{
		Capabilities: about, Enforces: cfg.Enforces(), Server: cfg.Facts.Server, Environment: cfg.Facts.Environment,
	}).Parse(text)
}
