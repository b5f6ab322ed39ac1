package monitor

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// WriteMetrics writes what the monitor knows in the text format of Prometheus (spec/monitor.md section 6). Call it
// from the goroutine of [Monitor.Look].
func (m *Monitor) WriteMetrics(w io.Writer) error {
	var b strings.Builder
	gauge := func(name, help string, value any) {
		fmt.Fprintf(&b, "# HELP %s %s\n# TYPE %s gauge\n%s %v\n", name, help, name, name, value)
	}
	gauge("touchmark_monitor_entries", "Entries of the log that were read and believed.", m.state.Size)
	gauge("touchmark_monitor_streams", "Streams of records in the log.", len(m.streams))
	gauge("touchmark_monitor_open_decisions", "Decisions whose outcome has not come.", m.open)
	gauge("touchmark_monitor_journal_waiting", "Records of the journal that are not in the log.", m.done.Waiting)
	gauge("touchmark_monitor_promises_waiting", "Promises that are neither kept nor broken yet.", len(m.state.Promises))
	gauge("touchmark_monitor_last_look_timestamp_seconds", "When the last look began that came to an end, with or without an error.", seconds(m.done.Time))
	gauge("touchmark_monitor_last_complete_look_timestamp_seconds",
		"When the last look began up to whose checkpoint all was looked at, without an error.", seconds(m.state.Complete))
	gauge("touchmark_monitor_proofs", "Faults whose proof is kept.", len(m.known))
	const failed = "touchmark_monitor_looks_failed_total"
	fmt.Fprintf(&b, "# HELP %s Looks since the monitor was started that ended with an error.\n# TYPE %s counter\n%s %d\n", failed, failed, failed, m.failed)
	const faults = "touchmark_monitor_faults_total"
	fmt.Fprintf(&b, "# HELP %s Faults found since the monitor was started, by code.\n# TYPE %s counter\n", faults, faults)
	for _, c := range m.Faults() {
		fmt.Fprintf(&b, "%s{code=%q} %d\n", faults, c.Code, c.N)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// seconds is a time as metrics have it, 0 for never.
func seconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}
