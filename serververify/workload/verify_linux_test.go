package workload_test

import (
	"net/http"
	"path/filepath"
	"testing"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/badgetest"
	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/serververify"
	"github.com/touchmark-dev/touchmark/serververify/workload"
)

// TestVerifiedOverSocket: a server on a socket of this package proves who it is with a proof that is bound to the
// socket and to the peer that this package tells it.
func TestVerifiedOverSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run", "mcp.sock")
	agent := badgetest.NewAgent(t)
	token, err := badge.SelfSign(agent.Key, &badge.Template{})
	if err != nil {
		t.Fatal(err)
	}
	identity, err := serververify.NewIdentity(&serververify.IdentityConfig{
		DID: agent.DID, Badge: serververify.StaticBadge(token), Signer: agent.Key, Origins: []string{"unix:" + path},
	})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := workload.ListenUnix(&workload.UnixConfig{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	server := workload.NewUnixServer(identity.Handler(http.HandlerFunc(tell)))
	go func() { _ = server.Serve(ln) }() // it ends with Close
	t.Cleanup(func() { _ = server.Close() })

	badges, err := badge.NewVerifier(&badge.Config{SelfSigned: []did.DID{agent.DID}})
	if err != nil {
		t.Fatal(err)
	}
	v, err := serververify.New(&serververify.Config{Badges: badges, Resolver: did.StaticResolver{}, MinLevel: badge.LevelSelfSigned})
	if err != nil {
		t.Fatal(err)
	}
	got, err := v.Verify(t.Context(), "unix:"+path)
	if err != nil {
		t.Fatal(err)
	}
	if got.State != serververify.StateVerified || got.Binding != serververify.BindingUnix || got.DID != agent.DID || got.Peer == nil {
		t.Errorf("the server is %+v", got)
	}
}
