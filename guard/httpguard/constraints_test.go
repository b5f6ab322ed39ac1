package httpguard_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/httpguard"
	"github.com/touchmark-dev/touchmark/guard/limit"
)

func limited(cfg *guard.Config) { cfg.Limiter = limit.New(nil) }

func say(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, text) }
}

func TestRate(t *testing.T) {
	r := serve(t, say("ok"), root, limited, under(&guard.Constraints{RatePerMinute: 2}))
	for range 2 {
		if got := r.do(badge.LevelNone, "GET", "/", ""); got.StatusCode != 200 {
			t.Fatalf("%d %s", got.StatusCode, got.body)
		}
	}
	got := r.do(badge.LevelNone, "GET", "/", "")
	r.refused(got, http.StatusTooManyRequests, guard.CodeConstraintExceeded, guard.CauseRate)
	if n, err := strconv.Atoi(got.Header.Get("Retry-After")); err != nil || n < 1 || n > 30 {
		t.Errorf("Retry-After %q", got.Header.Get("Retry-After"))
	}
	if d := r.lastDecision(); d.DenyCause != guard.CauseRate || d.Kind != evidence.Deny {
		t.Errorf("recorded %+v", d)
	}
	if got := r.do(badge.LevelDomain, "GET", "/", ""); got.StatusCode != 200 {
		t.Errorf("another caller: %d %s", got.StatusCode, got.body)
	}
}

func TestRetries(t *testing.T) {
	r := serve(t, say("ok"), root, limited, under(&guard.Constraints{MaxRetries: new(int)}))
	for _, path := range []string{"/a", "/a?x=1", "/b"} {
		if got := r.do(badge.LevelDomain, "GET", path, ""); got.StatusCode != 200 {
			t.Fatalf("%d %s", got.StatusCode, got.body)
		}
	}
	r.refused(r.do(badge.LevelDomain, "GET", "/a", ""), http.StatusTooManyRequests, guard.CodeConstraintExceeded, guard.CauseRetries)
	if got := r.do(badge.LevelDomain, "POST", "/a", `{}`); got.StatusCode != 200 {
		t.Errorf("another call: %d %s", got.StatusCode, got.body)
	}
}

func TestConcurrency(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	r := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/slow" {
			entered <- struct{}{}
			<-leave
		}
	}), root, limited, under(&guard.Constraints{MaxConcurrent: 1}))
	done := make(chan *response)
	go func() { done <- r.do(badge.LevelNone, "GET", "/slow", "") }()
	<-entered
	r.refused(r.do(badge.LevelNone, "GET", "/", ""), http.StatusTooManyRequests, guard.CodeConstraintExceeded, guard.CauseConcurrency)
	close(leave)
	if got := <-done; got.StatusCode != 200 {
		t.Errorf("%d %s", got.StatusCode, got.body)
	}
	for range 3 { // the place is free before the answer is there
		if got := r.do(badge.LevelNone, "GET", "/", ""); got.StatusCode != 200 {
			t.Fatalf("%d %s", got.StatusCode, got.body)
		}
	}
}

type broken struct{}

func (broken) Acquire(context.Context, guard.LimitKey, *guard.Constraints) (func(), error) {
	return nil, errors.New("down")
}

func TestLimiterDown(t *testing.T) {
	r := serve(t, say("ok"), root, under(&guard.Constraints{RatePerMinute: 2}), func(c *guard.Config) { c.Limiter = broken{} })
	got := r.do(badge.LevelNone, "GET", "/", "")
	r.refused(got, http.StatusServiceUnavailable, guard.CodeConstraintIndeterminate, guard.CauseLimiter)
}

