package safehttp

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
)

// The published filter misses whole families of addresses: it lets a DID or an
// issuer reach 0.0.0.0 (this machine), carrier-grade NAT, multicast and
// addresses that a NAT64 gateway translates to private ones.
func TestKnownFault14AddressFamilies(t *testing.T) {
	families := map[string][]string{
		"unspecified (this network)":            {"0.0.0.0", "0.0.0.1", "0.255.255.255"},
		"private":                               {"10.0.0.0", "10.255.255.255", "172.16.0.0", "172.31.255.255", "192.168.0.0", "192.168.255.255"},
		"carrier-grade NAT":                     {"100.64.0.0", "100.100.100.200", "100.127.255.255"},
		"loopback":                              {"127.0.0.0", "127.0.0.1", "127.255.255.255", "::1"},
		"link-local (cloud metadata)":           {"169.254.0.0", "169.254.169.254", "169.254.170.2", "169.254.255.255"},
		"cloud metadata":                        {"168.63.129.16"},
		"protocol assignments (cloud metadata)": {"192.0.0.0", "192.0.0.192", "192.0.0.255"},
		"documentation":                         {"192.0.2.0", "198.51.100.255", "203.0.113.7", "2001:db8::1", "3fff::1", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff"},
		"AS112":                                 {"192.31.196.1", "192.175.48.1", "2620:4f:8000::1"},
		"AMT":                                   {"192.52.193.1"},
		"6to4 relay":                            {"192.88.99.1"},
		"benchmarking":                          {"198.18.0.0", "198.19.255.255", "2001:2::1"},
		"multicast":                             {"224.0.0.0", "224.0.0.1", "239.255.255.255", "ff00::", "ff02::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
		"reserved":                              {"240.0.0.0", "255.255.255.254"},
		"broadcast":                             {"255.255.255.255"},
		"unspecified":                           {"::"},
		"IPv4-mapped":                           {"::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:1.1.1.1", "::ffff:0.0.0.0"},
		"IPv4-translated":                       {"::ffff:0:127.0.0.1"},
		"IPv4-compatible":                       {"::127.0.0.1", "::2"},
		"NAT64":                                 {"64:ff9b::", "64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b::a9fe:a9fe", "64:ff9b::101:101"},
		"NAT64 (local use)":                     {"64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:7f00:1"},
		"discard":                               {"100::", "100::1"},
		"dummy":                                 {"100:0:0:1::1"},
		"Teredo":                                {"2001::1", "2001:0:7f00:1::"},
		"ORCHID":                                {"2001:10::1"},
		"ORCHIDv2":                              {"2001:20::1"},
		"protocol assignments":                  {"2001:1::1", "2001:1ff::1"},
		"6to4":                                  {"2002::", "2002:7f00:1::1", "2002:a00:1::", "2002:ffff:ffff::"},
		"6bone":                                 {"3ffe::1"},
		"segment routing":                       {"5f00::1"},
		"unique local (private)":                {"fc00::", "fd00:ec2::254", "fdff::1"},
		"link-local":                            {"fe80::1", "febf::1"},
		"site-local (private)":                  {"fec0::1", "feff::1"},
		"not global unicast":                    {"1::1", "4000::1", "8000::1", "200::1", "fe00::1"},
		"ISATAP":                                {"2600::5efe:a00:1", "2600::200:5efe:7f00:1"},
	}
	var seen []string
	for reason, addrs := range families {
		seen = append(seen, reason)
		for _, text := range addrs {
			err := CheckAddr(netip.MustParseAddr(text), Policy{})
			var refused *AddrError
			if !errors.As(err, &refused) || refused.Reason != reason {
				t.Errorf("CheckAddr(%s) = %v, want refusal %q", text, err, reason)
			}
		}
	}
	for _, r := range refused {
		if !slices.Contains(seen, r.reason) {
			t.Errorf("no test for %v (%s)", r.prefix, r.reason)
		}
	}
}

func TestCheckAddrAccepts(t *testing.T) {
	for _, text := range []string{
		"1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255",
		"128.0.0.0", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "192.0.1.0",
		"192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0", "223.255.255.255",
		"2000::", "2001:200::1", "2001:4860:4860::8888", "2003::1", "2606:4700:4700::1111", "2a00::1",
	} {
		if err := CheckAddr(netip.MustParseAddr(text), Policy{}); err != nil {
			t.Errorf("CheckAddr(%s) = %v", text, err)
		}
	}
}

func TestCheckAddrRefusesEveryEdge(t *testing.T) {
	for _, r := range refused {
		first, last := r.prefix.Masked().Addr(), lastOf(r.prefix)
		for _, addr := range []netip.Addr{first, last} {
			if CheckAddr(addr, Policy{}) == nil {
				t.Errorf("%v of %v is accepted", addr, r.prefix)
			}
		}
	}
}

// What the standard library calls special is special here too.
func TestCheckAddrAgreesWithNetip(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200_000 {
		var b [16]byte
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		if rng.IntN(2) == 0 { // reach the special ranges more often
			copy(b[:8], []byte{0xfe, 0x80 | b[1]&0x7f})
		}
		for _, addr := range []netip.Addr{netip.AddrFrom16(b), netip.AddrFrom4([4]byte(b[8:12]))} {
			special := !addr.IsGlobalUnicast() || addr.IsPrivate() || addr.IsLoopback() ||
				addr.IsLinkLocalUnicast() || addr.IsMulticast() || addr.IsUnspecified()
			if special && CheckAddr(addr, Policy{}) == nil {
				t.Fatalf("CheckAddr(%v) accepts a special address", addr)
			}
		}
	}
}

func TestCheckAddrOddValues(t *testing.T) {
	for addr, reason := range map[netip.Addr]string{
		{}: "not an IP address",
		netip.MustParseAddr("2606:4700::1").WithZone("eth0"): "it has a zone",
		netip.IPv6Loopback().WithZone("eth0"):                "it has a zone",
	} {
		err := CheckAddr(addr, Policy{UnsafeAllowLoopback: true})
		var refused *AddrError
		if !errors.As(err, &refused) || refused.Reason != reason {
			t.Errorf("CheckAddr(%v) = %v, want refusal %q", addr, err, reason)
		}
	}
}

func TestUnsafeAllowLoopbackAllowsNothingElse(t *testing.T) {
	p := Policy{UnsafeAllowLoopback: true}
	for _, text := range []string{"127.0.0.1:1", "127.9.9.9:6379", "[::1]:8443", "1.1.1.1:443"} {
		if err := CheckAddrPort(netip.MustParseAddrPort(text), p); err != nil {
			t.Errorf("CheckAddrPort(%s) = %v", text, err)
		}
	}
	for _, text := range []string{
		"10.0.0.1:443", "0.0.0.0:443", "169.254.169.254:443", "[::]:443", "[fe80::1]:443",
		"[::ffff:127.0.0.1]:443", "[64:ff9b::7f00:1]:443", "1.1.1.1:8443",
	} {
		if CheckAddrPort(netip.MustParseAddrPort(text), p) == nil {
			t.Errorf("CheckAddrPort(%s) is accepted", text)
		}
	}
}

func TestCheckAddrPort(t *testing.T) {
	for _, c := range []struct {
		addr  string
		ports []uint16
		ok    bool
	}{
		{"1.1.1.1:443", nil, true},
		{"1.1.1.1:8443", nil, false},
		{"1.1.1.1:80", nil, false},
		{"1.1.1.1:0", nil, false},
		{"1.1.1.1:8443", []uint16{8443}, true},
		{"1.1.1.1:443", []uint16{8443}, true},
		{"1.1.1.1:8444", []uint16{8443}, false},
		{"127.0.0.1:8443", []uint16{8443}, false},
	} {
		err := CheckAddrPort(netip.MustParseAddrPort(c.addr), Policy{AllowPorts: c.ports})
		if (err == nil) != c.ok {
			t.Errorf("CheckAddrPort(%s, ports %v) = %v", c.addr, c.ports, err)
		}
	}
}

func lastOf(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().AsSlice()
	for bit := p.Bits(); bit < len(b)*8; bit++ {
		b[bit/8] |= 0x80 >> (bit % 8)
	}
	addr, _ := netip.AddrFromSlice(b)
	return addr
}
