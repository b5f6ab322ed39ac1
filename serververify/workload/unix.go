package workload

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/touchmark-dev/touchmark/serververify"
)

// A UnixConfig says where a server listens, and to whom.
type UnixConfig struct {
	// Path is absolute and clean. Its directory is made with mode 0700 if there
	// is none; one that others can write to is refused. Beside the socket there
	// is a lock, Path and ".lock". Required.
	Path string

	// UIDs and GIDs are the user and primary group ids of peers that are served.
	// Both empty means the server's own user id alone; otherwise a peer with any
	// of them is served.
	UIDs, GIDs []uint32

	// Mode is that of the socket; zero means 0600. Others than the owner can only
	// connect if it lets them, and then UIDs or GIDs must be given.
	Mode os.FileMode

	// Refused hears of each connection that was refused, nil of none.
	Refused func(peer serververify.UnixPeer, err error)
}

func (c *UnixConfig) validate() error {
	switch {
	case c == nil:
		return errors.New("workload: no UnixConfig")
	case !filepath.IsAbs(c.Path) || filepath.Clean(c.Path) != c.Path:
		return fmt.Errorf("workload: socket path %q is not absolute and clean", c.Path)
	case len(c.Path) > maxSocketPath || len(filepath.Dir(c.Path)) > maxSocketDir:
		return fmt.Errorf("workload: socket path %q has more than %d bytes, or its directory more than %d",
			c.Path, maxSocketPath, maxSocketDir)
	case c.Mode&^0o666 != 0:
		return fmt.Errorf("workload: mode %v is not one of a socket", c.Mode)
	case c.Mode&0o066 != 0 && len(c.UIDs) == 0 && len(c.GIDs) == 0:
		return fmt.Errorf("workload: mode %v lets others connect, and neither UIDs nor GIDs says who is served", c.Mode)
	}
	return nil
}

// The length of the longest path that the kernel takes, and of the longest directory that leaves room for the one
// in which the socket is made.
const (
	maxSocketPath = 107
	maxSocketDir  = 90
)

func (c *UnixConfig) mode() os.FileMode {
	if c.Mode == 0 {
		return 0o600
	}
	return c.Mode
}

// admits says whether a peer is served.
func (c *UnixConfig) admits(p serververify.UnixPeer, own uint32) bool {
	if len(c.UIDs) == 0 && len(c.GIDs) == 0 {
		return p.UID == own
	}
	return slices.Contains(c.UIDs, p.UID) || slices.Contains(c.GIDs, p.GID)
}

// A unixConn is a connection whose peer was asked for when it was accepted.
type unixConn struct {
	*net.UnixConn
	cred serververify.UnixPeer
	path string

	once  sync.Once
	mu    sync.Mutex
	pidfd *os.File // nil where the kernel has none
	gone  bool     // the pidfd is closed
}

// Close closes the connection and the handle on its peer.
func (c *unixConn) Close() error {
	c.once.Do(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.gone = true
		if c.pidfd != nil {
			_ = c.pidfd.Close() // it holds nothing that could be lost
		}
	})
	return c.UnixConn.Close()
}

// ended says whether the process that opened the connection has ended, as far as
// the kernel tells; of a closed connection it has.
func (c *unixConn) ended() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pidfd == nil {
		return c.gone
	}
	return c.gone || exited(c.pidfd)
}

// A UnixDialConfig says which socket a client connects to, and who may be there.
type UnixDialConfig struct {
	// Path is absolute and clean. The socket, and each directory above it, has to
	// belong to root or to one of UIDs, and no directory may be writable by
	// others, unless it has the sticky bit. Required.
	Path string

	// UIDs are the user ids that the server may have; empty means the client's
	// own. The kernel names who called listen(2), which under socket activation
	// is the service manager.
	UIDs []uint32
}

// NewUnixClient returns a client whose connections all go to one socket, whatever
// the host of a URL is. It follows no redirect.
func NewUnixClient(c *UnixDialConfig) (*http.Client, error) {
	if c == nil || !filepath.IsAbs(c.Path) || filepath.Clean(c.Path) != c.Path {
		return nil, errors.New("workload: UnixDialConfig has no absolute and clean Path")
	}
	cfg := *c
	return client(&http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return DialUnix(ctx, &cfg) },
		DialTLSContext: func(context.Context, string, string) (net.Conn, error) {
			return nil, errors.New("workload: a unix socket has no https URLs")
		},
	}), nil
}
