//lint:file-ignore SA1019 sessions of the older generation still speak of sampling

package mcpverify

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/mcpwire"
	"github.com/touchmark-dev/touchmark/serververify"
)

// bridge is a bridge to the stage's server.
func (s *stage) bridge(change ...func(*BridgeConfig)) *bridged {
	cfg := BridgeConfig{Verifier: s.verifier(), Endpoint: s.url(), Caller: s.caller()}
	for _, f := range change {
		f(&cfg)
	}
	return startBridge(s.t, cfg)
}

// newAskingServer returns a server with a tool that asks the user, one with a
// long answer, and one that reports progress and goes on until it is cancelled.
func newAskingServer(cancelled *atomic.Int32) *mcp.Server {
	s := newServer()
	object := json.RawMessage(`{"type":"object"}`)
	s.AddTool(&mcp.Tool{Name: "ask", InputSchema: object}, func(_ context.Context, r *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		if r.Params.InputResponses["q"] == nil {
			return &mcp.CallToolResult{InputRequests: mcp.InputRequestMap{"q": &mcp.ElicitParams{Message: "sure?"}}, RequestState: "state"}, nil
		}
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "done"}}}, nil
	})
	s.AddTool(&mcp.Tool{Name: "large", InputSchema: object}, func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: strings.Repeat("x", 4<<10)}}}, nil
	})
	s.AddTool(&mcp.Tool{Name: "slow", InputSchema: object}, func(ctx context.Context, r *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		err := r.Session.NotifyProgress(ctx, &mcp.ProgressNotificationParams{ProgressToken: r.Params.GetProgressToken(), Progress: 1})
		if err != nil {
			return nil, err
		}
		<-ctx.Done()
		cancelled.Add(1)
		return nil, ctx.Err()
	})
	return s
}

// What a server asks the client's user is relayed, in both generations, and the
// round that follows is signed like any other. A bridge that is to refuse it
// lets the server know that there is nobody to ask.
func TestBridgeServerAsks(t *testing.T) {
	bothGenerations(t, func(t *testing.T, version string) {
		s := newAskingServer(nil)
		st := newStage(t, s, version, false)
		passed := signedOnly(t, st.world, s)
		var asked atomic.Int32
		client := func() *mcp.Client {
			return mcp.NewClient(&mcp.Implementation{Name: "client", Version: "1"}, &mcp.ClientOptions{
				ElicitationHandler: func(context.Context, *mcp.ElicitRequest) (*mcp.ElicitResult, error) {
					asked.Add(1)
					return &mcp.ElicitResult{Action: "accept", Content: map[string]any{"n": 1.5, "text": "<ä>"}}, nil
				},
			})
		}
		res, err := st.bridge().connect(t, client(), version).CallTool(t.Context(), &mcp.CallToolParams{Name: "ask", Arguments: map[string]any{"big": "<&>"}})
		if err != nil {
			t.Fatal(err)
		}
		rounds := map[string]int32{"2025-11-25": 1, "2026-07-28": 2}[version]
		if res.Content[0].(*mcp.TextContent).Text != "done" || asked.Load() != 1 || passed.Load() != rounds {
			t.Errorf("got %v, asked %d times, in %d rounds", res.Content, asked.Load(), passed.Load())
		}
		alone := st.bridge(func(c *BridgeConfig) { c.RefuseServerRequests = true }).connect(t, client(), version)
		if res, err := alone.CallTool(t.Context(), &mcp.CallToolParams{Name: "ask"}); err == nil && !res.IsError {
			t.Errorf("got %+v", res.Content[0])
		}
		if asked.Load() != 1 {
			t.Error("the client was asked")
		}
		greet(t, alone)
	})
}

