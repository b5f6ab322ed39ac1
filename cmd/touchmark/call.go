package main

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/touchmark-dev/touchmark/cmd/touchmark/internal/agent"
	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/jwk"
	"github.com/touchmark-dev/touchmark/internal/strictjson"
	"github.com/touchmark-dev/touchmark/serververify"
	"github.com/touchmark-dev/touchmark/serververify/pin"
)

func callCommand() *cli.Command {
	return &cli.Command{
		Name: "call", Usage: "call one tool as an agent", ArgsUsage: "URL TOOL [K=V]... | TOOL [K=V]... -- CMD ARGS",
		Description: "The server is verified first; then the badge is presented, with a proof for this call alone.\n" +
			"K=V gives the argument K as JSON where V is JSON, and else as a string.\n\nEXAMPLES\n" +
			"  touchmark call --home . https://mcp.example.com/mcp read_account account=4711\n" +
			"  touchmark call --list --key agent.jwk --badge agent.badge --issuer https://registry.example=jwks.json -- ./server",
		Flags: append(append(serverTrustFlags(), callerFlags()...), append(logFlags(),
			&cli.StringFlag{Name: "args", Usage: "the arguments, a `JSON` object"},
			&cli.BoolFlag{Name: "list", Usage: "list the tools that the server shows, and call none"},
			&cli.PathFlag{Name: "receipt", Usage: "wait for the proof that the call is in the log, and write it to `FILE`; the record to FILE.entry, if the log holds its digest"},
			&cli.DurationFlag{Name: "timeout", Usage: "give up after this time", Value: time.Minute},
		)...),
		Action: call,
	}
}

func makeDir(dir string) error { return os.MkdirAll(dir, 0o700) }

// readOwn reads the key that --key names, and the DID that --did says it is of.
func readOwn(ctx *cli.Context) (*jwk.Private, did.DID, error) {
	key, err := readKey(consoleOf(ctx), ctx.Path("key"))
	if err != nil {
		return nil, did.DID{}, err
	}
	own, err := ownDID(ctx.String("did"), key.Key)
	return key, own, err
}

// ownDID is the DID that was given, or the did:key of the key.
func ownDID(text string, key ed25519.PrivateKey) (did.DID, error) {
	if text == "" {
		return did.FromKey(key.Public().(ed25519.PublicKey)), nil
	}
	d, err := did.Parse(text)
	return d, malformed(err)
}

// unixPrefix begins the endpoint of a server on a unix socket.
const unixPrefix = "unix:"

// targetOf reads the server off the command line, which has at least least
// further arguments, and returns these.
func targetOf(ctx *cli.Context, least int) (*agent.Target, []string, error) {
	con, args := consoleOf(ctx), ctx.Args().Slice()
	t := &agent.Target{Command: con.child}
	if con.verbose {
		t.Stderr = con.err
	}
	if con.child == nil {
		if len(args) == 0 {
			return nil, nil, hint(usagef("no server"), "give its URL, or -- and the command that launches it")
		}
		t.URL, args = args[0], args[1:]
		if u, err := url.Parse(t.URL); err != nil || (u.Scheme != "https" || u.Host == "") && !strings.HasPrefix(t.URL, unixPrefix+"/") {
			return nil, nil, hint(usagef("%q is not the https URL of a server", t.URL),
				"a socket is named unix:/absolute/path, a command to launch stands behind --")
		}
		if _, err := pin.CanonicalEndpoint(t.URL); err != nil {
			return nil, nil, malformed(err)
		}
	} else if len(con.child) == 0 {
		return nil, nil, usagef("no command after --")
	}
	if len(args) < least || least == 0 && len(args) > 0 {
		return nil, nil, hint(usagef("%s takes %s", commandName(ctx), ctx.Command.ArgsUsage), "see: %s --help", commandName(ctx))
	}
	return t, args, nil
}

func call(ctx *cli.Context) error {
	least := 1
	if ctx.Bool("list") {
		least = 0
	}
	target, args, err := targetOf(ctx, least)
	if err != nil {
		return err
	}
	var arguments json.RawMessage
	if least > 0 {
		if arguments, err = callArguments(ctx.String("args"), args[1:]); err != nil {
			return err
		}
	} else if ctx.IsSet("args") || ctx.IsSet("receipt") {
		return usagef("--list calls no tool: it takes neither --args nor --receipt")
	}
	if err := checkReceipt(ctx); err != nil {
		return err
	}
	limit, cancel := context.WithTimeout(ctx.Context, ctx.Duration("timeout"))
	defer cancel()
	s, done, err := openSession(limit, ctx, target)
	if err != nil {
		return err
	}
	defer done()
	if ctx.Bool("list") {
		return listTools(limit, ctx, s)
	}
	return callTool(limit, ctx, s, args[0], arguments)
}

// entrySuffix is what the name of a receipt's file is continued with for the record, where the log holds its digest.
const entrySuffix = ".entry"

