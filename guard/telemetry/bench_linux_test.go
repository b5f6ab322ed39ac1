package telemetry_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"golang.org/x/sys/unix"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/guardtest"
	"github.com/touchmark-dev/touchmark/guard/telemetry"
)

// BenchmarkObserver is what telemetry adds to a call: Begin, Context, Span, Decided and Finished; of metrics alone, and
// with spans, and spans and logs. The processor's time of the goroutine that calls is reported as cpu-ns/op. With the
// collector "hung" nothing is exported, so that the octets and allocations are those of the calls alone; with the others
// they are those of the export as well.
func BenchmarkObserver(b *testing.B) {
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer s.Close()
	release := make(chan struct{})
	hung := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer hung.Close()
	defer close(release)
	for name, cfg := range map[string]*telemetry.Config{
		"metrics": {}, "tools": {Tools: []string{"read_file"}},
		"spans": {OTLP: s.URL}, "spans hung": {OTLP: hung.URL}, "sampled out": {OTLP: s.URL, SampleRatio: 1e-9},
		"spans and logs": {OTLP: s.URL, LogAllowed: true}, "spans and logs hung": {OTLP: hung.URL, LogAllowed: true},
	} {
		b.Run(name, func(b *testing.B) {
			tel := newTelemetry(b, cfg)
			r := guardtest.Call("read_file", `{}`)
			r.RequestID, r.Transport, r.TraceParent = "17", "http", callersParent
			d := &guard.Decided{
				Allowed: true, Kind: evidence.Allow, Rule: "read", PolicyVersion: "sha256:n4bQgYhMfWWaL-qgxVrQFaO_TxsrC4Is0V1sFbDwCgg",
				Capability: r.Capability, Level: badge.LevelDomain, Actor: guard.ActorAutomation,
				About:      &guard.Description{RiskTags: []string{"prod"}, Labels: map[string]string{"mcp.action": "read"}},
				EvidenceID: "3dba37bb-0871-4def-b95b-6655128dbe19", DecisionTook: time.Millisecond, RecordTook: time.Millisecond,
			}
			o := &guard.Outcome{}
			b.ReportAllocs()
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			before := threadTime(b)
			for b.Loop() {
				seen := tel.Begin(b.Context(), r)
				_ = seen.Context(b.Context())
				_, _ = seen.Span()
				seen.Decided(d)
				seen.Finished(o, "", 2*time.Millisecond)
			}
			b.ReportMetric(float64(threadTime(b)-before)/float64(b.N), "cpu-ns/op")
			b.StopTimer()
			ended, cancel := context.WithCancel(b.Context())
			cancel()
			_ = tel.Close(ended)
		})
	}
}

// BenchmarkBareSpan is the floor: a span of OpenTelemetry's SDK with as many attributes, which goes to nobody.
func BenchmarkBareSpan(b *testing.B) {
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.AlwaysSample()), sdktrace.WithSpanProcessor(nobody{})).Tracer("floor")
	var attrs []attribute.KeyValue
	for _, key := range strings.Split("a b c d e f g h i j k l m n", " ") {
		attrs = append(attrs, attribute.String(key, "some value"))
	}
	b.ReportAllocs()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before := threadTime(b)
	for b.Loop() {
		_, span := tracer.Start(b.Context(), "floor")
		span.SetAttributes(attrs...)
		span.End()
	}
	b.ReportMetric(float64(threadTime(b)-before)/float64(b.N), "cpu-ns/op")
}

type nobody struct{}

func (nobody) OnStart(context.Context, sdktrace.ReadWriteSpan) {}
func (nobody) OnEnd(sdktrace.ReadOnlySpan)                     {}
func (nobody) Shutdown(context.Context) error                  { return nil }
func (nobody) ForceFlush(context.Context) error                { return nil }

// threadTime is what this thread has spent of the processor: on a busy machine it says more than the clock.
func threadTime(b *testing.B) time.Duration {
	var at unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &at); err != nil {
		b.Skip(err)
	}
	return time.Duration(at.Nano())
}
