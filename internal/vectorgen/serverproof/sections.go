package serverproof

import (
	"encoding/json"
	"strings"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/did"
)

func accepted(w *world) []*draft {
	path := w.good("valid-path", "a DID with a path, at exactly that path")
	path.atPath(w, "mcp", "fs")
	upper := w.good("valid-host-case", "the endpoint's host in upper case, with the default port")
	upper.client.Endpoint = "https://MCP.Example.com:443/mcp"
	document := w.good("valid-document-without-badge", "the badge stands in the header alone")
	document.document = object{"server_did": server, "later_member": []int{1}}
	level := w.good("valid-higher-level", "a badge of level 3 where level 2 is enough")
	level.reissue(w, func(t *badge.Template) { t.Level = badge.LevelOrganization })
	level.expect.Level = "3"
	slow := w.good("valid-clock-behind", "the client's clock is 60 seconds behind the server's")
	slow.claims["iat"], slow.claims["exp"] = now+60, now+120
	fast := w.good("valid-clock-ahead", "the client's clock is 119 seconds ahead of the server's, at the end of proof and skew")
	fast.claims["iat"], fast.claims["exp"] = now-119, now-59
	pinned := w.good("valid-pinned", "the server is who it was before")
	pinned.client.Pin = server
	return []*draft{
		w.good("valid-tls", "a did:web server of level 2 over TLS"),
		path, upper, document, level, slow, fast, pinned,
		w.good("valid-did-key", "a did:key server with a badge of its own, which the client lists").selfSigned(w),
		w.good("valid-stdio", "a did:web server over stdio").overStdio(),
		w.good("valid-stdio-did-key", "a did:key server over stdio").selfSigned(w).overStdio(),
	}
}

// atPath moves the server to a DID with a path, and the endpoint with it.
func (d *draft) atPath(w *world, segments ...string) {
	d.did = server + ":" + strings.Join(segments, ":")
	d.client.Endpoint = origin + "/" + strings.Join(segments, "/")
	d.header["kid"], d.claims["iss"], d.document["server_did"], d.expect.DID = d.did+"#"+fragment, d.did, d.did, d.did
	d.reissue(w, func(t *badge.Template) { t.Subject = did.MustParse(d.did) })
	d.setDocument(w, nil)
}

// reissue gives the server another badge.
func (d *draft) reissue(w *world, change func(*badge.Template)) {
	token, err := w.issue(change)
	if err != nil {
		d.err = err
	}
	d.badge, d.document["server_badge"] = token, token
}

// setDocument publishes another document for the server's DID.
func (d *draft) setDocument(w *world, change func(object)) {
	doc, err := document(d.did, w.server.Public(), change)
	if err != nil {
		d.err = err
	}
	d.trust.Documents = map[string]json.RawMessage{d.did: doc}
}

func identity(w *world) []*draft {
	const missing, mismatch = "SERVER_IDENTITY_MISSING", "SERVER_DID_MISMATCH"
	unnamed := func(d *draft) { d.did, d.document["server_did"] = "", "" }
	return []*draft{
		w.bad("did-missing", "neither header nor document names a DID", missing, unnamed).unverified(),
		w.bad("did-malformed", "the DID has an upper-case host", missing, func(d *draft) {
			d.did = "did:web:MCP.example.com"
			d.document["server_did"] = d.did
		}).unverified(),
		w.bad("did-twice", "two DID headers", mismatch, func(d *draft) {
			d.answer = func(a *Answer) { a.Headers["Capiscio-Server-DID"] = []string{server, "did:web:evil.example"} }
		}).unverified(),
		w.bad("document-other-did", "the document names another DID than the header", mismatch, func(d *draft) {
			d.document["server_did"] = "did:web:evil.example"
		}),
		w.bad("document-not-found", "there is no discovery document", missing, func(d *draft) { d.status = 404 }),
		w.bad("document-redirect", "the discovery document is elsewhere", missing, func(d *draft) { d.status = 302 }),
		w.bad("document-not-json", "the discovery document is HTML", missing, func(d *draft) { d.body = "<!doctype html>" }),
		w.bad("document-member-twice", "the discovery document names its DID twice", missing, func(d *draft) {
			d.body = `{"server_did":"did:web:evil.example","server_did":"` + server + `"}`
		}),
		w.bad("pin-differs", "the server was another one before", mismatch, func(d *draft) { d.client.Pin = "did:web:mcp.example.com:old" }),
		w.bad("busy", "the server answers with status 503", "", func(d *draft) { d.status = 503 }).open(),
	}
}

