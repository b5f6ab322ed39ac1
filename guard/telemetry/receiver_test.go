package telemetry_test

import (
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	collogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	logs "go.opentelemetry.io/proto/otlp/logs/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/touchmark-dev/touchmark/guard/telemetry"
)

// collector is a collector of OTLP over HTTP.
type collector struct {
	t   *testing.T
	url string

	mu    sync.Mutex
	raw   strings.Builder // everything that came, for whoever looks for secrets
	spans []*trace.Span
	logs  []*logs.LogRecord
}

func newCollector(t *testing.T) *collector {
	c := &collector{t: t}
	s := httptest.NewServer(c)
	t.Cleanup(s.Close)
	c.url = s.URL
	return c
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil || r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/x-protobuf" {
		c.t.Errorf("%s of %q: %v", r.Method, r.Header.Get("Content-Type"), err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	fmt.Fprintf(&c.raw, "%s %v %s\n", r.URL, r.Header, body)
	switch r.URL.Path {
	case "/v1/traces":
		var req coltrace.ExportTraceServiceRequest
		if err := proto.Unmarshal(body, &req); err != nil {
			c.t.Error(err)
		}
		for _, rs := range req.ResourceSpans {
			for _, ss := range rs.ScopeSpans {
				c.spans = append(c.spans, ss.Spans...)
			}
		}
	case "/v1/logs":
		var req collogs.ExportLogsServiceRequest
		if err := proto.Unmarshal(body, &req); err != nil {
			c.t.Error(err)
		}
		for _, rl := range req.ResourceLogs {
			for _, sl := range rl.ScopeLogs {
				c.logs = append(c.logs, sl.LogRecords...)
			}
		}
	default:
		c.t.Errorf("exported to %s", r.URL.Path)
	}
}

// flushed returns what had been exported once t had exported everything.
func (c *collector) flushed(t *telemetry.Telemetry) ([]*trace.Span, []*logs.LogRecord) {
	c.t.Helper()
	if err := t.Flush(c.t.Context()); err != nil {
		c.t.Fatal(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.spans, c.logs
}

func attributesOf(list []*common.KeyValue) map[string]string {
	out := make(map[string]string, len(list))
	for _, kv := range list {
		switch v := kv.Value.Value.(type) {
		case *common.AnyValue_StringValue:
			out[kv.Key] = v.StringValue
		default:
			out[kv.Key] = fmt.Sprint(kv.Value)
		}
	}
	return out
}

func idOf(b []byte) string { return hex.EncodeToString(b) }

// newTelemetry makes a Telemetry that is closed in the end.
func newTelemetry(t testing.TB, cfg *telemetry.Config) *telemetry.Telemetry {
	t.Helper()
	tel, err := telemetry.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tel.Close(t.Context()) })
	return tel
}

// scrape returns the metrics as they are served.
func scrape(t testing.TB, tel *telemetry.Telemetry) string {
	t.Helper()
	w := httptest.NewRecorder()
	tel.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	return w.Body.String()
}

// wantSample looks for a sample such as `name{label="x"} 1`.
func wantSample(t testing.TB, metrics, sample string) {
	t.Helper()
	if !strings.Contains("\n"+metrics, "\n"+sample+"\n") {
		name, _, _ := strings.Cut(sample, "{")
		name, _, _ = strings.Cut(name, " ")
		var have []string
		for _, line := range strings.Split(metrics, "\n") {
			if strings.HasPrefix(line, name) {
				have = append(have, line)
			}
		}
		t.Errorf("no sample %s among\n%s", sample, strings.Join(have, "\n"))
	}
}
