package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploghttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/log"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Limits of an export.
const (
	maxQueue      = 2048 // spans, and as many logs, that wait; more are dropped
	maxBatch      = 512
	exportTimeout = 10 * time.Second // of one batch, with all that is tried again
	complainEvery = time.Minute
)

// export is where spans and logs go.
type export struct {
	traces *sdktrace.TracerProvider
	logs   *sdklog.LoggerProvider
}

func globalProviders() (trace.Tracer, log.Logger) {
	return otel.GetTracerProvider().Tracer(scope), otel.GetLoggerProvider().Logger(scope)
}

func newExport(ctx context.Context, cfg *Config, items *prometheus.CounterVec) (*export, error) {
	base, err := checkEndpoint(cfg)
	if err != nil {
		return nil, err
	}
	service := cfg.Service
	if service == "" {
		service = "touchmark"
	}
	res, err := resource.New(ctx, resource.WithAttributes(attribute.String("service.name", service)), resource.WithFromEnv(), resource.WithTelemetrySDK())
	if err != nil {
		return nil, fmt.Errorf("telemetry: OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	spans, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(base.JoinPath("v1/traces").String()), otlptracehttp.WithTimeout(exportTimeout))
	if err != nil {
		return nil, fmt.Errorf("telemetry: traces: %w", err)
	}
	logs, err := otlploghttp.New(ctx, otlploghttp.WithEndpointURL(base.JoinPath("v1/logs").String()), otlploghttp.WithTimeout(exportTimeout))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("telemetry: logs: %w", err), spans.Shutdown(ctx))
	}
	spanTally, logTally := newTally(items, "spans", cfg.Logger), newTally(items, "logs", cfg.Logger)
	return &export{
		traces: sdktrace.NewTracerProvider(
			sdktrace.WithResource(res), sdktrace.WithSampler(sampler(cfg.SampleRatio)),
			sdktrace.WithSpanProcessor(&spanCounter{tally: spanTally}),
			sdktrace.WithBatcher(&spanExporter{spans, spanTally}, sdktrace.WithMaxQueueSize(maxQueue),
				sdktrace.WithMaxExportBatchSize(maxBatch), sdktrace.WithExportTimeout(exportTimeout))),
		logs: sdklog.NewLoggerProvider(
			sdklog.WithResource(res), sdklog.WithProcessor(&logCounter{tally: logTally}),
			sdklog.WithProcessor(sdklog.NewBatchProcessor(&logExporter{logs, logTally}, sdklog.WithMaxQueueSize(maxQueue),
				sdklog.WithExportMaxBatchSize(maxBatch), sdklog.WithExportTimeout(exportTimeout)))),
	}, nil
}

// sampler does not ask the caller: neither can it hide by saying that its trace is not sampled, nor make work by saying
// that it is. A parent of this program is believed.
func sampler(ratio float64) sdktrace.Sampler {
	root := sdktrace.AlwaysSample()
	if ratio > 0 && ratio < 1 {
		root = sdktrace.TraceIDRatioBased(ratio)
	}
	return sdktrace.ParentBased(root, sdktrace.WithRemoteParentSampled(root), sdktrace.WithRemoteParentNotSampled(root))
}

// checkEndpoint refuses to send to where it can be read on the way.
func checkEndpoint(cfg *Config) (*url.URL, error) {
	u, err := url.Parse(cfg.OTLP)
	switch {
	case err != nil || u.Host == "" || u.Opaque != "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("telemetry: OTLP is no URL of a collector, such as https://collector.example:4318")
	case u.Scheme == "https", u.Scheme == "http" && (cfg.UnsafePlainHTTP || isLoopback(u.Hostname())):
		return u, nil
	case u.Scheme == "http":
		return nil, fmt.Errorf("telemetry: OTLP to %q over plain http: use https, or a collector on this machine", u.Host)
	}
	return nil, fmt.Errorf("telemetry: OTLP by %q: use https", u.Scheme)
}

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

func (x *export) flush(ctx context.Context) error {
	return errors.Join(x.traces.ForceFlush(ctx), x.logs.ForceFlush(ctx))
}

func (x *export) close(ctx context.Context) error {
	return errors.Join(x.traces.Shutdown(ctx), x.logs.Shutdown(ctx))
}

// tally counts what becomes of a signal. Without it the SDK would write failures to standard error.
type tally struct {
	signal                 string
	made, exported, failed prometheus.Counter
	log                    *slog.Logger
	complained             atomic.Int64 // when, in Unix nanoseconds
}

func newTally(items *prometheus.CounterVec, signal string, logger *slog.Logger) *tally {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	count := func(result string) prometheus.Counter { return items.WithLabelValues(signal, result) }
	return &tally{signal: signal, made: count("made"), exported: count("exported"), failed: count("failed"), log: logger}
}

func (t *tally) count(n int, err error) {
	if err == nil {
		t.exported.Add(float64(n))
		return
	}
	t.failed.Add(float64(n))
	now, last := time.Now().UnixNano(), t.complained.Load()
	if (last == 0 || now-last > int64(complainEvery)) && t.complained.CompareAndSwap(last, now) {
		t.log.Warn("telemetry: export failed", "signal", t.signal, "items", n, "error", Redact(err.Error()))
	}
}

type spanExporter struct {
	sdktrace.SpanExporter
	*tally
}

func (e *spanExporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	e.count(len(spans), e.SpanExporter.ExportSpans(ctx, spans))
	return nil
}

type logExporter struct {
	sdklog.Exporter
	*tally
}

func (e *logExporter) Export(ctx context.Context, records []sdklog.Record) error {
	e.count(len(records), e.Exporter.Export(ctx, records))
	return nil
}

// spanCounter counts the spans that go to the queue, which does not say what it drops.
type spanCounter struct{ *tally }

func (c *spanCounter) OnStart(context.Context, sdktrace.ReadWriteSpan) {}
func (c *spanCounter) OnEnd(s sdktrace.ReadOnlySpan) {
	if s.SpanContext().IsSampled() {
		c.made.Inc()
	}
}
func (c *spanCounter) Shutdown(context.Context) error   { return nil }
func (c *spanCounter) ForceFlush(context.Context) error { return nil }

// logCounter counts the logs that go to the queue.
type logCounter struct{ *tally }

func (c *logCounter) OnEmit(context.Context, *sdklog.Record) error           { c.made.Inc(); return nil }
func (c *logCounter) Enabled(context.Context, sdklog.EnabledParameters) bool { return true }
func (c *logCounter) Shutdown(context.Context) error                         { return nil }
func (c *logCounter) ForceFlush(context.Context) error                       { return nil }
