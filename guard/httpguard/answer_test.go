package httpguard_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/httpguard"
)

var root = httpguard.Options{Routes: []httpguard.Route{{Pattern: "/", Tool: "x"}}}

// fetch gets an answer as far as it comes.
func (r *rig) fetch() (resp *http.Response, body string, err error) {
	r.t.Helper()
	resp, err = http.Get(r.url + "/") //nolint:noctx // a test
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return resp, string(text), err
}

// await waits for an outcome: of an answer that was not whole the client hears before its outcome is looked at.
func (r *rig) await(n int) *evidence.Outcome {
	r.t.Helper()
	for began := time.Now(); time.Since(began) < time.Minute; time.Sleep(time.Millisecond) {
		if all := r.Recorder.Outcomes(); len(all) >= n {
			return all[n-1]
		}
	}
	r.t.Fatal("no outcome")
	return nil
}

func TestOutcomes(t *testing.T) {
	big := strings.Repeat("x", 200<<10)
	for name, test := range map[string]struct {
		h      http.HandlerFunc
		status int
		class  string
		whole  bool // the answer arrives to its end
		size   int
	}{
		"nothing":     {func(http.ResponseWriter, *http.Request) {}, 200, "", true, 0},
		"not found":   {http.NotFound, 404, "http_4xx", true, 19},
		"failure":     {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }, 503, "http_5xx", true, 0},
		"no content":  {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }, 204, "", true, 0},
		"early hints": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(103); w.WriteHeader(202) }, 202, "", true, 0},
		"long":        {func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, big) }, 200, "", true, len(big)},
		"panic":       {func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "a"); panic("hunter2") }, 500, guard.ClassPanic, true, -1},
		"late panic":  {func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, big); panic("hunter2") }, 200, guard.ClassPanic, false, -1},
		"abort":       {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, 0, guard.ClassError, false, 0},
		"late abort":  {func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, big); panic(http.ErrAbortHandler) }, 200, guard.ClassError, false, len(big)},
		"bad status":  {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(7) }, 500, guard.ClassPanic, true, -1},
		"exit":        {func(http.ResponseWriter, *http.Request) { runtime.Goexit() }, 0, guard.ClassExit, false, -1},
		"declared": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "3")
			io.WriteString(w, "abc")
		}, 200, "", true, 3},
		"long flushed": {func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, "a")
			w.(http.Flusher).Flush()
			io.WriteString(w, big)
		}, 200, "", true, len(big) + 1},
	} {
		t.Run(name, func(t *testing.T) {
			r := serve(t, test.h, root, open)
			resp, body, err := r.fetch()
			status := 0
			if resp != nil {
				status = resp.StatusCode
			}
			if status != test.status || (err == nil) != test.whole || strings.Contains(body, "hunter2") {
				t.Errorf("status %d, %d octets, %v", status, len(body), err)
			}
			o := r.await(1)
			if o.ErrorClass != test.class || o.Duration < 0 {
				t.Errorf("recorded %+v", o)
			}
			result := string(r.lastOutcome().Result)
			if test.size >= 0 && !strings.Contains(result, fmt.Sprintf(`"size":%d,`, test.size)) || test.size < 0 && result != "" {
				t.Errorf("result %s", result)
			}
			if test.status == 500 && (!strings.Contains(body, o.DecisionID) || resp.Header.Get("Touchmark-Evidence") != "") {
				t.Errorf("told %s", body)
			}
		})
	}
}

// TestOutcomeLost: where the outcome cannot be kept, no whole answer goes out.
func TestOutcomeLost(t *testing.T) {
	for name, test := range map[string]struct {
		h      http.HandlerFunc
		status int
	}{
		"short": {func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "secret") }, 503},
		"long":  {func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, strings.Repeat("x", 200<<10)) }, 200},
		"declared": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "6")
			io.WriteString(w, "secret")
			w.(http.Flusher).Flush()
		}, 200},
	} {
		t.Run(name, func(t *testing.T) {
			r := serve(t, test.h, root, open)
			r.Recorder.Hook(func(d *evidence.Draft) error {
				if d.Outcome != nil {
					return errors.New("disk full")
				}
				return nil
			})
			resp, body, err := r.fetch()
			if resp == nil || resp.StatusCode != test.status || (err == nil) != (test.status == 503) || body == "secret" {
				t.Errorf("%v, %q, %v", resp, body, err)
			}
			if test.status == 503 && !strings.Contains(body, string(guard.CodeEvidenceUnavailable)) {
				t.Errorf("told %s", body)
			}
			r.lost = 1
		})
	}
}

