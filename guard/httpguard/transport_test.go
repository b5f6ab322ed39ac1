package httpguard_test

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/guard/guardtest"
	"github.com/touchmark-dev/touchmark/guard/httpguard"
)

// TestTransportStays: nothing is signed for, and no badge sent to, anything but the one server.
func TestTransportStays(t *testing.T) {
	var reached bool
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	t.Cleanup(other.Close)
	r := serve(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		http.Redirect(w, req, other.URL+"/", http.StatusTemporaryRedirect)
	}), root, open)
	a := r.Agent(badge.LevelDomain)
	transport := &httpguard.Transport{URL: r.url + "/", Server: r.Server, Badge: a.Badge, Key: a.Key}
	client := &http.Client{Transport: transport}
	for _, url := range []string{r.url + "/", other.URL + "/", r.url + "0/", "https" + strings.TrimPrefix(r.url, "http"), r.url + "/a//b", r.url + "/?a=1;b"} {
		if resp, err := client.Get(url); err == nil { //nolint:noctx // a test
			resp.Body.Close()
			t.Errorf("%s: %d", url, resp.StatusCode)
		}
	}
	if reached || len(r.Recorder.Decisions()) != 1 {
		t.Errorf("reached the other server: %v; %d decisions", reached, len(r.Recorder.Decisions()))
	}
	req := httptest.NewRequest("POST", r.url+"/", strings.NewReader(`{"a":1}`))
	req.RequestURI = ""
	req.Header.Set("Content-Type", "application/json")
	before := req.Header.Clone()
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if len(req.Header) != len(before) || resp.StatusCode != http.StatusTemporaryRedirect {
		t.Errorf("%d, headers %v", resp.StatusCode, req.Header)
	}
}

// TestBelowPath: a server that is reached below a path sees what comes after it.
func TestBelowPath(t *testing.T) {
	w := guardtest.New(t)
	server := httptest.NewUnstartedServer(nil)
	url := "http://" + server.Listener.Addr().String() + "/api%20v1"
	h, err := httpguard.Protect(say("ok"), w.Guard(), &httpguard.Options{
		URL: url, Routes: []httpguard.Route{{Pattern: "GET /x", Tool: "x", Level: badge.LevelDomain}, {Pattern: "/{$}", Tool: "y", Level: badge.LevelDomain}},
	})
	if err != nil {
		t.Fatal(err)
	}
	server.Config.Handler = http.StripPrefix("/api v1", h)
	server.Start()
	t.Cleanup(server.Close)
	a := w.Agent(badge.LevelDomain)
	client := &http.Client{Transport: &httpguard.Transport{URL: url, Server: w.Server, Badge: a.Badge, Key: a.Key, TxnID: "t-1"}}
	for _, path := range []string{"/x?q=1", "/"} {
		resp, err := client.Get(url + path) //nolint:noctx // a test
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		d := w.Recorder.Decisions()
		if resp.StatusCode != 200 || d[len(d)-1].TxnID != "t-1" {
			t.Errorf("%s: %d, %+v", path, resp.StatusCode, d[len(d)-1])
		}
	}
}

func TestTrace(t *testing.T) {
	r := serve(t, say("ok"), root, open)
	for parent, want := range map[string]string{
		"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01": "0af7651916cd43dd8448eb211c80319c",
		"00-xyz-b7ad6b7169203331-01":                              "",
	} {
		req, err := http.NewRequestWithContext(t.Context(), "GET", r.url+"/", new(bytes.Buffer))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Traceparent", parent)
		r.send(http.DefaultClient, req)
		if d := r.lastDecision(); d.TraceID != want {
			t.Errorf("%q: recorded %q", parent, d.TraceID)
		}
	}
}

// TestTransportRedirected: a server cannot have a caller sign what the caller did not ask for, also not for itself.
func TestTransportRedirected(t *testing.T) {
	var ran []string
	r := serve(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		ran = append(ran, req.URL.Path)
		if req.URL.Path == "/" {
			http.Redirect(w, req, "/transfer?amount=1000", http.StatusTemporaryRedirect)
		}
	}), httpguard.Options{Routes: []httpguard.Route{{Pattern: "/", Tool: "all"}}}, open)
	a := r.Agent(badge.LevelDomain)
	client := &http.Client{Transport: &httpguard.Transport{URL: r.url, Server: r.Server, Badge: a.Badge, Key: a.Key}}
	for _, method := range []string{"GET", "POST"} {
		req, err := http.NewRequestWithContext(t.Context(), method, r.url+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		if resp, err := client.Do(req); err == nil || !strings.Contains(err.Error(), "nothing is signed") {
			resp.Body.Close()
			t.Errorf("%s: %v", method, err)
		}
	}
	if len(ran) != 2 || len(r.Recorder.Decisions()) != 2 {
		t.Errorf("ran %v", ran)
	}
}

// A badge goes in clear over loopback alone, or where somebody says so.
func TestTransportRefusesPlaintext(t *testing.T) {
	w := guardtest.New(t)
	a := w.Agent(badge.LevelDomain)
	for url, unsafe := range map[string]bool{"http://192.0.2.1": false, "http://localhost": false, "ftp://192.0.2.1": false, "http://192.0.2.2": true} {
		sent := false
		base := roundTrip(func(*http.Request) (*http.Response, error) {
			sent = true
			return nil, errors.New("nobody is there")
		})
		client := &http.Client{Transport: &httpguard.Transport{
			Base: base, URL: url, UnsafePlaintext: unsafe, Server: w.Server, Badge: a.Badge, Key: a.Key,
		}}
		resp, err := client.Get(url + "/") //nolint:noctx // a test
		if err == nil {
			resp.Body.Close()
		}
		if sent != unsafe || !unsafe && !strings.Contains(err.Error(), "in clear") {
			t.Errorf("%s: sent %v, %v", url, sent, err)
		}
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }
