package main

import (
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/cmd/touchmark/internal/guarded"
	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/guard/telemetry"
	"github.com/touchmark-dev/touchmark/serververify"
)

func gatewayCommand() *cli.Command {
	return &cli.Command{
		Name: "gateway", Usage: "put a guard in front of an MCP server on standard input and output", ArgsUsage: "-- CMD ARGS",
		Description: "The server CMD is launched, and spoken to in its stead. Every call is decided by the rules in\n" +
			"--policy and recorded in --evidence before it runs. The rules are read anew when their file changes,\n" +
			"and on SIGHUP; a file that is no policy changes nothing. They may be in Cedar, and a decision service may be\n" +
			"asked as well: what both allow runs, and what one cannot say is refused. With --pins the server's tools have to be\n" +
			"those that were approved, with --registry it has to be in a signed list: the server of this command\n" +
			"line, as whom the gateway is. Rules may set limits: on the time that a call takes, its result, how often and how\n" +
			"often at once it is made; and on the hosts that the server reaches where --egress-enforced-by names what\n" +
			"enforces that. They may demand that the record of a call is in --log before it runs, and with --cosign that\n" +
			"a quorum of witnesses has cosigned it: another process must not have the same log cosigned. A log that others append\n" +
			"to as well is cosigned by log serve instead, and --cosign says whose cosignatures count. The salts, badges and\n" +
			"proofs in the journal are sealed with the keys of a vault beside it, and erased by destroying those.\n\nEXAMPLE\n" +
			"  touchmark gateway --policy policy.yaml --identity identity --evidence journal --log log \\\n" +
			"      --issuer https://registry.example -- npx @modelcontextprotocol/server-filesystem /data",
		Flags: append(slices.Concat(trustFlags(), placeFlags(), rulesFlags(), serviceFlags(), cosignFlags(), keepFlags(), telemetryFlags()),
			&cli.PathFlag{Name: "identity", Usage: "the gateway's identity, a `DIR` with server.jwk and server.badge, made by: touchmark server identity"},
			&cli.PathFlag{Name: "evidence", Usage: "keep the journal in `DIR`"},
			&cli.PathFlag{Name: "log", Usage: "ship the records to the log in `DIR`, made by touchmark log init, or at trillian://HOST:PORT/TREE?dir=DIR"},
			&cli.StringSliceFlag{Name: "audience", Usage: "a name of the gateway that badges may be for, beside its DID"},
			&cli.BoolFlag{Name: "allow-bearer-unsafe", Usage: "accept badges without a call proof, from unmodified clients; stamped on every record"},
		),
		Action: runGateway,
	}
}

func runGateway(ctx *cli.Context) (err error) {
	if err := wantArgs(ctx); err != nil {
		return err
	}
	con := consoleOf(ctx)
	con.stream = true // standard output belongs to the protocol
	if len(con.child) == 0 {
		return hint(usagef("no server to put a guard in front of"), "name it after --, as in: touchmark gateway ... -- node server.js")
	}
	if err := required(ctx, "policy", "identity", "evidence"); err != nil {
		return err
	}
	if err := notEmpty(ctx, "authzen", "log", "pins", "registry", "cosign", "limits-database"); err != nil {
		return err
	}
	launch, err := serververify.LaunchSecret() // before anything is started that would inherit it
	if err != nil {
		return malformed(err)
	}
	watch, err := startTelemetry(ctx)
	if err != nil {
		return err
	}
	defer watch.close(ctx.Context)
	cfg := &guarded.Config{
		EvidenceDir: ctx.Path("evidence"), AllowBearerUnsafe: ctx.Bool("allow-bearer-unsafe"), Command: con.child,
		In: con.in, Out: writeCloser(con.out), ServerStderr: con.err, Logger: watch.logger(), Observer: watch.observer(),
	}
	limiter, closeLimiter, err := newLimiter(ctx, cfg.Logger)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeLimiter()) }()
	cfg.Limiter = limiter
	if err := gatewayKeeps(ctx, cfg); err != nil {
		return err
	}
	cosigned, err := gatewayLog(ctx, cfg, watch)
	if err != nil {
		return err
	}
	if cfg.Retention > 0 {
		if err := mayLose(ctx, cfg.LogForm); err != nil {
			return err
		}
	}
	rules, err := gatewayRules(ctx, cfg)
	if err != nil {
		return err
	}
	if cfg.Identity, err = readIdentity(con, ctx.Path("identity")); err != nil {
		return err
	}
	cfg.Identity.Launch = launch
	t, err := newTrust(ctx)
	if err != nil {
		return err
	}
	defer t.close()
	t.telemetry, t.metrics = watch.tel, watch.more
	t.audience = append(ctx.StringSlice("audience"), cfg.Identity.DID.String())
	if err := t.gateway(cfg); err != nil {
		return err
	}
	stop, err := cosigned.start(ctx.Context, con)
	if err != nil {
		return err
	}
	defer stop()
	cfg.StartedNotice = func() {
		con.note("guarding %s as %s, rules %s", con.child[0], cfg.Identity.DID, rules.Version())
		noteShadow(con, cfg)
	}
	return guarded.Run(ctx.Context, cfg)
}

