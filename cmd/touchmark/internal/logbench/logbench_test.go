package logbench

import (
	"context"
	"encoding/xml"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/translog"
)

func TestSample(t *testing.T) {
	var s sample
	if s.quantiles() != (Quantiles{}) {
		t.Error("an empty sample has quantiles")
	}
	for i := range 3 * sampleSize {
		s.add(time.Duration(i + 1))
	}
	q := s.quantiles()
	for _, test := range []struct {
		name      string
		got, want float64
	}{{"p50", float64(q.P50), 1.5 * sampleSize}, {"p99", float64(q.P99), 2.97 * sampleSize}} {
		if test.got < 0.97*test.want || test.got > 1.03*test.want {
			t.Errorf("%s of the numbers up to %d is %.0f", test.name, 3*sampleSize, test.got)
		}
	}
	if len(s.values) != sampleSize {
		t.Errorf("%d values are kept", len(s.values))
	}
}

func TestStages(t *testing.T) {
	for n, want := range map[int]int{100: 1, 1000: 1, 1001: 2, 10_000: 2, 1_000_000: 4, 2_000_000: 5} {
		got := stages(n)
		if len(got) != want || got[want-1] != uint64(n) {
			t.Errorf("stages(%d) = %d", n, got)
		}
	}
}

// deaf is a log that publishes nothing.
type deaf struct{ err error }

func (d deaf) AwaitPublished(ctx context.Context, _ uint64) (*translog.Checkpoint, error) {
	if d.err != nil {
		return nil, d.err
	}
	<-ctx.Done()
	return nil, ctx.Err()
}

// TestMeterHoldsCallersBack: callers may be so far ahead, and no further until a checkpoint covers more.
func TestMeterHoldsCallersBack(t *testing.T) {
	m := newMeter(t.Context(), 10, deaf{})
	defer m.stop()
	stuck, cancel := context.WithCancel(t.Context())
	cancel()
	calls := 0
	for m.admit(stuck) == nil {
		calls++
	}
	if calls != 5 {
		t.Errorf("%d calls, want 5 of two records", calls)
	}
	began := time.Now()
	m.acknowledged(1, began, began.Add(time.Millisecond))
	m.acknowledged(7, began, began.Add(2*time.Millisecond))
	m.published(4, began.Add(time.Second), nil)
	m.acknowledged(3, began, began.Add(3*time.Millisecond)) // after the checkpoint
	if err := m.admit(stuck); err != nil {
		t.Errorf("nobody is admitted after a checkpoint: %v", err)
	}
	if len(m.pending) != 1 || m.acknowledge.seen != 3 || m.inclusion.seen != 2 {
		t.Errorf("pending %v, %d acknowledged, %d included", m.pending, m.acknowledge.seen, m.inclusion.seen)
	}
	if q := m.inclusion.quantiles(); q.P50 != 0 || m.inclusion.values[1] != time.Second-time.Millisecond {
		t.Errorf("inclusion took %v", m.inclusion.values)
	}
}

func TestMeterTellsThatTheLogFailed(t *testing.T) {
	broken := errors.New("broken")
	m := newMeter(t.Context(), 10, deaf{broken})
	defer m.stop()
	if err := m.await(t.Context(), 5); !errors.Is(err, broken) {
		t.Error(err)
	}
}

func TestWritten(t *testing.T) {
	dir := t.TempDir()
	for name, data := range map[string][]byte{
		"empty": nil, "zeroes": make([]byte, 3<<20), "full": []byte("12345"),
		"reserved": append([]byte("123\x00\x0056"), make([]byte, 2<<20)...), "edge": append(make([]byte, 1<<20-1), 1, 0),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := written(dir); err != nil || n != 5+7+1<<20 {
		t.Errorf("%d bytes, %v", n, err)
	}
}

// TestPlotOfLittle: figures that are missing are not drawn, and nothing divides by them.
func TestPlotOfLittle(t *testing.T) {
	for name, r := range map[string]*Report{
		"one stage":  {Stages: []Stage{{Records: 101, Acknowledged: 5, Provable: 5}}},
		"all zeroes": {Stages: []Stage{{Records: 101}, {Records: 1001}}},
	} {
		svg := r.SVG()
		if err := xml.Unmarshal([]byte(svg), new(struct{})); err != nil || strings.Contains(svg, "NaN") || strings.Contains(svg, "Inf") {
			t.Errorf("%s: %v in %s", name, err, svg)
		}
	}
}
