package mcpverify

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/serververify"
)

// beServer is the argument that makes this test binary an MCP server on its
// standard input and output.
const beServer = "-be-an-mcp-server"

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == beServer {
		if err := serveStdio(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

var processKey = ed25519.NewKeyFromSeed([]byte("the key of a server in a process"))

func serveStdio() error {
	token, err := badge.SelfSign(processKey, &badge.Template{})
	if err != nil {
		return err
	}
	id, err := serververify.NewIdentity(&serververify.IdentityConfig{
		DID: did.FromKey(processKey.Public().(ed25519.PublicKey)), Signer: processKey, Badge: serververify.StaticBadge(token), Stdio: true,
	})
	if err != nil {
		return err
	}
	s := newServer()
	Disclose(s, id)
	return s.Run(context.Background(), &mcp.StdioTransport{})
}

// The same over the standard input and output of a process.
func TestProcess(t *testing.T) {
	bothGenerations(t, func(t *testing.T, version string) {
		self := did.FromKey(processKey.Public().(ed25519.PublicKey))
		badges, err := badge.NewVerifier(&badge.Config{SelfSigned: []did.DID{self}})
		if err != nil {
			t.Fatal(err)
		}
		v, err := serververify.New(&serververify.Config{Badges: badges, Resolver: did.StaticResolver{}, MinLevel: badge.LevelSelfSigned})
		if err != nil {
			t.Fatal(err)
		}
		tr := &mcp.CommandTransport{Command: exec.Command(os.Args[0], beServer)}
		session, srv, err := NewClient(newMCPClient(), v).ConnectStdio(t.Context(), tr, &mcp.ClientSessionOptions{ProtocolVersion: version})
		if err != nil {
			t.Fatal(err)
		}
		defer session.Close()
		if srv.DID != self || session.InitializeResult().ProtocolVersion != version {
			t.Errorf("got %+v over %s", srv, session.InitializeResult().ProtocolVersion)
		}
		greet(t, session)
	})
}
