package httpguard_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/pop"
	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/guardtest"
	"github.com/touchmark-dev/touchmark/guard/httpguard"
)

var routes = []httpguard.Route{
	{Pattern: "GET /files/{id}", Tool: "read_file", Level: badge.LevelRegistered},
	{Pattern: "POST /files/{id}", Tool: "write_file", Level: badge.LevelDomain},
	{Pattern: "POST /blobs", Tool: "put_blob", Level: badge.LevelRegistered, Octets: true},
	{Pattern: "/admin/", Tool: "admin", Level: badge.LevelExtended},
	{Pattern: "GET /status", Level: badge.LevelSelfSigned},
}

// files is the API of most tests: of its patterns one is not in the table.
func files() *http.ServeMux {
	return api("GET /files/{id}", "POST /files/{id}", "POST /blobs", "/admin/", "GET /status", "GET /unmapped")
}

func TestGranted(t *testing.T) {
	r := serve(t, files(), httpguard.Options{Routes: routes})
	got := r.do(badge.LevelDomain, "GET", "/files/a%20b?x=1&y=2&x=3", "")
	if got.StatusCode != http.StatusOK || got.body != "ran GET /files/{id} a b " || got.Header.Get("Cache-Control") != "private" {
		t.Errorf("status %d, %q, %v", got.StatusCode, got.body, got.Header)
	}
	d, o := r.lastDecision(), r.lastOutcome()
	if d.Kind != evidence.Allow || d.Method != "GET" || d.Capability != "tool" || d.Target != "read_file" || d.HopID == "" || d.Transport != "http" {
		t.Errorf("recorded %+v", d)
	}
	arguments := r.Recorder.Drafts()[0].Arguments
	if want := `{"path":"/files/a b","query":{"x":["1","3"],"y":"2"}}`; string(arguments) != want {
		t.Errorf("arguments %s", arguments)
	}
	if want := `{"sha256":"` + hashOf(got.body) + `","size":24,"status":200,"type":"text/plain"}`; o.Outcome.Status != evidence.OutcomeOK || string(o.Result) != want {
		t.Errorf("outcome %+v, %s", o.Outcome, o.Result)
	}
	if f := got.Header.Get("Touchmark-Evidence"); !strings.HasPrefix(f, `id="`+o.Outcome.DecisionID+`", leaf_hash="sha256:`) ||
		!strings.HasSuffix(f, `promise="`+guardtest.Promise+`"`) {
		t.Errorf("evidence %s", f)
	}
	got = r.do(badge.LevelDomain, "POST", "/files/7", `{"text": "hi"}`)
	if got.body != `ran POST /files/{id} 7 {"text": "hi"}` {
		t.Errorf("%d %q", got.StatusCode, got.body)
	}
	if got = r.do(badge.LevelSelfSigned, "HEAD", "/status", ""); got.StatusCode != http.StatusOK || got.body != "" {
		t.Errorf("%d %q", got.StatusCode, got.body)
	}
	if d := r.lastDecision(); d.Capability != "method" || d.Target != "GET /status" || d.Method != "HEAD" {
		t.Errorf("recorded %+v", d)
	}
}

// TestRefusedAlike: what a caller may not use, what the table does not have, what the mux does not have, and what it has by
// another method, are answered alike, octet by octet, and told apart in the records.
func TestRefusedAlike(t *testing.T) {
	r := serve(t, files(), httpguard.Options{Routes: routes})
	for _, test := range []struct{ method, path, body, target, cause string }{
		{"POST", "/files/7", `{}`, "write_file", guard.CauseLevelTooLow},
		{"GET", "/admin/x", "", "admin", guard.CauseLevelTooLow},
		{"GET", "/admin", "", "admin", guard.CauseLevelTooLow},
		{"GET", "/unmapped", "", "GET /unmapped", guard.CauseCapabilityUnknown},
		{"GET", "/nothing", "", "/nothing", guard.CauseCapabilityUnknown},
		{"DELETE", "/files/7", "", "/files/7", guard.CauseCapabilityUnknown},
		{"POST", "/files/7", "", "write_file", guard.CauseLevelTooLow},
	} {
		got := r.do(badge.LevelRegistered, test.method, test.path, test.body)
		want := httptest.NewRecorder()
		http.NewServeMux().ServeHTTP(want, httptest.NewRequest(test.method, test.path, nil))
		got.Header.Del("Date")
		got.Header.Del("Content-Length")
		if got.StatusCode != want.Code || got.body != want.Body.String() || len(got.Header) != len(want.Header()) ||
			got.Header.Get("Content-Type") != want.Header().Get("Content-Type") {
			t.Errorf("%s %s: %d %q %v", test.method, test.path, got.StatusCode, got.body, got.Header)
		}
		if d := r.lastDecision(); d.Target != test.target || d.DenyCause != test.cause || d.Kind != evidence.Deny {
			t.Errorf("%s %s: recorded %+v", test.method, test.path, d)
		}
		got = r.do(badge.LevelNone, test.method, test.path, test.body)
		r.refused(got, http.StatusUnauthorized, guard.CodeAuthMissing, "")
		if got.Header.Get("WWW-Authenticate") != "Bearer" {
			t.Error("no WWW-Authenticate")
		}
	}
	if n := len(r.Recorder.Outcomes()); n != 0 {
		t.Errorf("%d ran", n)
	}
}

func TestDenialDetails(t *testing.T) {
	r := serve(t, files(), httpguard.Options{Routes: routes, AllowDenialDetails: true})
	r.refused(r.do(badge.LevelRegistered, "GET", "/admin/", ""), http.StatusForbidden, guard.CodeTrustInsufficient, guard.CauseLevelTooLow)
	r.refused(r.do(badge.LevelRegistered, "GET", "/nothing", ""), http.StatusNotFound, guard.CodeMethodDenied, "")
}

