package main

import (
	"crypto"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/cmd/touchmark/internal/agent"
	"github.com/touchmark-dev/touchmark/internal/jwk"
	"github.com/touchmark-dev/touchmark/serververify"
	"github.com/touchmark-dev/touchmark/serververify/mcpverify"
	"github.com/touchmark-dev/touchmark/serververify/pin"
	serverlist "github.com/touchmark-dev/touchmark/serververify/registry"
)

func minLevelFlag() cli.Flag {
	return &cli.StringFlag{Name: "min-level", Usage: "refuse servers below level `N`", Value: "1"}
}

// serverTrustFlags say which servers are talked to. The commands that talk to
// servers share them.
func serverTrustFlags() []cli.Flag { return append(verifyFlags(), placeFlags()...) }

// verifyFlags say how a server proves who it is.
func verifyFlags() []cli.Flag {
	return append(trustFlags(), minLevelFlag(),
		&cli.StringSliceFlag{Name: "binding", Usage: "accept proofs bound in this way, `KIND`, and in no other that is not named (see: touchmark help servers)"})
}

// placeFlags say which servers, and which tools of theirs, were approved.
func placeFlags() []cli.Flag {
	return append([]cli.Flag{
		&cli.PathFlag{Name: "pins", Usage: "refuse servers, and tools of theirs, that are not pinned in `FILE` (see: touchmark help pins)"},
		&cli.BoolFlag{Name: "trust-on-first-use", Usage: "with --pins: pin a server that is met for the first time, and its tools"},
	}, serverListFlags()...)
}

// serverListFlags say where the registry is and who may sign it.
func serverListFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "registry", Usage: "refuse servers, and tools, that the signed list in `FILE`, or at an https URL, does not have (see: touchmark help registry)"},
		&cli.StringSliceFlag{Name: "registry-key", Usage: "with --registry: the public key in `FILE` may sign the list"},
		&cli.StringFlag{Name: "registry-issuer", Usage: "with --registry: `NAME` is what the list calls itself"},
		&cli.PathFlag{Name: "registry-state", Usage: "with --registry: remember in `FILE` which list was the newest; FILE.serial beside the list by default"},
		&cli.StringFlag{Name: "environment", Usage: "use the entries of --registry, and the rules of a gateway's --policy, for `NAME`, such as production"},
	}
}

// A place is what the flags say of a server beside its badge: whether it, and
// its tools, were approved.
type place struct {
	admit    []serververify.Admission
	pins     pinChecks            // nil without --pins
	registry *serverlist.Registry // nil without --registry
}

// pinChecks is what a file of pins judges of one server.
type pinChecks interface {
	serververify.Admission
	mcpverify.ToolChecker
}

// place reads the flags for a target.
func (t *trust) place(target *agent.Target) (*place, error) {
	p := &place{}
	if err := t.openPins(p, target); err != nil {
		return nil, err
	}
	return p, t.openServerList(p, target)
}

func (t *trust) openPins(p *place, target *agent.Target) error {
	store, err := openStore(t.ctx)
	if store == nil || err != nil {
		return err
	}
	p.pins = store
	if target.URL == "" {
		if p.pins, err = launched(store, target.Command); err != nil {
			return err
		}
	}
	p.admit = append(p.admit, p.pins)
	return nil
}

// homePins is the file of known servers in a home.
const homePins = "known-servers"

// openStore opens the file that --pins names, nil without one.
func openStore(ctx *cli.Context) (*pin.Store, error) {
	name := ctx.Path("pins")
	if name == "" {
		if ctx.Bool("trust-on-first-use") {
			return nil, usagef("--trust-on-first-use pins servers in a file: name it with --pins")
		}
		return nil, nil
	}
	cfg := &pin.Config{}
	if ctx.Bool("trust-on-first-use") {
		cfg.Mode = pin.TrustOnFirstUse
	}
	store, err := pin.Open(name, cfg)
	return store, pinError(err)
}

// launched is the place of a server that a command line launches.
func launched(store *pin.Store, argv []string) (*pin.Place, error) {
	endpoint, err := pin.LaunchEndpoint(argv)
	if err != nil {
		return nil, malformed(err)
	}
	at, err := store.At(endpoint)
	return at, malformed(err)
}

func (t *trust) openServerList(p *place, target *agent.Target) error {
	r, err := openServerList(t)
	if r == nil || err != nil {
		return err
	}
	p.registry = r
	if target.URL != "" {
		p.admit = append(p.admit, r)
		return nil
	}
	at, err := r.At(target.Command)
	if err != nil {
		return malformed(err)
	}
	p.admit = append(p.admit, at)
	return nil
}

// openServerList opens the registry that --registry names, nil without one.
func openServerList(t *trust) (*serverlist.Registry, error) {
	from := t.ctx.String("registry")
	if from == "" {
		return nil, startMetrics(t.ctx, t.telemetry, nil, t.metrics...)
	}
	keys, err := registryKeys(t.ctx)
	if err != nil {
		return nil, err
	}
	cfg := &serverlist.Config{
		Keys: keys, Issuer: t.ctx.String("registry-issuer"), Environment: t.ctx.String("environment"),
		StatePath: t.ctx.Path("registry-state"), RootCAs: t.roots, UnsafeAllowLoopback: t.ctx.Bool("insecure-loopback"),
	}
	if strings.Contains(from, "://") {
		if cfg.URL = from; cfg.StatePath == "" {
			return nil, hint(usagef("--registry with a URL needs --registry-state"), "name a file that remembers which list was the newest")
		}
	} else {
		cfg.Path = from
	}
	r, err := serverlist.Open(t.ctx.Context, cfg)
	if err != nil {
		return nil, registryError(err)
	}
	return r, startMetrics(t.ctx, t.telemetry, r, t.metrics...)
}

// registryKeys reads the keys that may sign a list.
func registryKeys(ctx *cli.Context) ([]crypto.PublicKey, error) {
	names := ctx.StringSlice("registry-key")
	if len(names) == 0 {
		return nil, hint(usagef("a list of servers needs --registry-key"), "name the public key of whoever signs it: touchmark key show prints it")
	}
	keys := make([]crypto.PublicKey, 0, len(names))
	for _, name := range names {
		data, err := consoleOf(ctx).readInput(name)
		if err != nil {
			return nil, err
		}
		if private, err := jwk.ParsePrivate(data); err == nil {
			keys = append(keys, private.Key.Public())
			continue
		}
		public, err := jwk.ParsePublic(data)
		if err != nil {
			return nil, usagef("%s: %v", name, err)
		}
		keys = append(keys, public.Key)
	}
	return keys, nil
}

// bindings are those that --binding names.
func bindings(ctx *cli.Context) []serververify.Binding {
	var all []serververify.Binding
	for _, kind := range ctx.StringSlice("binding") {
		all = append(all, serververify.Binding(kind))
	}
	return all
}

// servers makes the verifier of servers that the flags describe.
func (t *trust) servers(p *place) (*serververify.Verifier, error) {
	badges, err := t.badges()
	if err != nil {
		return nil, err
	}
	level, err := badge.ParseLevel(t.ctx.String("min-level"))
	if err != nil {
		return nil, hint(malformed(err), "give the lowest level that is enough with --min-level, from 0 to 4")
	}
	v, err := serververify.New(&serververify.Config{
		Badges: badges, Resolver: t.resolver, MinLevel: level, Bindings: bindings(t.ctx), Admit: p.admit,
		RootCAs: t.roots, UnsafeAllowLoopback: t.ctx.Bool("insecure-loopback"),
	})
	return v, malformed(err)
}