// TestRuntime: a handler that takes too long is told so by its context, and left behind if it does not listen; what it
// writes later goes nowhere.
func TestRuntime(t *testing.T) {
	for name, test := range map[string]struct {
		streams, ignores bool
		class            string
	}{
		"ends":                      {false, false, guard.ClassTimeout},
		"ignores it":                {false, true, guard.ClassAbandoned},
		"streams, and ends":         {true, false, guard.ClassTimeout},
		"streams, and ignores that": {true, true, guard.ClassAbandoned},
	} {
		t.Run(name, func(t *testing.T) {
			leave, left := make(chan struct{}), make(chan error, 1)
			r := serve(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				w.Header().Set("X-Own", "1")
				if test.streams {
					io.WriteString(w, "begun ")
					w.(http.Flusher).Flush()
				}
				<-req.Context().Done()
				if test.ignores {
					<-leave
				}
				w.Header().Set("X-Own", "2")
				_, err := io.WriteString(w, "late")
				left <- err
			}), root, under(&guard.Constraints{MaxRuntime: 50 * time.Millisecond}), func(c *guard.Config) {
				if c.Grace = 50 * time.Millisecond; !test.ignores {
					c.Grace = time.Minute
				}
			})
			resp, body, err := r.fetch()
			if o := r.await(1); o.ErrorClass != test.class {
				t.Errorf("recorded %+v", o)
			}
			if test.streams && err != nil { // on a slow machine it may not have begun in time
				if strings.Contains(body, "late") {
					t.Errorf("got %q, %v", body, err)
				}
			} else {
				r.refused(&response{resp, body}, http.StatusGatewayTimeout, guard.CodeConstraintExceeded, guard.CauseRuntime)
			}
			close(leave)
			if err := <-left; (err != nil) != test.ignores {
				t.Errorf("the late answer: %v", err)
			}
		})
	}
}

func TestInTime(t *testing.T) {
	r := serve(t, say("ok"), root, under(&guard.Constraints{MaxRuntime: time.Hour, MaxResultBytes: 2}))
	if got := r.do(badge.LevelNone, "GET", "/", ""); got.StatusCode != 200 || got.body != "ok" {
		t.Errorf("%d %s", got.StatusCode, got.body)
	}
}

// TestResultSize: an answer ends where it may not go on, and nobody takes it for a whole one.
func TestResultSize(t *testing.T) {
	const most = 100_000
	for name, test := range map[string]struct {
		h     http.HandlerFunc
		whole bool // there is a whole answer, which says what happened
	}{
		"at once": {say(strings.Repeat("x", most+1)), true},
		"in parts": {func(w http.ResponseWriter, _ *http.Request) {
			for range 10 * most / 1000 {
				if _, err := io.WriteString(w, strings.Repeat("x", 1000)); err != nil {
					return
				}
			}
		}, false},
		"flushed": {func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, "x")
			w.(http.Flusher).Flush()
			io.WriteString(w, strings.Repeat("x", most))
		}, false},
		"declared": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", strconv.Itoa(most+1))
			w.WriteHeader(http.StatusOK)
			w.(http.Flusher).Flush()
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			r := serve(t, test.h, root, under(&guard.Constraints{MaxResultBytes: most}))
			resp, body, err := r.fetch()
			if o := r.await(1); o.ErrorClass != guard.ClassResultTooLarge {
				t.Errorf("recorded %+v", o)
			}
			switch {
			case test.whole:
				r.refused(&response{resp, body}, http.StatusInternalServerError, guard.CodeConstraintExceeded, guard.CauseResultSize)
			case err == nil || len(body) > most:
				t.Errorf("%d octets, %v", len(body), err)
			}
		})
	}
	r := serve(t, say("1234567890"), root, under(&guard.Constraints{MaxResultBytes: 10}))
	if got := r.do(badge.LevelNone, "GET", "/", ""); got.body != "1234567890" {
		t.Errorf("%d %s", got.StatusCode, got.body)
	}
	if got := r.do(badge.LevelNone, "HEAD", "/", ""); got.StatusCode != 200 {
		t.Errorf("%d %s", got.StatusCode, got.body)
	}
}

// TestShadow: what would be refused runs, but for what cannot be read.
func TestShadow(t *testing.T) {
	r := serve(t, files(), httpguard.Options{Routes: routes}, func(c *guard.Config) { c.UnsafeShadow = true })
	if got := r.do(badge.LevelNone, "GET", "/unmapped", ""); got.body != "ran GET /unmapped  " || !r.lastDecision().Shadow {
		t.Errorf("%d %s", got.StatusCode, got.body)
	}
	r.refused(r.raw("GET /a//b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), http.StatusBadRequest,
		guard.CodeRequestMalformed, httpguard.CauseTarget)
}

func TestNothingKept(t *testing.T) {
	r := serve(t, say("ok"), root, open)
	r.Recorder.Fail(errors.New("disk full"))
	for _, path := range []string{"/", "/a//b"} {
		got := r.raw("GET " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		if got.StatusCode != http.StatusServiceUnavailable || !strings.Contains(got.body, string(guard.CodeEvidenceUnavailable)) {
			t.Errorf("%s: %d %s", path, got.StatusCode, got.body)
		}
	}
}
