package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/touchmark-dev/touchmark/cmd/touchmark/internal/agent"
	"github.com/touchmark-dev/touchmark/serververify"
	"github.com/touchmark-dev/touchmark/serververify/pin"
)

func pinApproveCommand() *cli.Command {
	return &cli.Command{
		Name: "approve", Usage: "approve the tools of a pinned server, as they are described now", ArgsUsage: endpointUsage,
		Description: "What differs from the tools that were approved before is shown on standard error. With --digest it is about\n" +
			"a list that was refused; else the server is verified and asked for its list, as the caller that --badge\n" +
			"says: a guarded server shows each caller the tools that it may use. Without --digest and --yes the digest\n" +
			"is asked for on standard input.\n\nEXAMPLES\n" +
			"  touchmark server pin approve --pins known-servers --digest sha256:9f2... https://mcp.example.com/mcp\n" +
			"  touchmark server pin approve --home . https://mcp.example.com/mcp",
		Flags: append(append(verifyFlags(), callerFlags()...), pinsFlag(),
			&cli.StringFlag{Name: "digest", Usage: "approve the list with this `DIGEST`, which was refused"},
			&cli.BoolFlag{Name: "yes", Usage: "approve whatever the server lists now"},
		),
		Action: pinApprove,
	}
}

func pinApprove(ctx *cli.Context) error {
	store, p, err := openPin(ctx)
	if err != nil {
		return err
	}
	tools, err := toolsToApprove(ctx, store, &p)
	if err != nil {
		return err
	}
	digest, err := pin.Digest(tools)
	if err != nil {
		return rejectedf("%w", err)
	}
	con := consoleOf(ctx)
	if digest == p.Tools {
		con.note("these tools are the approved ones")
		return printPin(con, &p)
	}
	if err := showChange(con, store, &p, tools); err != nil {
		return err
	}
	if !ctx.IsSet("digest") && !ctx.Bool("yes") {
		if err := askFor(con, digest); err != nil {
			return err
		}
	}
	if _, err := store.ApproveTools(ctx.Context, p.Endpoint, tools); err != nil {
		return pinError(err)
	}
	return printPinned(ctx, store, p.Endpoint)
}

// toolsToApprove returns the list that is meant: one that was kept, or the
// server's own.
func toolsToApprove(ctx *cli.Context, store *pin.Store, p *pin.Pin) (json.RawMessage, error) {
	digest := ctx.String("digest")
	switch {
	case ctx.IsSet("digest") && ctx.Bool("yes"):
		return nil, usagef("--digest names what is approved, and --yes takes whatever there is: give one of them")
	case ctx.IsSet("digest"):
		tools, err := store.Definitions(digest)
		return tools, pinError(err)
	case p.DID.IsZero():
		return nil, hint(usagef("%s has no identity, and is not asked", p.Endpoint), "give the digest that its gateway refused with --digest")
	}
	target, _, err := targetOf(ctx, 0)
	if err != nil {
		return nil, err
	}
	t, err := newTrust(ctx)
	if err != nil {
		return nil, err
	}
	defer t.close()
	at, err := store.At(p.Endpoint)
	if err != nil {
		return nil, pinError(err)
	}
	cfg, err := t.session(target, &place{admit: []serververify.Admission{at}})
	if err != nil {
		return nil, err
	}
	if cfg.Badge, cfg.Key, err = readCaller(ctx); err != nil {
		return nil, err
	}
	return listed(ctx.Context, cfg)
}

// listed returns a server's list of tools as it stands there.
func listed(ctx context.Context, cfg *agent.Config) (json.RawMessage, error) {
	var list toolList
	cfg.Tools = &list
	s, err := agent.Connect(ctx, cfg)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	if _, err := s.Tools(ctx); err != nil {
		return nil, err
	}
	return json.RawMessage(list), nil
}

// A toolList takes any list of tools, and keeps it.
type toolList json.RawMessage

func (l *toolList) CheckTools(_ context.Context, _ *serververify.Server, tools json.RawMessage) error {
	*l = toolList(slices.Clone(tools))
	return nil
}

// showChange says how tools differ from those that are approved.
func showChange(con *console, store *pin.Store, p *pin.Pin, tools json.RawMessage) error {
	before := json.RawMessage("[]")
	if strings.HasPrefix(p.Tools, "sha256:") {
		var err error
		if before, err = store.Definitions(p.Tools); err != nil {
			con.note("what was approved before was not kept: all tools are shown as new")
			before = json.RawMessage("[]")
		}
	}
	diff, err := pin.Diff(before, tools)
	if err != nil {
		return rejectedf("%w", err)
	}
	_, err = io.WriteString(con.err, diff)
	return err
}

// askFor wants somebody to type the digest of what was shown.
func askFor(con *console, digest string) error {
	fmt.Fprintf(con.err, "the digest of these tools is %s\ntype it to approve them: ", digest)
	line, err := bufio.NewReader(io.LimitReader(con.in, 1024)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if strings.TrimSpace(line) != digest {
		return rejectedf("that is not the digest: nothing was approved")
	}
	return nil
}
