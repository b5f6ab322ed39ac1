// Package agent is the calling side of the command: it verifies a server,
// presents a badge with a proof for each call, and fetches the receipt.
package agent

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os/exec"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/mcpwire"
	"github.com/touchmark-dev/touchmark/serververify"
	"github.com/touchmark-dev/touchmark/serververify/mcpverify"
)

// A Target is a server: the URL of its endpoint, or a command to launch it.
type Target struct {
	URL     string
	Command []string
	Stderr  io.Writer // of the command; nil discards
}

func (t *Target) String() string {
	if t.URL != "" {
		return t.URL
	}
	return t.Command[0]
}

// A Config says who calls, and whom.
type Config struct {
	Target   Target
	Verifier *serververify.Verifier

	// Key and Badge are who calls; without them the calls are anonymous. Badge is
	// asked for every request.
	Key   crypto.Signer
	Badge func(ctx context.Context) (string, error)

	Version string // of this program, for the server's logs

	Resolver did.Resolver // has the keys that sign the server's records, for receipts

	// Tools judges the server's list of tools before one of them is called. Nil
	// takes any.
	Tools mcpverify.ToolChecker

	// Approved says which versions and tools of the server may be used. Nil means
	// all of them.
	Approved Approver
}

// An Approver says what of a server may be used, as
// serververify/registry.Registry does.
type Approver interface {
	AllowsVersion(d did.DID, version string) bool
	AllowsTool(d did.DID, tool string) bool
}

// A Session is a session with a verified server.
type Session struct {
	Server *serververify.Server

	session  *mcp.ClientSession
	resolver did.Resolver
	approved Approver
}

