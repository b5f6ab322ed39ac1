package telemetry

import (
	"context"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/log"
	"go.opentelemetry.io/otel/trace"

	"github.com/touchmark-dev/touchmark/guard"
)

// decisionEvent is the name of the logs of decisions.
const decisionEvent = "touchmark.decision"

// logs reports whether a decision is logged: if it did not allow, or would not by a rule in shadow, and all of them if
// that is configured.
func (t *Telemetry) logs(d *guard.Decided) bool {
	return t.logger != nil && (!d.Allowed || d.Shadowed.Rule != "" || t.logsAll)
}

// logDecision exports a log of a decision with what the span says too. A verdict that refuses is a warning; that it
// could not be told is an error.
func (t *Telemetry) logDecision(o *observation, d *guard.Decided) {
	var r log.Record
	r.SetEventName(decisionEvent)
	r.SetTimestamp(time.Now())
	switch {
	case d.Allowed:
		r.SetSeverity(log.SeverityInfo)
	case severe(d):
		r.SetSeverity(log.SeverityError)
	default:
		r.SetSeverity(log.SeverityWarn)
	}
	r.SetBody(attribute.StringValue(o.method + " " + word(decisionWords, string(d.Kind))))
	r.AddAttributes(o.attrs...)
	ctx := context.Background()
	if o.span != nil {
		ctx = trace.ContextWithSpan(ctx, o.span)
	}
	t.logger.Emit(ctx, r)
}

// LogHandler returns a handler that writes logs to next as [NewLogHandler] does, and exports them from level Info on.
// Without an export it is NewLogHandler.
func (t *Telemetry) LogHandler(next slog.Handler) slog.Handler {
	if t.logger == nil {
		return NewLogHandler(next)
	}
	return &logHandler{next: next, export: t.logger}
}

// emit exports a log that was redacted before.
func emit(ctx context.Context, logger log.Logger, r slog.Record, prefix []string, attrs []slog.Attr) {
	var out log.Record
	out.SetTimestamp(r.Time)
	out.SetSeverity(log.Severity(int(r.Level)) + log.SeverityInfo) // both count in fours from one level to the next
	out.SetSeverityText(r.Level.String())
	out.SetBody(attribute.StringValue(r.Message))
	for _, a := range attrs {
		out.AddAttributes(flatten(nil, "", a)...)
	}
	group := ""
	for _, p := range prefix {
		group += p + "."
	}
	r.Attrs(func(a slog.Attr) bool {
		out.AddAttributes(flatten(nil, group, a)...)
		return true
	})
	logger.Emit(ctx, out)
}

func flatten(to []attribute.KeyValue, prefix string, a slog.Attr) []attribute.KeyValue {
	if a.Value.Kind() != slog.KindGroup {
		return append(to, attribute.String(prefix+a.Key, a.Value.String()))
	}
	if a.Key != "" {
		prefix += a.Key + "."
	}
	for _, member := range a.Value.Group() {
		to = flatten(to, prefix, member)
	}
	return to
}
