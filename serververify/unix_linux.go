package serververify

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path"
	"slices"
	"syscall"
)

// dialUnix connects to a socket that nobody but root, this process's user and
// the users in uids can have put there, and on which one of uids listens, or
// this process's user when uids is empty. Only those it trusts can change what
// it has looked at before it connects.
func dialUnix(ctx context.Context, socket string, uids []uint32) (net.Conn, *UnixPeer, error) {
	if len(uids) == 0 {
		uids = []uint32{uint32(os.Geteuid())} //nolint:gosec // not negative on Linux
	}
	if err := checkSocket(socket, uids); err != nil {
		return nil, nil, err
	}
	c, err := new(net.Dialer).DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, nil, err
	}
	peer, err := peerOf(c)
	if err == nil && !slices.Contains(uids, peer.UID) {
		err = &placeError{fmt.Sprintf("user %d listens on the socket %q, not one of %v", peer.UID, socket, uids)}
	}
	if err != nil {
		c.Close()
		return nil, nil, err
	}
	return c, peer, nil
}

func peerOf(c net.Conn) (*UnixPeer, error) {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return nil, errors.New("not a socket")
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil, err
	}
	var cred *syscall.Ucred
	var failed error
	if err := raw.Control(func(fd uintptr) {
		cred, failed = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED) //nolint:gosec // a descriptor
	}); err != nil {
		return nil, err
	}
	if failed != nil {
		return nil, fmt.Errorf("who listens on the socket: %w", failed)
	}
	return &UnixPeer{PID: int(cred.Pid), UID: cred.Uid, GID: cred.Gid}, nil
}

// checkSocket looks at a socket and each directory above it, none of them by a
// symbolic link.
func checkSocket(socket string, uids []uint32) error {
	trusted := append([]uint32{0, uint32(os.Geteuid())}, uids...) //nolint:gosec // not negative on Linux
	for p := socket; ; p = path.Dir(p) {
		info, err := os.Lstat(p)
		if err != nil {
			return err
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		if !ok {
			return errors.New("a file without an owner")
		}
		want := fs.ModeDir
		if p == socket {
			want = fs.ModeSocket
		}
		mode := info.Mode()
		switch {
		case mode.Type() != want:
			return &placeError{fmt.Sprintf("%q is no %s: %s (write the path without symbolic links)", p, kind(want), mode.Type())}
		case !slices.Contains(trusted, st.Uid):
			return &placeError{fmt.Sprintf("%q belongs to user %d, not to one of %v", p, st.Uid, trusted)}
		case mode.IsDir() && mode.Perm()&0o022 != 0 && mode&fs.ModeSticky == 0:
			return &placeError{fmt.Sprintf("others may write to the directory %q (mode %s): anybody can put a socket there", p, mode)}
		}
		if p == "/" {
			return nil
		}
	}
}

func kind(t fs.FileMode) string {
	if t == fs.ModeSocket {
		return "socket"
	}
	return "directory"
}
