package safehttp

import (
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
)

// The last word is had on the socket, even if nothing before it objected.
func TestControlJudgesTheDialledAddress(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var accepted atomic.Int32
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			accepted.Add(1)
			c.Close()
		}
	}()
	ap := l.Addr().(*net.TCPAddr).AddrPort()
	d := NewDialer(&Config{Policy: Policy{AllowPorts: []uint16{ap.Port()}}})
	for _, addr := range []netip.Addr{ap.Addr(), netip.MustParseAddr("0.0.0.0"), netip.MustParseAddr("::ffff:127.0.0.1")} {
		_, err := d.dialFirst(t.Context(), []netip.Addr{addr}, ap.Port())
		var refused *AddrError
		if !errors.As(err, &refused) {
			t.Errorf("dialling %v: %v, want an AddrError", addr, err)
		}
	}
	if n := accepted.Load(); n != 0 {
		t.Errorf("%d connections were made", n)
	}
	if err := d.control("tcp", "not an address", nil); err == nil {
		t.Error("control accepts an address it cannot read")
	}
}

func TestSystemLookupIsTheDefault(t *testing.T) {
	if NewDialer(&Config{}).lookup == nil {
		t.Error("no look-up")
	}
}