func TestBridgeCancelsAndReports(t *testing.T) {
	bothGenerations(t, func(t *testing.T, version string) {
		var cancelled, progress atomic.Int32
		st := newStage(t, newAskingServer(&cancelled), version, false)
		c := mcp.NewClient(&mcp.Implementation{Name: "client", Version: "1"}, &mcp.ClientOptions{
			ProgressNotificationHandler: func(context.Context, *mcp.ProgressNotificationClientRequest) { progress.Add(1) },
		})
		session := st.bridge().connect(t, c, version)
		ctx, cancel := context.WithCancel(t.Context())
		params := &mcp.CallToolParams{Name: "slow"}
		params.SetProgressToken("token")
		done := make(chan error, 1)
		go func() {
			_, err := session.CallTool(ctx, params)
			done <- err
		}()
		poll(t, "progress", func() bool { return progress.Load() > 0 })
		cancel()
		if err := <-done; err == nil {
			t.Error("the call was answered")
		}
		poll(t, "the server stops", func() bool { return cancelled.Load() == 1 })
		greet(t, session)
	})
}

// wire is the client's side of a bridge, message by message.
func (b *bridged) wire(t *testing.T) mcp.Connection {
	t.Helper()
	c, err := b.local.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func say(t *testing.T, c mcp.Connection, text string) {
	t.Helper()
	msg, err := jsonrpc.DecodeMessage([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Write(t.Context(), msg); err != nil {
		t.Fatal(err)
	}
}

const newMeta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{"sampling":{}}}`

func callText(id, tool string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"method":"tools/call","params":{"name":%q,"arguments":{},%s}}`, id, tool, newMeta)
}

func TestBridgeLimits(t *testing.T) {
	var cancelled atomic.Int32
	st := newStage(t, newAskingServer(&cancelled), generation2026, false)
	b := st.bridge(func(c *BridgeConfig) { c.MaxInFlight = 1 })
	c := b.wire(t)
	say(t, c, callText("1", "slow"))
	wantCode(t, ask(t, c, callText("1", "greet")).Error, jsonrpc.CodeInvalidRequest, "")
	wantCode(t, ask(t, c, callText("2", "greet")).Error, mcpwire.CodeUndetermined, "")
	say(t, c, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`)
	say(t, c, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":77}}`)
	say(t, c, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":{}}}`)
	poll(t, "room", func() bool { return ask(t, c, callText("3", "greet")).Error == nil })

	c2 := st.bridge(func(c *BridgeConfig) { c.MaxMessageBytes = 1 << 10 }).wire(t)
	resp := ask(t, c2, callText("4", "large"))
	if wire := wantCode(t, resp.Error, mcpwire.CodeUndetermined, ""); !strings.Contains(wire.Message, "lost") {
		t.Errorf("got %v", wire)
	}
	// The server's answer has the name that it was sent.
	wantCode(t, ask(t, c2, callText("6", strings.Repeat("x", 4<<10))).Error, mcpwire.CodeUndetermined, "")
	if resp := ask(t, c2, callText("5", "greet")); resp.Error != nil {
		t.Errorf("the next call: %v", resp.Error)
	}
}

// A message that is too long ends the standard input that it came on.
func TestBridgeLongLine(t *testing.T) {
	st := newStage(t, newServer(), generation2026, false)
	b, err := newBridge(&BridgeConfig{Verifier: st.verifier(), Endpoint: st.url(), MaxMessageBytes: 1 << 10})
	if err != nil {
		t.Fatal(err)
	}
	local := b.cfg.Client.(*mcp.IOTransport)
	r, w := io.Pipe()
	local.Reader, local.Writer = r, keepOpen{io.Discard}
	go io.WriteString(w, callText("1", strings.Repeat("x", 4<<10))+"\n")
	err = Bridge(t.Context(), &BridgeConfig{Client: local, Verifier: st.verifier(), Endpoint: st.url()})
	if err == nil || !strings.Contains(err.Error(), "reading from the client") {
		t.Errorf("got %v", err)
	}
}

// A server that forgets its sessions is verified again, and the client's own
// handshake begins the next one: the call that met the end goes out again.
func TestBridgeSessionLost(t *testing.T) {
	s := newServer()
	st := newStage(t, s, "2025-11-25", false)
	var passed atomic.Int32
	s.AddReceivingMiddleware(func(next mcp.MethodHandler) mcp.MethodHandler {
		return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
			if method == methodInitialized {
				passed.Add(1)
			}
			return next(ctx, method, req)
		}
	})
	b := st.bridge()
	session := b.connect(t, newMCPClient(), "2025-11-25")
	greet(t, session)
	st.use(st.identity.Handler(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return s }, nil)))
	greet(t, session)
	greet(t, session)
	if b.verified() != 2 || passed.Load() != 2 {
		t.Errorf("%d sessions, %d that the client was ready for", b.verified(), passed.Load())
	}

	// A new session can be refused, and is asked for again.
	var resumed atomic.Int32
	refusing := st.bridge(func(c *BridgeConfig) {
		c.OnResume = func(result json.RawMessage) error {
			if !strings.Contains(string(result), `"serverInfo"`) {
				t.Errorf("got %s", result)
			}
			if resumed.Add(1) > 1 {
				return nil
			}
			return b.servers[0].Refuse(serververify.CodeNotAllowed, "its version is another")
		}
	}).connect(t, newMCPClient(), "2025-11-25")
	greet(t, refusing)
	st.use(st.identity.Handler(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return s }, nil)))
	_, err := refusing.CallTool(t.Context(), &mcp.CallToolParams{Name: "greet"})
	wantCode(t, err, mcpwire.CodeDenied, string(serververify.CodeNotAllowed))
	poll(t, "the next attempt", func() bool {
		_, err := refusing.CallTool(t.Context(), &mcp.CallToolParams{Name: "greet"})
		return err == nil
	})

	// Another server, however good, is not the one that the client talks to.
	other := newStage(t, newServer(), "2025-11-25", false)
	b.mu.Lock()
	first := b.servers[0]
	b.mu.Unlock()
	if err := sameServer(other.agent.DID, first); serververify.CodeOf(err) != serververify.CodeDIDMismatch {
		t.Errorf("got %v", err)
	}
}

