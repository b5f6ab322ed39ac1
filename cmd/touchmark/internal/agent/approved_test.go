package agent

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/mcpwire"
	"github.com/touchmark-dev/touchmark/serververify"
)

// approves lets version 1 of every server be used, and its tool "read".
type approves struct{}

func (approves) AllowsVersion(_ did.DID, version string) bool { return version == "1" }
func (approves) AllowsTool(_ did.DID, tool string) bool       { return tool == "read" }

// A talk is a client at one end of an approvedTransport, and the bridge at the
// other.
type talk struct {
	t              *testing.T
	client, bridge mcp.Connection
	to             *approvedTransport
}

func newTalk(t *testing.T) *talk {
	a, b := mcp.NewInMemoryTransports()
	x := &talk{t: t, to: &approvedTransport{Transport: b, approved: approves{}}}
	var err error
	if x.client, err = a.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	if x.bridge, err = x.to.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { x.client.Close(); x.bridge.Close() })
	return x
}

func id(n float64) jsonrpc.ID {
	i, err := jsonrpc.MakeID(n)
	if err != nil {
		panic(err)
	}
	return i
}

// ask sends a request and then one that always passes, and returns what reached
// the bridge before that, or what the client was answered.
func (x *talk) ask(req *jsonrpc.Request) (passed bool, answer *jsonrpc.Response) {
	x.t.Helper()
	done := make(chan error, 1)
	go func() {
		for _, m := range []*jsonrpc.Request{req, {ID: id(99), Method: "ping"}} {
			if err := x.client.Write(context.Background(), m); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	answers := make(chan *jsonrpc.Response, 1)
	go func() {
		if msg, err := x.client.Read(x.t.Context()); err == nil {
			answers <- msg.(*jsonrpc.Response)
		}
	}()
	for {
		msg, err := x.bridge.Read(x.t.Context())
		if err != nil {
			x.t.Fatal(err)
		}
		got := msg.(*jsonrpc.Request)
		if got.Method != "ping" {
			passed = true
			continue
		}
		if err := <-done; err != nil {
			x.t.Fatal(err)
		}
		if passed { // let the reader of answers end
			go x.bridge.Write(context.Background(), &jsonrpc.Response{ID: req.ID, Result: json.RawMessage(`{"serverInfo":{"name":"s","version":"2"}}`)})
		}
		return passed, <-answers
	}
}

func (x *talk) wantRefused(req *jsonrpc.Request, reason string) {
	x.t.Helper()
	passed, answer := x.ask(req)
	if passed {
		x.t.Fatalf("%s passed", req.Method)
	}
	var wire *jsonrpc.Error
	if answer.Error == nil || !asWire(answer.Error, &wire) || wire.Code != mcpwire.CodeDenied ||
		!strings.Contains(wire.Message, reason) || !strings.Contains(string(wire.Data), "SERVER_NOT_ALLOWED") {
		x.t.Errorf("%s: %v, want %q", req.Method, answer.Error, reason)
	}
}

func asWire(err error, to **jsonrpc.Error) (ok bool) {
	*to, ok = err.(*jsonrpc.Error) //nolint:errorlint // it is on the wire as it is
	return ok
}

func call(params string) *jsonrpc.Request {
	return &jsonrpc.Request{ID: id(1), Method: "tools/call", Params: json.RawMessage(params)}
}

func TestApprovedTransport(t *testing.T) {
	x := newTalk(t)
	x.wantRefused(call(`{"name":"read"}`), "not known yet")
	x.to.is(&serververify.Server{DID: did.MustParse("did:web:mcp.example")})
	x.wantRefused(call(`{"name":"read"}`), `version ""`)
	x.to.version = "1"
	x.wantRefused(call(`{"name":"write"}`), `the tool "write"`)
	x.wantRefused(call(`{"name":7}`), "cannot be read")
	x.wantRefused(call(`{"name":"write","Name":"read"}`), "cannot be read")
	x.wantRefused(call(`{"name":"write","name":"read"}`), "cannot be read")
	if passed, _ := x.ask(call(`{"name":"read"}`)); !passed {
		t.Error("a tool of the registry did not pass")
	}
	if passed, _ := x.ask(&jsonrpc.Request{ID: id(1), Method: "resources/read"}); !passed {
		t.Error("another method did not pass")
	}
	// A session that the bridge begins anew is judged like the first.
	for result, want := range map[string]bool{
		`{"serverInfo":{"name":"s","version":"1"}}`: true, `{"serverInfo":{"name":"s","version":"2"}}`: false, `{}`: false, `[]`: false,
	} {
		if err := x.to.resumed(json.RawMessage(result)); (err == nil) != want || !want && serververify.CodeOf(err) != serververify.CodeNotAllowed || x.to.version != "1" {
			t.Errorf("%s: %v", result, err)
		}
	}
	// The handshake says version 2: it is refused on its way back, and so is the next.
	for _, method := range []string{"initialize", "server/discover"} {
		x.to.version = ""
		passed, answer := x.ask(&jsonrpc.Request{ID: id(1), Method: method})
		if !passed || answer.Error == nil || !strings.Contains(answer.Error.Error(), `version "2"`) {
			t.Errorf("%s: passed %v, answer %v", method, passed, answer.Error)
		}
		x.wantRefused(&jsonrpc.Request{ID: id(1), Method: method}, `version "2"`)
	}
	x.wantRefused(call(`{"name":"read"}`), `version "2"`)
}
