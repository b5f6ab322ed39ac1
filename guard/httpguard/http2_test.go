package httpguard_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/guardtest"
	"github.com/touchmark-dev/touchmark/guard/httpguard"
)

// TestHTTP2: over HTTP/2 it is the same, also that an answer which is cut is not taken for a whole one.
func TestHTTP2(t *testing.T) {
	w := guardtest.New(t)
	server := httptest.NewUnstartedServer(nil)
	url := "https://" + server.Listener.Addr().String()
	g := w.Guard(under(&guard.Constraints{MaxResultBytes: 100_000}))
	var err error
	server.Config.Handler, err = httpguard.Protect(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/long" {
			for range 200 {
				io.WriteString(w, strings.Repeat("x", 1000))
			}
			return
		}
		io.WriteString(w, req.Proto)
	}), g, &httpguard.Options{URL: url, Routes: root.Routes})
	if err != nil {
		t.Fatal(err)
	}
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	a := w.Agent(badge.LevelDomain)
	client := &http.Client{Transport: &httpguard.Transport{
		Base: server.Client().Transport, URL: url, Server: w.Server, Badge: a.Badge, Key: a.Key,
	}}
	for path, want := range map[string]string{"/": "HTTP/2.0", "/long": ""} {
		resp, err := client.Get(url + path) //nolint:noctx // a test
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if want != "" && (err != nil || string(body) != want) || want == "" && (err == nil || len(body) > 100_000) {
			t.Errorf("%s: %d octets, %v", path, len(body), err)
		}
	}
}
