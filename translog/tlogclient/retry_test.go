package tlogclient_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/touchmark-dev/touchmark/translog/tlogclient"
)

// TestRetryAfter: a server that says when to ask again is asked again, as often as is sensible, and no other.
func TestRetryAfter(t *testing.T) {
	asked, busy, after := 0, 0, ""
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked++; asked <= busy {
			w.Header().Set("Retry-After", after)
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		io.WriteString(w, "a checkpoint") //nolint:errcheck // it is a test's own
	}))
	defer server.Close()
	source, err := tlogclient.HTTP(&tlogclient.HTTPConfig{Prefix: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	busy, after = 1, "1"
	if text, err := source.Checkpoint(t.Context()); err != nil || string(text) != "a checkpoint" || asked != 2 {
		t.Errorf("%q, %v, asked %d times", text, err, asked)
	}
	for _, after = range []string{"", "0", "-1", "3600", "soon"} {
		asked, busy = 0, 100
		if _, err := source.Checkpoint(t.Context()); err == nil || asked != 1 {
			t.Errorf("Retry-After %q: %v, asked %d times", after, err, asked)
		}
	}
	asked, busy, after = 0, 8, "1"
	if _, err := source.Checkpoint(t.Context()); err == nil || asked != 6 {
		t.Errorf("a server that is always busy: %v, asked %d times", err, asked)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := source.Checkpoint(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
