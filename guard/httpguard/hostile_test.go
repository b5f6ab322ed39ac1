package httpguard_test

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/guardtest"
	"github.com/touchmark-dev/touchmark/guard/httpguard"
)

// raw sends octets as they are, and returns the answer.
func (r *rig) raw(request string) *response {
	r.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
	if err != nil {
		r.t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, request); err != nil {
		r.t.Fatal(err)
	}
	method, _, _ := strings.Cut(request, " ")
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return &response{resp, string(body)}
}

// openFiles opens reading files to everybody, and nothing else.
func openFiles(cfg *guard.Config) {
	cfg.Policy = rule(func(in *guard.Input) guard.Decision {
		if in.Capability.Name == "read_file" || in.Capability.Name == "public" {
			return guard.Decision{Kind: guard.Allow, Rule: "open", Anonymous: true}
		}
		return guard.Decision{NoRule: true}
	})
}

// bare are the routes without annotations.
func bare() []httpguard.Route {
	out := slices.Clone(routes)
	for i := range out {
		out[i].Level = badge.LevelNone
	}
	return out
}

// tricks are requests that something behind the guard could take for another one.
var tricks = []struct{ line, header, cause string }{
	{"GET //admin/x", "", httpguard.CauseTarget},
	{"GET /files//admin", "", httpguard.CauseTarget},
	{"GET /files/../admin/x", "", httpguard.CauseTarget},
	{"GET /files/..", "", httpguard.CauseTarget},
	{"GET /files/.", "", httpguard.CauseTarget},
	{"GET /files/%2e%2e/admin", "", httpguard.CauseTarget},
	{"GET /files/%2E%2E%2Fadmin", "", httpguard.CauseTarget},
	{"GET /files/a%2fb", "", httpguard.CauseTarget},
	{"GET /files/..%5cadmin", "", httpguard.CauseTarget},
	{"GET /files\\..\\admin", "", httpguard.CauseTarget},
	{"GET /files/%252e%252e", "", httpguard.CauseTarget},
	{"GET /files/..;/admin", "", httpguard.CauseTarget},
	{"GET /files/a%3bb", "", httpguard.CauseTarget},
	{"GET /files/a%00", "", httpguard.CauseTarget},
	{"GET /files/a%0d%0ab", "", httpguard.CauseTarget},
	{"GET /files/a%ff", "", httpguard.CauseTarget},
	{"GET http://other.example/files/a", "", httpguard.CauseTarget},
	{"get /files/a", "", httpguard.CauseMethod},
	{"G~T /files/a", "", httpguard.CauseMethod},
	{"CONNECT /files/a", "", httpguard.CauseMethod},
	{"GET /files/a", "Connection: Upgrade\r\nUpgrade: websocket\r\n", httpguard.CauseUpgrade},
	{"GET /files/a?a=1;b=2", "", httpguard.CauseQuery},
	{"GET /files/a?a=%zz", "", httpguard.CauseQuery},
	{"GET /files/a?a=%ff", "", httpguard.CauseQuery},
	{"GET /files/a", "Content-Type: application/json\r\nContent-Type: text/plain\r\n", httpguard.CauseHeader},
	{"GET /files/a", "X-Capiscio-Badge: a.b.c\r\nX-Capiscio-Badge: a.b.c\r\n", "BADGE_MALFORMED"},
	{"GET /files/a", "Authorization: Bearer a.b.c\r\nX-Capiscio-Badge: a.b.c\r\n", "BADGE_MALFORMED"},
	{"GET /files/a", "Content-Type: application/json\r\nContent-Length: 13\r\n\r\n{\"a\":1,\"a\":2}", httpguard.CauseBody},
	{"GET /files/a", "Content-Type: application/json\r\nContent-Length: 4\r\n\r\n{} ]", httpguard.CauseBody},
}

