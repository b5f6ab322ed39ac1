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

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/cmd/touchmark/internal/agent"
	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/strictjson"
)

func callCommand() *cli.Command {
	return &cli.Command{
		Name: "call", Usage: "call one tool as an agent", ArgsUsage: "URL TOOL [K=V]... | TOOL [K=V]... -- CMD ARGS",
		Description: "The server is verified first; then the badge is presented, with a proof for this call alone.\n" +
			"K=V gives the argument K as JSON where V is JSON, and else as a string.\n\nEXAMPLES\n" +
			"  touchmark call --home . https://mcp.example.com/mcp read_account account=4711\n" +
			"  touchmark call --list --key agent.jwk --badge agent.badge --issuer https://registry.example=jwks.json -- ./server",
		Flags: append(append(trustFlags(), minLevelFlag()), append(logFlags(),
			&cli.PathFlag{Name: "key", Usage: "the badge's key in `FILE`"},
			&cli.PathFlag{Name: "badge", Usage: "the badge to present, in `FILE`; without one the call is anonymous"},
			&cli.StringFlag{Name: "as", Usage: "with --home: call as `NAME`, with NAME.jwk and NAME.badge"},
			&cli.StringFlag{Name: "args", Usage: "the arguments, a `JSON` object"},
			&cli.BoolFlag{Name: "list", Usage: "list the tools that the server shows, and call none"},
			&cli.PathFlag{Name: "receipt", Usage: "wait for the proof that the call is in the log, and write it to `FILE`"},
			&cli.DurationFlag{Name: "timeout", Usage: "give up after this time", Value: time.Minute},
		)...),
		Action: call,
	}
}

func makeDir(dir string) error { return os.MkdirAll(dir, 0o700) }

// ownDID is the DID that was given, or the did:key of the key.
func ownDID(text string, key ed25519.PrivateKey) (did.DID, error) {
	if text == "" {
		return did.FromKey(key.Public().(ed25519.PublicKey)), nil
	}
	d, err := did.Parse(text)
	return d, malformed(err)
}

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
		if u, err := url.Parse(t.URL); err != nil || u.Scheme != "https" || u.Host == "" {
			return nil, nil, hint(usagef("%q is not the https URL of a server", t.URL), "a command to launch stands behind --")
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
	s, done, err := connect(limit, ctx, target)
	if err != nil {
		return err
	}
	defer done()
	if ctx.Bool("list") {
		return listTools(limit, ctx, s)
	}
	return callTool(limit, ctx, s, args[0], arguments)
}

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
	if _, err := os.Stat(name); err == nil {
		return usagef("%s is there already: name a new file for the receipt", name)
	}
	_, _, err := openLogClient(ctx)
	return err
}

// connect verifies the server and begins a session as who the flags say.
func connect(limit context.Context, ctx *cli.Context, target *agent.Target) (*agent.Session, func(), error) {
	con := consoleOf(ctx)
	t, err := newTrust(ctx)
	if err != nil {
		return nil, nil, err
	}
	v, err := t.servers()
	if err != nil {
		t.close()
		return nil, nil, err
	}
	cfg := &agent.Config{Target: *target, Verifier: v, Version: readVersion().Version, Resolver: t.resolver}
	if err = readCaller(ctx, cfg); err != nil {
		t.close()
		return nil, nil, err
	}
	s, err := agent.Connect(limit, cfg)
	if err != nil {
		t.close()
		return nil, nil, err
	}
	con.note("server %s, %s, level %s, bound to %s", s.Server.DID, s.Server.State, s.Server.Level, s.Server.Binding)
	return s, func() { s.Close(); t.close() }, nil
}

// readCaller reads who calls: nobody, without a badge.
func readCaller(ctx *cli.Context, cfg *agent.Config) error {
	con, name := consoleOf(ctx), ctx.Path("badge")
	if name == "" {
		con.note("no --badge: the call is anonymous")
		return nil
	}
	if err := required(ctx, "key"); err != nil {
		return err
	}
	token, err := con.readToken(name)
	if err != nil {
		return err
	}
	if _, err := badge.Inspect(token); err != nil {
		return malformed(fmt.Errorf("%s holds no badge: %w", name, err))
	}
	key, err := readKey(con, ctx.Path("key"))
	if err != nil {
		return err
	}
	cfg.Badge, cfg.Key = token, key.Key
	return nil
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
