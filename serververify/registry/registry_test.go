package registry

import (
	"crypto"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/safehttp/safehttptest"
	"github.com/touchmark-dev/touchmark/serververify"
)

func TestAdmit(t *testing.T) {
	digest, err := LaunchDigest([]string{"node", "server.js"})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		entry  func(*Entry)
		server func(*serververify.Server)
		code   serververify.Code
		part   string
	}{
		{name: "listed"},
		{name: "any endpoint", entry: func(e *Entry) { e.Endpoints = []string{Any} }},
		{name: "any key", entry: func(e *Entry) { e.Keys = nil }},
		{name: "launched", entry: func(e *Entry) { e.Endpoints, e.Launch = nil, []string{digest} }, server: func(s *serververify.Server) { s.Endpoint = "stdio:node+server.js" }},
		{name: "another server", server: func(s *serververify.Server) { s.DID = did.MustParse("did:web:evil.example") }, code: serververify.CodeNotRegistered, part: "did:web:evil.example"},
		{name: "another endpoint", server: func(s *serververify.Server) { s.Endpoint = "https://mcp.example.com/mcp2" }, code: serververify.CodeNotAllowed, part: "https://mcp.example.com/mcp2"},
		{name: "nowhere", server: func(s *serververify.Server) { s.Endpoint = "" }, code: serververify.CodeNotAllowed, part: `at ""`},
		{name: "another command", entry: func(e *Entry) { e.Launch = []string{digest} }, server: func(s *serververify.Server) { s.Endpoint = "stdio:node+other.js" }, code: serververify.CodeNotAllowed, part: "stdio:node+other.js"},
		{name: "another key", server: func(s *serververify.Server) { s.KeyThumbprint = keyB }, code: serververify.CodeNotAllowed, part: keyB},
		{name: "not yet", entry: func(e *Entry) { e.ValidFrom = start.Add(time.Second) }, code: serververify.CodeNotAllowed, part: "2026-09-21"},
		{name: "no more", entry: func(e *Entry) { e.ValidUntil = start }, code: serververify.CodeNotAllowed, part: "2026-09-21"},
		{name: "another environment", entry: func(e *Entry) { e.Environment = "staging" }, code: serververify.CodeNotAllowed, part: `"staging"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e, srv := entryOf(), server()
			if tt.entry != nil {
				tt.entry(&e)
			}
			if tt.server != nil {
				tt.server(srv)
			}
			r, _, _ := open(t, document(1, e))
			err := r.Admit(t.Context(), srv)
			if tt.code == "" {
				if err != nil || r.Stats().Admitted != 1 {
					t.Errorf("got %v, %+v", err, r.Stats())
				}
				return
			}
			wantRefusal(t, err, tt.code, tt.part)
			s := r.Stats()
			if unknown := tt.code == serververify.CodeNotRegistered; s.Unknown != map[bool]uint64{true: 1}[unknown] || s.NotAllowed != map[bool]uint64{false: 1}[unknown] {
				t.Errorf("counted %+v", s)
			}
		})
	}
}

func TestToolsAndVersions(t *testing.T) {
	e, all := entryOf(), entryOf()
	all.DID, all.Tools, all.Versions = did.MustParse("did:web:all.example"), []string{Any}, []string{Any}
	none := entryOf()
	none.DID, none.Tools, none.Versions = did.MustParse("did:web:none.example"), nil, nil
	r, _, c := open(t, document(1, e, all, none))
	for _, tt := range []struct {
		did     did.DID
		tool    string
		allowed bool
	}{
		{web, "read_file", true}, {web, "write_file", false}, {web, "*", false}, {web, "", false},
		{all.DID, "x", true}, {all.DID, "", false}, {none.DID, "x", false}, {did.MustParse("did:web:x.example"), "read_file", false},
	} {
		if got := r.AllowsTool(tt.did, tt.tool); got != tt.allowed {
			t.Errorf("tool %q of %s: %v", tt.tool, tt.did, got)
		}
	}
	if s := r.Stats(); s.ToolsRefused != 6 || s.NotAllowed != 0 {
		t.Errorf("counted %+v", s)
	}
	for v, want := range map[string]bool{"1.2.0": true, "1.2.1": false} {
		if r.AllowsVersion(web, v) != want || !r.AllowsVersion(all.DID, v) || r.AllowsVersion(none.DID, v) {
			t.Errorf("version %s", v)
		}
	}
	c.now = start.Add(time.Hour)
	if r.AllowsTool(web, "read_file") || r.Document() != nil {
		t.Error("a list that was not confirmed for an hour is used")
	}
}

// A server behind a gateway is known by its command, and by the gateway's name.
func TestUpstream(t *testing.T) {
	argv := []string{"node", "server.js"}
	e := entryOf()
	digest, err := LaunchDigest(argv)
	if err != nil {
		t.Fatal(err)
	}
	e.Launch = []string{digest}
	r, _, _ := open(t, document(1, e))
	p, err := r.At(argv)
	if err != nil {
		t.Fatal(err)
	}
	up := p.Upstream(web)
	for _, version := range []string{"", "1.2.0"} {
		if err := up.CheckUpstream(t.Context(), version); err != nil {
			t.Error(err)
		}
	}
	wantRefusal(t, up.CheckUpstream(t.Context(), "9"), serververify.CodeNotAllowed, `version "9"`)
	wantRefusal(t, p.Upstream(did.MustParse("did:web:x.example")).CheckUpstream(t.Context(), ""), serververify.CodeNotRegistered, "x.example")
	if !up.AllowsTool("read_file") || up.AllowsTool("write_file") {
		t.Error("tools")
	}
	srv := server()
	srv.Endpoint = ""
	if err := p.Admit(t.Context(), srv); err != nil {
		t.Error(err)
	}
	other, err := r.At([]string{"node", "other.js"})
	if err != nil {
		t.Fatal(err)
	}
	wantRefusal(t, other.Upstream(web).CheckUpstream(t.Context(), ""), serververify.CodeNotAllowed, "stdio:node+other.js")
	if _, err := r.At(nil); err == nil {
		t.Error("no command")
	}
}

// The file is read anew, and an old list, or another with the same serial, is
// not taken; neither after a restart.
func TestRollback(t *testing.T) {
	r, path, c := open(t, document(5))
	empty := document(6, entryOf())
	empty.Servers = []Entry{}
	put(t, path, sign(t, empty))
	wantRefusal(t, r.Admit(t.Context(), server()), serververify.CodeNotRegistered, "serial 6")
	twin := document(6)
	for _, tt := range []struct {
		doc  *Document
		part string
	}{{document(5), "serial 5, and 6 was seen"}, {twin, "another list with the serial 6"}} {
		put(t, path, sign(t, tt.doc))
		wantRefusal(t, r.Admit(t.Context(), server()), serververify.CodeNotRegistered, "serial 6") // the newest goes on
		if s := r.Stats(); !strings.Contains(s.LastError, tt.part) || s.Serial != 6 {
			t.Errorf("got %+v", s)
		}
		if _, err := Open(t.Context(), &Config{Path: path, Keys: keys(), Time: c.time}); err == nil || !strings.Contains(err.Error(), tt.part) {
			t.Errorf("after a restart: %v", err)
		}
	}
	renamed := document(7)
	renamed.Issuer = "other"
	put(t, path, sign(t, renamed))
	if _, err := Open(t.Context(), &Config{Path: path, Keys: keys(), Time: c.time}); err == nil || !strings.Contains(err.Error(), `called "other", and was "example"`) {
		t.Errorf("another list: %v", err)
	}
	put(t, path, sign(t, document(7)))
	if err := r.Admit(t.Context(), server()); err != nil || r.Stats().LastError != "" {
		t.Errorf("got %v", err)
	}
	if err := os.WriteFile(path+".serial", []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), &Config{Path: path, Keys: keys(), Time: c.time}); err == nil || !strings.Contains(err.Error(), "state file") {
		t.Errorf("a broken state: %v", err)
	}
}

// The list in use is an old one as soon as another process has seen a newer one,
// even if the source goes on showing it: it is used for MaxStale, and no longer.
func TestRollbackAcrossProcesses(t *testing.T) {
	r, path, c := open(t, document(5))
	newer := filepath.Join(t.TempDir(), "newer.jws")
	put(t, newer, sign(t, document(6)))
	if _, err := Open(t.Context(), &Config{Path: newer, StatePath: path + ".serial", Keys: keys(), Time: c.time}); err != nil {
		t.Fatal(err)
	}
	if err := r.Admit(t.Context(), server()); err != nil || !strings.Contains(r.Stats().LastError, "serial 5, and 6 was seen") {
		t.Errorf("got %v, %+v", err, r.Stats())
	}
	c.now = c.now.Add(DefaultMaxStale)
	var refused *serververify.UntrustedError
	if err := r.Admit(t.Context(), server()); err == nil || errors.As(err, &refused) {
		t.Errorf("an old list is still in use: %v", err)
	}
}

// What is there goes on while the source fails, for a while, and never beyond
// its own end.
func TestStale(t *testing.T) {
	var told atomic.Int64
	r, path, c := open(t, document(1), func(cfg *Config) { cfg.OnError = func(error) { told.Add(1) } })
	put(t, path, "broken")
	c.now = start.Add(DefaultMaxStale - time.Second)
	if err := r.Admit(t.Context(), server()); err != nil || told.Load() != 1 {
		t.Errorf("got %v, told %d", err, told.Load())
	}
	c.now = start.Add(DefaultMaxStale)
	if err := r.Admit(t.Context(), server()); err == nil || serververify.CodeOf(err) != "" || r.Stats().Failed != 1 {
		t.Errorf("got %v, %+v", err, r.Stats())
	}
	put(t, path, sign(t, document(1)))
	if err := r.Admit(t.Context(), server()); err != nil {
		t.Error(err)
	}
	c.now = start.Add(24 * time.Hour)
	if err := r.Admit(t.Context(), server()); err == nil || serververify.CodeOf(err) != "" {
		t.Errorf("a list that has ended: %v", err)
	}
}

// A URL is asked now and then, and not while it fails for others.
func TestURL(t *testing.T) {
	token := sign(t, document(1))
	var asked atomic.Int64
	var down atomic.Bool
	var mu sync.Mutex
	s := safehttptest.NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		if down.Load() {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		if _, err := w.Write([]byte(token)); err != nil {
			t.Error(err)
		}
	}))
	c := &clock{start}
	r, err := Open(t.Context(), &Config{
		URL: s.URL("/registry"), Keys: keys(), StatePath: filepath.Join(t.TempDir(), "state"), RootCAs: s.Roots, UnsafeAllowLoopback: true, Time: c.time,
	})
	if err != nil {
		t.Fatal(err)
	}
	admit := func(want error, n int64) {
		t.Helper()
		if err := r.Admit(t.Context(), server()); (err == nil) != (want == nil) || asked.Load() != n {
			t.Errorf("at %s: %v, asked %d times, want %d", c.now, err, asked.Load(), n)
		}
	}
	admit(nil, 1)
	c.now = start.Add(DefaultRefresh - 1)
	admit(nil, 1)
	c.now = start.Add(DefaultRefresh)
	admit(nil, 2)
	down.Store(true)
	c.now = start.Add(2 * DefaultRefresh)
	admit(nil, 3)
	admit(nil, 3)
	c.now = c.now.Add(retryAfter)
	admit(nil, 4)
	c.now = start.Add(DefaultRefresh + DefaultMaxStale)
	admit(http.ErrBodyNotAllowed, 5)
	down.Store(false)
	c.now = c.now.Add(retryAfter)
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			if err := r.Admit(t.Context(), server()); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if n := asked.Load(); n != 6 {
		t.Errorf("asked %d times", n)
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "r")
	put(t, path, sign(t, document(1)))
	for name, cfg := range map[string]*Config{
		"nil":            nil,
		"nothing":        {},
		"no list":        {Keys: keys()},
		"two":            {Path: path, URL: "https://x.example/", Keys: keys()},
		"http":           {URL: "http://x.example/", StatePath: path, Keys: keys()},
		"no keys":        {Path: path},
		"a key":          {Path: path, Keys: []crypto.PublicKey{nil}},
		"no state":       {URL: "https://x.example/", Keys: keys()},
		"state and none": {Path: path, StatePath: path, UnsafeNoState: true, Keys: keys()},
		"negative":       {Path: path, Refresh: -1, Keys: keys()},
		"no file":        {Path: filepath.Join(dir, "x"), Keys: keys()},
		"another name":   {Path: path, Keys: keys(), Issuer: "other"},
		"other keys":     {Path: path, Keys: keys()[:1]},
		"not yet":        {Path: path, Keys: keys(), Time: func() time.Time { return start.Add(-2 * time.Minute) }},
		"ended":          {Path: path, Keys: keys(), Time: func() time.Time { return start.Add(24 * time.Hour) }},
		"loopback":       {URL: "https://127.0.0.1:1/", UnsafeNoState: true, Keys: keys()},
	} {
		if cfg != nil && cfg.Time == nil {
			cfg.Time = func() time.Time { return start }
		}
		if _, err := Open(t.Context(), cfg); err == nil {
			t.Errorf("%s: opened", name)
		}
	}
}

// The counters as Prometheus reads them: spec/registry.md section 7.
func TestWriteMetrics(t *testing.T) {
	r, _, _ := open(t, document(1, entryOf()))
	stranger := server()
	stranger.DID = did.MustParse("did:web:evil.example")
	for _, s := range []*serververify.Server{server(), stranger, stranger} {
		_ = r.Admit(t.Context(), s)
	}
	var text strings.Builder
	if err := r.WriteMetrics(&text); err != nil {
		t.Fatal(err)
	}
	spec, err := os.ReadFile("../../spec/registry.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"touchmark_registry_servers_total{verdict=\"admitted\"} 1", "touchmark_registry_servers_total{verdict=\"unknown\"} 2",
		"touchmark_registry_servers_total{verdict=\"not_allowed\"} 0", "touchmark_registry_servers_total{verdict=\"undetermined\"} 0",
		"touchmark_registry_tools_refused_total 0", "touchmark_registry_list_serial 1", "touchmark_registry_list_refreshed_timestamp_seconds 1",
	} {
		name, _, _ := strings.Cut(strings.Fields(want)[0], "{")
		if !strings.Contains(text.String(), "\n"+want) || !strings.Contains(string(spec), "`"+name+"`") {
			t.Errorf("no %q in the metrics, or not in the specification:\n%s", want, &text)
		}
	}
	if strings.Contains(text.String(), "example") {
		t.Errorf("a name in the metrics:\n%s", &text)
	}
}
