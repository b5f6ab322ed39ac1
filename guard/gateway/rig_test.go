package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/badge/pop"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/guardtest"
	"github.com/touchmark-dev/touchmark/guard/policy"
	"github.com/touchmark-dev/touchmark/internal/mcpwire"
)

const rules = `
version: 1
rules:
  - {id: reads, match: {tool: "read_*"}, min_level: 2, decision: allow}
  - {id: writes, match: {tool: "write_*"}, min_level: 4, decision: allow}
  - {id: open, match: {tool: "hello"}, decision: allow, anonymous: true}
  - {id: asks, match: {tool: "ask"}, min_level: 1, decision: require_approval}
`

// A fakeServer is an upstream whose answers a test scripts.
type fakeServer struct {
	t      *testing.T
	in     *stream
	seen   chan *message
	answer func(m *message) *message // nil answers nothing
}

// A rig is a gateway with a client and a fake upstream on its two sides.
type rig struct {
	t      *testing.T
	w      *guardtest.World
	client *stream
	server *fakeServer
	hangUp func() // ends the client's stream
	done   chan error
	nextID int
}

func newRig(t *testing.T, edits ...func(*guard.Config)) *rig {
	t.Helper()
	return newRigWith(t, &Config{}, nil, edits...)
}

// newRigWith makes a rig of a gateway that is configured by cfg, whose Guard it
// sets, and of the upstream that serve runs on its streams; nil is a fakeServer.
func newRigWith(t *testing.T, cfg *Config, serve func(hears, says *os.File), edits ...func(*guard.Config)) *rig {
	t.Helper()
	w := guardtest.New(t)
	p, err := policy.Parse([]byte(rules))
	if err != nil {
		t.Fatal(err)
	}
	edits = append([]func(*guard.Config){func(c *guard.Config) { c.Policy = p }}, edits...)
	cfg.Guard = w.Guard(edits...)
	g, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	clientSays, fromClient := pipe(t)
	toClient, gatewaySays := pipe(t)
	serverHears, toServer := pipe(t)
	fromServer, serverSays := pipe(t)
	r := &rig{
		t: t, w: w, client: newStream(toClient, fromClient), done: make(chan error, 1),
		hangUp: func() { fromClient.Close() },
		server: &fakeServer{t: t, in: newStream(serverHears, serverSays), seen: make(chan *message, 100), answer: answerAll},
	}
	go func() {
		r.done <- g.Run(context.Background(), Pipe{clientSays, gatewaySays}, Pipe{fromServer, toServer})
	}()
	if serve == nil {
		go r.server.serve()
	} else {
		go serve(serverHears, serverSays)
	}
	return r
}

func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	return r, w
}

func (s *fakeServer) serve() {
	for {
		m, err := s.in.read()
		if err != nil {
			return
		}
		s.seen <- m
		if a := s.answer(m); a != nil && m.isRequest() {
			a.ID = m.ID
			if s.in.write(a) != nil {
				return
			}
		}
	}
}

var toolList = []string{
	`{"name":"read_file","inputSchema":{"type":"object"}}`,
	`{"name":"write_file","inputSchema":{"type":"object"}}`,
	`{"name":"hello","inputSchema":{"type":"object"}}`,
	`{"name":"ask","inputSchema":{"type":"object"}}`,
	`{"name":"read_secret","inputSchema":{"type":"object"},"_meta":{"dev.touchmark/minTrustLevel":3}}`,
	`{"name":"read_odd","inputSchema":{"type":"object"},"_meta":{"dev.touchmark/minTrustLevel":"high"}}`,
}

// answerAll is an upstream that lists its tools on two pages and does what it
// is asked.
func answerAll(m *message) *message {
	switch m.Method {
	case "tools/list":
		if strings.Contains(string(m.Params), "page2") {
			return ok(`{"tools":[` + strings.Join(toolList[3:], ",") + `]}`)
		}
		return ok(`{"tools":[` + strings.Join(toolList[:3], ",") + `],"nextCursor":"page2","ttlMs":1000,"cacheScope":"public"}`)
	case "tools/call":
		return ok(`{"content":[{"type":"text","text":"did it"}],"_meta":{"capiscio_server_did":"did:web:liar.example","x":1}}`)
	case "initialize":
		return ok(`{"protocolVersion":"2025-11-25","capabilities":{"tools":{},"resources":{"subscribe":true,"listChanged":true},"prompts":{"listChanged":true},"completions":{},"logging":{},"tasks":{}},"serverInfo":{"name":"fake","version":"0"}}`)
	}
	return ok(`{}`)
}

func ok(result string) *message { return &message{Result: json.RawMessage(result)} }

// ask sends a request and returns the answer to it.
func (r *rig) ask(method, params string) *message {
	r.t.Helper()
	r.nextID++
	id := json.RawMessage(fmt.Sprint(r.nextID))
	if err := r.client.write(&message{ID: id, Method: method, Params: json.RawMessage(params)}); err != nil {
		r.t.Fatal(err)
	}
	return r.read(string(id))
}

func (r *rig) read(id string) *message {
	r.t.Helper()
	for {
		m, err := r.client.read()
		if err != nil {
			r.t.Fatal(err)
		}
		if string(m.ID) == id {
			return m
		}
	}
}

func (r *rig) end() {
	r.t.Helper()
	r.hangUp()
	select {
	case err := <-r.done:
		if err != nil {
			r.t.Error(err)
		}
	case <-time.After(time.Minute):
		r.t.Fatal("the gateway does not end")
	}
	if n := r.w.Recorder.Open(); n != 0 {
		r.t.Errorf("%d calls without an outcome", n)
	}
}

// params are those of a call of a tool, with the badge and the proof of an
// agent.
func (r *rig) params(a *guardtest.Agent, tool, args string) string {
	r.t.Helper()
	meta := map[string]string{}
	if a != nil {
		proof, txn := a.Prove(&pop.Call{Method: "tools/call", Target: tool, Arguments: json.RawMessage(args)})
		meta = map[string]string{mcpwire.MetaBadge: a.Badge, mcpwire.MetaHop: proof, mcpwire.MetaTxn: txn}
	}
	text, err := json.Marshal(map[string]any{"name": tool, "arguments": json.RawMessage(args), "_meta": meta})
	if err != nil {
		r.t.Fatal(err)
	}
	return string(text)
}

func (r *rig) listParams(a *guardtest.Agent) string {
	if a == nil {
		return `{}`
	}
	proof, txn := a.Prove(&pop.Call{Method: "tools/list"})
	return fmt.Sprintf(`{"_meta":{%q:%q,%q:%q,%q:%q}}`, mcpwire.MetaBadge, a.Badge, mcpwire.MetaHop, proof, mcpwire.MetaTxn, txn)
}

func (r *rig) listed(a *guardtest.Agent) []string {
	r.t.Helper()
	m := r.ask("tools/list", r.listParams(a))
	var res struct {
		Tools      []struct{ Name string }
		NextCursor *string
		CacheScope string
	}
	if err := json.Unmarshal(m.Result, &res); err != nil {
		r.t.Fatalf("%v: %s %s", err, m.Result, m.Error)
	}
	if res.NextCursor != nil || res.CacheScope != "private" {
		r.t.Errorf("the list leaks: cursor %v, cache scope %q", res.NextCursor, res.CacheScope)
	}
	var names []string
	for _, t := range res.Tools {
		names = append(names, t.Name)
	}
	return names
}
