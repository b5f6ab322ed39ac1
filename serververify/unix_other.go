//go:build !linux

package serververify

import (
	"context"
	"fmt"
	"net"
	"runtime"
)

// dialUnix fails: who is at the other end of a socket is asked of Linux alone.
func dialUnix(context.Context, string, []uint32) (net.Conn, *UnixPeer, error) {
	return nil, nil, fmt.Errorf("unix sockets are not supported on %s", runtime.GOOS)
}
