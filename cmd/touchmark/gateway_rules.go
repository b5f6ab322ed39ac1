package main

import (
	"fmt"
	"log/slog"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/touchmark-dev/touchmark/cmd/touchmark/internal/guarded"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/limit"
	"github.com/touchmark-dev/touchmark/guard/limit/pglimit"
	"github.com/touchmark-dev/touchmark/guard/policy"
)

// rulesFlags say by which rules a gateway decides, and what is true where it does.
func rulesFlags() []cli.Flag {
	return []cli.Flag{
		&cli.PathFlag{Name: "policy", Usage: "the rules, in `FILE` (spec/policy.md, and spec/decision-services.md for Cedar)"},
		&cli.StringFlag{Name: "engine", Value: engineTouchmark, Usage: "the `LANGUAGE` of the rules: touchmark or cedar. A file in Cedar is not followed"},
		&cli.PathFlag{Name: "capabilities", Usage: "with cedar, and for --authzen: what capabilities are, in `FILE` (spec/decision-services.md section 2)"},
		&cli.StringFlag{Name: "server-name", Usage: "the rules know the server as `NAME`, and where it runs from --environment"},
		&cli.StringFlag{Name: "tenant", Usage: "the server is used for the tenant `NAME`, as the rules know it"},
		&cli.StringFlag{Name: "egress-enforced-by", Usage: "`NAME`, a firewall say, keeps the server to the hosts that the rules allow; recorded. Without it rules with a network_allowlist are refused"},
		&cli.StringFlag{Name: "limits-database", Usage: "count calls, for limits on rate, concurrency and retries, together with other gateways in postgres://... without a password, `URL`; each gateway counts its own by default"},
		&cli.BoolFlag{Name: "unsafe-plain-hash", Usage: "record the unsalted hash of arguments as well, against which anybody can test guesses of them, for good"},
		&cli.BoolFlag{Name: "unsafe-shadow", Usage: "write decisions down and let run what they refuse, but for what the rules mark as final; stamped on every record"},
	}
}

// newLimiter makes what counts calls, and what ends it.
func newLimiter(ctx *cli.Context, log *slog.Logger) (guard.Limiter, func() error, error) {
	url := ctx.String("limits-database")
	if url == "" {
		return limit.New(nil), func() error { return nil }, nil
	}
	if err := checkDatabase("limits-database", url); err != nil {
		return nil, nil, err
	}
	if !strings.HasPrefix(url, "postgres") {
		return nil, nil, usagef("--limits-database %q is not postgres://...", url)
	}
	l, err := pglimit.Open(ctx.Context, url, &pglimit.Config{Logger: log})
	if err != nil {
		return nil, nil, err
	}
	return l, l.Close, nil
}

// gatewayRules reads the rules of a gateway, as a server that enforces what cfg says.
func gatewayRules(ctx *cli.Context, cfg *guarded.Config) (guard.Versioned, error) {
	con, name := consoleOf(ctx), ctx.Path("policy")
	cfg.UnsafeShadow, cfg.EgressEnforcedBy = ctx.Bool("unsafe-shadow"), ctx.String("egress-enforced-by")
	cfg.UnsafePlainHash = ctx.Bool("unsafe-plain-hash")
	cfg.Facts = guard.Facts{
		Server: ctx.String("server-name"), Environment: ctx.String("environment"), Tenant: ctx.String("tenant"),
	}
	text, err := con.readInput(name)
	if err != nil {
		return nil, err
	}
	switch engine := ctx.String("engine"); engine {
	case engineCedar:
		rules, err := readCedarRules(ctx, cfg, text)
		if err != nil {
			return nil, unenforced(usagef("%s: %v", name, err))
		}
		cfg.Policy = rules
		return rules, nil
	case engineTouchmark:
	default:
		return nil, usagef("--engine %q is neither %s nor %s", engine, engineTouchmark, engineCedar)
	}
	if ctx.IsSet("capabilities") && !ctx.IsSet("authzen") {
		return nil, usagef("--capabilities is for --engine cedar and --authzen; a policy file has its own")
	}
	pc := policy.Config{Enforces: cfg.Enforces(), PlainHash: cfg.UnsafePlainHash}
	rules, err := pc.Parse(text)
	if err != nil {
		return nil, unenforced(usagef("%s: %v", name, err))
	}
	if cfg.Policy = rules; name != "-" {
		cfg.Follow = followRules(con, name, pc)
	}
	return rules, nil
}

// unenforced says what would enforce a constraint that nothing does.
func unenforced(err error) error {
	for name, by := range map[string]string{
		guard.ConstraintNetwork:  "say what does, a firewall in front of the server's network: --egress-enforced-by NAME",
		guard.ConstraintIncluded: "a log does, made by touchmark log init: --log DIR",
		guard.ConstraintCosigned: "witnesses of the log do, and their quorum: --log DIR --cosign FILE",
	} {
		if strings.Contains(err.Error(), "nothing here enforces "+name) {
			return hint(err, "%s", by)
		}
	}
	if strings.Contains(err.Error(), "the plain hash of arguments") {
		return hint(err, "leave out --unsafe-plain-hash")
	}
	return err
}

// followRules follows the file of the rules while the gateway runs.
func followRules(con *console, name string, pc policy.Config) *policy.WatchConfig {
	return &policy.WatchConfig{
		Path: name, Policy: pc,
		Changed: func(_, to *policy.Policy) { con.note("%s has changed: rules %s", name, to.Version()) },
		Rejected: func(err error) {
			fmt.Fprintf(con.err, "touchmark: %s\n", remark(fmt.Sprintf("%s: %v; the rules are those from before", name, err)))
		},
	}
}

// noteShadow says that nothing is enforced, also where notes are not wanted.
func noteShadow(con *console, cfg *guarded.Config) {
	if cfg.UnsafeShadow {
		fmt.Fprintln(con.err, "touchmark: SHADOW MODE: decisions are written down and not enforced; what the rules refuse runs, but for what they mark as final")
	}
}