// TestCredentials: a badge without a proof, or with the proof of another request, is worth nothing.
func TestCredentials(t *testing.T) {
	r := serve(t, files(), httpguard.Options{Routes: routes})
	a := r.Agent(badge.LevelDomain)
	prove := func(method, path, arguments string) http.Header {
		proof, txn := a.ProveAs(&pop.Statement{
			Call:   &pop.Call{Method: method, Target: path, Arguments: []byte(arguments)},
			Server: r.Server, HTTPMethod: method, HTTPURI: r.url + path,
		})
		return http.Header{"X-Capiscio-Badge": {a.Badge}, "X-Capiscio-Hop": {proof}, "X-Capiscio-Txn": {txn}}
	}
	right := `{"path":"/files/7","query":{"a":"b"},"body":{"n":1}}`
	used := prove("POST", "/files/7", right)
	for name, test := range map[string]struct {
		header http.Header
		code   guard.Code
		cause  string
		status int
	}{
		"right":         {used, "", "", 200},
		"bearer only":   {http.Header{"Authorization": {"Bearer " + a.Badge}}, guard.Code(pop.CodeMissing), "", 401},
		"other method":  {prove("GET", "/files/7", right), guard.Code(pop.CodeTargetMismatch), "", 401},
		"other path":    {prove("POST", "/files/8", right), guard.Code(pop.CodeTargetMismatch), "", 401},
		"other query":   {prove("POST", "/files/7", `{"path":"/files/7","body":{"n":1}}`), guard.Code(pop.CodeParamsMismatch), "", 401},
		"other body":    {prove("POST", "/files/7", `{"path":"/files/7","query":{"a":"b"},"body":{"n":2}}`), guard.Code(pop.CodeParamsMismatch), "", 401},
		"two badges":    {http.Header{"X-Capiscio-Badge": {a.Badge, a.Badge}}, guard.CodeRequestMalformed, "BADGE_MALFORMED", 400},
		"not a badge":   {http.Header{"X-Capiscio-Badge": {"sk-123"}}, guard.CodeRequestMalformed, "BADGE_MALFORMED", 400},
		"unknown badge": {http.Header{"X-Capiscio-Badge": {"e30.e30.e30"}}, guard.CodeBadgeInvalid, "BADGE_MALFORMED", 401},
	} {
		req, err := http.NewRequestWithContext(t.Context(), "POST", r.url+"/files/7?a=b", strings.NewReader(` {"n":1.0} `))
		if err != nil {
			t.Fatal(err)
		}
		req.Header = test.header.Clone()
		req.Header.Set("Content-Type", "application/vnd.x+json; charset=UTF-8")
		got := r.send(http.DefaultClient, req)
		if test.code == "" && (got.StatusCode != 200 || got.body != `ran POST /files/{id} 7  {"n":1.0} `) {
			t.Errorf("%s: %d %s", name, got.StatusCode, got.body)
		} else if test.code != "" {
			r.refused(got, test.status, test.code, test.cause)
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), "POST", r.url+"/files/7?a=b", strings.NewReader(`{"n":1}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = used
	req.Header.Set("Content-Type", "application/json")
	r.refused(r.send(http.DefaultClient, req), 401, guard.Code(pop.CodeReplayed), "")
}

// TestCredentialsStay: no handler sees badge, proof or transaction, nor what another layer is not meant to see.
func TestCredentialsStay(t *testing.T) {
	var seen http.Header
	var caller *guard.Grant
	next := http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		seen, caller = req.Header.Clone(), httpguard.GrantOf(req.Context())
	})
	r := serve(t, next, httpguard.Options{Routes: []httpguard.Route{{Pattern: "/", Tool: "x", Level: badge.LevelRegistered}}})
	req, err := http.NewRequestWithContext(t.Context(), "GET", r.url+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Own", "kept")
	req.Header.Set("X-HTTP-Method-Override", "DELETE")
	req.Header.Set("X-Original-URL", "/admin")
	if got := r.send(r.client(badge.LevelDomain), req); got.StatusCode != 200 {
		t.Fatalf("%d %s", got.StatusCode, got.body)
	}
	for name := range seen {
		if strings.HasPrefix(name, "X-") && name != "X-Own" || name == "Authorization" {
			t.Errorf("the handler saw %s", name)
		}
	}
	if seen.Get("X-Own") != "kept" || caller == nil || caller.Caller().Subject() != r.Agent(badge.LevelDomain).DID {
		t.Errorf("saw %v, caller %+v", seen, caller)
	}
}

func TestProtectRefuses(t *testing.T) {
	w := guardtest.New(t)
	g := w.Guard()
	for name, opts := range map[string]*httpguard.Options{
		"no options":  nil,
		"no routes":   {URL: "http://x"},
		"no URL":      {Routes: routes},
		"bad pattern": {URL: "http://x", Routes: []httpguard.Route{{Pattern: "GET x"}}},
		"no pattern":  {URL: "http://x", Routes: []httpguard.Route{{Tool: "x"}}},
		"twice":       {URL: "http://x", Routes: []httpguard.Route{{Pattern: "/x"}, {Pattern: "/x"}}},
		"in conflict": {URL: "http://x", Routes: []httpguard.Route{{Pattern: "/{a}/b"}, {Pattern: "/b/{a}"}}},
	} {
		if _, err := httpguard.Protect(files(), g, opts); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