// Nobody is there, then somebody who is refused, then the server: each request
// is answered, with what to do.
func TestBridgeRefuses(t *testing.T) {
	bothGenerations(t, func(t *testing.T, version string) {
		s := newServer()
		st := newStage(t, s, version, false)
		closeNow(st.front)
		b := st.bridge()
		c := b.wire(t)
		const hello = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}`
		wire := wantCode(t, ask(t, c, hello).Error, mcpwire.CodeUndetermined, "")
		if !strings.Contains(wire.Message, "Try again") {
			t.Errorf("got %v", wire)
		}
		st.front = st.serve(listenAt(t, "127.0.0.1:"+st.port), http.NotFoundHandler())
		poll(t, "a refusal", func() bool {
			var wire *jsonrpc.Error
			return errors.As(ask(t, c, hello).Error, &wire) && wire.Code == mcpwire.CodeDenied && strings.Contains(string(wire.Data), "SERVER_IDENTITY_MISSING")
		})
		st.replace(st.handler)
		poll(t, "an answer", func() bool { return ask(t, c, hello).Error == nil })
		c.Close()
		if err := <-b.ended; err != nil {
			t.Errorf("the bridge ended with %v", err)
		}
		b.ended <- nil
	})
	// A refusal that stays is also what the bridge ends with.
	st := newStage(t, newServer(), generation2026, false)
	b := st.bridge(func(c *BridgeConfig) {
		c.Verifier = newWorld(t, serverDID).verifier(func(c *serververify.Config) { c.RootCAs, c.UnsafeAllowLoopback = st.roots, true })
	})
	c := b.wire(t)
	wantCode(t, ask(t, c, callText("1", "greet")).Error, mcpwire.CodeDenied, string(serververify.CodeBadgeInvalid))
	c.Close()
	wantRefusal(t, <-b.ended, serververify.CodeBadgeInvalid, serververify.StateDeclared)
	b.ended <- nil
}

// rude is a server with an identity that answers calls with what nobody asked
// for, before the answer.
type rude struct {
	st *stage

	mu   sync.Mutex
	said []string // responses to its requests
}

func (r *rude) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	var m struct {
		ID     json.RawMessage `json:"id"`
		Method string          `json:"method"`
	}
	if err != nil || json.Unmarshal(body, &m) != nil || req.Method != http.MethodPost {
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	if m.Method == "" {
		r.mu.Lock()
		r.said = append(r.said, string(body))
		r.mu.Unlock()
	}
	switch m.Method {
	case methodToolsCall:
		w.Header().Set("Content-Type", "text/event-stream")
		for _, text := range []string{
			`{"jsonrpc":"2.0","id":99,"result":{"stray":true}}`,
			`{"jsonrpc":"2.0","id":"s1","method":"sampling/createMessage","params":{}}`,
			`{"jsonrpc":"2.0","id":"s2","method":"files/read","params":{}}`,
			`{"jsonrpc":"2.0","method":"notifications/message","params":{}}`,
			`{"jsonrpc":"2.0","id":` + string(m.ID) + `,"result":{"content":[],"resultType":"complete"}}`,
		} {
			fmt.Fprintf(w, "event: message\ndata: %s\n\n", text)
		}
	default:
		w.WriteHeader(http.StatusAccepted)
	}
}

// What the client did not offer is refused for it, answers to nothing are
// dropped, in both directions, and notifications pass.
func TestBridgeUnasked(t *testing.T) {
	st := newStage(t, newServer(), generation2026, false)
	server := &rude{st: st}
	st.use(st.identity.Handler(server))
	c := st.bridge().wire(t)
	say(t, c, callText("1", "x"))
	say(t, c, `{"jsonrpc":"2.0","id":"s3","result":{}}`)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var got []string
	for len(got) < 2 {
		msg, err := c.Read(ctx)
		if err != nil {
			t.Fatal(err)
		}
		text, err := jsonrpc.EncodeMessage(msg)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(text))
	}
	if !strings.Contains(got[0], "notifications/message") || !strings.Contains(got[1], `"id":1`) {
		t.Errorf("the client got %s", got)
	}
	said := func() []string { server.mu.Lock(); defer server.mu.Unlock(); return server.said }
	poll(t, "refusals", func() bool { return len(said()) == 2 })
	for _, text := range said() {
		if !strings.Contains(text, `"code":-32601`) || strings.Contains(text, "s3") {
			t.Errorf("the server got %s", text)
		}
	}
}

// Arguments that a tool's schema wants in header fields are there, for a client
// that has listed the tools.
func TestBridgeParamHeaders(t *testing.T) {
	s := newServer()
	s.AddTool(&mcp.Tool{Name: "located", InputSchema: json.RawMessage(`{"type":"object","properties":{
		"region":{"type":"string","x-mcp-header":"Region"},"n":{"type":"integer","x-mcp-header":"N"},
		"in":{"type":"object","properties":{"deep":{"type":"boolean","x-mcp-header":"Deep"}}}}}`)},
		func(_ context.Context, r *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			h := r.Extra.Header
			return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: strings.Join([]string{
				h.Get("Mcp-Param-Region"), h.Get("Mcp-Param-N"), h.Get("Mcp-Param-Deep"),
			}, " ")}}}, nil
		})
	st := newStage(t, s, generation2026, false)
	c := st.bridge().wire(t)
	ask(t, c, `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{`+newMeta+`}}`)
	for arguments, want := range map[string]string{
		`{"region":"eu","n":12,"in":{"deep":true}}`: "eu 12 true",
		`{"region":"ü"}`:  "=?base64?w7w=?=",
		`{"region":" x"}`: "=?base64?IHg=?=",
		`{"region":null}`: "",
		`{}`:              "",
	} {
		resp := ask(t, c, fmt.Sprintf(`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"located","arguments":%s,%s}}`, arguments, newMeta))
		var res mcp.CallToolResult
		if resp.Error != nil || json.Unmarshal(resp.Result, &res) != nil {
			t.Errorf("%s: %v", arguments, resp.Error)
			continue
		}
		if got := strings.TrimSpace(res.Content[0].(*mcp.TextContent).Text); got != want {
			t.Errorf("%s: got %q, want %q", arguments, got, want)
		}
	}
}

func TestNewBridgeRefuses(t *testing.T) {
	v := newWorld(t, serverDID).verifier()
	for name, cfg := range map[string]*BridgeConfig{
		"nil":         nil,
		"zero":        {},
		"no server":   {Verifier: v},
		"two servers": {Verifier: v, Endpoint: "https://a.example", Command: self()},
		"negative":    {Verifier: v, Endpoint: "https://a.example", MaxInFlight: -1},
		"no badge":    {Verifier: v, Endpoint: "https://a.example", Caller: &Caller{}},
	} {
		if err := Bridge(t.Context(), cfg); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// A client of the newer generation falls back to a server that has sessions, as
// it would without anybody between.
func TestFallBack(t *testing.T) {
	st := newStage(t, newServer(), "2025-11-25", false)
	for _, bridge := range []bool{false, true} {
		var session *mcp.ClientSession
		var err error
		if bridge {
			session, err = newMCPClient().Connect(t.Context(), st.bridge().local, nil)
		} else {
			session, _, err = NewClient(newMCPClient(), st.verifier()).ConnectHTTP(t.Context(), st.url(), nil)
		}
		if err != nil {
			t.Fatal(err)
		}
		if got := session.InitializeResult().ProtocolVersion; got != "2025-11-25" {
			t.Errorf("the session speaks %s", got)
		}
		greet(t, session)
		session.Close()
	}
}

// A launched server that cannot be examined is an error to each request, and
// not the end of what the client started.
func TestBridgeProcessUndetermined(t *testing.T) {
	badges, err := badge.NewVerifier(&badge.Config{SelfSigned: []did.DID{did.FromKey(processKey.Public().(ed25519.PublicKey))}})
	if err != nil {
		t.Fatal(err)
	}
	v, err := serververify.New(&serververify.Config{
		Badges: badges, Resolver: did.StaticResolver{}, MinLevel: badge.LevelSelfSigned, Admit: []serververify.Admission{unable{}},
	})
	if err != nil {
		t.Fatal(err)
	}
	c := startBridge(t, BridgeConfig{Verifier: v, Command: self(beServer)}).wire(t)
	for i := range 3 {
		wire := wantCode(t, ask(t, c, callText(fmt.Sprint(i+1), "greet")).Error, mcpwire.CodeUndetermined, "")
		if !strings.Contains(wire.Message, "cannot be told") {
			t.Errorf("got %v", wire)
		}
	}
}

// unable is an Admission that cannot tell.
type unable struct{}

func (unable) Admit(context.Context, *serververify.Server) error {
	return errors.New("it cannot be told")
}

// Something in front of the server refuses a call in its own words: that is the
// answer to the call, and the session goes on.
func TestForeignRefusal(t *testing.T) {
	everySession(t, func(t *testing.T, version string, h2, bridge bool) {
		st := newStage(t, newServer(), version, h2)
		session := st.open(version, bridge, newMCPClient(), st.verifier())
		greet(t, session)
		for _, status := range []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusTeapot} {
			st.use(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPost {
					http.Error(w, "<html>no</html>", status)
					return
				}
				st.handler.ServeHTTP(w, r)
			}))
			_, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "greet"})
			if wire := wantCode(t, err, mcpwire.CodeUndetermined, ""); !strings.Contains(wire.Message, fmt.Sprint(status)) {
				t.Errorf("got %v", wire)
			}
		}
		st.use(nil)
		greet(t, session)
	})
}