// checkReceipt refuses, before anything is called, a receipt that could not be
// had or written afterwards.
func checkReceipt(ctx *cli.Context) error {
	name := ctx.Path("receipt")
	if name == "" {
		return nil
	}
	if err := required(ctx, "log", "log-policy"); err != nil {
		return hint(err, "a receipt is read from the log and verified by its policy")
	}
	if name == "-" {
		return usagef("--receipt wants a file: standard output has the result of the call")
	}
	for _, name := range []string{name, name + entrySuffix} {
		if _, err := os.Stat(name); err == nil {
			return usagef("%s is there already: name a new file for the receipt", name)
		}
	}
	_, _, err := openLogClient(ctx)
	return err
}

// openSession verifies the server and begins a session as who the flags say.
func openSession(limit context.Context, ctx *cli.Context, target *agent.Target) (s *agent.Session, done func(), err error) {
	t, err := newTrust(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			t.close()
		}
	}()
	p, err := t.place(target)
	if err != nil {
		return nil, nil, err
	}
	cfg, err := t.session(target, p)
	if err != nil {
		return nil, nil, err
	}
	if cfg.Badge, cfg.Key, err = readCaller(ctx); err != nil {
		return nil, nil, err
	}
	if s, err = agent.Connect(limit, cfg); err != nil {
		return nil, nil, err
	}
	consoleOf(ctx).note("server %s", introduce(s.Server))
	return s, func() { s.Close(); t.close() }, nil
}

// introduce says in one line who a server is.
func introduce(s *serververify.Server) string {
	return fmt.Sprintf("%s, %s, level %s, bound to %s", s.DID, s.State, s.Level, s.Binding)
}

// session is what the flags say of a session with a target, but for who calls.
func (t *trust) session(target *agent.Target, p *place) (*agent.Config, error) {
	v, err := t.servers(p)
	if err != nil {
		return nil, err
	}
	cfg := &agent.Config{Target: *target, Verifier: v, Version: readVersion().Version, Resolver: t.resolver}
	if p.pins != nil {
		cfg.Tools = p.pins
	}
	if p.registry != nil {
		cfg.Approved = p.registry
	}
	return cfg, nil
}

func listTools(limit context.Context, ctx *cli.Context, s *agent.Session) error {
	con := consoleOf(ctx)
	tools, err := s.Tools(limit)
	if err != nil {
		return err
	}
	for _, t := range tools {
		if err := con.result(map[string]string{"name": t.Name, "description": t.Description}, t.Name); err != nil {
			return err
		}
	}
	return nil
}

func callTool(limit context.Context, ctx *cli.Context, s *agent.Session, tool string, arguments json.RawMessage) error {
	con := consoleOf(ctx)
	r, err := s.Call(limit, tool, arguments)
	if err != nil {
		return err
	}
	if r.Evidence != nil {
		con.note("evidence %s, leaf %s", r.Evidence.ID, r.Evidence.LeafHash)
	}
	if err := con.result(r, strings.Join(r.Text, "\n")); err != nil {
		return err
	}
	if name := ctx.Path("receipt"); name != "" {
		if err := saveReceipt(limit, ctx, s, r, name); err != nil {
			return err
		}
	}
	if r.IsError {
		return rejectedf("the tool ran and reports that it failed")
	}
	return nil
}

func saveReceipt(limit context.Context, ctx *cli.Context, s *agent.Session, r *agent.Result, name string) error {
	if r.Evidence == nil {
		return undeterminedf("the server names no evidence: there is no receipt to wait for")
	}
	client, policy, err := openLogClient(ctx)
	if err != nil {
		return err
	}
	proof, err := s.AwaitReceipt(limit, client, policy, r)
	if err != nil {
		return err
	}
	text, err := proof.MarshalText()
	if err != nil {
		return err
	}
	if r.Evidence.Entry != "" { // the log holds its digest: this is the only copy that the caller has
		if err := consoleOf(ctx).writeOutput(name+entrySuffix, []byte(r.Evidence.Entry), modePublic, false); err != nil {
			return err
		}
	}
	return consoleOf(ctx).writeOutput(name, text, modePublic, false)
}

// callArguments puts the arguments of a tool together: --args, or K=V each.
func callArguments(text string, pairs []string) (json.RawMessage, error) {
	if text != "" && len(pairs) > 0 {
		return nil, usagef("give the arguments with --args or as K=V, not both")
	}
	if text != "" {
		var o map[string]json.RawMessage
		if err := strictjson.Unmarshal([]byte(text), &o); err != nil || o == nil {
			return nil, usagef("--args is no JSON object: %w", orNull(err))
		}
		return json.RawMessage(text), nil
	}
	o := map[string]json.RawMessage{}
	for _, pair := range pairs {
		name, value, ok := strings.Cut(pair, "=")
		if _, twice := o[name]; !ok || name == "" || twice {
			return nil, usagef("argument %q: want K=V, each K once", pair)
		}
		raw := json.RawMessage(value)
		var v any
		if strictjson.Unmarshal(raw, &v) != nil {
			quoted, err := json.Marshal(value)
			if err != nil {
				return nil, err
			}
			raw = quoted
		}
		o[name] = raw
	}
	return json.Marshal(o)
}

func orNull(err error) error {
	if err == nil {
		return errors.New("it is null")
	}
	return err
}
