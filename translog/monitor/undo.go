package monitor

import (
	"errors"
	"maps"
)

// A touched stream is one that the entries being read have changed, as it was before.
type touched struct {
	s      *stream
	before streamState
	isNew  bool
}

// touch notes how a stream is, for back.
func (m *Monitor) touch(s *stream) {
	if s.touched {
		return
	}
	s.touched = true
	before := s.streamState
	before.Open = maps.Clone(s.Open)
	s.file.begin()
	m.touched = append(m.touched, touched{s: s, before: before})
}

// A mark is how far lists were that only grow.
type mark struct {
	missing int
	unread  uint64
	excused uint64
}

func (m *Monitor) mark() mark {
	return mark{len(m.state.Missing), m.state.Unread, m.state.Excused}
}

// settled ends what touch began.
func (m *Monitor) settled() {
	m.was, m.claims = m.mark(), nil
	if m.library != nil {
		m.library.settled()
	}
	for _, t := range m.touched {
		t.s.file.end()
		t.s.touched = false
	}
	m.touched = nil
}

// back makes all streams what they were before the entries that were not read to their end: a fault that was seen, and
// whose proof could not be had, must be seen again.
func (m *Monitor) back() error {
	var errs []error
	for _, t := range m.touched {
		m.open += len(t.before.Open) - len(t.s.Open)
		if t.isNew {
			delete(m.streams, t.s.ID)
			errs = append(errs, t.s.file.close())
			continue
		}
		t.s.streamState, t.s.touched = t.before, false
		t.s.file.back()
	}
	m.touched = nil
	for _, i := range m.claims {
		m.state.Missing[i].Claimed = false
	}
	m.state.Missing, m.state.Unread, m.claims = m.state.Missing[:m.was.missing], m.was.unread, nil
	m.state.Excused = m.was.excused
	if m.library != nil {
		m.library.back()
	}
	return errors.Join(errs...)
}
