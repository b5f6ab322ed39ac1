package serverproof

import (
	"crypto/ed25519"
	"encoding/json"
	"fmt"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/jwk"
	"github.com/touchmark-dev/touchmark/internal/mcpwire"
)

const (
	socket    = "/run/mcp/files.sock"
	clientPID = 4711
	clientUID = 1000
)

func unixDigest(pid, uid int, path string) string {
	return b64(sha256Of(fmt.Sprintf("touchmark/unix-peer/v1\n%d\n%d\n%s", pid, uid, path)))
}

func launchDigest(secret []byte) string {
	return b64(sha256Of("touchmark/launch/v1\n" + string(secret)))
}

func (d *draft) bind(binding, exporter, origin string) *draft {
	d.claims["binding"], d.claims["exporter"], d.claims["origin"] = binding, exporter, origin
	d.expect.Binding = binding
	return d
}

// overUnix makes of d the answer of a server on a unix socket.
func (d *draft) overUnix() *draft {
	d.client.Endpoint, d.client.Exporter = "unix:"+socket, ""
	d.client.Process = &Process{PID: clientPID, UID: clientUID}
	return d.bind("unix-peer", unixDigest(clientPID, clientUID, socket), "unix:"+socket)
}

// behindProxy makes of d the answer of a server whose TLS ends at a proxy.
func (d *draft) behindProxy() *draft {
	d.client.Bindings = []string{"tls-exporter", "tls-server-spki"}
	d.client.CertificateSPKI = b64(hash("certificate of the proxy"))
	return d.bind("tls-server-spki", d.client.CertificateSPKI, origin)
}

// launched makes of d the answer of a process that the client started.
func (d *draft) launched() *draft {
	d.overStdio()
	d.client.Launch = b64(hash("launch"))
	return d.bind("stdio-launch", launchDigest(hash("launch")), "")
}

// transports are the ways to a server besides TLS from end to end.
var transports = []struct {
	name string
	over func(*draft) *draft
}{
	{"proxy", (*draft).behindProxy}, {"unix", (*draft).overUnix}, {"stdio", (*draft).overStdio}, {"launch", (*draft).launched},
}

// everywhere has, for each of the other transports, one vector of each code
// that does not depend on the transport.
func everywhere(w *world) []*draft {
	var out []*draft
	for _, t := range transports {
		bad := func(name, defect, code string, change func(*draft)) *draft {
			return t.over(w.good(t.name+"-"+name, "")).spoil(t.name+": "+defect, code, change)
		}
		if t.name != "stdio" { // these are in the section of stdio
			out = append(out,
				bad("did-missing", "the server names no DID", "SERVER_IDENTITY_MISSING", func(d *draft) { d.did, d.document["server_did"] = "", "" }).unverified(),
				bad("proof-missing", "the challenge is not answered", failed, func(d *draft) { d.proof = func(string) string { return "" } }).afterBadge(),
				bad("nonce-other", "another client's challenge is answered", failed, func(d *draft) { d.claims["nonce"] = b64(hash("another nonce")) }).afterBadge(),
			)
		}
		out = append(out,
			bad("did-malformed", "the DID cannot be read", "SERVER_IDENTITY_MISSING", func(d *draft) {
				d.did = "did:web:MCP.example.com"
				d.document["server_did"] = d.did
			}).unverified(),
			bad("pin-differs", "the server was another one before", "SERVER_DID_MISMATCH", func(d *draft) { d.client.Pin = "did:web:mcp.example.com:old" }),
			bad("badge-missing", "there is no badge", "SERVER_BADGE_MISSING", func(d *draft) { d.badge, d.document["server_badge"] = "", "" }),
			bad("badge-tampered", "the badge's signature was changed", "SERVER_BADGE_INVALID", func(d *draft) { d.badge = flip(d.badge) }),
			bad("badge-revoked", "the badge is revoked", "SERVER_BADGE_REVOKED", func(d *draft) { d.trust.Revoked = []string{badgeID} }),
			bad("badge-issuer-untrusted", "the badge's issuer is not trusted", "SERVER_ISSUER_UNTRUSTED", func(d *draft) { d.trust.Issuers = []string{"https://other.example"} }),
			bad("badge-of-another", "the badge is about another server", "SERVER_DID_MISMATCH", func(d *draft) {
				d.reissue(w, func(t *badge.Template) { t.Subject = did.MustParse("did:web:other.example.com") })
			}),
			bad("level-insufficient", "the badge is of level 1, level 2 is asked for", "SERVER_TRUST_INSUFFICIENT", func(d *draft) {
				d.reissue(w, func(t *badge.Template) { t.Level, t.Domain = badge.LevelRegistered, "" })
			}).afterBadge(),
			bad("time-expired", "the proof has expired", "SERVER_POP_EXPIRED", func(d *draft) { d.claims["iat"], d.claims["exp"] = now-120, now-60 }).afterBadge(),
			bad("key-not-listed", "the DID document lacks the key", failed, func(d *draft) { d.header["kid"] = server + "#key-2" }).afterBadge(),
			bad("document-of-another", "the DID document is that of another DID", "SERVER_DID_RESOLUTION_FAILED", func(d *draft) {
				d.setDocument(w, func(doc object) { doc["id"] = "did:web:evil.example" })
			}).afterBadge(),
			bad("document-unreachable", "the DID document cannot be had", "SERVER_DID_RESOLUTION_FAILED", func(d *draft) { d.trust.Documents = nil }).open(),
			bad("issuer-keys-unreachable", "the issuer's keys cannot be had", "SERVER_KEY_FETCH_FAILED", func(d *draft) { d.trust.JWKS = nil }).open(),
			bad("status-unreachable", "the badge's status cannot be learned", "REVOCATION_CHECK_FAILED", func(d *draft) { d.trust.StatusUnreachable = true }).open(),
		)
	}
	return out
}

