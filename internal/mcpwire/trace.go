package mcpwire

import "strings"

// MetaTraceparent is the member of a request's `_meta` that says which trace
// the request belongs to, as the header field Traceparent does.
const MetaTraceparent = "traceparent"

// MetaTracestate goes with MetaTraceparent, and only so.
const MetaTracestate = "tracestate"

// MaxTracestateBytes is the length of the longest tracestate that is taken.
const MaxTracestateBytes = 512

// Trace returns the trace context that a request carries: that of its `_meta`,
// and only if that has no traceparent the one of its header fields, so that no
// proxy puts another one in its place. A traceparent that is not of the W3C form
// is none.
func Trace(header func(name string) string, meta map[string]any) (parent, state string) {
	if v, ok := meta[MetaTraceparent]; ok {
		parent, _ = v.(string)
		state, _ = meta[MetaTracestate].(string)
	} else {
		parent, state = header("Traceparent"), header("Tracestate")
	}
	if TraceID(parent) == "" {
		return "", ""
	}
	if len(state) > MaxTracestateBytes {
		state = ""
	}
	return parent, state
}

// TraceID returns the trace id of a W3C traceparent, and "" for what is not of
// that form.
func TraceID(traceparent string) string {
	parts := strings.Split(traceparent, "-")
	if len(parts) < 4 || len(parts[0]) != 2 || len(parts[1]) != 32 || strings.Trim(parts[1], "0123456789abcdef") != "" {
		return ""
	}
	return parts[1]
}