// gateway reads whom the flags trust: about callers, about decisions, and of the server behind the gateway.
func (t *trust) gateway(cfg *guarded.Config) (err error) {
	if cfg.Badges, err = gatewayBadges(t.ctx, t); err != nil {
		return err
	}
	if cfg.Service, err = t.service(cfg); err != nil {
		return err
	}
	return t.upstream(cfg)
}

// upstream reads what the flags say of the server behind a gateway. It has no
// identity of its own: it is the command line, and in a registry the gateway's DID.
func (t *trust) upstream(cfg *guarded.Config) error {
	store, err := openStore(t.ctx)
	if err != nil {
		return err
	}
	if store != nil {
		at, err := launched(store, cfg.Command)
		if err != nil {
			return err
		}
		cfg.Tools = at.Upstream()
	}
	list, err := openServerList(t)
	if list == nil || err != nil {
		return err
	}
	at, err := list.At(cfg.Command)
	if err != nil {
		return malformed(err)
	}
	cfg.Registry = at.Upstream(cfg.Identity.DID)
	return nil
}

// gatewayBadges makes the verifier of callers' badges; nil when nobody is
// trusted, and only what is open to anonymous callers can be used.
func gatewayBadges(ctx *cli.Context, t *trust) (*badge.Verifier, error) {
	if !ctx.IsSet("issuer") && !ctx.IsSet("trust-self-signed") {
		consoleOf(ctx).note("no --issuer and no --trust-self-signed: every caller is anonymous")
		return nil, nil
	}
	return t.badges()
}

// readIdentity reads what `server identity` made.
func readIdentity(con *console, dir string) (id guarded.Identity, err error) {
	key, err := readKey(con, filepath.Join(dir, "server.jwk"))
	if err != nil {
		return id, err
	}
	id.Key = key.Key
	if id.Badge, err = con.readToken(filepath.Join(dir, "server.badge")); err != nil {
		return id, hint(err, "make an identity with: touchmark server identity")
	}
	u, err := badge.Inspect(id.Badge)
	if err == nil {
		err = u.Problem
	}
	if err != nil {
		return id, malformed(err)
	}
	id.DID = u.Subject
	if err := checkBadgeKey(id.Badge, id.Key); err != nil {
		return id, hint(err, "make an identity with: touchmark server identity")
	}
	doc, err := did.NewDocument(id.DID, did.DocumentKey{Key: id.Key.Public()})
	if err != nil {
		return id, malformed(err)
	}
	id.KeyID = doc.Methods[0].ID.String()
	return id, nil
}

func newLogger(con *console) *slog.Logger {
	if con.quiet {
		return slog.New(slog.DiscardHandler)
	}
	level := slog.LevelWarn
	if con.verbose {
		level = slog.LevelInfo
	}
	return slog.New(telemetry.NewLogHandler(slog.NewTextHandler(con.err, &slog.HandlerOptions{Level: level})))
}

// writeCloser lets a gateway close what it writes to, which ends with the
// process in any case.
func writeCloser(w io.Writer) io.WriteCloser {
	if f, ok := w.(*os.File); ok {
		return f
	}
	return nopCloser{w}
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }
