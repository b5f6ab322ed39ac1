package monitor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/translog"
)

// readJournals holds the log against every source of records, each with the time of a step: a long one does not hold up
// those after it.
func (m *Monitor) readJournals(ctx context.Context, cp *translog.Checkpoint) error {
	var errs []error
	for _, source := range m.cfg.sources() {
		errs = append(errs, m.step(ctx, func(ctx context.Context) error { return m.readJournal(ctx, cp, source) }))
	}
	return errors.Join(errs...)
}

// readJournal holds the log against the journal of a server: what is in the journal must be in the log before long,
// and what is in the log must be in the journal. The log was read before, and can lag behind the journal; not the
// other way round.
func (m *Monitor) readJournal(ctx context.Context, cp *translog.Checkpoint, source RecordSource) error {
	w := &journalWalk{monitor: m, cp: cp, name: source.Name, at: m.journal(source.Name)}
	if source.Name == m.cfg.Journal {
		head, err := evidence.ReadJournalHead(m.cfg.Journal)
		if err != nil {
			m.broken[source.Name] = err
			return nil
		}
		if head != nil {
			if err := w.removed(ctx, head.Entry); err != nil {
				return err
			}
		}
	}
	from := w.at.Next
	if from > 0 {
		from-- // the last one that was compared must still be there
	}
	w.end = max(w.end, from)
	for stored, err := range source.Read(from) {
		if err != nil {
			m.broken[source.Name] = err
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		known, err := w.known(stored)
		if err == nil && !known {
			err = w.visit(ctx, stored.Entry)
		}
		if err != nil {
			return err
		}
	}
	if source.Name != m.cfg.Journal {
		return nil // a copy may lag behind: what is missing in it was told of the leaves
	}
	return w.finish(ctx)
}

// A journalWalk goes through the records of a journal that were not compared yet.
type journalWalk struct {
	monitor *Monitor
	cp      *translog.Checkpoint
	name    string // of the source
	at      *journalState
	end     uint64 // number of the record after the last one of the journal
	waits   bool   // one was not in the log yet
	begun   bool   // one was compared
}

// compared moves on after a record that need not be looked at again, or stays at one that must. A source may begin with any
// number.
func (w *journalWalk) compared(seq uint64, settled bool) {
	if settled && (seq == w.at.Next || w.at.Next == 0 && !w.begun) {
		w.at.Next = seq + 1
	}
	w.begun = true
}

// removed compares the last of the records that were removed from the journal, which were proven to be in the log and were
// read there: of what the head of a journal says, this alone is signed.
func (w *journalWalk) removed(ctx context.Context, entry []byte) error {
	e, err := evidence.ParseEntry(entry)
	if err == nil {
		err = w.signed(e)
	}
	if err != nil {
		return w.unsigned(ctx, entry, err)
	}
	settled, err := w.settle(ctx, entry, e)
	if settled {
		w.at.Next = max(w.at.Next, e.Record.Sequence+1)
	}
	return err
}

// shown moves on after a record that a source has just shown and that the log has at its place, as [journalWalk.known] would.
// Where a source may have another record of that number, or one of a smaller number yet to come, the walk is to see it.
func (m *Monitor) shown(r *found) {
	if r.volume == nil || !r.volume.shelf.source.ordered || !r.placed || r.volume.seq != r.record.Sequence {
		return
	}
	at := m.journal(r.volume.shelf.source.Name)
	if at.Next != r.record.Sequence {
		return
	}
	if at.Stream.IsZero() {
		at.Stream = r.record.Stream
	}
	if at.Stream == r.record.Stream {
		at.Next++
	}
}

// known passes over a record that the log has at its place, and that was looked at there: it need not be read again.
func (w *journalWalk) known(stored *evidence.StoredRecord) (bool, error) {
	s := w.monitor.streams[w.at.Stream]
	if s == nil || stored.Sequence >= s.Next {
		return false, nil
	}
	_, index, there, err := s.at(stored.Sequence)
	if err != nil || !there {
		return false, err
	}
	leaf, err := w.monitor.leaves.get(index)
	if err != nil || [32]byte(leaf) != w.monitor.cfg.LogForm.LeafHash(stored.Entry) {
		return false, err
	}
	w.end = stored.Sequence + 1
	w.compared(stored.Sequence, true)
	return true, nil
}

func (w *journalWalk) visit(ctx context.Context, entry []byte) error {
	e, err := evidence.ParseEntry(entry)
	if err != nil {
		return w.unsigned(ctx, entry, err)
	}
	settled, err := w.settle(ctx, entry, e)
	w.compared(e.Record.Sequence, settled)
	return err
}

// unsigned tells of what is in the journal and is no record of a server.
func (w *journalWalk) unsigned(ctx context.Context, entry []byte, err error) error {
	f := w.monitor.fault(codeOf(err), "in the journal: %v", err).says("the journal holds entry")
	return w.monitor.tell(ctx, nil, f.add(fileEntry, entry))
}

func (w *journalWalk) signed(e *evidence.UnverifiedEntry) error {
	if w.monitor.cfg.UnsafeSkipSignatures {
		return nil
	}
	_, err := e.Verify(w.monitor.cfg.Keys)
	return err
}

// tell tells a fault about a record of the journal, if its server signed it.
func (w *journalWalk) tell(ctx context.Context, cp *translog.Checkpoint, f *Fault, entry []byte, e *evidence.UnverifiedEntry) error {
	if err := w.signed(e); err != nil {
		return w.unsigned(ctx, entry, err)
	}
	return w.monitor.tell(ctx, cp, f.add(fileEntry, entry))
}

// settle compares a record of the stream of the journal, and reports whether it need not be looked at again.
func (w *journalWalk) settle(ctx context.Context, entry []byte, e *evidence.UnverifiedEntry) (bool, error) {
	r := e.Record
	if w.at.Stream.IsZero() {
		w.at.Stream = r.Stream
	}
	if r.Stream != w.at.Stream {
		return false, fmt.Errorf("monitor: the journal in %q is of stream %s, and was of stream %s: begin again in another directory",
			w.name, r.Stream, w.at.Stream)
	}
	w.end = r.Sequence + 1
	return w.compare(ctx, entry, e)
}

// compare looks for a record of the journal in the log, and reports whether it is settled.
func (w *journalWalk) compare(ctx context.Context, entry []byte, e *evidence.UnverifiedEntry) (bool, error) {
	m, r := w.monitor, e.Record
	s := m.streams[r.Stream]
	if s == nil || r.Sequence >= s.Next {
		m.last.Waiting++
		age := m.state.ReadTo.Sub(r.Time) // what is in the log behind that was not read
		first := !w.waits
		if w.waits = true; age <= m.cfg.MergeDelay || !first {
			return false, nil // the first that waits stands for those after it
		}
		f := w.omitted(r, "record %d of the journal is %v old and not in the log", r.Sequence, age.Round(time.Second))
		return false, w.tell(ctx, nil, f, entry, e)
	}
	_, index, there, err := s.at(r.Sequence)
	if err != nil {
		return false, err
	}
	hash := [32]byte(m.cfg.LogForm.LeafHash(entry))
	if !there {
		if m.missed[hash] {
			return true, nil // too late: that it was missing is told
		}
		f := w.omitted(r, "record %d of the journal is not in the log, which has later ones", r.Sequence)
		return true, w.tell(ctx, nil, f, entry, e)
	}
	leaf, err := m.leaves.get(index)
	if err != nil || [32]byte(leaf) == hash {
		return true, err
	}
	f := m.fault(CodeJournal, "record %d is another one in the journal than in the log", r.Sequence).
		says("the journal holds entry")
	f.Stream, f.Sequence, f.Other, f.otherSeq = r.Stream.String(), at(r.Sequence), at(index), r.Sequence
	return true, w.tell(ctx, w.cp, f, entry, e)
}

func (w *journalWalk) omitted(r *evidence.Record, format string, args ...any) *Fault {
	f := w.monitor.fault(CodeOmitted, format, args...).says("the journal holds entry, and the log of checkpoint does not").
		add(fileCheckpoint, w.cp.Note())
	f.Stream, f.Sequence = r.Stream.String(), at(r.Sequence)
	return f
}

// finish looks whether the log has more than the journal.
func (w *journalWalk) finish(ctx context.Context) error {
	s := w.monitor.streams[w.at.Stream]
	if s == nil || s.Next <= w.end {
		return nil
	}
	_, first, there, err := s.at(w.end)
	if err != nil {
		return err
	}
	seq := w.end
	if !there {
		first, seq = s.Index, s.Next-1
	}
	f := w.monitor.fault(CodeJournal, "the journal has no record %d, the log has later ones of its stream", w.end).
		says(fmt.Sprintf("the journal of stream %s ends before other", w.at.Stream))
	f.Stream, f.Sequence, f.Other, f.otherSeq = w.at.Stream.String(), at(w.end), at(first), seq
	return w.monitor.tell(ctx, w.cp, f)
}
