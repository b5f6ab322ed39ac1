package did

import "strings"

func urls() []Vector {
	return append(append(didURLs(), webURLs()...), documentURLs()...)
}

func didURLs() []Vector {
	const did = "did:web:a.example"
	var all []Vector
	for _, v := range []struct{ name, description, fragment string }{
		{"url-valid", "a DID URL", "key-1"},
		{"url-encoded", "every character that a fragment may have beside letters, digits and -._", "~!$&'()*+,;=:@/?%2F"},
		{"url-longest", "a fragment of 256 bytes", strings.Repeat("k", 256)},
	} {
		all = append(all, Vector{
			Name: v.name, Description: v.description, DIDURL: did + "#" + v.fragment,
			Expect: Expect{Result: Accepted, DID: did, Fragment: v.fragment},
		})
	}
	for _, v := range []struct{ name, defect, url, reason string }{
		{"url-no-fragment", "no fragment", did, "no fragment to name"},
		{"url-empty-fragment", "an empty fragment", did + "#", "empty fragment"},
		{"url-fragment-too-long", "a fragment of 257 bytes", did + "#" + strings.Repeat("k", 257), "fragment too long"},
		{"url-fragment-character", "a second number sign", did + "#a#b", "RFC 3986 does not allow"},
		{"url-path", "a path", did + "/a#k", `"a.example/a" has a character`},
		{"url-query", "a query", did + "?v=1#k", `"a.example?v=1" has a character`},
		{"url-parameter", "a DID parameter", did + ";v=1#k", `"a.example;v=1" has a character`},
	} {
		all = append(all, Vector{
			Name: v.name, Description: "a DID URL that is refused", Defect: v.defect, DIDURL: v.url,
			Expect: Expect{Result: Refused, Reason: v.reason},
		})
	}
	return all
}

func webURLs() []Vector {
	var all []Vector
	for _, v := range []struct{ name, description, url, did string }{
		{"weburl-valid", "the URL of a server", "https://a.example:8443/mcp/fs", "did:web:a.example%3A8443:mcp:fs"},
		{"weburl-folded", "a host in upper case, the default port and a root path", "https://A.Example:443/", "did:web:a.example"},
		{"weburl-encoded", "percent-encodings that are not canonical", "https://a.example/%7eme/%41~", "did:web:a.example:%7Eme:A%7E"},
	} {
		all = append(all, Vector{
			Name: v.name, Description: v.description, WebURL: v.url,
			Expect: Expect{Result: Accepted, DID: v.did},
		})
	}
	for _, v := range []struct{ name, defect, url, reason string }{
		{"weburl-http", "plain http", "http://a.example", "not an https URL"},
		{"weburl-userinfo", "userinfo", "https://u@a.example", "userinfo"},
		{"weburl-query", "a query", "https://a.example/?q", "a query or fragment"},
		{"weburl-ipv6", "an IPv6 address", "https://[2001:db8::1]/", "an IP address, use a DNS name"},
		{"weburl-trailing-slash", "a trailing slash", "https://a.example/mcp/", "empty path segment"},
		{"weburl-kelvin", "a Kelvin sign, which some fold to k", "https://\u212aelvin.example", "write other alphabets"},
		{"weburl-malformed", "a percent sign without digits", "https://a.example/%zz", "not a URL"},
	} {
		all = append(all, Vector{
			Name: v.name, Description: "the URL of a server that has no DID", Defect: v.defect, WebURL: v.url,
			Expect: Expect{Result: Refused, Reason: v.reason},
		})
	}
	return all
}

func documentURLs() []Vector {
	var all []Vector
	for _, v := range []struct{ name, description, url, did string }{
		{"docurl-host", "the document of a host", "https://a.example/.well-known/did.json", "did:web:a.example"},
		{"docurl-path", "the document of a path", "https://a.example:8443/fs/did.json", "did:web:a.example%3A8443:fs"},
		{"docurl-well-known-below", "a path that ends in .well-known", "https://a.example/x/.well-known/did.json", "did:web:a.example:x:.well-known"},
	} {
		all = append(all, Vector{
			Name: v.name, Description: v.description, DocumentURL: v.url,
			Expect: Expect{Result: Accepted, DID: v.did},
		})
	}
	for _, v := range []struct{ name, defect, url, reason string }{
		{"docurl-name", "another name than did.json", "https://a.example/fs/did.jsonld", "ends in /did.json"},
		{"docurl-root", "did.json at the root of a host", "https://a.example/did.json", "/.well-known/did.json"},
	} {
		all = append(all, Vector{
			Name: v.name, Description: "a URL at which no DID has its document", Defect: v.defect, DocumentURL: v.url,
			Expect: Expect{Result: Refused, Reason: v.reason},
		})
	}
	return all
}
