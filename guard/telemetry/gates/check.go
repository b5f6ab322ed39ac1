package gates

// A Result says how operation stands to one gate.
type Result struct {
	Gate  Gate
	State State

	// Measure is what was measured, in the unit of the gate. With [NoData] it means nothing.
	Measure

	// NotApplicable says of [NoData] that the guard has no part that the gate is about.
	NotApplicable bool
}

// A Measure is a number that was measured. The zero Measure rests on nothing.
type Measure struct {
	Value   float64
	AtLeast bool    // only a lower bound is known, and Value is it
	Events  float64 // that it rests on; 1 for a number of events
}

// A Report has one Result for each gate, in the order of [All].
type Report struct {
	Results []Result

	// Whole is the 95th percentile of whole decisions with their records, in seconds: what a caller waits for. No gate
	// is about it.
	Whole Measure
}

// Blocked reports whether the block condition of a gate is met.
func (r *Report) Blocked() bool { return r.any(Blocked) }

// Missed reports whether a target is missed.
func (r *Report) Missed() bool { return r.any(Missed) || r.Blocked() }

func (r *Report) any(s State) bool {
	for i := range r.Results {
		if r.Results[i].State == s {
			return true
		}
	}
	return false
}

// Check holds what happened since the process started against the gates. An error is a *[MalformedError]: among the
// metrics are not those that every guard has, or they are of another type.
func Check(s *Scrape) (*Report, error) { return check(&span{after: s}) }

// CheckBetween holds what happened between two scrapes against the gates. What counts less than before is taken to
// have started anew in between.
func CheckBetween(before, after *Scrape) (*Report, error) {
	if _, err := check(&span{after: before}); err != nil {
		return nil, err
	}
	return check(&span{before, after})
}

func check(s *span) (*Report, error) {
	report := &Report{}
	for _, g := range All() {
		m, err := g.measure(s)
		switch {
		case err != nil:
			return nil, err
		case m.absent && !g.Optional:
			return nil, malformedf("there is no %s, which every guard has", g.Metric)
		}
		r := Result{Gate: g, State: NoData, NotApplicable: m.absent}
		if m.Events > 0 {
			r.Measure, r.State = m.Measure, g.judge(m.Measure)
		}
		report.Results = append(report.Results, r)
	}
	whole, err := quantileOf(metricCheckDuration, p95)(s)
	report.Whole = whole.Measure
	return report, err
}
