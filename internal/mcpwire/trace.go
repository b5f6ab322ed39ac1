package mcpwire

import "strings"

// MetaTraceparent is the member of a request's `_meta` that says which trace
// the request belongs to, as the header field Traceparent does.
const MetaTraceparent = "traceparent"

// TraceID returns the trace id of a W3C traceparent, and "" for what is not of
// that form.
func TraceID(traceparent string) string {
	parts := strings.Split(traceparent, "-")
	if len(parts) < 4 || len(parts[0]) != 2 || len(parts[1]) != 32 || strings.Trim(parts[1], "0123456789abcdef") != "" {
		return ""
	}
	return parts[1]
}
