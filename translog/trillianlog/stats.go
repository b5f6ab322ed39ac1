package trillianlog

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// maxWaiting bounds the entries whose time is taken from submission to a checkpoint.
const maxWaiting = 1 << 17

// SharedStats are the statistics of a [Shared]: its own entries, not those of others.
type SharedStats struct {
	Submitted  uint64 // entries that the server took
	Duplicates uint64 // of those, that it had already
	Busy       uint64 // refused because of its quota
	Failed     uint64 // refused, or not answered, otherwise

	InFlight int           // entries under way to the server
	Waiting  int           // entries that the server took and that no checkpoint was seen with
	Oldest   time.Duration // how long the first of them has waited

	Included uint64        // entries that a checkpoint was seen with
	Delay    time.Duration // from submission to that, of the last one
	DelaySum time.Duration // of all
}

// counters are the statistics as they are kept.
type counters struct {
	mu      sync.Mutex
	s       SharedStats
	waiting map[[32]byte]time.Time // when the server took it
}

func (c *counters) submitted(leaf [32]byte, there bool, err error, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var busy *BusyError
	switch {
	case errors.As(err, &busy):
		c.s.Busy++
		return
	case err != nil:
		c.s.Failed++
		return
	}
	c.s.Submitted++
	if there {
		c.s.Duplicates++
		return // it may be in a checkpoint that was seen
	}
	if len(c.waiting) < maxWaiting {
		c.waiting[leaf] = now
	}
}

func (c *counters) isWaiting(leaf [32]byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.waiting[leaf]
	return ok
}

func (c *counters) included(leaves [][32]byte, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, leaf := range leaves {
		since, ok := c.waiting[leaf]
		if !ok {
			continue
		}
		delete(c.waiting, leaf)
		c.s.Included++
		c.s.Delay = now.Sub(since)
		c.s.DelaySum += c.s.Delay
	}
}

// Stats returns the statistics of this moment.
func (s *Shared) Stats() SharedStats {
	s.stats.mu.Lock()
	defer s.stats.mu.Unlock()
	out := s.stats.s
	out.InFlight, out.Waiting = len(s.slots), len(s.stats.waiting)
	now := s.now()
	for _, since := range s.stats.waiting {
		out.Oldest = max(out.Oldest, now.Sub(since))
	}
	return out
}

// metrics are written in the text format of Prometheus.
type metrics struct{ b strings.Builder }

func (m *metrics) add(kind, name, help string, value any) {
	fmt.Fprintf(&m.b, "# HELP %s %s\n# TYPE %s %s\n%s %v\n", name, help, name, kind, name, value)
}

func (m *metrics) writeTo(w io.Writer) error {
	_, err := io.WriteString(w, m.b.String())
	return err
}

// WriteMetrics writes the statistics in the text format of Prometheus.
func (s *Shared) WriteMetrics(w io.Writer) error {
	st, m := s.Stats(), &metrics{}
	m.add("counter", "touchmark_log_submitted_total", "Entries that the shared log took.", st.Submitted)
	m.add("counter", "touchmark_log_duplicates_total", "Entries that the shared log had already.", st.Duplicates)
	m.add("counter", "touchmark_log_busy_total", "Entries refused because too many wait for the signer.", st.Busy)
	m.add("counter", "touchmark_log_failed_total", "Submissions that were refused or not answered.", st.Failed)
	m.add("gauge", "touchmark_log_in_flight", "Entries under way to the log server.", st.InFlight)
	m.add("gauge", "touchmark_log_queue", "Entries taken that no checkpoint was seen with.", st.Waiting)
	m.add("gauge", "touchmark_log_queue_oldest_seconds", "How long the first of them has waited.", st.Oldest.Seconds())
	m.add("counter", "touchmark_log_included_total", "Entries that a checkpoint was seen with.", st.Included)
	m.add("gauge", "touchmark_log_integration_seconds", "From submission to checkpoint, of the last entry.", st.Delay.Seconds())
	m.add("counter", "touchmark_log_integration_seconds_total", "The same, of all entries.", st.DelaySum.Seconds())
	return m.writeTo(w)
}

// PublisherStats are the statistics of a [Publisher].
type PublisherStats struct {
	Term      uint64    // as the one who signs; 0 as one who follows
	Elections uint64    // how often it became the one who signs
	Lost      uint64    // checkpoints that were not signed because another candidate was the one, or the state did not answer
	Entries   uint64    // in the database's tree
	Signed    uint64    // of those, covered by the state's checkpoint at the last turn
	Shown     uint64    // of those, covered by the checkpoint in the directory
	ShownAt   time.Time // when that was shown
}

// Stats returns the statistics as of the last turn.
func (p *Publisher) Stats() PublisherStats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stats
}

// WriteMetrics writes the statistics in the text format of Prometheus.
func (p *Publisher) WriteMetrics(w io.Writer) error {
	st, m := p.Stats(), &metrics{}
	elected := 0
	if st.Term > 0 {
		elected = 1
	}
	m.add("gauge", "touchmark_publisher_elected", "1 if this publisher signs, 0 if it follows.", elected)
	m.add("gauge", "touchmark_publisher_term", "Its term as the one who signs.", st.Term)
	m.add("counter", "touchmark_publisher_elections_total", "How often it became the one who signs.", st.Elections)
	m.add("counter", "touchmark_publisher_lost_total", "Checkpoints not signed because it was not the one any more.", st.Lost)
	m.add("gauge", "touchmark_publisher_entries", "Entries in the tree of the database.", st.Entries)
	m.add("gauge", "touchmark_publisher_signed", "Entries under the last checkpoint of the state.", st.Signed)
	m.add("gauge", "touchmark_publisher_shown", "Entries under the checkpoint in the directory.", st.Shown)
	m.add("gauge", "touchmark_publisher_shown_timestamp_seconds", "When that checkpoint was shown.", st.ShownAt.Unix())
	return m.writeTo(w)
}
