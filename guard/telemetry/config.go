package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"go.opentelemetry.io/otel/log"
	"go.opentelemetry.io/otel/trace"

	"github.com/touchmark-dev/touchmark/guard"
)

// MaxTools is how many names [Config.Tools] may have.
const MaxTools = 200

// A Config says what a [Telemetry] tells, and to whom. The zero Config has metrics and exports nothing.
type Config struct {
	// OTLP is the base URL of a collector that takes OTLP over HTTP: traces go to /v1/traces below it, logs to
	// /v1/logs. Empty exports nothing. It is https, or http at a loopback address. Beside it the standard variables
	// of the environment hold as OpenTelemetry defines them: OTEL_EXPORTER_OTLP_HEADERS, _CERTIFICATE, OTEL_RESOURCE_ATTRIBUTES.
	OTLP string

	// UnsafePlainHTTP allows OTLP over plain http to another machine: who is on the way reads what is exported.
	UnsafePlainHTTP bool

	// Global makes spans and logs with the providers that the program has registered with OpenTelemetry, which then
	// decides about sampling and export. It excludes OTLP.
	Global bool

	// ContinueTraces makes a span part of the trace that the caller says it belongs to. Nobody has verified that: a caller
	// can then choose the trace's id, and put spans into the traces of others. By default the span begins a trace of its
	// own, or belongs to the one of its context, and is linked to the caller's.
	ContinueTraces bool

	// SampleRatio is the share of traces that are exported, above 0 and up to 1. Zero means all. What the caller says of
	// sampling is not believed.
	SampleRatio float64

	// LogAllowed exports a log of each decision that allowed something, too, for those who keep no traces. Logs of all
	// others are exported in any case.
	LogAllowed bool

	// Tools are names of tools that decisions are counted by, at most [MaxTools]. All others are counted together. Nil
	// counts by no name.
	Tools []string

	// HighRisk says which calls are high-risk writes. Nil means [DefaultHighRisk].
	HighRisk *HighRisk

	// PolicyVersion returns the digest of the rules in force. Nil means that of the last decision.
	PolicyVersion func() string

	// Backlog returns how many records wait to be shipped to the log. Nil has no such metric.
	Backlog func() int

	// Service is the name of the service in what is exported, where OTEL_SERVICE_NAME does not say another. Empty means
	// "touchmark".
	Service string

	// Logger hears that exports fail, at most once a minute for each signal. Nil discards. It must not be one of
	// [Telemetry.LogHandler].
	Logger *slog.Logger
}

// Telemetry observes a guard. Make it with [New]; it is safe for concurrent use.
type Telemetry struct {
	metrics
	tracer    trace.Tracer // nil: no spans
	logger    log.Logger   // nil: no logs
	continues bool
	logsAll   bool
	risk      HighRisk
	tools     map[string]string
	export    *export // nil: nothing of ours
}

var _ guard.Observer = (*Telemetry)(nil)

// New makes a Telemetry. With OTLP it starts to export in the background, and does not wait for the collector; close
// it in the end. It refuses a Config that contradicts itself.
func New(ctx context.Context, cfg *Config) (*Telemetry, error) {
	if cfg == nil {
		cfg = &Config{}
	}
	switch {
	case cfg.Global && cfg.OTLP != "":
		return nil, errors.New("telemetry: Config has Global and OTLP: either the program exports, or this package")
	case cfg.SampleRatio < 0 || cfg.SampleRatio > 1 || cfg.SampleRatio != cfg.SampleRatio:
		return nil, fmt.Errorf("telemetry: a SampleRatio of %v is not from 0 to 1", cfg.SampleRatio)
	case len(cfg.Tools) > MaxTools:
		return nil, fmt.Errorf("telemetry: %d Tools, of at most %d", len(cfg.Tools), MaxTools)
	}
	t := &Telemetry{continues: cfg.ContinueTraces, logsAll: cfg.LogAllowed, risk: DefaultHighRisk()}
	if cfg.HighRisk != nil {
		t.risk = cfg.HighRisk.clone()
	}
	t.tools = make(map[string]string, len(cfg.Tools))
	for _, name := range cfg.Tools {
		if name == "" || name == other || len(name) > guard.MaxNameBytes {
			return nil, fmt.Errorf("telemetry: %q in Tools cannot be counted by name", name)
		}
		t.tools[name] = bounded(name)
	}
	t.register(cfg)
	switch {
	case cfg.Global:
		t.tracer, t.logger = globalProviders()
	case cfg.OTLP != "":
		x, err := newExport(ctx, cfg, t.items)
		if err != nil {
			return nil, err
		}
		t.export, t.tracer, t.logger = x, x.traces.Tracer(scope), x.logs.Logger(scope)
	}
	return t, nil
}

// Flush exports what waits, as far as that can be done before ctx ends.
func (t *Telemetry) Flush(ctx context.Context) error {
	if t.export == nil {
		return nil
	}
	return t.export.flush(ctx)
}

// Close exports what waits, as far as that can be done before ctx ends, and stops. The metrics stay.
func (t *Telemetry) Close(ctx context.Context) error {
	if t.export == nil {
		return nil
	}
	return t.export.close(ctx)
}
