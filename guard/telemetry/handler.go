package telemetry

import (
	"bytes"
	"io"
	"net/http"

	"github.com/prometheus/common/expfmt"
)

// Handler serves the metrics in the text format of Prometheus, and behind them what more writes in the same format,
// such as a registry's WriteMetrics. The names of what more writes must be others. It does not ask who reads: serve it
// where only those who may know can.
func (t *Telemetry) Handler(more ...func(io.Writer) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "metrics are read", http.StatusMethodNotAllowed)
			return
		}
		var text bytes.Buffer
		if err := t.WriteMetrics(&text, more...); err != nil {
			http.Error(w, "the metrics cannot be gathered", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		_, _ = w.Write(text.Bytes()) // the reader may be gone
	})
}

// WriteMetrics writes what [Telemetry.Handler] serves.
func (t *Telemetry) WriteMetrics(w io.Writer, more ...func(io.Writer) error) error {
	families, err := t.registry.Gather()
	if err != nil {
		return err
	}
	enc := expfmt.NewEncoder(w, expfmt.NewFormat(expfmt.TypeTextPlain))
	for _, f := range families {
		if err := enc.Encode(f); err != nil {
			return err
		}
	}
	for _, write := range more {
		if err := write(w); err != nil {
			return err
		}
	}
	return nil
}
