package peers

import (
	"strconv"
	"syscall"
	"testing"
)

// Port returns a port of 127.0.0.1 that is the test's until its end: nothing
// listens on it, nobody is given it who asks for any port, and who asks for
// this one gets it, another process too, again and again.
func Port(t testing.TB) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	// A bound socket that does not listen keeps a port from those who did not
	// name it, and, as all of them set SO_REUSEADDR, from nobody else.
	if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return strconv.Itoa(name.(*syscall.SockaddrInet4).Port)
}
