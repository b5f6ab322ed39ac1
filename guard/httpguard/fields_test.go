package httpguard_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/touchmark-dev/touchmark/badge"
)

// TestFields: what runs sees no field by which somebody behind it could take the request for another one, nor a
// credential, also not under a name that is the same where fields become variables.
func TestFields(t *testing.T) {
	var seen http.Header
	r := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) { seen = req.Header }), root, open)
	req, err := http.NewRequestWithContext(t.Context(), "GET", r.url+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"X-HTTP-Method-Override", "X_HTTP_Method_Override", "x_original_url", "X-Original_URL", "X_Rewrite-Url", "X_Capiscio_Badge",
		"X_Capiscio_Hop", "x-capiscio_txn",
	} {
		req.Header[name] = []string{"x"}
	}
	req.Header.Set("X_Other", "x")
	r.send(r.client(badge.LevelDomain), req)
	if len(r.Recorder.Decisions()) != 1 || seen == nil {
		t.Fatal("it did not run")
	}
	for name := range seen {
		switch name {
		case "X_other", "User-Agent", "Accept-Encoding":
		default:
			t.Errorf("sees %s", name)
		}
	}
}

// TestFormsOfOthers: a form that somebody in front of the guard has read is not what was judged.
func TestFormsOfOthers(t *testing.T) {
	var got string
	r := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) { got = req.FormValue("a") }), root, open)
	guarded := r.handler
	r.handler = http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		req.Form, req.PostForm = url.Values{"a": {"smuggled"}}, url.Values{"a": {"smuggled"}}
		guarded.ServeHTTP(w, req)
	})
	if resp := r.do(badge.LevelNone, "GET", "/?a=judged", ""); resp.StatusCode != http.StatusOK || got != "judged" {
		t.Errorf("%d, %q", resp.StatusCode, got)
	}
}
