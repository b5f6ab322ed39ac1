package callproof

import (
	"encoding/json"
	"strings"

	"github.com/touchmark-dev/touchmark/badge/pop"
)

func raw(text string) json.RawMessage { return json.RawMessage(text) }

func accepted(w *world) []*draft {
	toSelf := func() *draft {
		return w.good().with("srv", w.keyServer.String()).with("target_aud", w.keyServer.String()).
			configured(func(c *Config) { c.Server = w.keyServer.String() })
	}
	bySelf := w.good().with("iss", w.self.String()).inHeader("kid", w.self.KeyURL())
	bySelf.badge.Subject = w.self.String()
	overHTTP := w.good().with("htm", "PUT").with("htu", origin+"/v1/task?a=1").
		executing(func(c *Call) { c.HTTPMethod, c.HTTPURI = "PUT", origin+"/v1/task?a=1" })
	tool := func(arguments, responses json.RawMessage) *draft {
		return w.good().about(pop.Call{Method: "tools/call", Target: "t", Arguments: arguments, InputResponses: responses})
	}
	return []*draft{
		w.good().accept("valid", "a tool call by a did:web agent to a did:web server"),
		bySelf.accept("valid-self-signed", "the caller is a did:key"),
		toSelf().accept("valid-did-key-server", "the server is a did:key: its DID is the audience"),
		w.good().with("target_aud", server).accept("valid-audience-did", "the server's DID is an audience, too"),
		w.good().with("target_aud", "https://front.example").configured(func(c *Config) { c.Audiences = []string{"https://front.example"} }).
			accept("valid-audience-configured", "an audience that the server is configured with"),
		w.good().inHeader("kid", nil).accept("valid-no-kid", "no kid: the key is the badge's"),
		w.good().with("parent_hop_hash", "sha256:"+strings.Repeat("A", 43)).accept("valid-parent", "the hash of a parent hop, which nobody looks for"),
		w.good().with("body_hash", 1).with("x_other", object{}).accept("valid-unknown-claims", "claims that are ignored"),
		w.good().with("hop_id", strings.Repeat("~", 128)).accept("valid-hop-id-longest", "hop_id has 128 characters, and is no UUID"),
		overHTTP.accept("valid-http", "a call over plain HTTP: htm and htu are those of the request"),
		tool(nil, nil).executing(func(c *Call) {
			*c = callOf(&pop.Call{Method: "tools/call", Target: "t", Arguments: raw("null"), InputResponses: raw(" { } ")})
		}).
			accept("valid-nothing", "absent, null and {} are the same parameters"),
		w.good().about(pop.Call{Method: "tools/list"}).accept("valid-no-target", "a method without a target"),
		tool(raw(`{"a":1,"b":"é"}`), nil).executing(func(c *Call) { *c.Arguments = "{ \"\\u0062\" : \"\\u00e9\", \"a\" : 1.0e0 }" }).
			accept("valid-canonical", "the executed arguments have the canonical form of the signed ones"),
		tool(raw(`{"😀":1,"\ufb33":2,"1e2":1e2,"deep":[[[{"x":-0.0}]]]}`), nil).accept("valid-canonical-order", "names in the order of UTF-16, numbers as RFC 8785 writes them"),
		tool(raw(`{"path":"/"}`), raw(`{"approval":{"action":"accept"}}`)).accept("valid-input-responses", "the retry of a call that asked for input"),
		w.good().with("iat", now).with("exp", now+60).accept("valid-window-longest", "a window of 60 s"),
		w.good().with("iat", now+10).with("exp", now+40).accept("valid-clock-ahead", "signed by a clock that is ahead by all that is tolerated"),
		w.good().with("iat", now-39).with("exp", now-9).accept("valid-last-second", "the last second that is tolerated"),
		w.good().configured(func(c *Config) { c.Started = now + 5 }).accept("valid-about-start", "signed before the start, by no more than is tolerated"),
		w.good().configured(func(c *Config) { c.Used = []string{"550e8400-e29b-41d4-a716-446655440001"} }).accept("valid-other-used", "another proof of this key was used"),
	}
}
