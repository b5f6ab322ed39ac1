package registry

import "strings"

func accepted() []*draft {
	with := func(name string, change func(*draft)) *draft {
		d := good(name)
		change(d)
		return d
	}
	return []*draft{
		good("valid"),
		with("valid-clock-behind", func(d *draft) { d.payload["iat"] = now + 60 }),
		with("valid-last-second", func(d *draft) { d.payload["iat"], d.payload["exp"] = now-1000, now+1 }),
		with("valid-issuer-given", func(d *draft) { d.v.Issuer = issuer }),
		with("valid-newer", func(d *draft) { d.v.State = &State{"sha256:" + hash("old"), issuer, 6} }),
		with("valid-any", func(d *draft) {
			d.entry["endpoints"], d.entry["keys"], d.entry["tools"], d.entry["versions"] = []string{"*"}, []string{}, []string{"*"}, []string{"*"}
			d.v.Server.Version, d.v.Server.Key, d.v.Tool, d.v.Server.Endpoint = "9", hash("another"), "x", "https://elsewhere.example/"
		}),
		with("valid-launched", func(d *draft) { d.v.Server.Endpoint = "stdio:node+server.js" }),
		with("valid-version-unknown", func(d *draft) { d.v.Server.Version = "" }),
		with("valid-no-environment", func(d *draft) { d.entry["environment"], d.v.Environment = "", "" }),
		with("valid-two-environments", func(d *draft) {
			other := object{}
			for k, v := range d.entry {
				other[k] = v
			}
			other["environment"], other["tools"] = "staging", []string{}
			d.payload["servers"] = []object{other, d.entry}
		}),
	}
}

func format() []*draft {
	header := func(name, defect, step, member string, value any) *draft {
		return bad(name, defect, step, func(d *draft) { d.header[member] = value })
	}
	payload := func(name, defect, step, member string, value any) *draft {
		return bad(name, defect, step, func(d *draft) { d.payload[member] = value })
	}
	return []*draft{
		header("typ", "typ is JWT", "3.1", "typ", "JWT"),
		header("header-member", "the header has a member more", "3.1", "jku", "https://evil.example/"),
		header("kid-unknown", "kid is the thumbprint of no key", "3.2", "kid", hash("nobody")),
		bad("kid-missing", "there is no kid", "3.2", func(d *draft) { delete(d.header, "kid") }),
		bad("signature", "it is signed with another key", "3.2", func(d *draft) { d.key = signer("evil") }),
		bad("tampered", "the payload was changed", "3.2", func(d *draft) {
			d.token = func(t string) string {
				parts := strings.Split(t, ".")
				parts[1] = b64([]byte(`{"exp":1790086400,"iat":1790000000,"iss":"` + issuer + `","serial":8,"servers":[]}`))
				return strings.Join(parts, ".")
			}
		}),
		bad("member-unknown", "the payload has a member more", "3.3", func(d *draft) { d.payload["nbf"] = now }),
		bad("member-missing", "the payload lacks serial", "3.3", func(d *draft) { delete(d.payload, "serial") }),
		bad("member-twice", "the payload has serial twice", "3.3", func(d *draft) { d.rewrite(`"serial":7`, `"serial":7,"serial":8`) }),
		bad("member-case", "a member is in upper case", "3.3", func(d *draft) { d.rewrite(`"serial"`, `"Serial"`) }),
		payload("serial-zero", "the serial is 0", "3.3", "serial", 0),
		payload("serial-string", "the serial is a string", "3.3", "serial", "7"),
		payload("serial-fraction", "the serial is a fraction", "3.3", "serial", 7.5),
		payload("iss-empty", "the name is empty", "3.3", "iss", ""),
		payload("iss-control", "the name has a control character", "3.3", "iss", "a\nb"),
		payload("exp-not-after-iat", "the list ends when it begins", "3.3", "exp", now),
		payload("iat-negative", "iat is negative", "3.3", "iat", -1),
		payload("servers-null", "servers is null", "3.3", "servers", (*int)(nil)),
		payload("iat-ahead", "the list is of more than a minute ahead", "3.4", "iat", now+61),
		bad("expired", "the list has ended", "3.4", func(d *draft) { d.payload["iat"], d.payload["exp"] = now-1000, now }),
	}
}

