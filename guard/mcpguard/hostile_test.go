package mcpguard_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/guardtest"
	"github.com/touchmark-dev/touchmark/guard/mcpguard"
)

// ownList is an answer that only the middleware which made it can read.
type ownList struct {
	mcp.ResultBase
	Tools []string `json:"tools"`
}

// TestListsThatCannotBeFiltered: a list that the guard cannot read shows nothing and opens nothing.
func TestListsThatCannotBeFiltered(t *testing.T) {
	tools := func(n int, next string) *mcp.ListToolsResult {
		res := &mcp.ListToolsResult{NextCursor: next}
		for i := range n {
			res.Tools = append(res.Tools, &mcp.Tool{Name: fmt.Sprint("t", i)})
		}
		return res
	}
	pages := 0
	for name, answer := range map[string]func(cursor string) (mcp.Result, error){
		"of another type": func(string) (mcp.Result, error) { return &ownList{Tools: []string{"secret"}}, nil },
		"typed nil":       func(string) (mcp.Result, error) { return (*mcp.ListToolsResult)(nil), nil },
		"nothing":         func(string) (mcp.Result, error) { return nil, nil },
		"an error":        func(string) (mcp.Result, error) { return nil, errors.New("secret") },
		"an error later": func(cursor string) (mcp.Result, error) {
			if cursor == "" {
				return tools(1, "more"), nil
			}
			return nil, errors.New("secret")
		},
		"without end": func(string) (mcp.Result, error) { return tools(1, "same"), nil },
		"too long": func(string) (mcp.Result, error) {
			pages++
			return tools(30_000, fmt.Sprint(pages)), nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := guardtest.New(t)
			s := newServer(nil)
			s.AddReceivingMiddleware(func(next mcp.MethodHandler) mcp.MethodHandler {
				return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
					if p, ok := req.GetParams().(*mcp.ListToolsParams); ok && method == "tools/list" {
						return answer(p.Cursor)
					}
					return next(ctx, method, req)
				}
			})
			a := mcpguard.Protect(s, w.Guard())
			session := overMemory(t, s, a, newClient(as(w.Agent(badge.LevelExtended))), withSessions)
			_, err := session.ListTools(t.Context(), &mcp.ListToolsParams{})
			if codeOf(t, err) != guard.CodeGuardFailed || strings.Contains(err.Error(), "secret") {
				t.Errorf("got %v", err)
			}
			if d := last(t, w.Recorder.Decisions()); d.DenyReason != string(guard.CodeGuardFailed) {
				t.Errorf("recorded %+v", d)
			}
			_, err = call(t, session, "a_level0")
			if err == nil {
				t.Error("a tool was called whose definition could not be read")
			}
		})
	}
}

// TestHiddenByOtherMiddleware: what the server behind the guard does not list, the guard does not open.
func TestHiddenByOtherMiddleware(t *testing.T) {
	w := guardtest.New(t)
	s := newServer(nil)
	s.AddReceivingMiddleware(func(next mcp.MethodHandler) mcp.MethodHandler {
		return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
			if method == "tools/list" {
				return &mcp.ListToolsResult{Tools: []*mcp.Tool{nil, mcpguard.MinLevel(&mcp.Tool{Name: "b_secret_wire_transfer"}, badge.LevelSelfSigned)}}, nil
			}
			return next(ctx, method, req)
		}
	})
	a := mcpguard.Protect(s, w.Guard())
	session := overMemory(t, s, a, newClient(as(w.Agent(badge.LevelSelfSigned))), withSessions)
	if _, err := call(t, session, "a_level0"); err == nil {
		t.Error("called")
	}
	if _, err := call(t, session, "b_secret_wire_transfer"); err != nil {
		t.Error(err)
	}
	list, err := session.ListTools(t.Context(), &mcp.ListToolsParams{})
	if err != nil || len(list.Tools) != 1 {
		t.Errorf("got %v, %v", list, err)
	}
}

func TestNewPanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("New of no guard did not panic")
		}
	}()
	mcpguard.New(nil, nil)
}

// TestShadow: in shadow mode nothing is refused and nothing is filtered, and all of it is recorded.
func TestShadow(t *testing.T) {
	w := guardtest.New(t)
	s := newServer(nil)
	a := mcpguard.Protect(s, w.Guard(func(c *guard.Config) { c.UnsafeShadow = true }))
	session := overMemory(t, s, a, newClient(anonymous), withoutSessions)
	if _, err := call(t, session, "f_secret"); err != nil {
		t.Error(err)
	}
	list, err := session.ListTools(t.Context(), &mcp.ListToolsParams{})
	if err != nil || len(list.Tools) != 15 {
		t.Errorf("got %v, %v", list, err)
	}
	for _, d := range w.Recorder.Decisions() {
		if !d.Shadow {
			t.Errorf("recorded %+v", d)
		}
	}
	checkClosed(t, w)
}