func place(w *world) []*draft {
	const domain, path = "SERVER_DOMAIN_MISMATCH", "SERVER_PATH_MISMATCH"
	to := func(endpoint string) func(*draft) { return func(d *draft) { d.client.Endpoint = endpoint } }
	under := func(name, defect, endpoint string) *draft {
		d := w.good(name, "")
		d.atPath(w, "mcp", "fs")
		return d.spoil(defect, path, to(endpoint))
	}
	return []*draft{
		w.bad("host-other", "the endpoint is at another host", domain, to("https://evil.example/mcp")),
		w.bad("host-parent", "the endpoint is at the parent domain", domain, to("https://example.com/mcp")),
		w.bad("host-longer", "the endpoint's host begins with the DID's", domain, to("https://mcp.example.com.evil.example/mcp")),
		w.bad("port-other", "the endpoint is at another port", domain, to("https://mcp.example.com:8443/mcp")),
		under("path-prefix", "the endpoint's path begins with the DID's", "https://mcp.example.com/mcp/fs-evil"),
		under("path-below", "the endpoint is below the DID's path", "https://mcp.example.com/mcp/fs/x"),
		under("path-above", "the endpoint is above the DID's path", "https://mcp.example.com/mcp"),
		under("path-encoded-slash", "a slash of the path is percent-encoded", "https://mcp.example.com/mcp%2Ffs"),
		under("path-case", "the path differs in case", "https://mcp.example.com/mcp/FS"),
	}
}

func badges(w *world) []*draft {
	const invalid, revoked = "SERVER_BADGE_INVALID", "SERVER_BADGE_REVOKED"
	return []*draft{
		w.bad("badge-missing", "there is no badge", "SERVER_BADGE_MISSING", func(d *draft) { d.badge, d.document["server_badge"] = "", "" }),
		w.bad("badge-twice", "two badge headers", invalid, func(d *draft) {
			d.answer = func(a *Answer) {
				a.Headers["Capiscio-Server-Badge"] = append(a.Headers["Capiscio-Server-Badge"], d.badge)
			}
		}),
		w.bad("badge-tampered", "the badge's signature was changed", invalid, func(d *draft) { d.badge = flip(d.badge) }),
		w.bad("badge-expired", "the badge has expired", invalid, func(d *draft) {
			d.client.Now = now + 1000
			d.claims["iat"], d.claims["exp"] = now+1000, now+1060
		}),
		w.bad("badge-revoked", "the badge is revoked", revoked, func(d *draft) { d.trust.Revoked = []string{badgeID} }),
		w.bad("badge-agent-disabled", "the server is disabled at the issuer", revoked, func(d *draft) { d.trust.Disabled = []string{server} }),
		w.bad("badge-issuer-untrusted", "the badge's issuer is not trusted", "SERVER_ISSUER_UNTRUSTED", func(d *draft) {
			d.trust.Issuers = []string{"https://other.example"}
		}),
		w.bad("badge-of-another", "the badge is about another server", "SERVER_DID_MISMATCH", func(d *draft) {
			d.reissue(w, func(t *badge.Template) { t.Subject = did.MustParse("did:web:other.example.com") })
		}),
		w.bad("level-insufficient", "the badge is of level 1, level 2 is asked for", "SERVER_TRUST_INSUFFICIENT", func(d *draft) {
			d.reissue(w, func(t *badge.Template) { t.Level, t.Domain = badge.LevelRegistered, "" })
		}).afterBadge(),
		w.good("did-key-unlisted", "").selfSigned(w).
			spoil("a did:key server that the client does not list", "SERVER_ISSUER_UNTRUSTED", func(d *draft) {
				d.trust.SelfSigned = nil
				d.trust.Issuers, d.trust.JWKS = []string{issuer}, w.mustTrust(d).JWKS
			}),
		w.bad("issuer-keys-unreachable", "the issuer's keys cannot be had", "SERVER_KEY_FETCH_FAILED", func(d *draft) { d.trust.JWKS = nil }).open(),
		w.bad("status-unreachable", "the badge's status cannot be learned", "REVOCATION_CHECK_FAILED", func(d *draft) { d.trust.StatusUnreachable = true }).open(),
	}
}

func (w *world) mustTrust(d *draft) Trust {
	t, err := w.trust()
	if err != nil {
		d.err = err
	}
	return t
}
