package mcpguard_test

import (
	"encoding/base64"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/guardtest"
	"github.com/touchmark-dev/touchmark/guard/mcpguard"
)

// pages reads a list of tools page by page, with what decoding the cursors gives.
func pages(t *testing.T, session *mcp.ClientSession) (names []string, sizes []int, cursors string) {
	t.Helper()
	for cursor := ""; ; {
		res, err := session.ListTools(t.Context(), &mcp.ListToolsParams{Cursor: cursor})
		if err != nil {
			t.Fatal(err)
		}
		if res.CacheScope != "private" {
			t.Errorf("cacheScope %q on page %d", res.CacheScope, len(sizes))
		}
		names, sizes = append(names, toolNames(res.Tools)...), append(sizes, len(res.Tools))
		if res.NextCursor == "" {
			return names, sizes, cursors
		}
		for _, enc := range []*base64.Encoding{base64.URLEncoding, base64.StdEncoding, base64.RawURLEncoding} {
			if raw, err := enc.DecodeString(res.NextCursor); err == nil {
				cursors += string(raw)
			}
		}
		cursors += res.NextCursor + "\n"
		cursor = res.NextCursor
	}
}

// TestPages: the SDK's cursor names the last entry of a page before it was filtered.
func TestPages(t *testing.T) {
	for size := 1; size <= 16; size++ {
		w := guardtest.New(t)
		s := newServer(&mcp.ServerOptions{PageSize: size})
		a := mcpguard.Protect(s, w.Guard())
		session := overMemory(t, s, a, newClient(as(w.Agent(badge.LevelSelfSigned))), withoutSessions)
		names, sizes, cursors := pages(t, session)
		if len(names) != 10 || !slices.IsSorted(names) {
			t.Errorf("page size %d: %v", size, names)
		}
		for i, n := range sizes {
			if n > size || (i < len(sizes)-1 && n != size) {
				t.Errorf("page size %d: pages of %v", size, sizes)
			}
		}
		for _, secret := range []string{"secret", "level2", "level3", "bare"} {
			if strings.Contains(strings.Join(names, " ")+cursors, secret) {
				t.Errorf("page size %d: %q leaks in %q", size, secret, cursors)
			}
		}
	}
}

// TestMadeUpCursors: a cursor tells nothing about what the caller may not see, whoever made it.
func TestMadeUpCursors(t *testing.T) {
	w := guardtest.New(t)
	s := newServer(&mcp.ServerOptions{PageSize: 2})
	unguarded := newServer(&mcp.ServerOptions{PageSize: 2})
	a := mcpguard.Protect(s, w.Guard())
	session := overMemory(t, s, a, newClient(as(w.Agent(badge.LevelSelfSigned))), withoutSessions)
	list := func(cursor string) string {
		res, err := session.ListTools(t.Context(), &mcp.ListToolsParams{Cursor: cursor})
		if err != nil {
			return err.Error()
		}
		return fmt.Sprint(toolNames(res.Tools))
	}
	after := func(name string) string { return base64.RawURLEncoding.EncodeToString([]byte("after:" + name)) }
	if hidden, absent := list(after("b_secret_wire_transfer")), list(after("b_secret_wire_transfes")); hidden != absent {
		t.Errorf("after what is hidden: %s, after what does not exist: %s", hidden, absent)
	}
	theirs, err := overMemory(t, unguarded, nil, newClient(anonymous), withoutSessions).ListTools(t.Context(), &mcp.ListToolsParams{})
	if err != nil {
		t.Fatal(err)
	}
	for _, cursor := range []string{theirs.NextCursor, "x", "!", after("x") + "=", base64.RawURLEncoding.EncodeToString([]byte("x")), strings.Repeat("A", 5000), "YWZ0ZXI6\n"} {
		_, err := session.ListTools(t.Context(), &mcp.ListToolsParams{Cursor: cursor})
		if wire := wireError(t, err); wire.Code != jsonrpc.CodeInvalidParams {
			t.Errorf("cursor %.20q: %v", cursor, err)
		}
	}
}