// bindings are good and bad bindings of each transport.
func bindings(w *world) []*draft {
	over := func(t func(*draft) *draft, name, defect string, change func(*draft)) *draft {
		return t(w.good(name, "")).spoil(defect, failed, change).afterBadge()
	}
	tls := func(d *draft) *draft { return d }
	takes := func(names ...string) func(*draft) { return func(d *draft) { d.client.Bindings = names } }
	claim := func(name string, value any) func(*draft) { return func(d *draft) { d.claims[name] = value } }
	socketPath := w.good("valid-unix-path", "a did:web server with a path on a unix socket, and an HTTP path of the endpoint")
	socketPath.atPath(w, "mcp", "fs")
	socketPath.overUnix()
	socketPath.client.Endpoint += ":/elsewhere"
	unaware := w.good("valid-launch-unaware", "the client gave the process a secret that it knows nothing of").overStdio()
	unaware.client.Launch = b64(hash("launch"))
	demanded := w.good("valid-binding-demanded", "the client demands the binding that the server has")
	demanded.client.Bindings = []string{"tls-exporter"}
	proxyOwn := w.good("valid-proxy-not-used", "the client takes the weaker binding too, and the server has the stronger one").behindProxy()
	proxyOwn.bind("tls-exporter", w.exporter, origin)
	return []*draft{
		w.good("valid-unix", "a did:web server on a unix socket").overUnix(),
		w.good("valid-unix-did-key", "a did:key server on a unix socket").selfSigned(w).overUnix(),
		w.good("valid-launch", "a process that the client started").launched(),
		w.good("valid-proxy", "TLS ends at a proxy, and both sides take the weaker binding").behindProxy(),
		socketPath, unaware, demanded, proxyOwn,

		over(tls, "binding-unknown", "the binding is one that is not defined", claim("binding", "tls-unique")),
		over(tls, "binding-unix", "the proof is one for a unix socket", claim("binding", "unix-peer")),
		over(tls, "binding-demanded-other", "the client demands another binding", takes("unix-peer")),
		over((*draft).behindProxy, "proxy-not-taken", "the client does not take the weaker binding", takes()),
		over((*draft).behindProxy, "proxy-key-other", "the client sees another key than the proxy's", claim("exporter", b64(hash("certificate of who is in between")))),
		over((*draft).behindProxy, "proxy-origin-other", "the proof is for another origin behind the proxy", claim("origin", "https://evil.example")),
		over((*draft).behindProxy, "proxy-exporter", "the digest is the exporter of the client's connection", claim("exporter", w.exporter)),
		over((*draft).overUnix, "unix-pid-other", "the proof was made for another process", claim("exporter", unixDigest(clientPID+1, clientUID, socket))),
		over((*draft).overUnix, "unix-uid-other", "the proof was made for another user", claim("exporter", unixDigest(clientPID, clientUID+1, socket))),
		over((*draft).overUnix, "unix-path-other", "the proof was made at another socket", claim("exporter", unixDigest(clientPID, clientUID, socket+"2"))),
		over((*draft).overUnix, "unix-origin-other", "the proof's origin is another socket", claim("origin", "unix:"+socket+"2")),
		over((*draft).overUnix, "unix-exporter-empty", "the proof names no channel", claim("exporter", "")),
		over((*draft).overUnix, "unix-binding-stdio", "the proof is one for stdio", claim("binding", "stdio")),
		over((*draft).overUnix, "unix-binding-tls", "the proof is one for TLS", claim("binding", "tls-exporter")),
		over((*draft).launched, "launch-other", "the proof holds the secret of another launch", claim("exporter", launchDigest(hash("another launch")))),
		over((*draft).launched, "launch-exporter-empty", "the proof names no channel", claim("exporter", "")),
		over((*draft).launched, "launch-not-given", "the client gave the process no secret", func(d *draft) { d.client.Launch = "" }),
		over((*draft).overStdio, "launch-demanded", "the client demands a process that it started, and the proof is bound to nothing", takes("stdio-launch")),
	}
}

