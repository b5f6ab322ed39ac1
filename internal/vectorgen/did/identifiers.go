package did

import (
	"bytes"
	"encoding/hex"
	"strings"
)

// MaxLength is the longest DID, in bytes.
const maxLength = 1024

func identifiers() []Vector {
	return append(append(goodKeys(), badKeys()...), append(goodWebs(), badWebs()...)...)
}

func goodKeys() []Vector {
	var all []Vector
	for _, v := range []struct{ name, description, did, key string }{
		{
			"key-published", "the did:key that did-method-key publishes for the seed of 32 zero bytes",
			"did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp",
			"3b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29",
		},
		{
			"key-valid", "a did:key of an Ed25519 key",
			edDID(edKey("one")), hex.EncodeToString(edKey("one")),
		},
	} {
		all = append(all, Vector{
			Name: v.name, Description: v.description, DID: v.did,
			Expect: Expect{Result: Accepted, DID: v.did, PublicKey: v.key},
		})
	}
	return all
}

func badKeys() []Vector {
	key := edKey("one")
	did := func(prefix, key []byte) string { return "did:key:" + multikey(prefix, key) }
	var all []Vector
	for _, v := range []struct{ name, defect, did, reason string }{
		{"key-base64url", "multibase base64url instead of base58btc", "did:key:u7QE7aie8zrakLWKjqNAqbw1zZTIVdx3iQ6Y6wEihi1naKQ", "not in base58btc"},
		{"key-no-multibase", "no multibase prefix", "did:key:6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp", "which begins with z"},
		{"key-alphabet", "a character that base58btc leaves out", strings.Replace(edDID(key), "z6Mk", "z6Ml", 1), "alphabet"},
		{"key-too-long", "more characters than any key that is read", "did:key:z" + strings.Repeat("2", 600), "characters, the limit is 512"},
		{"key-no-codec", "nothing after the multibase prefix", "did:key:z", "multicodec prefix"},
		{"key-codec-not-minimal", "the multicodec code 0xed in three bytes", did([]byte{0xed, 0x81, 0x00}, key), "well-formed multicodec"},
		{"key-p256", "a P-256 key", did(prefixP256, compress(p256Key("one"))), "a P-256 key (multicodec 0x1200)"},
		{"key-x25519", "an X25519 key, which cannot sign", did(prefixX25519, key), "an X25519 key (multicodec 0xec)"},
		{"key-secp256k1", "a secp256k1 key", did(prefixSecp256k1, append([]byte{2}, key...)), "a secp256k1 key (multicodec 0xe7)"},
		{"key-rsa", "an RSA key", did(prefixRSA, bytes.Repeat([]byte{0x30}, 270)), "an RSA key (multicodec 0x1205)"},
		{"key-unknown-codec", "a multicodec code that is no key's", did([]byte{0x55}, key), "unknown kind (multicodec 0x55)"},
		{"key-short", "a key of 31 bytes", did(prefixEd25519, key[:31]), "of 31 bytes"},
		{"key-long", "a key of 33 bytes", did(prefixEd25519, append(key[:32:32], 0)), "of 33 bytes"},
		{"key-small-order", "the point of order 1", did(prefixEd25519, unhex("01"+strings.Repeat("00", 31))), "small order"},
		{"key-not-canonical", "a y coordinate of p+3", did(prefixEd25519, unhex("f0"+strings.Repeat("ff", 30)+"7f")), "not canonically encoded"},
	} {
		all = append(all, refusedDID(v.name, v.defect, v.did, v.reason))
	}
	return all
}

func refusedDID(name, defect, did, reason string) Vector {
	return Vector{
		Name: name, Description: "a DID that is refused", Defect: defect, DID: did,
		Expect: Expect{Result: Refused, Reason: reason},
	}
}

func goodWebs() []Vector {
	longest := "did:web:a.example:"
	longSegment := strings.Repeat("x", maxLength-len(longest))
	var all []Vector
	for _, v := range []struct {
		name, description, did, origin, path string
		segments                             []string
	}{
		{"web-host", "a host", "did:web:example.com", "https://example.com", "", nil},
		{"web-path", "a host and path segments", "did:web:example.com:user:alice", "https://example.com", "/user/alice", []string{"user", "alice"}},
		{"web-port", "a port, its colon percent-encoded", "did:web:example.com%3A3000", "https://example.com:3000", "", nil},
		{"web-port-path", "a port and a path", "did:web:example.com%3A65535:a", "https://example.com:65535", "/a", []string{"a"}},
		{"web-localhost", "the one host name of a single label", "did:web:localhost%3A8443", "https://localhost:8443", "", nil},
		{"web-a-label", "an internationalised host as an A-label", "did:web:xn--bcher-kva.example", "https://xn--bcher-kva.example", "", nil},
		{"web-utf8", "a path segment of percent-encoded UTF-8", "did:web:a.example:b%C3%BCcher", "https://a.example", "/b%C3%BCcher", []string{"bücher"}},
		{"web-encoded", "characters that a URL allows and a DID does not", "did:web:a.example:%7Eme:a%3Ab%40c", "https://a.example", "/%7Eme/a%3Ab%40c", []string{"~me", "a:b@c"}},
		{"web-case", "path segments keep their case", "did:web:a.example:Fs:fS", "https://a.example", "/Fs/fS", []string{"Fs", "fS"}},
		{"web-dots", "three dots are a name", "did:web:a.example:...", "https://a.example", "/...", []string{"..."}},
		{"web-well-known-below", "a path below .well-known", "did:web:a.example:.well-known:x", "https://a.example", "/.well-known/x", []string{".well-known", "x"}},
		{"web-document-name", "a path segment called did.json", "did:web:a.example:did.json", "https://a.example", "/did.json", []string{"did.json"}},
		{"web-longest", "as many bytes as a DID may have", longest + longSegment, "https://a.example", "/" + longSegment, []string{longSegment}},
	} {
		document := v.path
		if document == "" {
			document = "/.well-known"
		}
		all = append(all, Vector{
			Name: v.name, Description: v.description, DID: v.did,
			Expect: Expect{
				Result: Accepted, DID: v.did, Origin: v.origin, BaseURL: v.origin + v.path,
				DocumentURL: v.origin + document + "/did.json", PathSegments: v.segments,
			},
		})
	}
	return all
}