func entries() []*draft {
	member := func(name, defect, member string, value any) *draft {
		return bad(name, defect, "3.3", func(d *draft) { d.entry[member] = value })
	}
	return []*draft{
		member("did-malformed", "a DID is malformed", "did", "did:web:MCP.example.com"),
		member("entry-member-unknown", "an entry has a member more", "level", 2),
		bad("entry-member-missing", "an entry lacks versions", "3.3", func(d *draft) { delete(d.entry, "versions") }),
		bad("entry-twice", "a DID has two entries in an environment", "3.3", func(d *draft) { d.payload["servers"] = []object{d.entry, d.entry} }),
		bad("entry-nowhere", "an entry has neither endpoints nor launch", "3.3", func(d *draft) { d.entry["endpoints"], d.entry["launch"] = []string{}, []string{} }),
		member("endpoint-not-canonical", "an endpoint has the default port", "endpoints", []string{"https://mcp.example.com:443/mcp"}),
		member("endpoint-twice", "an endpoint stands twice", "endpoints", []string{endpoint, endpoint}),
		member("endpoint-any-and-one", "the star does not stand alone", "endpoints", []string{"*", endpoint}),
		member("launch-no-digest", "a launch is a command line", "launch", []string{"stdio:node+server.js"}),
		member("key-no-thumbprint", "a key is not of 32 bytes", "keys", []string{"AAAA"}),
		member("key-any", "keys has a star", "keys", []string{"*"}),
		member("tool-empty", "a tool has an empty name", "tools", []string{""}),
		member("tools-null", "tools is null", "tools", (*int)(nil)),
		member("version-control", "a version has a control character", "versions", []string{"1\t"}),
		member("owner-long", "the owner has more than 256 bytes", "owner", strings.Repeat("x", 257)),
		member("never-valid", "an entry ends when it begins", "valid_until", now-1000),
	}
}

func newest() []*draft {
	state := func(name, defect, step string, s State) *draft {
		return bad(name, defect, step, func(d *draft) { d.v.State = &s })
	}
	named := bad("issuer-other", "the list has another name than the one that was given", "3.5", func(d *draft) { d.v.Issuer = "https://registry.example/staging" })
	return []*draft{
		named,
		state("issuer-changed", "the list had another name before", "3.5", State{"sha256:" + hash("old"), "https://registry.example/staging", 6}),
		state("rollback", "a list with a higher serial was seen", "3.6", State{"sha256:" + hash("new"), issuer, 8}),
		state("serial-reused", "another list with this serial was seen", "3.6", State{"sha256:" + hash("twin"), issuer, 7}),
	}
}

func servers() []*draft {
	const unknown, refused = "SERVER_NOT_REGISTERED", "SERVER_NOT_ALLOWED"
	ask := func(name, defect, step, code string, change func(*draft)) *draft {
		d := bad("server-"+name, defect, step, change)
		d.v.Expect.Code = code
		return d
	}
	return []*draft{
		ask("unknown", "the list does not have the server", "5.1", unknown, func(d *draft) { d.v.Server.DID = "did:web:evil.example" }),
		ask("empty-list", "the list is empty", "5.1", unknown, func(d *draft) { d.payload["servers"] = []object{} }),
		ask("other-environment", "the entry is of another environment", "5.1", refused, func(d *draft) { d.v.Environment = "staging" }),
		ask("no-environment", "the client names no environment", "5.1", refused, func(d *draft) { d.v.Environment = "" }),
		ask("not-yet", "the entry begins later", "5.2", refused, func(d *draft) { d.entry["valid_from"] = now + 1 }),
		ask("no-more", "the entry has ended", "5.2", refused, func(d *draft) { d.entry["valid_until"] = now }),
		ask("other-endpoint", "the server is at another path", "5.3", refused, func(d *draft) { d.v.Server.Endpoint = endpoint + "2" }),
		ask("other-command", "the command line has a word more", "5.3", refused, func(d *draft) { d.v.Server.Endpoint = "stdio:node+server.js+--all" }),
		ask("other-key", "the server has another key", "5.4", refused, func(d *draft) { d.v.Server.Key = hash("another") }),
		ask("other-version", "the server is of another version", "5.5", refused, func(d *draft) { d.v.Server.Version = "1.4" }),
		ask("no-version", "the entry has no version", "5.5", refused, func(d *draft) { d.entry["versions"] = []string{} }),
		ask("tool-other", "the tool is not listed", "5", refused, func(d *draft) { d.v.Tool = "write_file" }),
		ask("tool-none", "no tool is listed", "5", refused, func(d *draft) { d.entry["tools"] = []string{} }),
		ask("tool-star", "the tool's name is the star of nothing", "5", refused, func(d *draft) { d.v.Tool = "*" }),
	}
}
