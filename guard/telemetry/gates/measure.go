package gates

import (
	"math"

	dto "github.com/prometheus/client_model/go"
)

// A span is what happened between two scrapes, or since the start of the process when before is nil.
type span struct{ before, after *Scrape }

// A measure is what came of a span.
type measure struct {
	Measure
	absent bool // there is no such metric at all
}

// p95 is the quantile of latencies.
const p95 = 0.95

// increaseOf counts events: all of a metric, or those with a label.
func increaseOf(metric, label, value string) func(*span) (measure, error) {
	return func(s *span) (measure, error) {
		n, found, err := s.increase(metric, label, value)
		if err != nil || !found {
			return measure{absent: !found}, err
		}
		return measure{Measure: Measure{Value: n, Events: 1}}, nil
	}
}

// ratioOf is the share of the events with a label in all events.
func ratioOf(metric, label, value string) func(*span) (measure, error) {
	return func(s *span) (measure, error) {
		all, found, err := s.increase(metric, "", "")
		if err != nil || !found || all == 0 {
			return measure{absent: !found}, err
		}
		part, _, err := s.increase(metric, label, value)
		return measure{Measure: Measure{Value: part / all, Events: all}}, err
	}
}

// increase adds up by how much each counter of a family grew. A counter that is smaller than before began anew, when
// its process did.
func (s *span) increase(metric, label, value string) (sum float64, found bool, err error) {
	f, err := s.after.family(metric, dto.MetricType_COUNTER)
	if f == nil || err != nil {
		return 0, false, err
	}
	before, err := s.earlier(metric, dto.MetricType_COUNTER)
	if err != nil {
		return 0, false, err
	}
	for _, m := range f.GetMetric() {
		if label != "" && labelOf(m, label) != value {
			continue
		}
		n := m.GetCounter().GetValue()
		if old := before[labelsOf(m)].GetCounter().GetValue(); old <= n {
			n -= old
		}
		sum += n
	}
	if math.IsInf(sum, 0) { // a share of it would be no number, which is below every bound
		return 0, false, malformedf("%s: counters that add up to no finite number", metric)
	}
	return sum, true, nil
}

// quantileOf estimates a quantile of a histogram as Prometheus does, over all its label sets: linearly within a
// bucket. Whether it is above a bound that a bucket has is exact.
func quantileOf(metric string, q float64) func(*span) (measure, error) {
	return func(s *span) (measure, error) {
		bounds, counts, err := s.buckets(metric)
		if bounds == nil || err != nil {
			return measure{absent: true}, err
		}
		total := counts[len(counts)-1]
		if total == 0 {
			return measure{}, nil
		}
		rank, i := q*total, 0
		for counts[i] < rank {
			i++
		}
		m := Measure{Events: total}
		below, start := 0.0, 0.0
		if i > 0 {
			below, start = counts[i-1], bounds[i-1]
		}
		if math.IsInf(bounds[i], 1) {
			m.Value, m.AtLeast = start, true
			return measure{Measure: m}, nil
		}
		m.Value = bounds[i]
		if counts[i] > rank { // or the bound itself, exactly
			m.Value = start + (bounds[i]-start)*(rank-below)/(counts[i]-below)
		}
		return measure{Measure: m}, nil
	}
}

// buckets adds up the histograms of a family: what each cumulative bucket grew by.
func (s *span) buckets(metric string) (bounds, counts []float64, err error) {
	f, err := s.after.family(metric, dto.MetricType_HISTOGRAM)
	if f == nil || err != nil {
		return nil, nil, err
	}
	before, err := s.earlier(metric, dto.MetricType_HISTOGRAM)
	if err != nil {
		return nil, nil, err
	}
	for _, m := range f.GetMetric() {
		buckets := m.GetHistogram().GetBucket()
		old := before[labelsOf(m)].GetHistogram().GetBucket()
		if bounds == nil {
			counts = make([]float64, len(buckets))
			for _, b := range buckets {
				bounds = append(bounds, b.GetUpperBound())
			}
		}
		if !sameBounds(bounds, buckets) || len(old) > 0 && !sameBounds(bounds, old) {
			return nil, nil, malformedf("%s: histograms with different buckets", metric)
		}
		grown := growth(old, buckets)
		for i := range counts {
			counts[i] += grown[i]
		}
	}
	return bounds, counts, nil
}

// growth is by how much each bucket grew. A histogram with a bucket that shrank, or whose growth does not add up,
// began anew.
func growth(old, now []*dto.Bucket) []float64 {
	grown, last, restarted := make([]float64, len(now)), 0.0, len(old) == 0
	for i := 0; i < len(now) && !restarted; i++ {
		grown[i] = cumulative(now[i]) - cumulative(old[i])
		restarted, last = grown[i] < last, grown[i]
	}
	for i := 0; i < len(now) && restarted; i++ {
		grown[i] = cumulative(now[i])
	}
	return grown
}

func sameBounds(bounds []float64, buckets []*dto.Bucket) bool {
	if len(bounds) != len(buckets) {
		return false
	}
	for i, b := range buckets {
		if b.GetUpperBound() != bounds[i] {
			return false
		}
	}
	return true
}

// family returns a family of the type that it must have, nil if there is none.
func (s *Scrape) family(metric string, want dto.MetricType) (*dto.MetricFamily, error) {
	f := s.families[metric]
	if f != nil && f.GetType() != want {
		return nil, malformedf("%s is no %s", metric, want)
	}
	return f, nil
}

// earlier returns the first scrape's metrics of a family by their labels.
func (s *span) earlier(metric string, want dto.MetricType) (map[string]*dto.Metric, error) {
	if s.before == nil {
		return nil, nil
	}
	f, err := s.before.family(metric, want)
	if err != nil {
		return nil, err
	}
	byLabels := make(map[string]*dto.Metric, len(f.GetMetric()))
	for _, m := range f.GetMetric() {
		byLabels[labelsOf(m)] = m
	}
	return byLabels, nil
}

func labelOf(m *dto.Metric, name string) string {
	for _, l := range m.GetLabel() {
		if l.GetName() == name {
			return l.GetValue()
		}
	}
	return ""
}
