// Package telemetry tells operators what a guard does: metrics for Prometheus, traces and logs for OpenTelemetry, and
// logs without secrets.
//
// Make a [Telemetry] with [New], give it to the guard as its Observer, and serve [Telemetry.Handler] where Prometheus
// reads it:
//
//	t, err := telemetry.New(ctx, &telemetry.Config{OTLP: "https://collector.example:4318"})
//	g, err := guard.New(&guard.Config{Observer: t, ...})
//	http.Handle("GET /metrics", t.Handler())
//	defer t.Close(ctx)
//
// Telemetry decides nothing and delays nothing: what cannot be exported is dropped and counted. The evidence is what
// lasts (package evidence); a span names its record and a record its span. Nothing that is exported holds a badge, a
// proof, an argument or a result, and the number of time series has a bound that no caller can move.
//
// The names of metrics and attributes are in spec/telemetry.md; package gates holds them against the gates of operation.
package telemetry