// TestStreams: what is flushed arrives while the handler runs, and trailers at its end.
func TestStreams(t *testing.T) {
	next := make(chan struct{})
	r := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		for i := range 3 {
			fmt.Fprintf(w, "event %d\n", i)
			if err := http.NewResponseController(w).Flush(); err != nil {
				t.Error(err)
			}
			<-next
		}
		w.Header().Set("X-Sum", "3")
		w.Header().Set(http.TrailerPrefix+"X-Late", "yes")
	}), root, open)
	resp, err := http.Get(r.url + "/") //nolint:noctx // a test
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewReader(resp.Body)
	for i := range 3 {
		if line, err := lines.ReadString('\n'); err != nil || line != fmt.Sprintf("event %d\n", i) {
			t.Fatalf("%q, %v", line, err)
		}
		next <- struct{}{}
	}
	if rest, err := io.ReadAll(lines); err != nil || len(rest) > 0 {
		t.Errorf("%q, %v", rest, err)
	}
	if resp.Trailer.Get("X-Sum") != "3" || resp.Trailer.Get("X-Late") != "yes" {
		t.Errorf("trailers %v", resp.Trailer)
	}
}

func TestNoHijack(t *testing.T) {
	r := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		c := http.NewResponseController(w)
		_, _, err := c.Hijack()
		_, is := w.(http.Hijacker)
		fmt.Fprint(w, errors.Is(err, http.ErrNotSupported), is, c.SetWriteDeadline(time.Now().Add(time.Hour)),
			c.SetReadDeadline(time.Now().Add(time.Hour)), c.EnableFullDuplex())
	}), root, open)
	if _, body, err := r.fetch(); err != nil || body != "true false <nil> <nil> <nil>" {
		t.Errorf("%q, %v", body, err)
	}
}

// TestHungUp: a caller that is gone is recorded like any other.
func TestHungUp(t *testing.T) {
	entered := make(chan struct{})
	r := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		close(entered)
		<-req.Context().Done()
	}), root, open)
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, "GET", r.url+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	go func() { <-entered; cancel() }()
	if resp, err := http.DefaultClient.Do(req); err == nil {
		resp.Body.Close()
		t.Error("answered")
	}
	if o := r.await(1); o.ErrorClass != guard.ClassCancelled {
		t.Errorf("recorded %+v", o)
	}
}

// TestProxy: a server elsewhere, behind a proxy, gets what was judged and nothing that its caller presented.
func TestProxy(t *testing.T) {
	var seen *http.Request
	far := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		seen = req
		body, _ := io.ReadAll(req.Body)
		w.Write(body)
	}))
	t.Cleanup(far.Close)
	target, err := url.Parse(far.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) { p.SetURL(target) }}
	r := serve(t, proxy, httpguard.Options{Routes: []httpguard.Route{{Pattern: "POST /v1/{x}", Tool: "x", Level: badge.LevelDomain}}})
	if got := r.do(badge.LevelDomain, "POST", "/v1/a?q=1", `{"a":1}`); got.StatusCode != 200 || got.body != `{"a":1}` {
		t.Fatalf("%d %q", got.StatusCode, got.body)
	}
	for name := range seen.Header {
		if strings.HasPrefix(name, "X-Capiscio") {
			t.Errorf("%s went on", name)
		}
	}
	if seen.RequestURI != "/v1/a?q=1" || seen.ContentLength != 7 {
		t.Errorf("went on as %s with %d octets", seen.RequestURI, seen.ContentLength)
	}
}
