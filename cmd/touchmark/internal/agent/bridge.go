package agent

import (
	"context"
	"io"
	"os"
	"os/exec"
	"sync"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/touchmark-dev/touchmark/serververify"
	"github.com/touchmark-dev/touchmark/serververify/mcpverify"
)

// BridgeOptions are what a bridge can do differently.
type BridgeOptions struct {
	// RefuseServerRequests keeps the server from asking the client for anything.
	RefuseServerRequests bool

	OnServer func(*serververify.Server) // is told whom the bridge talks to; required
	OnError  func(error)                // is told what was answered with an error; required
}

// Bridge lets the MCP client on this process's standard input and output talk
// to the target, until one of them ends. When the client was told nothing but
// errors, because the server was refused or could not be reached, the last of
// them is returned.
func Bridge(ctx context.Context, cfg *Config, o *BridgeOptions) error {
	var last lastError
	bc := &mcpverify.BridgeConfig{
		Verifier: cfg.Verifier, Endpoint: cfg.Target.URL, Caller: cfg.caller(), Tools: cfg.Tools,
		RefuseServerRequests: o.RefuseServerRequests,
		OnServer:             func(s *serververify.Server) { last.set(nil); o.OnServer(s) },
		OnError:              func(err error) { last.set(err); o.OnError(err) },
	}
	if cfg.Target.URL == "" {
		bc.Command = exec.Command(cfg.Target.Command[0], cfg.Target.Command[1:]...)
		bc.Command.Stderr = cfg.Target.Stderr
	}
	if cfg.Approved != nil {
		t := &approvedTransport{
			Transport: &mcp.IOTransport{Reader: os.Stdin, Writer: keepOpen{os.Stdout}, MaxLineLength: mcpverify.DefaultMaxMessageBytes},
			approved:  cfg.Approved,
		}
		bc.Client, bc.OnResume = t, t.resumed
		bc.OnServer = func(s *serververify.Server) { last.set(nil); t.is(s); o.OnServer(s) }
	}
	err := mcpverify.Bridge(ctx, bc)
	if err == nil {
		err = last.get()
	}
	if err != nil && ctx.Err() == nil {
		return sessionError(&cfg.Target, err)
	}
	return nil
}

// keepOpen is standard output, which is not a bridge's to close.
type keepOpen struct{ io.Writer }

func (keepOpen) Close() error { return nil }

// A lastError is what a client was told last before its server was known.
type lastError struct {
	mu  sync.Mutex
	err error
	ok  bool
}

// set notes an error, or with nil that the server is known.
func (l *lastError) set(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ok = l.ok || err == nil; l.ok {
		err = nil
	}
	l.err = err
}

func (l *lastError) get() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}
