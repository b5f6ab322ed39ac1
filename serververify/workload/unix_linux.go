package workload

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/touchmark-dev/touchmark/internal/durable"
	"github.com/touchmark-dev/touchmark/serververify"
)

// ListenUnix listens on a unix socket, and serves peers by the credentials that
// the kernel reports (spec/workload.md section 4). What is at the path from a
// server that stopped is replaced; a server that is still there is not.
func ListenUnix(c *UnixConfig) (net.Listener, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	cfg := *c
	cfg.UIDs, cfg.GIDs = slices.Clone(c.UIDs), slices.Clone(c.GIDs)
	if err := prepareDir(filepath.Dir(cfg.Path), cfg.mode()); err != nil {
		return nil, err
	}
	held, err := durable.OS{}.Lock(cfg.Path + ".lock")
	if errors.Is(err, durable.ErrLocked) {
		return nil, fmt.Errorf("workload: another server listens on %q", cfg.Path)
	} else if err != nil {
		return nil, fmt.Errorf("workload: lock of socket %q: %w", cfg.Path, err)
	}
	ln, err := bindSocket(&cfg)
	if err != nil {
		_ = held.Close() // the first error is the one that matters
		return nil, err
	}
	return &unixListener{UnixListener: ln, cfg: &cfg, own: uint32(os.Geteuid()), held: held}, nil //nolint:gosec // an id
}

// prepareDir makes the directory of a socket, or refuses one in which somebody
// else could put another socket.
func prepareDir(dir string, mode os.FileMode) error {
	made := os.FileMode(0o700)
	if mode&0o060 != 0 {
		made |= 0o010
	}
	if mode&0o006 != 0 {
		made |= 0o001
	}
	err := os.Mkdir(dir, made)
	if err == nil {
		if err = os.Chmod(dir, made); err != nil { // whatever the umask is
			return fmt.Errorf("workload: %w", err)
		}
	} else if !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("workload: directory of the socket: %w", err)
	}
	own := uint32(os.Geteuid()) //nolint:gosec // an id
	return checkDirs(dir, []uint32{own}, false)
}

// checkDirs refuses a directory in which somebody else than root and owners could
// replace what is on the way to it, none of it by a symbolic link. A directory
// that others can write to has to be sticky, and above dir unless stickyToo.
func checkDirs(dir string, owners []uint32, stickyToo bool) error {
	for at := dir; ; at = filepath.Dir(at) {
		info, err := os.Lstat(at)
		if err != nil {
			return fmt.Errorf("workload: directory of the socket: %w", err)
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		sticky := info.Mode()&os.ModeSticky != 0 && (at != dir || stickyToo)
		switch {
		case !ok || !info.IsDir():
			return fmt.Errorf("workload: %q is not a directory; write the path without symbolic links", at)
		case st.Uid != 0 && !slices.Contains(owners, st.Uid):
			return fmt.Errorf("workload: directory %q belongs to uid %d, who could replace the socket", at, st.Uid)
		case info.Mode().Perm()&0o022 != 0 && !sticky:
			return fmt.Errorf("workload: directory %q is writable by others (mode %v), who could replace the socket; use one of mode 0700",
				at, info.Mode().Perm())
		}
		if at == filepath.Dir(at) {
			return nil
		}
	}
}

// bindSocket makes the socket where nobody can reach it, gives it its mode, and
// moves it into place: there is no time at which it has another mode, nor one at
// which a stale socket is gone and the new one not there.
func bindSocket(c *UnixConfig) (*net.UnixListener, error) {
	info, err := os.Lstat(c.Path)
	switch {
	case err == nil && info.Mode().Type() != os.ModeSocket:
		return nil, fmt.Errorf("workload: %q is there and is no socket; it is not replaced", c.Path)
	case err == nil && answers(c.Path):
		return nil, fmt.Errorf("workload: another server listens on %q", c.Path)
	case err != nil && !errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("workload: %w", err)
	}
	tmp, err := os.MkdirTemp(filepath.Dir(c.Path), ".s")
	if err != nil {
		return nil, fmt.Errorf("workload: %w", err)
	}
	defer func() { _ = os.RemoveAll(tmp) }() // it is empty, or the listener failed
	name := filepath.Join(tmp, "s")
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: name, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("workload: %w", err)
	}
	ln.SetUnlinkOnClose(false)
	if err = os.Chmod(name, c.mode()); err == nil {
		err = os.Rename(name, c.Path)
	}
	if err != nil {
		_ = ln.Close() // the first error is the one that matters
		return nil, fmt.Errorf("workload: %w", err)
	}
	return ln, nil
}

// answers says whether somebody listens on a socket: one that did not take our
// lock.
func answers(path string) bool {
	conn, err := net.Dial("unix", path)
	if err != nil {
		return !errors.Is(err, syscall.ECONNREFUSED)
	}
	_ = conn.Close() // it was only to see
	return true
}

type unixListener struct {
	*net.UnixListener
	cfg  *UnixConfig
	own  uint32
	held io.Closer
}

