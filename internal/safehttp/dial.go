package safehttp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"syscall"
	"time"
)

// A Dialer connects to what a policy allows.
type Dialer struct {
	policy Policy
	lookup func(ctx context.Context, host string) ([]netip.Addr, error)
	dialer net.Dialer
}

// NewDialer returns the dialer of [NewTransport].
func NewDialer(cfg *Config) *Dialer {
	d := &Dialer{policy: cfg.Policy, lookup: cfg.Lookup}
	if d.lookup == nil {
		d.lookup = systemLookup
	}
	d.dialer = net.Dialer{Timeout: timeout(cfg), Control: d.control}
	return d
}

func systemLookup(ctx context.Context, host string) ([]netip.Addr, error) {
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
}

// control judges the address of a socket about to be connected. It is the last
// word, after every look-up and every rewriting of an address.
func (d *Dialer) control(_, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return &AddrError{Addr: address, Reason: "not an IP address and port"}
	}
	return CheckAddrPort(ap, d.policy)
}

// DialContext connects to host:port over TCP. It looks the host up once,
// refuses all of the answer if it refuses one address of it, and dials the
// addresses it has judged, not the name.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if network != "tcp" {
		return nil, fmt.Errorf("network %q refused, use tcp", network)
	}
	host, portText, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("port %q is not a number from 1 to 65535", portText)
	}
	addrs, err := d.addresses(ctx, host)
	if err != nil {
		return nil, err
	}
	for _, addr := range addrs {
		if err := CheckAddrPort(netip.AddrPortFrom(addr, uint16(port)), d.policy); err != nil {
			return nil, err
		}
	}
	return d.dialFirst(ctx, addrs[:min(len(addrs), maxAddresses)], uint16(port))
}

// addresses returns the addresses of a host, at least one.
func (d *Dialer) addresses(ctx context.Context, host string) ([]netip.Addr, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{addr}, nil
	}
	if host == "localhost" { // RFC 6761: never a question for DNS
		return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}, nil
	}
	addrs, err := d.lookup(ctx, host)
	if err != nil {
		return nil, err
	}
	if len(addrs) == 0 {
		return nil, fmt.Errorf("host %q has no addresses", host)
	}
	out := make([]netip.Addr, len(addrs))
	for i, addr := range addrs {
		out[i] = addr.Unmap() // the resolver maps plain IPv4 answers too
	}
	return out, nil
}

// dialFirst dials one address after the other and gives each its share of the
// time that is left, so that one that swallows packets does not take it all.
func (d *Dialer) dialFirst(ctx context.Context, addrs []netip.Addr, port uint16) (net.Conn, error) {
	var errs []error
	for i, addr := range addrs {
		dialer := d.dialer
		if deadline, ok := ctx.Deadline(); ok {
			dialer.Timeout = min(dialer.Timeout, time.Until(deadline)/time.Duration(len(addrs)-i))
		} else {
			dialer.Timeout /= time.Duration(len(addrs) - i)
		}
		conn, err := dialer.DialContext(ctx, "tcp", netip.AddrPortFrom(addr, port).String())
		if err == nil {
			return conn, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}
