package mcpverify

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/mcpwire"
	"github.com/touchmark-dev/touchmark/serververify"
)

// Arguments that make this test binary something else: an MCP server on its
// standard input and output, one that knows nothing of launch secrets, one that
// listens on a socket, and a relay from standard input and output to a socket.
const (
	beServer    = "-be-an-mcp-server"
	beOldServer = "-be-an-old-mcp-server"
	beListener  = "-be-an-mcp-server-at"
	beRelay     = "-be-a-relay-to"
)

func TestMain(m *testing.M) {
	var err error
	switch {
	case len(os.Args) == 2 && os.Args[1] == beServer:
		err = serveStdio(true)
	case len(os.Args) == 2 && os.Args[1] == beOldServer:
		err = serveStdio(false)
	case len(os.Args) == 3 && os.Args[1] == beListener:
		err = serveSocket(os.Args[2])
	case len(os.Args) == 3 && os.Args[1] == beRelay:
		err = relay(os.Args[2])
	default:
		os.Exit(m.Run())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

var processKey = ed25519.NewKeyFromSeed([]byte("the key of a server in a process"))

// processServer is an MCP server that discloses its identity, and says what of
// its launch is in the environment of its tools.
func processServer(launch serververify.Launch) (*mcp.Server, error) {
	token, err := badge.SelfSign(processKey, &badge.Template{})
	if err != nil {
		return nil, err
	}
	id, err := serververify.NewIdentity(&serververify.IdentityConfig{
		DID: did.FromKey(processKey.Public().(ed25519.PublicKey)), Signer: processKey, Badge: serververify.StaticBadge(token),
		Stdio: true, Launch: launch,
	})
	if err != nil {
		return nil, err
	}
	s := newServer()
	mcp.AddTool(s, &mcp.Tool{Name: "environment"}, func(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, any, error) {
		out, err := exec.Command("env").Output()
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: string(out)}}}, nil, err
	})
	Disclose(s, id)
	return s, nil
}

func serveStdio(modern bool) error {
	var launch serververify.Launch
	if modern {
		var err error
		if launch, err = serververify.LaunchSecret(); err != nil {
			return err
		}
	}
	s, err := processServer(launch)
	if err != nil {
		return err
	}
	return s.Run(context.Background(), &mcp.StdioTransport{})
}

// serveSocket is a server that was started by somebody else, and answers for
// stdio to whoever reaches its socket.
func serveSocket(path string) error {
	launch, err := serververify.LaunchSecret()
	if err != nil {
		return err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return err
	}
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		s, err := processServer(launch)
		if err != nil {
			return err
		}
		go s.Run(context.Background(), &mcp.IOTransport{Reader: c, Writer: c})
	}
}

func relay(path string) error {
	c, err := net.Dial("unix", path)
	if err != nil {
		return err
	}
	ended := make(chan error, 2)
	for _, d := range []struct {
		to   io.Writer
		from io.Reader
	}{{c, os.Stdin}, {os.Stdout, c}} {
		go func() {
			_, err := io.Copy(d.to, d.from)
			ended <- err
		}()
	}
	return <-ended
}

// processVerifier trusts the server in a process, with these bindings.
func processVerifier(t *testing.T, bindings ...serververify.Binding) *serververify.Verifier {
	t.Helper()
	badges, err := badge.NewVerifier(&badge.Config{SelfSigned: []did.DID{did.FromKey(processKey.Public().(ed25519.PublicKey))}})
	if err != nil {
		t.Fatal(err)
	}
	v, err := serververify.New(&serververify.Config{
		Badges: badges, Resolver: did.StaticResolver{}, MinLevel: badge.LevelSelfSigned, Bindings: bindings,
	})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func self(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Stderr = os.Stderr
	return cmd
}

// launch begins a session with a process, and returns how that went.
func launch(t *testing.T, v *serververify.Verifier, cmd *exec.Cmd, version string) (*mcp.ClientSession, *serververify.Server, error) {
	t.Helper()
	session, srv, err := NewClient(newMCPClient(), v).ConnectStdio(t.Context(), &mcp.CommandTransport{Command: cmd}, &mcp.ClientSessionOptions{ProtocolVersion: version})
	if err == nil {
		t.Cleanup(func() { session.Close() })
	}
	return session, srv, err
}

// A process that this client started proves that it is that one; the secret is
// not in the environment of what it starts in turn.
func TestProcess(t *testing.T) {
	bothGenerations(t, func(t *testing.T, version string) {
		cmd := self(beServer)
		cmd.Env = append(os.Environ(), serververify.LaunchVariable+"=that of the client's own launch")
		session, srv, err := launch(t, processVerifier(t, serververify.BindingLaunch), cmd, version)
		if err != nil {
			t.Fatal(err)
		}
		if srv.DID != did.FromKey(processKey.Public().(ed25519.PublicKey)) || srv.Binding != serververify.BindingLaunch || srv.State != serververify.StateVerified {
			t.Errorf("got %+v", srv)
		}
		if !strings.HasPrefix(srv.Endpoint, "stdio:/") || !strings.HasSuffix(srv.Endpoint, "+"+beServer) {
			t.Errorf("it is called %q", srv.Endpoint)
		}
		if got := session.InitializeResult().ProtocolVersion; got != version {
			t.Errorf("the session speaks %s", got)
		}
		greet(t, session)
		res, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "environment"})
		if err != nil {
			t.Fatal(err)
		}
		if env := res.Content[0].(*mcp.TextContent).Text; !strings.Contains(env, "PATH=") || strings.Contains(env, serververify.LaunchVariable) {
			t.Errorf("the environment of a tool:\n%s", env)
		}
	})
}