// Connect verifies the target and begins a session. Until the verdict is yes,
// nothing but the handshake is sent.
func Connect(ctx context.Context, cfg *Config) (*Session, error) {
	client := mcp.NewClient(&mcp.Implementation{Name: "touchmark", Version: cfg.Version}, nil)
	connector := mcpverify.NewClient(client, cfg.Verifier)
	connector.Tools = cfg.Tools
	connector.Caller = cfg.caller()
	var session *mcp.ClientSession
	var srv *serververify.Server
	var err error
	if cfg.Target.URL != "" {
		session, srv, err = connector.ConnectHTTP(ctx, cfg.Target.URL, nil)
	} else {
		session, srv, err = connector.ConnectStdio(ctx, launch(&cfg.Target), nil)
	}
	if err != nil {
		return nil, sessionError(&cfg.Target, err)
	}
	s := &Session{Server: srv, session: session, resolver: cfg.Resolver, approved: cfg.Approved}
	if err := s.checkVersion(); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// caller is who calls, nil for nobody.
func (cfg *Config) caller() *mcpverify.Caller {
	if cfg.Badge == nil {
		return nil
	}
	return &mcpverify.Caller{Badge: cfg.Badge, Key: cfg.Key, OnSign: keepProof}
}

func (s *Session) checkVersion() error {
	if s.approved == nil {
		return nil
	}
	version := ""
	if r := s.session.InitializeResult(); r != nil && r.ServerInfo != nil {
		version = r.ServerInfo.Version
	}
	if !s.approved.AllowsVersion(s.Server.DID, version) {
		return s.Server.Refuse(serververify.CodeNotAllowed, "its version %.60q is not in the registry", version)
	}
	return nil
}

// allows refuses tools that the registry does not have.
func (s *Session) allows(tool string) error {
	if s.approved == nil || s.approved.AllowsTool(s.Server.DID, tool) {
		return nil
	}
	return s.Server.Refuse(serververify.CodeNotAllowed, "its tool %.100q is not in the registry", tool)
}

// A SessionError says that no session came about with a server: it ended, or
// answered something else than a handshake. Nothing was learned about who it is.
type SessionError struct {
	Target string
	err    error
}

func (e *SessionError) Error() string {
	return fmt.Sprintf("no session with %q: %v", e.Target, e.err)
}

func (e *SessionError) Unwrap() error { return e.err }

// sessionError makes a SessionError of an error that is neither a verdict nor
// says more about its cause.
func sessionError(t *Target, err error) error {
	if serververify.CodeOf(err) != "" || is[*serververify.UndeterminedError](err) || is[*exec.Error](err) || is[*fs.PathError](err) {
		return err
	}
	var refusal *RefusedError
	if errors.As(refused(err), &refusal) && refusal.Code != "" { // a guard's answer to the handshake
		return refusal
	}
	return &SessionError{Target: t.String(), err: err}
}

func is[E error](err error) bool {
	var target E
	return errors.As(err, &target)
}

// terminateTime is how long a launched server may take to end when its input is closed, and again when it is told to. Then
// it is killed: a gateway, which ships its records at the end, may take more than ten seconds.
const terminateTime = 8 * time.Second

func launch(t *Target) mcp.Transport {
	cmd := exec.Command(t.Command[0], t.Command[1:]...)
	cmd.Stderr = t.Stderr
	return &mcp.CommandTransport{Command: cmd, TerminateDuration: terminateTime}
}

// Close ends the session, and the server if it was launched for it.
func (s *Session) Close() error { return s.session.Close() }

// Tools returns the tools that the server shows the caller, and that may be
// called.
func (s *Session) Tools(ctx context.Context) ([]*mcp.Tool, error) {
	var tools []*mcp.Tool
	for tool, err := range s.session.Tools(ctx, nil) {
		if err != nil {
			return nil, refused(err)
		}
		if s.allows(tool.Name) == nil {
			tools = append(tools, tool)
		}
	}
	return tools, nil
}

// A Result is what a call came to.
type Result struct {
	Result   json.RawMessage   `json:"result"`
	IsError  bool              `json:"is_error"` // the tool ran and reports that it failed
	Text     []string          `json:"-"`        // the textual parts of the result
	Evidence *mcpwire.Evidence `json:"evidence,omitempty"`

	call sentCall
}

// Call calls a tool.
func (s *Session) Call(ctx context.Context, tool string, arguments json.RawMessage) (*Result, error) {
	if err := s.allows(tool); err != nil {
		return nil, err
	}
	sent := sentCall{server: s.Server.DID, tool: tool}
	res, err := s.session.CallTool(keepProofOf(ctx, &sent), &mcp.CallToolParams{Name: tool, Arguments: arguments})
	if err != nil {
		return nil, refused(err)
	}
	text, err := json.Marshal(res)
	if err != nil {
		return nil, err
	}
	out := &Result{Result: text, IsError: res.IsError, call: sent}
	for _, c := range res.Content {
		if t, ok := c.(*mcp.TextContent); ok {
			out.Text = append(out.Text, t.Text)
		}
	}
	out.Evidence, err = evidenceOf(res.GetMeta())
	return out, err
}

// evidenceOf returns what a result says of its record, nil when it says
// nothing: a server without a guard does not.
func evidenceOf(meta map[string]any) (*mcpwire.Evidence, error) {
	value, ok := meta[mcpwire.MetaEvidence]
	if !ok {
		return nil, nil
	}
	text, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	e := new(mcpwire.Evidence)
	if err := json.Unmarshal(text, e); err != nil || e.ID == "" || e.LeafHash == "" {
		return nil, fmt.Errorf("the server's answer names its evidence in a form that cannot be read: %.200q", text)
	}
	return e, nil
}

// A RefusedError is a call that the server refused. Code is the guard's, "" when
// the server gave none.
type RefusedError struct {
	Code       string
	Cause      string
	DecisionID string
	RPCCode    int64
	Message    string
}

func (e *RefusedError) Error() string {
	text := fmt.Sprintf("the server refused: %s", e.Message)
	if e.Cause != "" {
		text += " (" + e.Cause + ")"
	}
	return text
}

// Undetermined reports whether the refusal says only that the server could not
// tell.
func (e *RefusedError) Undetermined() bool { return e.RPCCode == mcpwire.CodeUndetermined }

// refused makes a RefusedError of an answer that is an error, and leaves every
// other error as it is. The SDK reports a call that was not signed in both ways.
func refused(err error) error {
	var wire *jsonrpc.Error
	if is[*mcpverify.SignError](err) || !errors.As(err, &wire) {
		return err
	}
	var d mcpwire.Denial
	_ = json.Unmarshal(wire.Data, &d) // an error of another kind has other data, or none
	return &RefusedError{
		Code: d.ReasonCode, Cause: d.Cause, DecisionID: d.DecisionID, RPCCode: wire.Code, Message: wire.Message,
	}
}
