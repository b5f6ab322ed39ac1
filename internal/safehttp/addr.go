package safehttp

import (
	"fmt"
	"net/netip"
	"slices"
)

// DefaultPort is the one port that the zero [Policy] allows.
const DefaultPort = 443

// A Policy says what may be connected to. The zero Policy allows public
// unicast addresses on port 443.
type Policy struct {
	// AllowPorts are ports allowed beside 443, on public addresses.
	AllowPorts []uint16

	// UnsafeAllowLoopback allows loopback addresses, and any port on them.
	// It is for development and tests: it lets whoever chooses an address
	// reach the services of this machine. Private and link-local addresses
	// stay refused.
	UnsafeAllowLoopback bool
}

// AddrError reports an address or port that the policy does not allow.
type AddrError struct {
	Addr   string
	Reason string
}

func (e *AddrError) Error() string {
	return fmt.Sprintf("address %s refused: %s", e.Addr, e.Reason)
}

type refusedPrefix struct {
	prefix netip.Prefix
	reason string
}

// refused lists, after the IANA special-purpose registries, what is no public
// unicast host. For IPv6 only 2000::/3 is allowed at all: the entries outside
// of it give the reason a name.
var refused = []refusedPrefix{
	{netip.MustParsePrefix("0.0.0.0/8"), "unspecified (this network)"},
	{netip.MustParsePrefix("10.0.0.0/8"), "private"},
	{netip.MustParsePrefix("100.64.0.0/10"), "carrier-grade NAT"},
	{netip.MustParsePrefix("127.0.0.0/8"), "loopback"},
	{netip.MustParsePrefix("168.63.129.16/32"), "cloud metadata"},
	{netip.MustParsePrefix("169.254.0.0/16"), "link-local (cloud metadata)"},
	{netip.MustParsePrefix("172.16.0.0/12"), "private"},
	{netip.MustParsePrefix("192.0.0.0/24"), "protocol assignments (cloud metadata)"},
	{netip.MustParsePrefix("192.0.2.0/24"), "documentation"},
	{netip.MustParsePrefix("192.31.196.0/24"), "AS112"},
	{netip.MustParsePrefix("192.52.193.0/24"), "AMT"},
	{netip.MustParsePrefix("192.88.99.0/24"), "6to4 relay"},
	{netip.MustParsePrefix("192.168.0.0/16"), "private"},
	{netip.MustParsePrefix("192.175.48.0/24"), "AS112"},
	{netip.MustParsePrefix("198.18.0.0/15"), "benchmarking"},
	{netip.MustParsePrefix("198.51.100.0/24"), "documentation"},
	{netip.MustParsePrefix("203.0.113.0/24"), "documentation"},
	{netip.MustParsePrefix("224.0.0.0/4"), "multicast"},
	{netip.MustParsePrefix("255.255.255.255/32"), "broadcast"},
	{netip.MustParsePrefix("240.0.0.0/4"), "reserved"},

	{netip.MustParsePrefix("::/128"), "unspecified"},
	{netip.MustParsePrefix("::1/128"), "loopback"},
	{netip.MustParsePrefix("::ffff:0:0/96"), "IPv4-mapped"},
	{netip.MustParsePrefix("::ffff:0:0:0/96"), "IPv4-translated"},
	{netip.MustParsePrefix("::/96"), "IPv4-compatible"},
	{netip.MustParsePrefix("64:ff9b::/96"), "NAT64"},
	{netip.MustParsePrefix("64:ff9b:1::/48"), "NAT64 (local use)"},
	{netip.MustParsePrefix("100::/64"), "discard"},
	{netip.MustParsePrefix("100:0:0:1::/64"), "dummy"},
	{netip.MustParsePrefix("2001::/32"), "Teredo"},
	{netip.MustParsePrefix("2001:2::/48"), "benchmarking"},
	{netip.MustParsePrefix("2001:10::/28"), "ORCHID"},
	{netip.MustParsePrefix("2001:20::/28"), "ORCHIDv2"},
	{netip.MustParsePrefix("2001:db8::/32"), "documentation"},
	{netip.MustParsePrefix("2001::/23"), "protocol assignments"},
	{netip.MustParsePrefix("2002::/16"), "6to4"},
	{netip.MustParsePrefix("2620:4f:8000::/48"), "AS112"},
	{netip.MustParsePrefix("3ffe::/16"), "6bone"},
	{netip.MustParsePrefix("3fff::/20"), "documentation"},
	{netip.MustParsePrefix("5f00::/16"), "segment routing"},
	{netip.MustParsePrefix("fc00::/7"), "unique local (private)"},
	{netip.MustParsePrefix("fe80::/10"), "link-local"},
	{netip.MustParsePrefix("fec0::/10"), "site-local (private)"},
	{netip.MustParsePrefix("ff00::/8"), "multicast"},
}

var globalUnicast6 = netip.MustParsePrefix("2000::/3")

// CheckAddr reports whether p allows a connection to addr, on some port. The
// error is an *[AddrError]. An IPv4-mapped IPv6 address is refused whatever it
// maps: whoever wants it dialled unmaps it first, and has the result checked.
func CheckAddr(addr netip.Addr, p Policy) error {
	if p.UnsafeAllowLoopback && isLoopback(addr) {
		return nil
	}
	if reason := refusal(addr); reason != "" {
		return &AddrError{Addr: addr.String(), Reason: reason}
	}
	return nil
}

// CheckAddrPort is CheckAddr, and the port as well.
func CheckAddrPort(ap netip.AddrPort, p Policy) error {
	if err := CheckAddr(ap.Addr(), p); err != nil {
		return err
	}
	if p.UnsafeAllowLoopback && isLoopback(ap.Addr()) {
		return nil
	}
	if ap.Port() != DefaultPort && !slices.Contains(p.AllowPorts, ap.Port()) {
		return &AddrError{Addr: ap.String(), Reason: fmt.Sprintf("port %d is not allowed", ap.Port())}
	}
	return nil
}

func isLoopback(addr netip.Addr) bool {
	return addr.IsLoopback() && !addr.Is4In6() && addr.Zone() == ""
}

// refusal says why addr is no public unicast host, or "".
func refusal(addr netip.Addr) string {
	switch {
	case !addr.IsValid():
		return "not an IP address"
	case addr.Zone() != "":
		return "it has a zone"
	}
	for _, r := range refused {
		if r.prefix.Contains(addr) {
			return r.reason
		}
	}
	switch {
	case addr.Is4():
		return ""
	case !globalUnicast6.Contains(addr):
		return "not global unicast"
	case isISATAP(addr):
		return "ISATAP"
	}
	return ""
}

// isISATAP reports whether the interface identifier embeds an IPv4 address
// (RFC 5214 section 6.1): an ISATAP router would forward to it.
func isISATAP(addr netip.Addr) bool {
	b := addr.As16()
	return b[8]&^0x02 == 0 && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe
}