// A server that knows nothing of launches proves its key as before: that is
// reported, and refused where the launch was asked for.
func TestProcessWithoutLaunch(t *testing.T) {
	bothGenerations(t, func(t *testing.T, version string) {
		session, srv, err := launch(t, processVerifier(t), self(beOldServer), version)
		if err != nil {
			t.Fatal(err)
		}
		if srv.Binding != serververify.BindingStdio {
			t.Errorf("got %+v", srv)
		}
		greet(t, session)
		_, _, err = launch(t, processVerifier(t, serververify.BindingLaunch), self(beOldServer), version)
		wantRefusal(t, err, serververify.CodePoPFailed, serververify.StateDeclared)
	})
}

// A process that relays to a server which is running already: without a launch
// secret it cannot be told from that server, and with one it can.
func TestProcessThatRelays(t *testing.T) {
	dir, err := os.MkdirTemp("", "tm")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	start := func(name string, env ...string) string {
		path := filepath.Join(dir, name)
		real := self(beListener, path)
		real.Env = append(os.Environ(), env...)
		if err := real.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { real.Process.Kill(); real.Wait() })
		poll(t, "the server listens", func() bool {
			conn, err := net.Dial("unix", path)
			if err != nil {
				return false
			}
			conn.Close()
			return true
		})
		return path
	}
	running, launched := start("running"), start("launched", serververify.NewLaunch().Environ())
	bothGenerations(t, func(t *testing.T, version string) {
		_, srv, err := launch(t, processVerifier(t), self(beRelay, running), version)
		if err != nil || srv.Binding != serververify.BindingStdio {
			t.Fatalf("got %+v, %v", srv, err)
		}
		_, _, err = launch(t, processVerifier(t, serververify.BindingLaunch), self(beRelay, running), version)
		wantRefusal(t, err, serververify.CodePoPFailed, serververify.StateDeclared)
		// One that somebody else has launched says so, and not to this client.
		_, _, err = launch(t, processVerifier(t), self(beRelay, launched), version)
		wantRefusal(t, err, serververify.CodePoPFailed, serververify.StateDeclared)

		b := startBridge(t, BridgeConfig{Verifier: processVerifier(t, serververify.BindingLaunch), Command: self(beRelay, running)})
		_, err = newMCPClient().Connect(t.Context(), b.local, &mcp.ClientSessionOptions{ProtocolVersion: version})
		wantCode(t, err, mcpwire.CodeDenied, string(serververify.CodePoPFailed))
	})
}

// A bridge to a launched server, which ends when the server does.
func TestBridgeProcess(t *testing.T) {
	bothGenerations(t, func(t *testing.T, version string) {
		cmd := self(beServer)
		b := startBridge(t, BridgeConfig{Verifier: processVerifier(t, serververify.BindingLaunch), Command: cmd})
		session := b.connect(t, newMCPClient(), version)
		greet(t, session)
		b.mu.Lock()
		if len(b.servers) != 1 || b.servers[0].Binding != serververify.BindingLaunch {
			t.Errorf("got %+v", b.servers)
		}
		b.mu.Unlock()
		cmd.Process.Kill()
		select {
		case err := <-b.ended:
			if err == nil || !strings.Contains(err.Error(), "has ended") {
				t.Errorf("the bridge ended with %v", err)
			}
		case <-time.After(30 * time.Second):
			t.Error("the bridge goes on")
		}
	})
}

// A client of the newer generation may begin with any request: the server is
// verified before it leaves.
func TestNoHandshake(t *testing.T) {
	for name, verifier := range map[string]*serververify.Verifier{"trusted": processVerifier(t), "refused": newWorld(t, serverDID).verifier()} {
		t.Run(name, func(t *testing.T) {
			client, local := mcp.NewInMemoryTransports()
			go Bridge(t.Context(), &BridgeConfig{Client: local, Verifier: verifier, Command: self(beServer)})
			c, err := client.Connect(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			resp := ask(t, c, `{"jsonrpc":"2.0","id":"x","method":"tools/call","params":{"name":"greet","arguments":{},"_meta":{
				"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`)
			if name == "refused" {
				wantCode(t, resp.Error, mcpwire.CodeDenied, string(serververify.CodeIssuerUntrusted))
			} else if resp.Error != nil || !strings.Contains(string(resp.Result), "hello") {
				t.Errorf("got %s, %v", resp.Result, resp.Error)
			}
		})
	}
}
