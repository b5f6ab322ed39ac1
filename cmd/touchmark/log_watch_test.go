package main

import (
	"bytes"
	"context"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/translog/monitor"
	"github.com/touchmark-dev/touchmark/translog/tlogclient"
)

// A spoken is what a command writes, line by line.
type spoken struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *spoken) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *spoken) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// While a log answers late, what was found is told, and the metrics are served.
func TestWatchOfASlowLog(t *testing.T) {
	l := newIssuanceLog(t)
	l.add(issuedEntry("a", "did:web:agent.example"))
	asked := make(chan struct{})
	var once sync.Once
	files := http.FileServer(http.Dir(l.dir))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.URL.Path, "/entries/") {
			files.ServeHTTP(w, r)
			return
		}
		once.Do(func() { close(asked) })
		<-r.Context().Done()
	}))
	defer server.Close()
	other := newIssuanceLog(t) // no checkpoint of the log
	other.add(issuedEntry("b", "did:web:agent.example"))

	out, notes := &spoken{}, &spoken{}
	con := newConsole(nil, out, notes)
	set := flag.NewFlagSet("watch", flag.ContinueOnError)
	for _, f := range logWatchCommand().Flags {
		if err := f.Apply(set); err != nil {
			t.Fatal(err)
		}
	}
	if err := set.Parse([]string{"--metrics", "127.0.0.1:0"}); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	c := cli.NewContext(newApp(con), set, nil)
	c.Context = ctx
	w := &watch{ctx: c, con: con, state: t.TempDir()}
	source, err := tlogclient.HTTP(&tlogclient.HTTPConfig{Prefix: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	w.m, err = monitor.Open(&monitor.Config{
		Log: source, Policy: l.log.Policy(), Keys: evidence.Keys{"did:web:a.example#key-1": make([]byte, 32)}, Dir: w.state,
		Views: []monitor.View{{Name: "elsewhere", Source: tlogclient.Dir(other.dir)}}, OnFault: w.found,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := w.m.Close(); err != nil {
			t.Error(err)
		}
	}()
	w.measure()
	if err := w.serveMetrics(); err != nil {
		t.Fatal(err)
	}
	_, address, ok := strings.Cut(notes.String(), "metrics at ")
	if !ok {
		t.Fatalf("no metrics: %q", notes)
	}
	address, _, _ = strings.Cut(address, "\n")
	ended := make(chan error)
	go func() { ended <- w.look() }()
	<-asked
	if text := out.String(); !strings.Contains(text, "LOG_") || strings.Count(text, "\n") != 1 {
		t.Errorf("told %q", text)
	}
	client := &http.Client{Timeout: time.Minute}
	res, err := client.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // only read
	text, err := io.ReadAll(res.Body)
	if err != nil || !strings.Contains(string(text), "touchmark_monitor_faults_total{code=\"LOG_") ||
		!strings.Contains(string(text), "touchmark_monitor_last_look_timestamp_seconds 0\n") {
		t.Errorf("%v: %s", err, text)
	}
	stop()
	if err := <-ended; err == nil {
		t.Error("a look that was ended, and no error")
	}
	if names, err := os.ReadDir(filepath.Join(w.state, dirFaultsOfState)); err != nil || len(names) != 1 {
		t.Errorf("%d proofs, %v", len(names), err)
	}
}

// No step of a look goes on for good, of one look either.
func TestStepTime(t *testing.T) {
	for _, c := range []struct {
		once           bool
		interval, want time.Duration
	}{
		{false, time.Second, 5 * time.Minute},
		{false, time.Hour, 10 * time.Hour},
		{true, watchInterval, time.Hour},
		{true, time.Hour, 10 * time.Hour},
	} {
		if got := stepTime(c.once, c.interval); got != c.want {
			t.Errorf("once %v, interval %v: %v", c.once, c.interval, got)
		}
	}
}
