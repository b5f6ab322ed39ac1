package telemetry

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"

	"go.opentelemetry.io/otel/log"
)

// NewLogHandler returns a handler that hands logs on to next without the secrets in them. The value of an attribute
// whose name is that of a secret is replaced whatever it is: badge, proof, token, password, key, arguments and the like.
// In every other value, and in the message, secrets are replaced that show as such, as [Redact] does. Values that
// are no text, number, time or bool become text.
func NewLogHandler(next slog.Handler) slog.Handler { return &logHandler{next: next} }

type logHandler struct {
	next   slog.Handler
	export log.Logger // nil: not exported

	groups []string    // open, for the export
	attrs  []slog.Attr // redacted, with the groups in their names, for the export
}

func (h *logHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.next.Enabled(ctx, level) || h.exports(level)
}

func (h *logHandler) exports(level slog.Level) bool {
	return h.export != nil && level >= slog.LevelInfo
}

func (h *logHandler) Handle(ctx context.Context, r slog.Record) error {
	out := slog.NewRecord(r.Time, r.Level, Redact(r.Message), r.PC)
	r.Attrs(func(a slog.Attr) bool {
		out.AddAttrs(redactAttr(a))
		return true
	})
	if h.exports(r.Level) {
		emit(ctx, h.export, out, h.groups, h.attrs)
	}
	if !h.next.Enabled(ctx, r.Level) {
		return nil
	}
	return h.next.Handle(ctx, out)
}

func (h *logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	redacted := make([]slog.Attr, 0, len(attrs))
	out := *h
	out.attrs = slices.Clone(h.attrs)
	for _, a := range attrs {
		a = redactAttr(a)
		redacted = append(redacted, a)
		for i := len(h.groups) - 1; i >= 0; i-- {
			a = slog.Attr{Key: h.groups[i], Value: slog.GroupValue(a)}
		}
		out.attrs = append(out.attrs, a)
	}
	out.next = h.next.WithAttrs(redacted)
	return &out
}

func (h *logHandler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	out := *h
	out.groups = append(slices.Clone(h.groups), name)
	out.next = h.next.WithGroup(name)
	return &out
}

func redactAttr(a slog.Attr) slog.Attr {
	v := a.Value.Resolve()
	if v.Kind() != slog.KindGroup && isSecretName(a.Key) && !isEmpty(v) {
		return slog.String(a.Key, Redacted)
	}
	switch v.Kind() {
	case slog.KindString:
		v = slog.StringValue(Redact(v.String()))
	case slog.KindGroup:
		members := make([]slog.Attr, 0, len(v.Group()))
		for _, m := range v.Group() {
			members = append(members, redactAttr(m))
		}
		v = slog.GroupValue(members...)
	case slog.KindAny:
		v = slog.StringValue(redactAny(v.Any()))
	}
	return slog.Attr{Key: Redact(a.Key), Value: v}
}

// isEmpty reports whether there is nothing to hide. That a secret is missing is worth a log.
func isEmpty(v slog.Value) bool { return v.Kind() == slog.KindString && v.String() == "" }

// redactAny makes text of a value as fmt does, without what shows as a secret in it.
func redactAny(v any) string {
	switch v := v.(type) {
	case nil:
		return "<nil>"
	case error:
		return Redact(fmt.Sprint(v)) // which outlives an Error that panics
	case []byte:
		return Redact(string(v))
	case http.Header:
		return redactMap(v)
	case map[string]string:
		return redactMap(v)
	case map[string]any:
		return redactMap(v)
	}
	return Redact(fmt.Sprintf("%+v", v))
}

func redactMap[V any](m map[string]V) string {
	out := make(map[string]string, len(m))
	for name, v := range m {
		if out[name] = Redacted; !isSecretName(name) {
			out[name] = redactAny(any(v))
		}
	}
	return fmt.Sprint(out)
}
