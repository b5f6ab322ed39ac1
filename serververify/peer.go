package serververify

import (
	"context"
	"fmt"
)

const unixContext = "touchmark/unix-peer/v1\n"

// A UnixPeer is the process at the other end of a unix socket, as the kernel
// reports it: its ids when it connected, or when it began to listen.
type UnixPeer struct {
	PID int
	UID uint32
	GID uint32
}

type unixPeerKey struct{}

type unixChannel struct {
	peer UnixPeer
	path string
}

// WithUnixPeer returns a context that says that its requests came over the unix
// socket at path from peer. It is for http.Server.ConnContext of a server on a
// unix socket: peer has to come from the kernel, and path to be the one that
// the server listens on. [Identity.Handler] binds its proofs to both.
func WithUnixPeer(ctx context.Context, peer UnixPeer, path string) context.Context {
	return context.WithValue(ctx, unixPeerKey{}, unixChannel{peer, path})
}

func (c unixChannel) origin() string { return schemeUnix + ":" + c.path }

// digest is what a proof holds of the channel.
func (c unixChannel) digest() string {
	return digest(fmt.Appendf(nil, "%s%d\n%d\n%s", unixContext, c.peer.PID, c.peer.UID, c.path))
}
