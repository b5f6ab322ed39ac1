package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/touchmark-dev/touchmark/serververify/workload"
)

// plainClient is an MCP client that knows nothing of identities, badges or proofs:
// the program `client` of the scripts. It speaks one generation of the protocol
// with a command: client VERSION list -- CMD..., client VERSION TOOL JSON -- CMD...
// It prints the names of the tools, or the text of the result and, on a second
// line, its `_meta`.
func plainClient() {
	if err := runClient(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "client:", err)
		os.Exit(1)
	}
}

func runClient(args []string) error {
	at := slices.Index(args, "--")
	if at < 2 || at == len(args)-1 {
		return errors.New("usage: client VERSION list, or client VERSION TOOL JSON, and -- CMD")
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.Command(args[at+1], args[at+2:]...)
	cmd.Stderr = os.Stderr
	mc := mcp.NewClient(&mcp.Implementation{Name: "unmodified", Version: "1"}, nil)
	session, err := mc.Connect(ctx, &mcp.CommandTransport{Command: cmd}, &mcp.ClientSessionOptions{ProtocolVersion: args[0]})
	if err != nil {
		return fmt.Errorf("no session: %w", err)
	}
	defer session.Close()
	if got := session.InitializeResult().ProtocolVersion; got != args[0] {
		return fmt.Errorf("the session is of %s, want %s", got, args[0])
	}
	if args[1] == "list" {
		for tool, err := range session.Tools(ctx, nil) {
			if err != nil {
				return err
			}
			fmt.Println(tool.Name)
		}
		return nil
	}
	res, err := session.CallTool(ctx, &mcp.CallToolParams{Name: args[1], Arguments: json.RawMessage(args[2])})
	if err != nil {
		return err
	}
	for _, c := range res.Content {
		if t, ok := c.(*mcp.TextContent); ok {
			fmt.Println(t.Text)
		}
	}
	return json.NewEncoder(os.Stdout).Encode(res.GetMeta())
}

// relay puts somebody in the middle, who passes everything on to the site's
// server, and has a certificate that the client trusts. With a variable, which is
// set to it, that one has an origin of its own; without, whoever connects to the
// site's origin reaches the relay.
func (s *site) relay(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 1 {
		ts.Fatalf("usage: relay [VAR]")
	}
	behind := s.start(ts, *s.handler.Load())
	target, err := url.Parse(atLocalhost(behind))
	ts.Check(err)
	host := strings.TrimPrefix(ts.Getenv("ORIGIN"), "https://")
	through := http.Handler(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = host // as if the client had asked there
		},
		Transport: behind.Client().Transport,
		ErrorLog:  log.New(io.Discard, "", 0),
	})
	if len(args) == 0 {
		s.handler.Store(&through)
		return
	}
	ts.Setenv(args[0], atLocalhost(s.start(ts, through)))
}

// atLocalhost is the URL of a server by the name in its certificate.
func atLocalhost(s *httptest.Server) string {
	return strings.Replace(s.URL, "127.0.0.1", "localhost", 1)
}

// socket serves the notes on a unix socket: socket VAR DIR POLICY AGENT sets VAR
// to its path.
func socket(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 4 {
		ts.Fatalf("usage: socket VAR DIR POLICY AGENT")
	}
	dir, err := os.MkdirTemp("", "tm") // short: the path of a socket has at most some hundred bytes
	ts.Check(err)
	ts.Defer(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "notes.sock")
	l, err := workload.ListenUnix(&workload.UnixConfig{Path: path})
	ts.Check(err)
	server := workload.NewUnixServer(guardedNotes(ts, http.NewServeMux(), unixPrefix+path, args[1:]))
	server.ErrorLog = log.New(io.Discard, "", 0)
	go server.Serve(l)
	ts.Defer(func() { server.Close() })
	ts.Setenv(args[0], path)
}