// TestHiddenIsAbsent: the answer for what is hidden is, to the octet, the answer for what does not exist, and
// that is the answer of the SDK.
func TestHiddenIsAbsent(t *testing.T) {
	for _, version := range []string{withSessions, withoutSessions} {
		t.Run(version, func(t *testing.T) {
			w := guardtest.New(t)
			s := newServer(nil)
			g := w.Guard(func(c *guard.Config) {
				c.Policy = policyFunc(func(in *guard.Input) (guard.Decision, error) {
					if in.Capability.Name == "file:///r" || in.Capability.Name == "hello" {
						return guard.Decision{}, nil
					}
					return guard.Decision{NoRule: in.Capability.Kind == guard.KindTool, Kind: guard.Allow, MinLevel: badge.LevelSelfSigned}, nil
				})
				c.AllowBearerUnsafe = true
			})
			a := mcpguard.Protect(s, g)
			opts := &mcp.StreamableHTTPOptions{Stateless: true, JSONResponse: true}
			guarded, plain := serve(t, s, a, opts), serve(t, newServer(nil), nil, opts)
			ask := func(url, method, member, name string) (int, string) {
				params := `"` + member + `":"` + name + `","arguments":{"text":"x"}`
				body, headers := modern(method, name, params)
				if version == withSessions {
					body, headers = `{"jsonrpc":"2.0","id":7,"method":"`+method+`","params":{`+params+`}}`, map[string]string{"Mcp-Protocol-Version": version}
				}
				headers["X-Capiscio-Badge"] = w.Agent(badge.LevelSelfSigned).Badge
				return post(t, url, body, headers)
			}
			for _, c := range []struct{ method, member, hidden, absent string }{
				{"tools/call", "name", "f_secret", "f_sXcret"},
				{"tools/call", "name", "d_bare", "d_bXre"},
				{"prompts/get", "name", "hello", "hXllo"},
				{"resources/read", "uri", "file:///r", "file:///X"},
			} {
				status, hidden := ask(guarded, c.method, c.member, c.hidden)
				absentStatus, absent := ask(guarded, c.method, c.member, c.absent)
				plainStatus, sdk := ask(plain, c.method, c.member, c.absent)
				hidden = strings.ReplaceAll(hidden, c.hidden, c.absent)
				if status != absentStatus || status != plainStatus || hidden != absent || hidden != sdk {
					t.Errorf("%s\nhidden: %d %s\nabsent: %d %s\n   SDK: %d %s", c.method, status, hidden, absentStatus, absent, plainStatus, sdk)
				}
			}
			// In evidence they differ.
			reasons := map[string]string{}
			for _, d := range w.Recorder.Decisions() {
				reasons[d.Target] = d.DenyReason
			}
			if reasons["f_secret"] != string(guard.CodeTrustInsufficient) || reasons["f_sXcret"] != string(guard.CodeNotFound) {
				t.Errorf("recorded %v", reasons)
			}
		})
	}
}

// TestRefusalsAreAlike: what a caller without a badge gets differs in nothing but the id of the record.
func TestRefusalsAreAlike(t *testing.T) {
	w := guardtest.New(t)
	s := newServer(nil)
	a := mcpguard.Protect(s, w.Guard())
	url := serve(t, s, a, &mcp.StreamableHTTPOptions{Stateless: true, JSONResponse: true})
	id := regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f-]{27}`)
	var answers []string
	for _, tool := range []string{"f_secret", "a_level0", "no_such"} {
		body, headers := modern("tools/call", tool, `"name":"`+tool+`","arguments":{}`)
		status, text := post(t, url, body, headers)
		answers = append(answers, fmt.Sprint(status, id.ReplaceAllString(text, "ID")))
	}
	if answers[0] != answers[1] || answers[1] != answers[2] {
		t.Errorf("%q", answers)
	}
}
