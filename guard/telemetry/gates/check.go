package gates

// A Result says how operation stands to one gate.
type Result struct {
	Gate  Gate
	State State

	// Value is the measure, in the unit of the gate. With [NoData] it means nothing.
	Value float64
	// AtLeast says that only a lower bound of the measure is known, and Value is it.
	AtLeast bool
	// Events is how many events Value rests on; 1 for a number of events.
	Events float64
	// NotApplicable says of [NoData] that the guard has no part that the gate is about.
	NotApplicable bool
}

// A Report has one Result for each gate, in the order of [All].
type Report struct{ Results []Result }

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
		if m.events > 0 {
			r.State, r.Value, r.AtLeast, r.Events = g.judge(m.value), m.value, m.beyond, m.events
			if m.beyond {
				r.State = Blocked
			}
		}
		report.Results = append(report.Results, r)
	}
	return report, nil
}
