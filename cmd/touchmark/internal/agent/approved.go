package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/touchmark-dev/touchmark/internal/mcpwire"
	"github.com/touchmark-dev/touchmark/serververify"
)

// An approvedTransport leads to the client of a bridge, and answers in the
// server's stead what an Approver does not approve.
type approvedTransport struct {
	mcp.Transport
	approved Approver

	mu      sync.Mutex // guards what follows
	server  *serververify.Server
	version string // of the server, as its handshake had it last
	asked   map[jsonrpc.ID]bool
}

// is tells t who the server is.
func (t *approvedTransport) is(s *serververify.Server) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.server = s
}

// Connect implements [mcp.Transport].
func (t *approvedTransport) Connect(ctx context.Context) (mcp.Connection, error) {
	inner, err := t.Transport.Connect(ctx)
	if err != nil {
		return nil, err
	}
	t.asked = map[jsonrpc.ID]bool{}
	return &approvedConn{inner, t}, nil
}

type approvedConn struct {
	mcp.Connection
	t *approvedTransport
}

// Read implements [mcp.Connection].
func (c *approvedConn) Read(ctx context.Context) (jsonrpc.Message, error) {
	for {
		msg, err := c.Connection.Read(ctx)
		req, ok := msg.(*jsonrpc.Request)
		if err != nil || !ok || !req.IsCall() {
			return msg, err
		}
		refusal := c.t.judge(req)
		if refusal == "" {
			return msg, nil
		}
		if err := c.Connection.Write(ctx, notAllowed(req.ID, refusal)); err != nil {
			return nil, err
		}
	}
}

// Write implements [mcp.Connection].
func (c *approvedConn) Write(ctx context.Context, msg jsonrpc.Message) error {
	if resp, ok := msg.(*jsonrpc.Response); ok {
		if refusal := c.t.judgeVersion(resp); refusal != "" {
			msg = notAllowed(resp.ID, refusal)
		}
	}
	return c.Connection.Write(ctx, msg)
}

// judge says why a request is not passed on, "" if it is.
func (t *approvedTransport) judge(req *jsonrpc.Request) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch req.Method {
	case "initialize", "server/discover":
		if t.version != "" && !t.approved.AllowsVersion(t.server.DID, t.version) {
			return t.otherVersion() // a client that tries the other generation is told the same
		}
		t.asked[req.ID] = true
		return ""
	case methodCall:
	default:
		return ""
	}
	name, err := mcpwire.ToolName(req.Params)
	switch {
	case err != nil:
		return "the parameters of the call cannot be read, or not in one way"
	case t.server == nil:
		return "the server is not known yet: begin with initialize or server/discover"
	case !t.approved.AllowsVersion(t.server.DID, t.version):
		return t.otherVersion()
	case !t.approved.AllowsTool(t.server.DID, name):
		return fmt.Sprintf("the registry does not have the tool %.100q of %s", name, t.server.DID)
	}
	return ""
}

func (t *approvedTransport) otherVersion() string {
	return fmt.Sprintf("the registry does not have the version %.60q of %s", t.version, t.server.DID)
}

// judgeVersion reads the server's version off its handshake, and says why it is
// not used in this version.
func (t *approvedTransport) judgeVersion(resp *jsonrpc.Response) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.asked[resp.ID] {
		return ""
	}
	delete(t.asked, resp.ID)
	version, ok := versionOf(resp)
	if !ok || t.server == nil {
		return ""
	}
	if t.version = version; t.approved.AllowsVersion(t.server.DID, version) {
		return ""
	}
	return t.otherVersion()
}

// resumed is judgeVersion for a session that a bridge began anew, of which the
// client sees nothing: the server may have been replaced meanwhile.
func (t *approvedTransport) resumed(result json.RawMessage) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	version, ok := versionOf(&jsonrpc.Response{Result: result})
	if !ok || !t.approved.AllowsVersion(t.server.DID, version) {
		return t.server.Refuse(serververify.CodeNotAllowed, "its version %.60q is not in the registry", version)
	}
	t.version = version
	return nil
}

// versionOf reads what a handshake says of the server, in either generation.
func versionOf(resp *jsonrpc.Response) (string, bool) {
	if resp.Error != nil {
		return "", false
	}
	var r struct {
		ServerInfo mcp.Implementation `json:"serverInfo"`
		Meta       struct {
			ServerInfo mcp.Implementation `json:"io.modelcontextprotocol/serverInfo"`
		} `json:"_meta"`
	}
	if err := json.Unmarshal(resp.Result, &r); err != nil {
		return "", false
	}
	if r.ServerInfo.Version != "" {
		return r.ServerInfo.Version, true
	}
	return r.Meta.ServerInfo.Version, true
}

func notAllowed(id jsonrpc.ID, reason string) *jsonrpc.Response {
	data, err := json.Marshal(mcpwire.Denial{ReasonCode: string(serververify.CodeNotAllowed)})
	if err != nil {
		panic("agent: internal error: " + err.Error())
	}
	return &jsonrpc.Response{ID: id, Error: &jsonrpc.Error{
		Code: mcpwire.CodeDenied, Data: data,
		Message: fmt.Sprintf("%s: %s. Ask who keeps the registry of servers to list it", serververify.CodeNotAllowed, reason),
	}}
}
