package readers

import (
	"net"

	"golang.org/x/sys/unix"
)

const stateClosed = 7 // TCP_CLOSE of the kernel's tcp_states.h: what was not received is gone

// pending reports whether something was sent, and its receipt not acknowledged yet.
func (c *connection) pending() bool {
	tcp, ok := c.Conn.(*net.TCPConn)
	if !ok {
		return false
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return false
	}
	var is bool
	err = raw.Control(func(fd uintptr) {
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO) //nolint:gosec // a descriptor
		is = err == nil && info.State != stateClosed && (info.Unacked > 0 || info.Notsent_bytes > 0)
	})
	return err == nil && is
}
