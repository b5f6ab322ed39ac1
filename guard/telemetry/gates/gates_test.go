package gates_test

import (
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/touchmark-dev/touchmark/guard/telemetry/gates"
)

// page is a page of metrics: latencies of decisions in buckets of 50, 150 and 1000 ms, and counters.
func page(unapproved int, cumulative ...int) string {
	var b strings.Builder
	b.WriteString("# TYPE touchmark_guard_decision_duration_seconds histogram\n")
	for i, le := range []string{"0.05", "0.15", "1", "+Inf"} {
		fmt.Fprintf(&b, "touchmark_guard_decision_duration_seconds_bucket{le=%q} %d\n", le, cumulative[i])
	}
	fmt.Fprintf(&b, "touchmark_guard_decision_duration_seconds_sum 1\ntouchmark_guard_decision_duration_seconds_count %d\n", cumulative[3])
	fmt.Fprintf(&b, "# TYPE touchmark_guard_unapproved_high_risk_writes_total counter\ntouchmark_guard_unapproved_high_risk_writes_total %d\n", unapproved)
	return b.String()
}

func parse(t *testing.T, text string) *gates.Scrape {
	t.Helper()
	s, err := gates.Parse(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestThresholds holds each gate against the measures on both sides of its bounds.
func TestThresholds(t *testing.T) {
	latency := func(cumulative ...int) string { return page(0, cumulative...) }
	counter := func(name string, values ...int) string {
		text := page(0, 1, 1, 1, 1) + "# TYPE " + name + " counter\n"
		for i, v := range values {
			text += fmt.Sprintf("%s{verdict=%q} %d\n", name, []string{"unknown", "quarantine", "pass"}[i], v)
		}
		return text
	}
	wait := func(le string, n int) string {
		return page(0, 1, 1, 1, 1) + "# TYPE touchmark_approval_wait_seconds histogram\n" +
			fmt.Sprintf("touchmark_approval_wait_seconds_bucket{le=%q} %d\ntouchmark_approval_wait_seconds_bucket{le=\"99999\"} 2\n", le, n) +
			"touchmark_approval_wait_seconds_bucket{le=\"+Inf\"} 2\ntouchmark_approval_wait_seconds_sum 1\ntouchmark_approval_wait_seconds_count 2\n"
	}
	for _, test := range []struct {
		gate int
		page string
		want gates.State
	}{
		{0, latency(95, 100, 100, 100), gates.Within}, // the 95th of 100 took 50 ms or less
		{0, latency(94, 100, 100, 100), gates.Missed},
		{0, latency(0, 95, 100, 100), gates.Missed}, // 150 ms is not above 150 ms
		{0, latency(0, 94, 100, 100), gates.Blocked},
		{0, latency(0, 0, 0, 100), gates.Blocked},
		{0, latency(0, 0, 0, 0), gates.NoData},
		{1, page(0, 1, 1, 1, 1), gates.Within},
		{1, page(1, 1, 1, 1, 1), gates.Blocked},
		{2, wait("600", 1), gates.Within},
		{2, wait("600", 0), gates.Blocked},
		{2, wait("1200", 1), gates.Missed},
		{3, counter("touchmark_registry_servers_total", 0, 5), gates.Within},
		{3, counter("touchmark_registry_servers_total", 1), gates.Blocked},
		{3, page(0, 1, 1, 1, 1), gates.NoData},
		{4, counter("touchmark_output_scans_total", 0, 9, 991), gates.Within},
		{4, counter("touchmark_output_scans_total", 0, 1, 99), gates.Missed}, // below 1% is the target
		{4, counter("touchmark_output_scans_total", 0, 3, 97), gates.Missed}, // 3% is not above 3%
		{4, counter("touchmark_output_scans_total", 0, 31, 969), gates.Blocked},
		{4, counter("touchmark_output_scans_total", 0, 0, 0), gates.NoData},
	} {
		report, err := gates.Check(parse(t, test.page))
		if err != nil {
			t.Fatal(err)
		}
		r := report.Results[test.gate]
		if r.State != test.want {
			t.Errorf("%s: %s (%v), want %s, with\n%s", r.Gate.ID, r.State, r.Value, test.want, test.page)
		}
		if report.Blocked() != (r.State == gates.Blocked) || report.Missed() != (r.State == gates.Blocked || r.State == gates.Missed) {
			t.Errorf("%s: blocked %v, missed %v", r.Gate.ID, report.Blocked(), report.Missed())
		}
	}
}

func TestCheckBetween(t *testing.T) {
	for _, test := range []struct {
		before, after string
		latency       float64
		unapproved    float64
	}{
		{page(3, 0, 0, 0, 100), page(3, 100, 100, 100, 200), 0.0475, 0},
		{page(3, 0, 0, 0, 100), page(5, 0, 100, 100, 200), 0.145, 2},
		{page(3, 90, 90, 90, 100), page(1, 10, 10, 10, 10), 0.0475, 1},    // began anew
		{page(3, 90, 90, 90, 90), page(3, 80, 100, 100, 100), 0.125, 0},   // began anew, and is beyond already
		{page(0, 10, 20, 20, 20), page(0, 20, 20, 20, 20), 0.0475, 0},     // does not add up: began anew
		{page(0, 10, 20, 20, 20), page(0, 10, 20, 20, 20), math.NaN(), 0}, // nothing happened
	} {
		report, err := gates.CheckBetween(parse(t, test.before), parse(t, test.after))
		if err != nil {
			t.Fatal(err)
		}
		r, u := report.Results[0], report.Results[1]
		if got := r.Value; math.Abs(got-test.latency) > 1e-9 || math.IsNaN(test.latency) != (r.State == gates.NoData) {
			t.Errorf("latency %v, %s, want %v", got, r.State, test.latency)
		}
		if u.Value != test.unapproved {
			t.Errorf("%v unapproved writes, want %v", u.Value, test.unapproved)
		}
	}
}

func TestMalformed(t *testing.T) {
	good := page(0, 1, 2, 3, 4)
	for _, text := range []string{
		"", "x", "{}", "<html></html>\n", "\x00\n",
		strings.TrimSuffix(good, "\n"),
		good[:len(good)/2],
		good + good,
		strings.Replace(good, "_total 0", "_total NaN", 1),
		strings.Replace(good, "_total 0", "_total -1", 1),
		strings.Replace(good, "_total 0", "_total +Inf", 1),
		strings.Replace(good, "_total 0", "_total 0\ntouchmark_guard_unapproved_high_risk_writes_total 0", 1),
		page(0, 2, 1, 3, 4),
		page(0, 1, 2, 5, 4),
		strings.Replace(good, "_count 4", "_count 5", 1),
		strings.Replace(good, "0.15", "0.01", 1),
		strings.Replace(good, `{le="+Inf"} 4`, `{le="2"} 4`, 1),
		strings.Replace(good, "counter", "gauge", 1),
		strings.Replace(good, "histogram", "summary", 1),
		strings.ReplaceAll(good, "touchmark_guard_decision", "another_guard_decision"),
		strings.ReplaceAll(good, "_writes_", "_reads_"),
		good + "# TYPE touchmark_output_scans_total counter\ntouchmark_output_scans_total{verdict=\"pass\"} 1e308\n" +
			"touchmark_output_scans_total{verdict=\"quarantine\"} 1.7e308\n",
		strings.Repeat("# x\n", gates.MaxBytes/4+1),
	} {
		s, err := gates.Parse(strings.NewReader(text))
		if err == nil {
			_, err = gates.Check(s)
		}
		var malformed *gates.MalformedError
		if !errors.As(err, &malformed) {
			t.Errorf("%.200q: %v", text, err)
		}
	}
	if _, err := gates.Parse(iotest.ErrReader(io.ErrUnexpectedEOF)); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a reader that fails: %v", err)
	}
}

// FuzzParse: whatever is read, nothing panics, and what is measured is no nonsense.
func FuzzParse(f *testing.F) {
	f.Add(page(0, 1, 2, 3, 4))
	f.Add("# TYPE touchmark_output_scans_total counter\ntouchmark_output_scans_total{verdict=\"pass\"} 1e300\n")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := gates.Parse(strings.NewReader(text))
		if err != nil {
			return
		}
		report, err := gates.Check(s)
		if err != nil {
			return
		}
		for _, r := range report.Results {
			if r.State == "" || r.State != gates.NoData && (math.IsNaN(r.Value) || r.Value < 0) {
				t.Fatalf("%+v", r)
			}
		}
	})
}

func Example() {
	metrics := `# TYPE touchmark_guard_decision_duration_seconds histogram
touchmark_guard_decision_duration_seconds_bucket{le="0.05"} 100
touchmark_guard_decision_duration_seconds_bucket{le="+Inf"} 100
touchmark_guard_decision_duration_seconds_sum 0.2
touchmark_guard_decision_duration_seconds_count 100
# TYPE touchmark_guard_unapproved_high_risk_writes_total counter
touchmark_guard_unapproved_high_risk_writes_total 1
`
	scrape, err := gates.Parse(strings.NewReader(metrics))
	if err != nil {
		fmt.Println(err)
		return
	}
	report, err := gates.Check(scrape)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, r := range report.Results[:3] {
		fmt.Println(r.Gate.ID, r.State)
	}
	// Output:
	// decision_latency within
	// unapproved_writes blocked
	// approval_wait no_data
}
