package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/internal/strictjson"
	"github.com/touchmark-dev/touchmark/serververify"
)

const (
	// DefaultMaxListAge is how old the upstream's list of tools may be.
	DefaultMaxListAge = 30 * time.Second

	// refusalAge is how long a list is taken for refused without another look
	// at it: looking costs more than asking.
	refusalAge = time.Second
)

// A ToolChecker judges the list of tools of the upstream, as what
// pin.Place.Upstream returns does by what was approved before.
type ToolChecker interface {
	// CheckTools returns nil for a list, a JSON array over all pages, that may
	// be shown and used. A refusal is a [*serververify.UntrustedError]; what its
	// text says in further lines is logged line by line.
	CheckTools(ctx context.Context, tools json.RawMessage) error
}

// A Registry says what may stand behind a gateway, as what
// registry.Place.Upstream returns does.
type Registry interface {
	// CheckUpstream returns nil for an upstream that may be used. version is
	// what it says of itself, "" while it has said nothing.
	CheckUpstream(ctx context.Context, version string) error

	// AllowsTool reports whether a tool of the upstream may be used.
	AllowsTool(tool string) bool
}

// A refusedError says that the upstream, or its list, was refused, or that this
// could not be told.
type refusedError struct{ err error }

func (e *refusedError) Error() string { return e.err.Error() }
func (e *refusedError) Unwrap() error { return e.err }

// isVerdict reports whether err says that the upstream was examined and refused.
func isVerdict(err error) bool {
	var untrusted *serververify.UntrustedError
	return errors.As(err, &untrusted)
}

// approve asks who has a say in it about a list that was just read. A tool that
// the registry lacks stays in the list, closed to everybody: the guard then
// answers as for any tool that it hides, and records the attempt.
func (g *Gateway) approve(ctx context.Context, c *catalog) error {
	if c.list != listOfTools { // what is approved, pinned and registered are tools
		return nil
	}
	if g.registry != nil {
		if version := serverVersion(c.template); version != "" {
			g.setVersion(version)
		}
		if err := g.registered(ctx); err != nil {
			return err
		}
	}
	if g.checker != nil {
		if err := g.checker.CheckTools(ctx, c.all()); err != nil {
			return &refusedError{err}
		}
	}
	if g.registry == nil {
		return nil
	}
	for i := range c.items {
		if name := c.items[i].Capability.Name; !g.registry.AllowsTool(name) {
			c.items[i].Require = guard.LevelUnsatisfiable
			g.log.Warn("gateway: the registry lacks a tool of the upstream", "tool", clip(name))
		}
	}
	return nil
}

// all is the list as one JSON array.
func (c *catalog) all() json.RawMessage {
	size := 2
	for _, raw := range c.raw {
		size += len(raw) + 1
	}
	out := append(make([]byte, 0, size), '[')
	for i, raw := range c.raw {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, raw...)
	}
	return append(out, ']')
}

// serverInfoKey is where a 2026-07-28 server says in each result what it is.
const serverInfoKey = "io.modelcontextprotocol/serverInfo"

// serverVersion is the version that a result of the upstream names, "" when it
// names none: a 2025-11-25 server does so in its handshake alone.
func serverVersion(result object) string {
	info := result["serverInfo"]
	if meta, err := result.child("_meta"); err == nil && meta[serverInfoKey] != nil {
		info = meta[serverInfoKey]
	}
	var implementation struct {
		Version string `json:"version"`
	}
	if len(info) == 0 || strictjson.Unmarshal(info, &implementation) != nil {
		return ""
	}
	return implementation.Version
}

func (g *Gateway) setVersion(v string) {
	g.mu.Lock()
	g.version = v
	g.mu.Unlock()
}

func (g *Gateway) knownVersion() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.version
}

// registered asks the registry about the upstream, in the version that it is
// known to have.
func (g *Gateway) registered(ctx context.Context) error {
	if g.registry == nil {
		return nil
	}
	if err := g.registry.CheckUpstream(ctx, g.knownVersion()); err != nil {
		return &refusedError{err}
	}
	return nil
}

// admitUpstream asks the registry about an upstream that has just said what it
// is in a handshake.
func (g *Gateway) admitUpstream(ctx context.Context, result object) error {
	if g.registry == nil {
		return nil
	}
	g.setVersion(serverVersion(result))
	return g.registered(ctx)
}

// noUpstream refuses what depends on the upstream, or on its list, when that was
// refused or cannot be had. The caller learns the code and not what changed.
func (g *Gateway) noUpstream(ctx context.Context, m *message, r *guard.Request, err error) {
	g.logRefusal(err)
	code, cause := guard.CodeGuardFailed, causeUpstreamCatalog
	var untrusted *serververify.UntrustedError
	if errors.As(err, &untrusted) {
		code, cause = guard.CodePolicyDenied, string(untrusted.Code)
	}
	g.answerRefusal(m, guard.RefusalOf(g.guard.Refuse(ctx, r, code, cause)), guard.Capability{})
}

// logRefusal says why the upstream cannot be used, in full when that is new.
func (g *Gateway) logRefusal(err error) {
	text := err.Error()
	first, rest, _ := strings.Cut(text, "\n")
	g.log.Error("gateway: the upstream cannot be used", "error", first)
	g.mu.Lock()
	again := g.logged == text
	g.logged = text
	g.mu.Unlock()
	if again || rest == "" {
		return
	}
	for line := range strings.Lines(rest) {
		g.log.Error("gateway: tools", "change", strings.TrimSuffix(line, "\n"))
	}
}
