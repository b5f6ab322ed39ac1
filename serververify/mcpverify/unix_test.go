//go:build linux

package mcpverify

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/touchmark-dev/touchmark/serververify"
	"github.com/touchmark-dev/touchmark/serververify/workload"
)

// A server on a unix socket, of both generations, for a Client and through a
// Bridge; who has its socket's path and is somebody else is refused.
func TestUnixSocket(t *testing.T) {
	bothGenerations(t, func(t *testing.T, version string) {
		dir, err := os.MkdirTemp("", "tm")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(dir) })
		socket := filepath.Join(dir, "mcp.sock")
		s, w := newServer(), newWorld(t, serverDID)
		passed := signedOnly(t, w, s)
		id := w.identity(func(c *serververify.IdentityConfig) { c.Stdio, c.Origins = false, []string{"unix:" + socket} })
		Disclose(s, id)
		handler := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return s }, &mcp.StreamableHTTPOptions{Stateless: version == generation2026})
		l, err := workload.ListenUnix(&workload.UnixConfig{Path: socket})
		if err != nil {
			t.Fatal(err)
		}
		server := workload.NewUnixServer(id.Handler(handler))
		go server.Serve(l)
		t.Cleanup(func() { server.Close() })

		endpoint := "unix:" + socket + ":/mcp"
		client := NewClient(newMCPClient(), w.verifier())
		client.Caller, client.Tools = w.caller(), &approval{}
		session, srv, err := client.ConnectHTTP(t.Context(), endpoint, &mcp.ClientSessionOptions{ProtocolVersion: version})
		if err != nil {
			t.Fatal(err)
		}
		defer session.Close()
		if srv.Binding != serververify.BindingUnix || srv.Peer == nil || srv.Peer.PID != os.Getpid() || srv.Endpoint != endpoint {
			t.Errorf("got %+v", srv)
		}
		greet(t, session)
		greet(t, startBridge(t, BridgeConfig{Verifier: w.verifier(), Endpoint: endpoint, Caller: w.caller()}).connect(t, newMCPClient(), version))
		if passed.Load() != 2 {
			t.Errorf("%d calls were signed", passed.Load())
		}

		// Another user's server, and a directory in which everybody can put one.
		v := w.verifier(func(c *serververify.Config) { c.UnixPeers = []uint32{uint32(os.Geteuid()) + 1} })
		_, _, err = NewClient(newMCPClient(), v).ConnectHTTP(t.Context(), endpoint, nil)
		if serververify.CodeOf(err) != serververify.CodeDomainMismatch || !strings.Contains(err.Error(), "listens on the socket") {
			t.Errorf("another user's server: %v", err)
		}
		if err := os.Chmod(dir, 0o777); err != nil {
			t.Fatal(err)
		}
		if _, _, err = NewClient(newMCPClient(), w.verifier()).ConnectHTTP(t.Context(), endpoint, nil); err == nil || !strings.Contains(err.Error(), "writ") {
			t.Errorf("a directory of everybody: %v", err)
		}
	})
}
