package httpguard

import (
	"encoding/json"
	"net/http"
	"net/url"
	"testing"

	"github.com/touchmark-dev/touchmark/badge/pop"
	"github.com/touchmark-dev/touchmark/internal/strictjson"
)

// FuzzArguments shows that what a policy sees of a request is JSON by strict rules, has the path and each parameter as
// handlers read them, and is the same each time.
func FuzzArguments(f *testing.F) {
	f.Add("/a", "x=1&x=2&y", "application/json", `{"a":[1,"<"]}`)
	f.Add("/ä", "x=%41+b", "text/plain", "\xff")
	f.Add("/", "=&=", "application/json; charset=utf-8", `nul`)
	f.Fuzz(func(t *testing.T, path, query, contentType, body string) {
		u := &url.URL{Path: path, RawQuery: query}
		if !cleanPath(u) {
			return
		}
		h := http.Header{"Content-Type": {contentType}}
		text, opaque, err := argumentsOf(u, h, []byte(body))
		if err != nil {
			return
		}
		again, _, _ := argumentsOf(u, h, []byte(body))
		if string(again) != string(text) {
			t.Fatalf("%s, and then %s", text, again)
		}
		if strictjson.Validate(text) != nil {
			t.Fatalf("%s is not JSON", text)
		}
		var a arguments
		if err := json.Unmarshal(text, &a); err != nil {
			t.Fatal(err)
		}
		if a.Path != path || opaque != (a.Octets != nil) || (body == "") != (a.Octets == nil && a.Body == nil) {
			t.Errorf("%q with %q: %s", path, body, text)
		}
		for name, all := range u.Query() {
			if one, ok := a.Query[name].(string); len(all) == 1 && (!ok || one != all[0]) {
				t.Errorf("%q: %s", query, text)
			}
		}
		if _, err := (&pop.Call{Method: "GET", Target: path, Arguments: text}).Hash([32]byte{}); err != nil && a.Body == nil {
			t.Errorf("%s cannot be signed: %v", text, err)
		}
	})
}
