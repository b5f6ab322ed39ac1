package mcpguard_test

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/guardtest"
	"github.com/touchmark-dev/touchmark/guard/mcpguard"
	"github.com/touchmark-dev/touchmark/internal/jcs"
)

// TestOutcomeCommitsToTheAnswer: whoever kept an answer can show that it is the one of the record.
func TestOutcomeCommitsToTheAnswer(t *testing.T) {
	opts := &mcp.ServerOptions{CompletionHandler: func(context.Context, *mcp.CompleteRequest) (*mcp.CompleteResult, error) {
		return &mcp.CompleteResult{Completion: mcp.CompletionResultDetails{Values: []string{"<b>"}}}, nil
	}}
	for _, r := range rigs {
		t.Run(r.name+" "+r.version, func(t *testing.T) {
			w := guardtest.New(t)
			s := newServer(opts)
			a := mcpguard.Protect(s, w.Guard(func(c *guard.Config) { c.Policy = guard.UnsafeAllowAll{} }))
			session := r.connect(t, s, a, newClient(anonymous), r.version)
			for method, use := range map[string]func() (mcp.Result, error){
				"tools/call": func() (mcp.Result, error) { return call(t, session, "d_bare") },
				"resources/read": func() (mcp.Result, error) {
					return session.ReadResource(t.Context(), &mcp.ReadResourceParams{URI: "file:///r"})
				},
				"prompts/get": func() (mcp.Result, error) { return session.GetPrompt(t.Context(), &mcp.GetPromptParams{Name: "hello"}) },
				"completion/complete": func() (mcp.Result, error) {
					return session.Complete(t.Context(), &mcp.CompleteParams{Ref: &mcp.CompleteReference{Type: "ref/prompt", Name: "hello"},
						Argument: mcp.CompleteParamsArgument{Name: "a", Value: "b"}})
				},
			} {
				res, err := use()
				if err != nil {
					t.Fatal(method, err)
				}
				drafts := w.Recorder.Drafts()
				committed := drafts[len(drafts)-1].Result
				if got := withoutMeta(t, res); got != string(committed) {
					t.Errorf("%s: got       %s\ncommitted %s", method, got, committed)
				}
			}
		})
	}
}

func withoutMeta(t *testing.T, res mcp.Result) string {
	t.Helper()
	text, err := json.Marshal(res)
	if err != nil {
		t.Fatal(err)
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(text, &members); err != nil {
		t.Fatal(err)
	}
	delete(members, "_meta")
	canonical, err := jcs.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	return string(canonical)
}
