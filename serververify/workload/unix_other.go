//go:build !linux

package workload

import (
	"context"
	"errors"
	"net"
	"os"
)

var errNoPeers = errors.New("workload: unix peer credentials need Linux; use TLS here")

// ListenUnix refuses: without peer credentials nobody is known.
func ListenUnix(*UnixConfig) (net.Listener, error) { return nil, errNoPeers }

// DialUnix refuses: without peer credentials nobody is known.
func DialUnix(context.Context, *UnixDialConfig) (net.Conn, error) { return nil, errNoPeers }

func exited(*os.File) bool { return true }