func badWebs() []Vector {
	label := strings.Repeat("a", 63)
	var all []Vector
	for _, v := range []struct{ name, defect, did, reason string }{
		{"not-a-did", "a URL", "https://a.example", "not a DID"},
		{"method-unknown", "another method", "did:ion:EiClkZMDxPKqC9c", "method not supported"},
		{"method-case", "the method in upper case", "did:WEB:a.example", "use did:key or did:web"},
		{"too-long", "one byte too many", "did:web:a.example:" + strings.Repeat("x", maxLength-17), "1025 bytes, the limit is 1024"},
		{"web-no-host", "no host", "did:web:", "no host"},
		{"web-host-too-long", "a host of 254 bytes", "did:web:" + strings.Repeat(label+".", 3) + strings.Repeat("b", 54) + ".example", "host of 254 bytes"},
		{"web-empty-label", "a trailing dot", "did:web:a.example.", "empty label"},
		{"web-label-too-long", "a label of 64 bytes", "did:web:" + label + "a.example", "more than 63 bytes"},
		{"web-hyphen", "a label that begins with a hyphen", "did:web:-a.example", "hyphen"},
		{"web-upper-case", "a host with an upper-case letter", "did:web:A.example", "upper-case"},
		{"web-u-label", "a host with a letter outside ASCII", "did:web:bücher.example", "write other alphabets as xn--"},
		{"web-userinfo", "userinfo before the host", "did:web:user%40a.example", "character other than a-z"},
		{"web-ipv4", "an IPv4 address", "did:web:127.0.0.1", `"127.0.0.1" is an IP address`},
		{"web-ipv4-number", "an IPv4 address as one number", "did:web:2130706433", `"2130706433" is an IP address`},
		{"web-ipv4-hexadecimal", "a last label that is a hexadecimal number", "did:web:a.0x7f", "can be read as one"},
		{"web-one-label", "a host that a search list would complete", "did:web:intranet", "not a fully qualified"},
		{"web-port-not-number", "a port that is no number", "did:web:a.example%3Ahttps", `port "https" is not a number`},
		{"web-port-zero", "port 0", "did:web:a.example%3A0", `port "0" is not a number`},
		{"web-port-too-high", "port 65536", "did:web:a.example%3A65536", `port "65536" is not a number`},
		{"web-port-leading-zero", "a port with a leading zero", "did:web:a.example%3A08443", "leading zeros"},
		{"web-port-default", "port 443 written out", "did:web:a.example%3A443", "443 is the default"},
		{"web-empty-segment", "an empty path segment", "did:web:a.example:a::b", "empty path segment"},
		{"web-dot-segment", "a path segment of one dot", "did:web:a.example:.", `"." moves`},
		{"web-dot-dot-segment", "a path segment of two dots", "did:web:a.example:a:..:b", `".." moves`},
		{"web-not-utf8", "a path segment that is not UTF-8", "did:web:a.example:%FF", "not UTF-8"},
		{"web-control", "an encoded line break", "did:web:a.example:a%0Ab", "control character"},
		{"web-encoded-slash", "an encoded slash", "did:web:a.example:a%2Fb", "encoded '/'"},
		{"web-encoded-backslash", "an encoded backslash", "did:web:a.example:a%5Cb", `encoded '\\'`},
		{"web-encoded-percent", "an encoded percent sign", "did:web:a.example:%252F", "encoded '%'"},
		{"web-encoding-incomplete", "a percent sign and one digit", "did:web:a.example:a%4", "incomplete"},
		{"web-encoding-malformed", "a percent sign and no digits", "did:web:a.example:%zz", "malformed percent-encoding"},
		{"web-encoding-needless", "an encoded letter", "did:web:a.example:%41", `canonical form "A"`},
		{"web-encoding-case", "an encoding in lower-case hexadecimal", "did:web:a.example:%c3%bc", `canonical form "%C3%BC"`},
		{"web-not-encoded", "a character that a DID does not have", "did:web:a.example:~me", `canonical form "%7Eme"`},
		{"web-well-known", "the path .well-known, whose document is the host's", "did:web:a.example:.well-known", "that of the DID without a path"},
	} {
		all = append(all, refusedDID(v.name, v.defect, v.did, v.reason))
	}
	return all
}