// rotations are servers that change their key: the old one is key-1 of the
// document, the new one key-2.
func rotations(w *world) []*draft {
	next := edKey("server, next key")
	both := func(d *draft) {
		d.setDocument(w, func(doc object) {
			text, err := jwk.Marshal(next.Public(), "")
			if err != nil {
				d.err = err
			}
			id := server + "#key-2"
			doc["verificationMethod"] = append(doc["verificationMethod"].([]any), map[string]any{
				"id": id, "type": "JsonWebKey2020", "controller": server, "publicKeyJwk": json.RawMessage(text),
			})
			doc["authentication"] = append(doc["authentication"].([]string), id)
		})
	}
	withNext := func(d *draft) {
		d.reissue(w, func(t *badge.Template) { t.SubjectKey = next.Public().(ed25519.PublicKey) })
		d.key, d.header["kid"] = next, server+"#key-2"
	}
	older := w.good("valid-rotation-old", "the document has two keys; badge and proof are of the old one")
	both(older)
	newer := w.good("valid-rotation-new", "the document has two keys; badge and proof are of the new one")
	both(newer)
	withNext(newer)
	older.expect.KeyID, newer.expect.KeyID = server+"#key-1", server+"#key-2"
	bad := func(name, defect string, change func(*draft)) *draft {
		return w.bad(name, defect, failed, func(d *draft) { both(d); change(d) }).afterBadge()
	}
	return []*draft{
		older, newer,
		bad("rotation-removed", "the key has been taken out of the document; the badge that names it is still good", func(d *draft) {
			withNext(d)
			d.setDocument(w, nil)
		}),
		bad("rotation-badge-old", "the badge names the old key, and the new one signs", func(d *draft) { d.key, d.header["kid"] = next, server+"#key-2" }),
		bad("rotation-badge-new", "the badge names the new key, and the old one signs", func(d *draft) { withNext(d); d.key, d.header["kid"] = w.server, server+"#key-1" }),
		bad("rotation-kid-other", "the old key signs, and the proof names the new one", func(d *draft) { d.header["kid"] = server + "#key-2" }),
	}
}

// published are answers with the published proof, which signs the nonce alone.
func published(w *world) []*draft {
	sign := func(typ, payload string, key ed25519.PrivateKey) func(*draft) {
		return func(d *draft) {
			header, err := json.Marshal(object{"alg": "EdDSA", "kid": server + "#" + fragment, "typ": typ})
			if err != nil {
				d.err = err
			}
			input := b64(header) + "." + b64([]byte(payload))
			d.published = input + "." + b64(ed25519.Sign(key, []byte(input)))
		}
	}
	over := func(name, description, result string, change func(*draft)) *draft {
		d := w.good(name, description).overStdio()
		d.client.CheckPublished, d.expect.PublishedProof = true, result
		change(d)
		return d
	}
	alone := func(name, defect, result string, change func(*draft)) *draft {
		d := over(name, "", result, change).spoil(defect, failed, func(d *draft) { d.proof = func(string) string { return "" } }).afterBadge()
		d.expect.PublishedProof = result
		return d
	}
	good := sign(mcpwire.TypePublishedProof, w.nonce, w.server)
	unasked := alone("published-unasked", "there is only the published proof, which the client does not look at", "", good)
	unasked.client.CheckPublished = false
	return []*draft{
		over("valid-published", "the published proof comes with ours", "valid", good),
		over("valid-published-invalid", "the published proof that comes with ours is of a stranger: nothing follows from it", "invalid", sign(mcpwire.TypePublishedProof, w.nonce, w.stranger)),
		alone("published-alone", "there is only the published proof, which anybody can relay", "valid", good),
		alone("published-nonce-other", "there is only the published proof, of another nonce", "invalid", sign(mcpwire.TypePublishedProof, b64(hash("another nonce")), w.server)),
		alone("published-typ-other", "there is only the published proof, with another typ", "invalid", sign("JWT", w.nonce, w.server)),
		alone("published-key-stranger", "there is only the published proof, signed by a stranger", "invalid", sign(mcpwire.TypePublishedProof, w.nonce, w.stranger)),
		unasked,
	}
}
