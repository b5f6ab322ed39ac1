package did

func addresses() []Vector {
	var all []Vector
	for _, v := range []struct {
		name, description, address string
		policy                     Policy
	}{
		{"addr-public-ipv4", "a public IPv4 address", "1.1.1.1:443", Policy{}},
		{"addr-public-ipv6", "a public IPv6 address", "[2606:4700:4700::1111]:443", Policy{}},
		{"addr-port-allowed", "a port that the verifier allows", "1.1.1.1:8443", Policy{AllowPorts: []uint16{8443}}},
		{"addr-loopback-allowed", "loopback in development, any port", "127.0.0.1:6379", Policy{UnsafeAllowLoopback: true}},
		{"addr-loopback-ipv6-allowed", "loopback in development, any port", "[::1]:6379", Policy{UnsafeAllowLoopback: true}},
	} {
		all = append(all, Vector{
			Name: v.name, Description: v.description, Address: v.address, Policy: &v.policy,
			Expect: Expect{Result: Accepted},
		})
	}
	for _, v := range []struct{ name, defect, address, reason string }{
		{"addr-port", "a port that the verifier does not allow", "1.1.1.1:8443", "port 8443 is not allowed"},
		{"addr-this-network", "unspecified, which reaches this machine", "0.0.0.0:443", "unspecified (this network)"},
		{"addr-private-10", "private", "10.0.0.1:443", "10.0.0.1 refused: private"},
		{"addr-private-172", "private, the last of its block", "172.31.255.255:443", "172.31.255.255 refused: private"},
		{"addr-private-192", "private", "192.168.0.1:443", "192.168.0.1 refused: private"},
		{"addr-cgn", "carrier-grade NAT, with a cloud's metadata service", "100.100.100.200:443", "carrier-grade NAT"},
		{"addr-loopback", "loopback", "127.0.0.1:443", "127.0.0.1 refused: loopback"},
		{"addr-metadata", "a cloud's metadata service at a public address", "168.63.129.16:443", "refused: cloud metadata"},
		{"addr-link-local", "link-local, with the metadata service of most clouds", "169.254.169.254:443", "link-local (cloud metadata)"},
		{"addr-protocol", "protocol assignments, with a cloud's metadata service", "192.0.0.192:443", "protocol assignments (cloud metadata)"},
		{"addr-documentation", "documentation", "192.0.2.1:443", "192.0.2.1 refused: documentation"},
		{"addr-as112", "AS112", "192.31.196.1:443", "AS112"},
		{"addr-amt", "AMT", "192.52.193.1:443", "AMT"},
		{"addr-6to4-relay", "the 6to4 relay", "192.88.99.1:443", "6to4 relay"},
		{"addr-benchmarking", "benchmarking", "198.18.0.1:443", "198.18.0.1 refused: benchmarking"},
		{"addr-multicast", "multicast", "224.0.0.1:443", "224.0.0.1 refused: multicast"},
		{"addr-reserved", "reserved", "240.0.0.1:443", "reserved"},
		{"addr-broadcast", "broadcast", "255.255.255.255:443", "broadcast"},
		{"addr-unspecified", "unspecified, which reaches this machine", "[::]:443", ":: refused: unspecified"},
		{"addr-loopback-ipv6", "loopback", "[::1]:443", "::1 refused: loopback"},
		{"addr-mapped", "an IPv4-mapped address", "[::ffff:10.0.0.1]:443", "IPv4-mapped"},
		{"addr-translated", "an IPv4-translated address", "[::ffff:0:a00:1]:443", "IPv4-translated"},
		{"addr-compatible", "an IPv4-compatible address", "[::a00:1]:443", "IPv4-compatible"},
		{"addr-nat64", "a private address behind NAT64", "[64:ff9b::a00:1]:443", "refused: NAT64"},
		{"addr-nat64-local", "a NAT64 prefix of local use", "[64:ff9b:1::1]:443", "NAT64 (local use)"},
		{"addr-discard", "discard", "[100::1]:443", "discard"},
		{"addr-dummy", "dummy", "[100:0:0:1::1]:443", "dummy"},
		{"addr-teredo", "Teredo", "[2001:0:a00:1::1]:443", "Teredo"},
		{"addr-orchid", "ORCHIDv2", "[2001:20::1]:443", "ORCHIDv2"},
		{"addr-protocol-ipv6", "protocol assignments", "[2001:1ff::1]:443", "2001:1ff::1 refused: protocol assignments"},
		{"addr-documentation-ipv6", "documentation", "[2001:db8::1]:443", "2001:db8::1 refused: documentation"},
		{"addr-6to4", "a private address behind 6to4", "[2002:a00:1::]:443", "2002:a00:1:: refused: 6to4"},
		{"addr-6bone", "the former 6bone", "[3ffe::1]:443", "6bone"},
		{"addr-segment-routing", "segment routing", "[5f00::1]:443", "segment routing"},
		{"addr-unique-local", "unique local, with a cloud's metadata service", "[fd00:ec2::254]:443", "unique local"},
		{"addr-link-local-ipv6", "link-local", "[fe80::1]:443", "fe80::1 refused: link-local"},
		{"addr-site-local", "site-local", "[fec0::1]:443", "site-local"},
		{"addr-multicast-ipv6", "multicast", "[ff02::1]:443", "ff02::1 refused: multicast"},
		{"addr-not-assigned", "outside of 2000::/3", "[4000::1]:443", "not global unicast"},
		{"addr-isatap", "a private address behind ISATAP", "[2600::5efe:a00:1]:443", "ISATAP"},
		{"addr-zone", "a zone", "[2606:4700::1%eth0]:443", "a zone"},
	} {
		all = append(all, refusedAddress(v.name, v.defect, v.address, v.reason, Policy{}))
	}
	loopback := Policy{UnsafeAllowLoopback: true}
	return append(all,
		refusedAddress("addr-loopback-not-private", "private, where loopback is allowed", "10.0.0.2:443", "10.0.0.2 refused: private", loopback),
		refusedAddress("addr-loopback-mapped", "loopback as an IPv4-mapped address, where loopback is allowed",
			"[::ffff:127.0.0.1]:443", "::ffff:127.0.0.1 refused", loopback),
		refusedAddress("addr-loopback-port", "another port of a public address, where loopback is allowed",
			"1.1.1.1:8080", "port 8080 is not allowed", loopback),
		refusedAddress("addr-allowed-port-private", "an allowed port of a private address",
			"10.0.0.3:8443", "10.0.0.3 refused: private", Policy{AllowPorts: []uint16{8443}}),
	)
}

func refusedAddress(name, defect, address, reason string, p Policy) Vector {
	return Vector{
		Name: name, Description: "an address that is not connected to", Defect: defect, Address: address, Policy: &p,
		Expect: Expect{Result: Refused, Reason: reason},
	}
}
