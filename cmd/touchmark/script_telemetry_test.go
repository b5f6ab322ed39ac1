package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"
	collogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"
)

// collector takes what is exported by OTLP for as long as the script runs, and writes what each span and each log says
// to a file, one on a line: collector FILE sets COLLECTOR.
func collector(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: collector FILE")
	}
	file, err := os.OpenFile(ts.MkAbs(args[0]), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	ts.Check(err)
	var mu sync.Mutex
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		if err == nil {
			err = writeExport(file, r.URL.Path, body)
		}
		if err != nil {
			fmt.Fprintln(file, "malformed", err)
			w.WriteHeader(http.StatusBadRequest)
		}
	}))
	ts.Defer(func() {
		s.Close()
		file.Close()
	})
	ts.Setenv("COLLECTOR", s.URL)
}

func writeExport(w io.Writer, path string, body []byte) error {
	switch path {
	case "/v1/traces":
		var req coltrace.ExportTraceServiceRequest
		if err := proto.Unmarshal(body, &req); err != nil {
			return err
		}
		for _, rs := range req.ResourceSpans {
			for _, ss := range rs.ScopeSpans {
				for _, s := range ss.Spans {
					fmt.Fprintf(w, "span %x %q %v of %v\n", s.SpanId, s.Name, s.Attributes, rs.Resource)
				}
			}
		}
		return nil
	case "/v1/logs":
		var req collogs.ExportLogsServiceRequest
		if err := proto.Unmarshal(body, &req); err != nil {
			return err
		}
		for _, rl := range req.ResourceLogs {
			for _, sl := range rl.ScopeLogs {
				for _, l := range sl.LogRecords {
					fmt.Fprintf(w, "log %x %v %v\n", l.SpanId, l.Body, l.Attributes)
				}
			}
		}
		return nil
	}
	return fmt.Errorf("nobody exports to %s", path)
}