// TestTricks: none of them is run, and each is refused with a record.
func TestTricks(t *testing.T) {
	r := serve(t, files(), httpguard.Options{Routes: bare()}, openFiles)
	for _, test := range tricks {
		header, body, _ := strings.Cut(test.header, "\r\n\r\n")
		header = strings.TrimSuffix(header, "\r\n")
		if header != "" {
			header += "\r\n"
		}
		before := len(r.Recorder.Decisions())
		got := r.raw(test.line + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + header + "\r\n" + body)
		if strings.Contains(got.body, "ran ") || got.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %d %q", test.line, got.StatusCode, got.body)
			continue
		}
		if strings.HasPrefix(test.line, "CONNECT") && len(r.Recorder.Decisions()) == before {
			continue // net/http refused it
		}
		r.refused(got, http.StatusBadRequest, guard.CodeRequestMalformed, test.cause)
		if d := r.lastDecision(); len(r.Recorder.Decisions()) != before+1 || d.DenyCause != test.cause {
			t.Errorf("%s: recorded %+v", test.line, d)
		}
	}
	if got := r.raw("GET /files/%61%40 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); got.body != "ran GET /files/{id} a@ " {
		t.Errorf("%d %q", got.StatusCode, got.body)
	}
}

// TestOnePath: whatever the handler reads of the path, it reads what was judged.
func TestOnePath(t *testing.T) {
	var seen string
	next := http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		seen = req.RequestURI + " " + req.URL.RawPath + " " + req.URL.EscapedPath()
	})
	r := serve(t, next, httpguard.Options{Routes: []httpguard.Route{{Pattern: "GET /{x...}", Tool: "x"}}}, open)
	r.raw("GET /%61dmin/%7Eb?q=%61 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	if seen != "/admin/~b?q=%61  /admin/~b" {
		t.Errorf("saw %q", seen)
	}
}

// TestPatternsOfTheMux: the mux has a pattern more than the table; what it runs is what is judged.
func TestPatternsOfTheMux(t *testing.T) {
	mux := api("GET /files/", "GET /files/secret", "other.example/files/")
	wrapped := http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { mux.ServeHTTP(w, req) })
	table := []httpguard.Route{{Pattern: "GET /files/", Tool: "public"}}
	t.Run("itself", func(t *testing.T) { testPatterns(t, serve(t, mux, httpguard.Options{Routes: table}, openFiles)) })
	t.Run("wrapped", func(t *testing.T) {
		testPatterns(t, serve(t, wrapped, httpguard.Options{Routes: table, Mux: mux}, openFiles))
	})
}

func testPatterns(t *testing.T, r *rig) {
	t.Helper()
	if got := r.do(badge.LevelNone, "GET", "/files/a", ""); got.body != "ran GET /files/  " {
		t.Errorf("%d %q", got.StatusCode, got.body)
	}
	r.refused(r.do(badge.LevelNone, "GET", "/files/secret", ""), http.StatusUnauthorized, guard.CodeAuthMissing, "")
	r.refused(r.raw("GET /files/a HTTP/1.1\r\nHost: other.example\r\nConnection: close\r\n\r\n"),
		http.StatusUnauthorized, guard.CodeAuthMissing, "")
}

