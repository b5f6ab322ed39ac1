package registry

import (
	"fmt"
	"io"
	"time"
)

// WriteMetrics writes the registry's counters in the text format of Prometheus
// (spec/registry.md section 7).
func (r *Registry) WriteMetrics(w io.Writer) error {
	s := r.Stats()
	refreshed := 0.0
	if !s.Refreshed.IsZero() {
		refreshed = float64(s.Refreshed.UnixMilli()) / float64(time.Second/time.Millisecond)
	}
	_, err := fmt.Fprintf(w, `# HELP touchmark_registry_servers_total Servers that the registry was asked about.
# TYPE touchmark_registry_servers_total counter
touchmark_registry_servers_total{verdict="admitted"} %d
touchmark_registry_servers_total{verdict="unknown"} %d
touchmark_registry_servers_total{verdict="not_allowed"} %d
touchmark_registry_servers_total{verdict="undetermined"} %d
# HELP touchmark_registry_tools_refused_total Uses of tools that the registry does not allow.
# TYPE touchmark_registry_tools_refused_total counter
touchmark_registry_tools_refused_total %d
# HELP touchmark_registry_list_serial Serial number of the list in use.
# TYPE touchmark_registry_list_serial gauge
touchmark_registry_list_serial %d
# HELP touchmark_registry_list_refreshed_timestamp_seconds When the list was last found to be the current one.
# TYPE touchmark_registry_list_refreshed_timestamp_seconds gauge
touchmark_registry_list_refreshed_timestamp_seconds %.3f
`, s.Admitted, s.Unknown, s.NotAllowed, s.Failed, s.ToolsRefused, s.Serial, refreshed)
	return err
}
