package gates

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// MaxBytes is the length of the longest scrape that is read.
const MaxBytes = 16 << 20

// A Scrape is what a guard's metrics were at one time. Make it with [Parse].
type Scrape struct {
	families map[string]*dto.MetricFamily
}

// A MalformedError says that what was read are no metrics, or not such as count what the gates measure.
type MalformedError struct{ Reason string }

func (e *MalformedError) Error() string { return "gates: malformed metrics: " + e.Reason }

func malformedf(format string, args ...any) error {
	return &MalformedError{Reason: fmt.Sprintf(format, args...)}
}

// Parse reads metrics in the text format of Prometheus, version 0.0.4, by strict rules: a sample that stands there
// twice, a counter that is no finite number from zero up, or a histogram whose buckets do not add up makes all of it
// malformed. An error of r is returned as it is; every other one is a *[MalformedError].
func Parse(r io.Reader) (*Scrape, error) {
	text, err := io.ReadAll(io.LimitReader(r, MaxBytes+1))
	switch {
	case err != nil:
		return nil, err
	case len(text) > MaxBytes:
		return nil, malformedf("more than %d bytes", MaxBytes)
	case !bytes.HasSuffix(text, []byte("\n")):
		return nil, malformedf("the last line does not end: a part is missing")
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		return nil, malformedf("%v", err)
	}
	for name, f := range families {
		if err := checkFamily(f); err != nil {
			return nil, malformedf("%s: %v", name, err)
		}
	}
	return &Scrape{families}, nil
}

func checkFamily(f *dto.MetricFamily) error {
	seen := make(map[string]bool, len(f.GetMetric()))
	for _, m := range f.GetMetric() {
		labels := labelsOf(m)
		if seen[labels] {
			return fmt.Errorf("a sample stands there twice: {%s}", labels)
		}
		seen[labels] = true
		var err error
		switch f.GetType() {
		case dto.MetricType_COUNTER:
			err = checkCount(m.GetCounter().GetValue())
		case dto.MetricType_HISTOGRAM:
			err = checkHistogram(m.GetHistogram())
		}
		if err != nil {
			return fmt.Errorf("{%s}: %w", labels, err)
		}
	}
	return nil
}

func labelsOf(m *dto.Metric) string {
	pairs := make([]string, 0, len(m.GetLabel()))
	for _, l := range m.GetLabel() {
		pairs = append(pairs, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
	}
	slices.Sort(pairs)
	return strings.Join(pairs, ",")
}

func checkCount(v float64) error {
	if math.IsNaN(v) || math.IsInf(v, 0) || v < 0 {
		return fmt.Errorf("a count of %v", v)
	}
	return nil
}

func checkHistogram(h *dto.Histogram) error {
	buckets := h.GetBucket()
	if len(buckets) == 0 || !math.IsInf(buckets[len(buckets)-1].GetUpperBound(), 1) {
		return errors.New("a histogram without a last bucket +Inf")
	}
	bound, count := math.Inf(-1), 0.0
	for _, b := range buckets {
		switch {
		case !(b.GetUpperBound() > bound):
			return errors.New("buckets that do not rise")
		case cumulative(b) < count:
			return errors.New("a bucket that counts less than the one before")
		}
		bound, count = b.GetUpperBound(), cumulative(b)
	}
	if total := float64(h.GetSampleCount()); h.SampleCount == nil || count != total {
		return fmt.Errorf("a count of %v, and %v in the last bucket", total, count)
	}
	return nil
}

func cumulative(b *dto.Bucket) float64 { return float64(b.GetCumulativeCount()) }