func TestBodies(t *testing.T) {
	r := serve(t, files(), httpguard.Options{Routes: routes, MaxBodyBytes: 100}, open)
	send := func(path, contentType, encoding, body string) *response {
		req, err := http.NewRequestWithContext(t.Context(), "POST", r.url+path, io.MultiReader(strings.NewReader(body))) // chunked
		if err != nil {
			t.Fatal(err)
		}
		if contentType != "" {
			req.Header.Set("Content-Type", contentType)
		}
		if encoding != "" {
			req.Header.Set("Content-Encoding", encoding)
		}
		return r.send(r.client(badge.LevelDomain), req)
	}
	arguments := func() string {
		all := r.Recorder.Drafts()
		return string(all[len(all)-2].Arguments)
	}
	if got := send("/blobs", "image/png", "", "\x89PNG"); got.StatusCode != 200 || got.body != "ran POST /blobs  \x89PNG" {
		t.Errorf("%d %q", got.StatusCode, got.body)
	}
	if want := `{"path":"/blobs","octets":{"sha256":"` + hashOf("\x89PNG") + `","size":4,"type":"image/png"}}`; arguments() != want {
		t.Errorf("arguments %s", arguments())
	}
	if got := send("/blobs", "application/json", "gzip", `{}`); got.StatusCode != 200 || !strings.Contains(arguments(), `"encoding":"gzip"`) {
		t.Errorf("%d %s", got.StatusCode, arguments())
	}
	if got := send("/blobs", "application/json", "", `{"a":1}`); got.StatusCode != 200 || arguments() != `{"path":"/blobs","body":{"a":1}}` {
		t.Errorf("%d %s", got.StatusCode, arguments())
	}
	// Where JSON is wanted nothing else runs, and it is the decision first.
	for _, contentType := range []string{"", "text/plain", "application/x-www-form-urlencoded", "application/json; charset=utf-16"} {
		got := send("/files/7", contentType, "", `{"a":1}`)
		if o := r.lastOutcome().Outcome; got.StatusCode != http.StatusUnsupportedMediaType || o.ErrorClass != "http_415" ||
			!strings.Contains(got.body, o.DecisionID) {
			t.Errorf("%q: %d %s, %+v", contentType, got.StatusCode, got.body, o)
		}
	}
	r.refused(send("/nothing", "text/plain", "", strings.Repeat("x", 101)), http.StatusRequestEntityTooLarge,
		guard.CodeRequestMalformed, httpguard.CauseTooLong)
	r.refused(r.raw("POST /blobs HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: 64\r\n\r\n"+
		strings.Repeat("[", 32)+strings.Repeat("]", 32)), http.StatusBadRequest, guard.CodeRequestMalformed, httpguard.CauseBody)
	if got := send("/files/7", "application/json", "", ""); got.StatusCode != 200 {
		t.Errorf("%d %s", got.StatusCode, got.body)
	}
}

// FuzzRequest sends whatever there is to send: only what was allowed runs, and everything leaves a record.
func FuzzRequest(f *testing.F) {
	for _, test := range tricks {
		f.Add([]byte(test.line + " HTTP/1.1\r\nHost: x\r\n" + test.header + "\r\n"))
	}
	f.Add([]byte("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n"))
	f.Add([]byte("GET /files/a%40?x=1 HTTP/1.1\r\nHost: x\r\nTraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\r\n"))
	f.Add([]byte("POST /files/a HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"))
	mux := http.NewServeMux()
	for _, route := range append([]httpguard.Route{{Pattern: "/unmapped/"}}, routes...) {
		mux.HandleFunc(route.Pattern, func(w http.ResponseWriter, req *http.Request) { io.WriteString(w, "ran "+req.Pattern) })
	}
	w := guardtest.New(f)
	f.Fuzz(func(t *testing.T, text []byte) {
		req, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(text)))
		if err != nil {
			return
		}
		recorder := guardtest.NewRecorder()
		cfg := &guard.Config{Server: w.Server, Badges: w.Badges, Proofs: w.Proofs, Evidence: recorder}
		openFiles(cfg)
		g, err := guard.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		h, err := httpguard.Protect(mux, g, &httpguard.Options{URL: "http://x", Routes: bare()})
		if err != nil {
			t.Fatal(err)
		}
		out := httptest.NewRecorder()
		h.ServeHTTP(out, req)
		all := recorder.Decisions()
		if len(all) != 1 {
			t.Fatalf("%d decisions", len(all))
		}
		allowed := all[0].Kind.Allows()
		if allowed && all[0].Target != "read_file" || !allowed && out.Code < 400 || recorder.Open() != 0 {
			t.Errorf("answered %d, recorded %+v", out.Code, all[0])
		}
		if body := out.Body.String(); strings.HasPrefix(body, "ran ") && (!allowed || body != "ran GET /files/{id}") {
			t.Errorf("%q after %+v", body, all[0])
		}
	})
}
