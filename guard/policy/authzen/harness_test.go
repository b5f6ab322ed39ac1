package authzen_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/guardtest"
	"github.com/touchmark-dev/touchmark/guard/policy"
	"github.com/touchmark-dev/touchmark/guard/policy/authzen"
)

// A service is a decision service whose behaviour can be exchanged while it runs.
type service struct {
	*httptest.Server
	behaviour atomic.Pointer[http.HandlerFunc]
}

func newService(t testing.TB, h http.HandlerFunc) *service {
	t.Helper()
	s := &service{}
	s.set(h)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*s.behaviour.Load())(w, r) }))
	t.Cleanup(s.Close)
	return s
}

func (s *service) set(h http.HandlerFunc) { s.behaviour.Store(&h) }

// answers answers every request with a text.
func answers(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body) //nolint:errcheck // it is a test's own
		reply(w, r, text)
	}
}

func reply(w http.ResponseWriter, r *http.Request, text string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Request-ID", r.Header.Get("X-Request-ID"))
	io.WriteString(w, text) //nolint:errcheck // the client may be gone
}

const yes = `{"decision":true}`

func client(t testing.TB, endpoint string, edits ...func(*authzen.Config)) *authzen.Client {
	t.Helper()
	cfg := &authzen.Config{Endpoint: endpoint, MinLevel: badge.LevelRegistered, Timeout: 10 * time.Second}
	for _, edit := range edits {
		edit(cfg)
	}
	c, err := authzen.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func timeout(d time.Duration) func(*authzen.Config) {
	return func(cfg *authzen.Config) { cfg.Timeout = d }
}

// input is a call by an anonymous caller: only a guard makes others.
func input(tool, arguments string) *guard.Input {
	return &guard.Input{
		Caller: &guard.Principal{}, Verb: guard.Invoke, Method: "tools/call",
		Capability: guard.Capability{Kind: guard.KindTool, Name: tool}, Arguments: json.RawMessage(arguments),
	}
}

func local(t testing.TB, rules string) *policy.Policy {
	t.Helper()
	p, err := policy.Parse([]byte("version: 1\nrules:\n" + rules))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

const readers = "  - {id: readers, match: {tool: \"read_*\"}, min_level: 2, decision: allow}\n"

// refused makes a call that has to be refused and recorded as one about which the policy could not tell.
func refused(t *testing.T, g *guard.Guard, r *guard.Request) {
	t.Helper()
	grant, err := g.Check(t.Context(), r)
	if err == nil {
		t.Errorf("allowed: %v", grant)
		return
	}
	if u, ok := err.(*guard.UndeterminedError); !ok || u.Code != guard.CodePolicyIndeterminate || u.EvidenceID == "" { //nolint:errorlint // as it comes
		t.Errorf("%v, and not undetermined with a record", err)
	}
}

// allowed makes a call that has to be allowed.
func allowed(t *testing.T, g *guard.Guard, r *guard.Request) {
	t.Helper()
	grant, err := g.Check(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if err := grant.Finish(t.Context(), guard.Outcome{}); err != nil {
		t.Fatal(err)
	}
}

// recorded counts decisions by whether they allow.
func recorded(r *guardtest.Recorder) (allow, deny int) {
	for _, d := range r.Decisions() {
		if d.Kind == evidence.Deny {
			deny++
		} else {
			allow++
		}
	}
	return allow, deny
}

// settle fails the test if goroutines that ran since before are still there after everything was closed.
func settle(t *testing.T, before int) {
	t.Helper()
	http.DefaultClient.CloseIdleConnections()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		n := runtime.NumGoroutine()
		if n <= before {
			return
		}
		if time.Now().After(end) {
			stacks := make([]byte, 1<<16)
			t.Fatalf("%d goroutines, %d before:\n%s", n, before, stacks[:runtime.Stack(stacks, true)])
		}
	}
}
