package httpguard_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/guardtest"
	"github.com/touchmark-dev/touchmark/guard/httpguard"
)

// A rig is a guarded API on a listener.
type rig struct {
	*guardtest.World
	t   *testing.T
	url string

	handler http.Handler // that the listener asks

	lost int // how many decisions have no outcome in the end
}

// serve guards next behind a listener, and fails the test if a decision is left without an outcome.
func serve(t *testing.T, next http.Handler, opts httpguard.Options, edits ...func(*guard.Config)) *rig {
	t.Helper()
	w := guardtest.New(t)
	server := httptest.NewUnstartedServer(nil)
	r := &rig{World: w, t: t, url: "http://" + server.Listener.Addr().String()}
	opts.URL = r.url
	h, err := httpguard.Protect(next, w.Guard(edits...), &opts)
	if err != nil {
		t.Fatal(err)
	}
	r.handler = h
	server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { r.handler.ServeHTTP(w, req) })
	server.Start()
	t.Cleanup(func() {
		server.Close()
		if n := w.Recorder.Open(); n != r.lost {
			t.Errorf("%d decisions without an outcome", n)
		}
	})
	return r
}

// client returns a client for the agent of a level, or without a badge for LevelNone.
func (r *rig) client(level badge.Level) *http.Client {
	c := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	if level != badge.LevelNone {
		a := r.Agent(level)
		c.Transport = &httpguard.Transport{URL: r.url, Server: r.Server, Badge: a.Badge, Key: a.Key}
	}
	return c
}

type response struct {
	*http.Response
	body string
}

func (r *rig) do(level badge.Level, method, path, body string) *response {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.url+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	return r.send(r.client(level), req)
}

func (r *rig) send(c *http.Client, req *http.Request) *response {
	r.t.Helper()
	resp, err := c.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return &response{resp, string(text)}
}

// refused holds an answer to a problem, and to the record that it names.
func (r *rig) refused(got *response, status int, code guard.Code, cause string) {
	r.t.Helper()
	var p struct {
		Type, Title string
		Status      int
		Code        guard.Code `json:"reason_code"`
		Cause       string
		ID          string `json:"decision_id"`
	}
	if err := json.Unmarshal([]byte(got.body), &p); err != nil && got.Request.Method != http.MethodHead {
		r.t.Fatalf("status %d, body %q: %v", got.StatusCode, got.body, err)
	}
	if got.StatusCode != status || got.Header.Get("Content-Type") != "application/problem+json" || p.Status != status ||
		p.Code != code || p.Cause != cause || p.ID == "" || p.Type != "about:blank" || p.Title == "" {
		r.t.Errorf("status %d, %s; want %d %s %s", got.StatusCode, got.body, status, code, cause)
	}
}

func (r *rig) lastDecision() *evidence.Decision {
	r.t.Helper()
	all := r.Recorder.Decisions()
	if len(all) == 0 {
		r.t.Fatal("no decision")
	}
	return all[len(all)-1]
}

// lastOutcome waits for nothing: an outcome has its place before the answer.
func (r *rig) lastOutcome() *evidence.Draft {
	r.t.Helper()
	all := r.Recorder.Drafts()
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].Outcome != nil {
			return all[i]
		}
	}
	r.t.Fatal("no outcome")
	return nil
}

// A rule is a policy in one function.
type rule func(in *guard.Input) guard.Decision

func (f rule) Decide(_ context.Context, in *guard.Input) (guard.Decision, error) { return f(in), nil }

func under(c *guard.Constraints) func(*guard.Config) {
	return func(cfg *guard.Config) {
		cfg.Policy = rule(func(*guard.Input) guard.Decision {
			return guard.Decision{Kind: guard.AllowWithConstraints, Rule: "r", Anonymous: true, Constraints: c}
		})
	}
}

func open(cfg *guard.Config) { cfg.Policy = guard.UnsafeAllowAll{} }

// api is a mux that says which of its patterns ran.
func api(patterns ...string) *http.ServeMux {
	mux := http.NewServeMux()
	for _, p := range patterns {
		mux.HandleFunc(p, func(w http.ResponseWriter, req *http.Request) {
			body, _ := io.ReadAll(req.Body)
			w.Header().Set("Content-Type", "text/plain")
			io.WriteString(w, "ran "+req.Pattern+" "+req.PathValue("id")+" "+string(body))
		})
	}
	return mux
}

func hashOf(body string) string { return evidence.Hash(sha256.Sum256([]byte(body))).String() }
