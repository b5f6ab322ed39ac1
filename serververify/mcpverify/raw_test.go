package mcpverify

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"

	"github.com/touchmark-dev/touchmark/internal/mcpwire"
	"github.com/touchmark-dev/touchmark/serververify"
)

// A relay that discloses for a server that does not, as a gateway does: by the
// raw messages, in both generations, and again later.
func TestRawRelay(t *testing.T) {
	bothGenerations(t, func(t *testing.T, version string) {
		w := newWorld(t, serverDID)
		id := w.identity()
		asked := make(map[jsonrpc.ID]*jsonrpc.Request)
		link := &tap{Transport: serve(t, newServer())}
		link.out = func(m jsonrpc.Message) jsonrpc.Message {
			if req, ok := m.(*jsonrpc.Request); ok && Discloses(req.Method) {
				asked[req.ID] = req
				if req.Method == mcpwire.MethodIdentify {
					res, err := IdentifyRaw(context.Background(), id, req.Params)
					if err != nil {
						t.Error(err)
					}
					link.mu.Lock()
					link.first = append(link.first, &jsonrpc.Response{ID: req.ID, Result: res})
					link.mu.Unlock()
					return &jsonrpc.Request{ID: mustID(t), Method: "tools/list", Params: req.Params} // wakes the reader
				}
			}
			return m
		}
		link.in = func(m jsonrpc.Message) jsonrpc.Message {
			resp, ok := m.(*jsonrpc.Response)
			if !ok || resp.Error != nil || asked[resp.ID] == nil {
				return m
			}
			res, err := DiscloseRaw(context.Background(), id, asked[resp.ID].Method, asked[resp.ID].Params, resp.Result)
			if err != nil {
				t.Error(err)
			}
			return &jsonrpc.Response{ID: resp.ID, Result: res}
		}
		session, srv, err := connect(t, w, link, version)
		if err != nil || srv.DID != w.agent.DID {
			t.Fatal(err)
		}
		greet(t, session)
		w.advance(serververify.DefaultMaxAge + 1)
		w.renew()
		greet(t, session)
	})
}

func mustID(t *testing.T) jsonrpc.ID {
	id, err := jsonrpc.MakeID("of the relay")
	if err != nil {
		t.Error(err)
	}
	return id
}

func TestDiscloseRaw(t *testing.T) {
	w := newWorld(t, serverDID)
	id := w.identity()
	nonce := serververify.NewNonce()
	params := json.RawMessage(`{"_meta":{"dev.touchmark/nonce":"` + nonce + `"},"x":1}`)
	upstream := json.RawMessage(`{"capabilities":{"a":"<b>"},"_meta":{"capiscio_server_did":"did:web:evil.example","dev.touchmark/server_proof":"x","kept":[1,2]},"big":12345678901234567890}`)

	got, err := DiscloseRaw(t.Context(), id, "initialize", params, upstream)
	if err != nil {
		t.Fatal(err)
	}
	var res struct {
		Meta         map[string]json.RawMessage `json:"_meta"`
		Big          json.RawMessage            `json:"big"`
		Capabilities json.RawMessage            `json:"capabilities"`
	}
	if err := json.Unmarshal(got, &res); err != nil {
		t.Fatal(err)
	}
	if string(res.Big) != "12345678901234567890" || string(res.Capabilities) != `{"a":"<b>"}` || string(res.Meta["kept"]) != "[1,2]" {
		t.Errorf("the relay changed what it does not know: %s", got)
	}
	if string(res.Meta[mcpwire.MetaServerDID]) != `"`+serverDID+`"` {
		t.Errorf("DID %s", res.Meta[mcpwire.MetaServerDID])
	}
	d, err := disclosureOf(got)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.verifier().VerifyStdio(t.Context(), nonce, d); err != nil {
		t.Error(err)
	}

	// Without a challenge there is no proof, and none of the upstream's either.
	got, err = DiscloseRaw(t.Context(), id, "server/discover", nil, upstream)
	if err != nil || strings.Contains(string(got), mcpwire.MetaServerProof) || strings.Contains(string(got), "cacheScope") || !strings.Contains(string(got), serverDID) {
		t.Errorf("%s, %v", got, err)
	}
	// A proof is for one client: nobody may cache it.
	got, err = DiscloseRaw(t.Context(), id, "server/discover", params, json.RawMessage(`{"cacheScope":"public","ttlMs":60000}`))
	if err != nil || !strings.Contains(string(got), `"cacheScope":"private"`) || !strings.Contains(string(got), `"ttlMs":0`) {
		t.Errorf("%s, %v", got, err)
	}
	got, err = DiscloseRaw(t.Context(), id, "tools/list", params, upstream)
	if err != nil || string(got) != string(upstream) {
		t.Errorf("another method's result became %s, %v", got, err)
	}
}

func TestDiscloseRawRefuses(t *testing.T) {
	id := newWorld(t, serverDID).identity()
	for _, tt := range []struct{ params, result string }{
		{`{}`, ``}, {`{}`, `null`}, {`{}`, `[]`}, {`{}`, `{"a":1,"a":2}`}, {`{}`, `{"_meta":[]}`}, {`[]`, `{}`}, {`null`, `{}`},
		{`{"_meta":{"dev.touchmark/nonce":1}}`, `{}`}, {`{"_meta":{"dev.touchmark/nonce":null}}`, `{}`}, {`{"_meta":{"a":1,"a":1}}`, `{}`},
	} {
		if got, err := DiscloseRaw(t.Context(), id, "initialize", json.RawMessage(tt.params), json.RawMessage(tt.result)); err == nil {
			t.Errorf("%s, %s: %s", tt.params, tt.result, got)
		}
	}
}

func FuzzDisclosureOf(f *testing.F) {
	f.Add([]byte(`{"_meta":{"capiscio_server_did":"did:web:a.example"}}`))
	f.Add([]byte(`{"_meta":{"capiscio_server_badge":1}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := disclosureOf(data)
		if err != nil && d != (serververify.Disclosure{}) {
			t.Fatal("values beside an error")
		}
		if len(d.DID)+len(d.Badge)+len(d.Proof) > len(data) {
			t.Fatal("more than there was")
		}
	})
}
