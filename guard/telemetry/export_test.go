package telemetry_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/guardtest"
	"github.com/touchmark-dev/touchmark/guard/telemetry"
	"github.com/touchmark-dev/touchmark/internal/peers"
)

// calls makes n calls of which none may be refused, and returns how long they took.
func calls(t *testing.T, g *guard.Guard, n int) time.Duration {
	t.Helper()
	start := time.Now()
	for range n {
		grant, err := g.Check(t.Context(), guardtest.Call("open", `{}`))
		if err != nil {
			t.Fatal(err)
		}
		if err := grant.Finish(t.Context(), guard.Outcome{}); err != nil {
			t.Fatal(err)
		}
	}
	return time.Since(start)
}

// TestUnavailableCollector: whatever a collector does, calls neither fail nor wait for it, and what is lost is counted.
// More calls are made than there is room for.
func TestUnavailableCollector(t *testing.T) {
	release := make(chan struct{})
	hung := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	t.Cleanup(hung.Close)
	t.Cleanup(func() { close(release) })
	failing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadRequest) }))
	t.Cleanup(failing.Close)
	nobody := "http://127.0.0.1:" + peers.Port(t)

	const n = 5000 // more than twice what waits at most
	w := guardtest.New(t)
	without := calls(t, w.Guard(func(c *guard.Config) { c.Policy = rules{} }), n)
	for name, url := range map[string]string{"hung": hung.URL, "failing": failing.URL, "nobody": nobody} {
		t.Run(name, func(t *testing.T) {
			var logged bytes.Buffer
			tel, err := telemetry.New(t.Context(), &telemetry.Config{OTLP: url, Logger: slog.New(slog.NewTextHandler(&logged, nil))})
			if err != nil {
				t.Fatal(err)
			}
			took := calls(t, w.Guard(withRules(tel)), n)
			t.Logf("a call takes %v; without telemetry %v", took/n, without/n)
			if took > 40*time.Second { // if they waited, the hung collector alone would make it more
				t.Errorf("%d calls took %v", n, took)
			}
			m := scrape(t, tel)
			wantSample(t, m, `touchmark_guard_outcomes_total{class="",outcome="ok"} 5000`)
			wantSample(t, m, `touchmark_telemetry_items_total{result="made",signal="spans"} 5000`)
			wantSample(t, m, `touchmark_telemetry_items_total{result="exported",signal="spans"} 0`)
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			start := time.Now()
			_ = tel.Close(ctx)
			if took := time.Since(start); took > 30*time.Second {
				t.Errorf("closing took %v", took)
			}
			if strings.Count(logged.String(), "export failed") > 2 {
				t.Errorf("complained too often:\n%s", logged.String())
			}
		})
	}
}

func TestConfig(t *testing.T) {
	for _, test := range []struct {
		cfg  telemetry.Config
		want string // part of the error, "" for none
	}{
		{telemetry.Config{}, ""},
		{telemetry.Config{Global: true, ContinueTraces: true}, ""},
		{telemetry.Config{OTLP: "https://collector.example:4318"}, ""},
		{telemetry.Config{OTLP: "http://localhost:4318/"}, ""},
		{telemetry.Config{OTLP: "http://[::1]:4318"}, ""},
		{telemetry.Config{OTLP: "http://collector.example:4318", UnsafePlainHTTP: true}, ""},
		{telemetry.Config{OTLP: "http://collector.example:4318"}, "plain http"},
		{telemetry.Config{OTLP: "http://localhost.example:4318"}, "plain http"},
		{telemetry.Config{OTLP: "grpc://collector.example"}, "use https"},
		{telemetry.Config{OTLP: "collector:4318"}, "no URL"},
		{telemetry.Config{OTLP: "https://user:hunter2@collector.example"}, "no URL"},
		{telemetry.Config{OTLP: "https://collector.example?key=hunter2"}, "no URL"},
		{telemetry.Config{OTLP: "https://collector.example", Global: true}, "Global and OTLP"},
		{telemetry.Config{SampleRatio: 1.5}, "SampleRatio"},
		{telemetry.Config{SampleRatio: -1}, "SampleRatio"},
		{telemetry.Config{Tools: make([]string, telemetry.MaxTools+1)}, "201 Tools"},
		{telemetry.Config{Tools: []string{""}}, "cannot be counted"},
		{telemetry.Config{Tools: []string{"other"}}, "cannot be counted"},
	} {
		tel, err := telemetry.New(t.Context(), &test.cfg)
		if (err == nil) != (test.want == "") || err != nil && (!strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "hunter2")) {
			t.Errorf("%+v: %v, want %q", test.cfg, err, test.want)
		}
		if tel != nil {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			_ = tel.Close(ctx)
		}
	}
}
