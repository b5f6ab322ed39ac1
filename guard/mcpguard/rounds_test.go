package mcpguard_test

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/pop"
	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/guard/guardtest"
	"github.com/touchmark-dev/touchmark/guard/mcpguard"
	"github.com/touchmark-dev/touchmark/internal/mcpwire"
	"github.com/touchmark-dev/touchmark/serververify/mcpverify"
)

// addAsking adds a tool that asks twice before it answers, and a prompt and a resource that do.
func addAsking(s *mcp.Server) {
	ask := func(got mcp.InputResponseMap) mcp.InputRequestMap {
		switch {
		case got["first"] == nil && got["second"] == nil:
			return mcp.InputRequestMap{"first": &mcp.ElicitParams{Message: "which?"}}
		case got["second"] == nil:
			return mcp.InputRequestMap{"second": &mcp.ElicitParams{Message: "sure?"}}
		}
		return nil
	}
	tool := &mcp.Tool{Name: "ask", InputSchema: json.RawMessage(`{"type":"object"}`)}
	s.AddTool(mcpguard.MinLevel(tool, badge.LevelDomain), func(_ context.Context, r *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		if q := ask(r.Params.InputResponses); q != nil {
			return &mcp.CallToolResult{InputRequests: q, RequestState: "state"}, nil
		}
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "done " + r.Params.RequestState}}}, nil
	})
	s.AddPrompt(&mcp.Prompt{Name: "ask"}, func(_ context.Context, r *mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
		return &mcp.GetPromptResult{InputRequests: ask(r.Params.InputResponses), Messages: []*mcp.PromptMessage{}}, nil
	})
	s.AddResource(&mcp.Resource{Name: "ask", URI: "file:///ask"}, func(_ context.Context, r *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
		return &mcp.ReadResourceResult{InputRequests: ask(r.Params.InputResponses), Contents: []*mcp.ResourceContents{}}, nil
	})
}

// answering returns a client that answers what it is asked for.
func answering() *mcp.Client {
	return mcp.NewClient(&mcp.Implementation{Name: "client", Version: "1"}, &mcp.ClientOptions{
		ElicitationHandler: func(_ context.Context, r *mcp.ElicitRequest) (*mcp.ElicitResult, error) {
			return &mcp.ElicitResult{Action: "accept", Content: map[string]any{"n": 1.5, "text": "<ä> " + r.Params.Message}}, nil
		},
	})
}

// A log keeps what went out with each request.
type log struct {
	mu   sync.Mutex
	sent []mcpverify.Signed
}

func (l *log) keep(_ context.Context, s mcpverify.Signed) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent = append(l.sent, s)
}

// TestRounds: a server that asks for input is answered by the SDK, of its own accord, and every round has a proof
// of its own, over what is answered in it.
func TestRounds(t *testing.T) {
	for _, r := range rigs {
		if r.version != withoutSessions {
			continue
		}
		t.Run(r.name, func(t *testing.T) {
			w := guardtest.New(t)
			s := newServer(nil)
			addAsking(s)
			a := mcpguard.Protect(s, w.Guard(openPolicy))
			var out log
			caller := callerOf(w)
			caller.OnSign = out.keep
			session := dial(t, answering(), signed(t, caller, r.reach(t, s, a)), r.version)
			params := &mcp.CallToolParams{Name: "ask", Arguments: map[string]any{"big": "<&>", "n": 12}}
			res, err := session.CallTool(t.Context(), params)
			if err != nil {
				t.Fatal(err)
			}
			if text := res.Content[0].(*mcp.TextContent).Text; text != "done state" {
				t.Errorf("got %q", text)
			}
			checkRounds(t, w, out.sent)
			checkUsed(t, w, dial(t, newClient(anonymous), r.reach(t, s, a), r.version), params, out.sent)
			if _, err := session.GetPrompt(t.Context(), &mcp.GetPromptParams{Name: "ask", Arguments: map[string]string{"a": "b"}}); err != nil {
				t.Error(err)
			}
			if _, err := session.ReadResource(t.Context(), &mcp.ReadResourceParams{URI: "file:///ask"}); err != nil {
				t.Error(err)
			}
			if len(out.sent) != 9 {
				t.Errorf("%d proofs for three calls of three rounds", len(out.sent))
			}
			checkClosed(t, w)
		})
	}
}

// checkRounds checks the records of a call of three rounds.
func checkRounds(t *testing.T, w *guardtest.World, sent []mcpverify.Signed) {
	t.Helper()
	decisions, outcomes := w.Recorder.Decisions(), w.Recorder.Outcomes()
	if len(decisions) != 3 || len(outcomes) != 3 || len(sent) != 3 {
		t.Fatalf("%d decisions, %d outcomes, %d proofs", len(decisions), len(outcomes), len(sent))
	}
	var hops []string
	for i, d := range decisions {
		if d.Kind != evidence.Allow || d.DenyReason != "" || d.HopID == "" || slices.Contains(hops, d.HopID) {
			t.Errorf("round %d: %s %s, hop %q after %q", i, d.Kind, d.DenyReason, d.HopID, hops)
		}
		hops = append(hops, d.HopID)
		want := evidence.OutcomeInputRequired
		if i == 2 {
			want = evidence.OutcomeOK
		}
		if outcomes[i].Status != want {
			t.Errorf("round %d: outcome %s", i, outcomes[i].Status)
		}
	}
}

// checkUsed sends proofs again that were used, for the same rounds and for another one.
func checkUsed(t *testing.T, w *guardtest.World, thief *mcp.ClientSession, params *mcp.CallToolParams, sent []mcpverify.Signed) {
	t.Helper()
	answer := mcp.InputResponseMap{"first": &mcp.ElicitResult{Action: "accept", Content: map[string]any{"n": 1.5, "text": "<ä> which?"}}}
	for _, c := range []struct {
		name   string
		proof  mcpverify.Signed
		answer mcp.InputResponseMap
		want   pop.Code
	}{
		{"first round", sent[0], nil, pop.CodeReplayed},
		{"second round", sent[1], answer, pop.CodeReplayed},
		{"second round by the first proof", sent[0], answer, pop.CodeParamsMismatch},
		{"first round by the second proof", sent[1], nil, pop.CodeParamsMismatch},
	} {
		p := *params
		p.Meta = mcp.Meta{mcpwire.MetaBadge: c.proof.Badge, mcpwire.MetaHop: c.proof.Proof, mcpwire.MetaTxn: c.proof.TxnID}
		p.InputResponses = c.answer
		_, err := thief.CallTool(t.Context(), &p)
		if got := codeOf(t, err); string(got) != string(c.want) {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}