// Accept returns the next connection of a peer that is served. Others are closed
// before a byte of theirs is read.
func (l *unixListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.AcceptUnix()
		if err != nil {
			return nil, err
		}
		c, err := identify(conn, l.cfg.Path)
		if err == nil && !l.cfg.admits(c.cred, l.own) {
			err = fmt.Errorf("workload: uid %d with gid %d is not served on %q", c.cred.UID, c.cred.GID, l.cfg.Path)
		}
		if err == nil {
			return c, nil
		}
		_ = c.Close() // nothing was said
		if l.cfg.Refused != nil {
			l.cfg.Refused(c.cred, err)
		}
	}
}

// Addr returns the address under which clients know the socket.
func (l *unixListener) Addr() net.Addr { return &net.UnixAddr{Name: l.cfg.Path, Net: "unix"} }

// Close removes the socket and lets go of the lock.
func (l *unixListener) Close() error {
	err := l.UnixListener.Close()
	if errors.Is(err, net.ErrClosed) {
		return err
	}
	return errors.Join(err, os.Remove(l.cfg.Path), l.held.Close())
}

// identify asks the kernel who is at the other end. It returns the connection in
// any case.
func identify(conn *net.UnixConn, path string) (*unixConn, error) {
	c := &unixConn{UnixConn: conn, path: path}
	raw, err := conn.SyscallConn()
	if err != nil {
		return c, fmt.Errorf("workload: peer credentials: %w", err)
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		var cred *unix.Ucred
		if cred, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); failed != nil {
			return
		}
		c.cred = serververify.UnixPeer{PID: int(cred.Pid), UID: cred.Uid, GID: cred.Gid}
		c.pidfd, failed = peerHandle(int(fd))
	})
	if err := errors.Join(err, failed); err != nil {
		return c, fmt.Errorf("workload: peer credentials: %w", err)
	}
	if c.cred.PID <= 0 {
		return c, errors.New("workload: the peer's process is not visible from here")
	}
	return c, nil
}

// peerHandle returns a pidfd of the peer, nil where the kernel has no
// SO_PEERPIDFD.
func peerHandle(fd int) (*os.File, error) {
	pidfd, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PEERPIDFD)
	switch {
	case errors.Is(err, unix.ENOPROTOOPT):
		return nil, nil
	case errors.Is(err, unix.ESRCH) || errors.Is(err, unix.EINVAL):
		return nil, errors.New("the process that connected has ended")
	case err != nil:
		return nil, err
	}
	return os.NewFile(uintptr(pidfd), "pidfd"), nil
}

// exited polls a pidfd, which is readable once the process has ended.
func exited(pidfd *os.File) bool {
	fds := []unix.PollFd{{Fd: int32(pidfd.Fd()), Events: unix.POLLIN}} //nolint:gosec // a file descriptor
	for {
		n, err := unix.Poll(fds, 0)
		if !errors.Is(err, unix.EINTR) {
			return err != nil || n > 0
		}
	}
}

// DialUnix connects to a server on a unix socket, once it is clear that nobody
// else can be there (spec/workload.md section 4).
func DialUnix(ctx context.Context, c *UnixDialConfig) (net.Conn, error) {
	if c == nil || !filepath.IsAbs(c.Path) || filepath.Clean(c.Path) != c.Path {
		return nil, errors.New("workload: UnixDialConfig has no absolute and clean Path")
	}
	owners := slices.Clone(c.UIDs)
	if len(owners) == 0 {
		owners = []uint32{uint32(os.Geteuid())} //nolint:gosec // an id
	}
	if err := checkDirs(filepath.Dir(c.Path), owners, true); err != nil {
		return nil, err
	}
	info, err := os.Lstat(c.Path)
	if err != nil {
		return nil, fmt.Errorf("workload: %w", err)
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || info.Mode().Type() != os.ModeSocket {
		return nil, fmt.Errorf("workload: %q is not a socket", c.Path)
	}
	if st.Uid != 0 && !slices.Contains(owners, st.Uid) {
		return nil, fmt.Errorf("workload: socket %q belongs to uid %d, who is not expected there", c.Path, st.Uid)
	}
	conn, err := new(net.Dialer).DialContext(ctx, "unix", c.Path)
	if err != nil {
		return nil, fmt.Errorf("workload: %w", err)
	}
	return checkServer(conn, c.Path, owners)
}

func checkServer(conn net.Conn, path string, uids []uint32) (net.Conn, error) {
	socket, ok := conn.(*net.UnixConn)
	if !ok {
		_ = conn.Close() // it cannot be
		return nil, errors.New("workload: not a unix socket")
	}
	u, err := identify(socket, path)
	if err == nil && !slices.Contains(uids, u.cred.UID) {
		err = fmt.Errorf("workload: the server on %q has uid %d, which is not expected there", path, u.cred.UID)
	}
	if err != nil {
		_ = u.Close() // nothing was said
		return nil, err
	}
	return u, nil
}
