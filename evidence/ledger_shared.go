package evidence

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/touchmark-dev/touchmark/translog"
)

// A SharedLog is a log that other ledgers append to as well ([LedgerConfig.Shared]): record n is not leaf n.
type SharedLog interface {
	// Policy is whose checkpoints are believed.
	Policy() *translog.Policy
	// Checkpoint returns the log's last published checkpoint.
	Checkpoint(ctx context.Context) (*translog.Checkpoint, error)

	// Submit has the log take leaves, in their order, and returns how many are durable there; the error is about the one
	// behind them. The log knows each by an identity of its own: one that it has under the same identity counts as
	// taken and is not taken twice; where it has another one, the error is a translog.RejectedError.
	Submit(ctx context.Context, identities [][32]byte, leaves [][]byte) (int, error)
	// Continue calls visit with the leaf hash of every entry that newer's tree has behind older's, which may be nil. When
	// it returns nil, they have been proven to be that.
	Continue(ctx context.Context, older, newer *translog.Checkpoint, visit func(index uint64, leaf [32]byte)) error
}

const (
	// identityLine begins what the identity of a record is the hash of.
	identityLine = "touchmark/log-identity/v1\n"
	// sharedBatch bounds one submission.
	sharedBatch = 64
	// lookInterval is the time between two looks at the log while records wait, idleLook while none do.
	lookInterval = 250 * time.Millisecond
	idleLook     = time.Minute
	// resubmitAfter is how long a record may be missing from checkpoints before it is submitted again, and probeAfter how
	// long when there are no checkpoints that it could be missing from.
	resubmitAfter = time.Minute
	probeAfter    = 3 * time.Minute
	// indexBound is how many records it is kept of where they were found.
	indexBound = 1 << 16
)

// A sharedFeed is what the feeder does with a shared log: it submits what is durable in the journal, and follows the log
// until each record is proven to be in it. feeder.shipped counts those.
type sharedFeed struct {
	*feeder
	log SharedLog

	last   *translog.Checkpoint // up to which the log was looked through; nil: not at all
	kept   *place               // in the file; nil: none
	window []awaited            // the records from shipped on that were read from the journal
	leaves map[Hash]uint64      // sequence numbers of those that are not found
	ahead  int                  // of them, found behind one that is not

	read       uint64 // sequence number of the record that is read from the journal next
	records    []uint64
	identities [][32]byte
	waiting    [][]byte // leaves that are submitted next, of records

	looked, grown, wrote time.Time // the last look, the last one that saw more, and the last place kept
}

// An awaited record is not known to be in the log, or one before it is not.
type awaited struct {
	leaf  Hash
	bytes int64
	taken time.Time // when the log last took it; zero: not since the ledger was opened
	found bool
}

// startShared finds out which records are in the log, and begins to ship the others.
func (l *Ledger) startShared(ctx, running context.Context) error {
	f := &feeder{ledger: l, urgent: make(chan struct{}, 1), done: make(chan struct{})}
	s := &sharedFeed{feeder: f, log: l.cfg.Shared, leaves: make(map[Hash]uint64)}
	f.shared = s
	records, _, _ := l.journal.position()
	if err := l.checkGenesis(records); err != nil {
		return err
	}
	if err := s.begin(ctx, records); err != nil {
		return err
	}
	l.backlog.shipped, l.backlog.added = f.shipped, f.shipped
	err := l.eachFrame(f.shipped, records, func(seq uint64, frame *frame) error {
		l.backlog.add(seq, frame.time, len(frame.entry), l.cfg.BacklogAge/backlogMarks)
		s.await(seq, l.cfg.LogForm.LeafHash(frame.entry), int64(len(frame.entry)))
		return nil
	})
	if err != nil {
		return err
	}
	if err := s.look(ctx); isFatal(err) || s.last == nil && err != nil {
		return err
	}
	if err := s.needSecret(); err != nil {
		return err
	}
	s.read = f.shipped
	if f.in, err = openJournalReader(l.cfg.fs, l.cfg.Dir, s.read); err != nil {
		return err
	}
	l.feeder = f
	go f.run(running)
	return nil
}

// begin finds the place up to which everything is known to be in the log.
func (s *sharedFeed) begin(ctx context.Context, records uint64) error {
	l := s.ledger
	var err error
	if s.kept, err = readPlace(&l.cfg); err != nil {
		return err
	}
	if l.secret, err = readSecret(&l.cfg, s.kept); err != nil {
		return err
	}
	if s.kept != nil {
		if s.kept.stream != l.stream || s.kept.records > records {
			return unavailable(CodeLogDiverged, nil, "the log has %d records of stream %s, and the journal %d of stream %s: the journal is an old copy",
				s.kept.records, s.kept.stream, records, l.stream)
		}
		s.last, s.shipped = s.kept.checkpoint, s.kept.records
		l.origin = s.last.Origin()
	}
	if s.shipped < l.journal.begins {
		return unavailable(CodeLogDiverged, nil, "the first %d records were removed from the journal, and %s says that the log has %d: the journal is that of another log, or put together from several copies",
			l.journal.begins, placeFile, s.shipped)
	}
	if s.kept != nil {
		return nil
	}
	cp, err := s.log.Checkpoint(ctx)
	if err != nil {
		return fmt.Errorf("evidence: checkpoint of the log: %w", err)
	}
	l.origin = cp.Origin()
	if records == 0 {
		s.last = cp // nothing of a stream that is new can be in there
	}
	return nil
}

// needSecret makes the secret where there is none. Before there was one nothing can have been submitted: a journal without,
// of which the log has a record, has lost it, and under another one the log would take a second history of the stream.
func (s *sharedFeed) needSecret() (err error) {
	l := s.ledger
	if l.secret != nil {
		return nil
	}
	if s.shipped > 0 || s.ahead > 0 {
		return unavailable(CodeLogDiverged, nil, "the log has records of the journal, and %s, which was made before they were submitted, is not there: the journal is a copy without it; put it back, or begin a new journal",
			secretFile)
	}
	l.secret, err = makeSecret(&l.cfg)
	return err
}

// await begins to wait for a record, the one behind those that are waited for.
func (s *sharedFeed) await(seq uint64, leaf Hash, size int64) {
	s.window = append(s.window, awaited{leaf: leaf, bytes: size})
	s.leaves[leaf] = seq
}

// at returns what is known of a record, nil if that it is in the log.
func (s *sharedFeed) at(seq uint64) *awaited {
	if seq < s.shipped {
		return nil
	}
	return &s.window[seq-s.shipped]
}

// step submits what is new, and looks what has come into the log.
func (s *sharedFeed) step(ctx context.Context) (progress bool, err error) {
	progress, err = s.submit(ctx)
	if isFatal(err) {
		return false, err
	}
	if s.due(lookInterval) && (len(s.window) > 0 || s.due(idleLook)) {
		if failed := s.look(ctx); failed != nil {
			return progress, failed
		}
	}
	return progress, err
}

func (s *sharedFeed) due(after time.Duration) bool { return s.now().Sub(s.looked) >= after }

func (s *sharedFeed) now() time.Time { return s.ledger.cfg.Time() }

// submit has the log take a batch of what it was not given yet.
func (s *sharedFeed) submit(ctx context.Context) (bool, error) {
	if err := s.again(); err != nil {
		return false, err
	}
	if err := s.fill(); err != nil || len(s.waiting) == 0 {
		return false, err
	}
	n, err := s.log.Submit(ctx, s.identities, s.waiting)
	for _, seq := range s.records[:n] {
		if a := s.at(seq); a != nil {
			a.taken = s.now()
		}
	}
	s.records, s.identities, s.waiting = s.records[n:], s.identities[n:], s.waiting[n:]
	if err != nil && translog.CodeOf(err) != "" {
		return false, unavailable(CodeLogDiverged, err, "the log has another record in the place of record %d: the journal was restored from a backup, or is used twice: %v", s.records[0], err)
	}
	if n > 0 {
		return true, nil // an error comes again with the next
	}
	return false, err
}

// again goes back to the first record that is missing, if the log has gone on without it for too long. If the log does
// not go on at all, that record alone is submitted again: the log may have lost what it took before anybody signed for
// it, and when it goes on with this one, the others follow.
func (s *sharedFeed) again() error {
	if len(s.window) == 0 || s.window[0].taken.IsZero() {
		return nil
	}
	lost := s.grown.Sub(s.window[0].taken) >= resubmitAfter
	if !lost && s.now().Sub(s.window[0].taken) < probeAfter {
		return nil
	}
	if err := s.reopen(); err != nil {
		return err
	}
	s.records, s.identities, s.waiting = nil, nil, nil
	s.window[0].taken = time.Time{}
	for i := range s.window {
		if lost {
			s.window[i].taken = time.Time{}
		}
	}
	return nil
}

// reopen reads on at the first record that is missing.
func (s *sharedFeed) reopen() error {
	in, err := openJournalReader(s.ledger.cfg.fs, s.ledger.cfg.Dir, s.shipped)
	if err == nil {
		err = s.in.close()
		s.in, s.read = in, s.shipped
	}
	if err != nil {
		return unavailable(CodeJournalFailed, err, "reading the journal: %v", err)
	}
	return nil
}

// fill reads records from the journal, no further than it is durable, for the next batch.
func (s *sharedFeed) fill() error {
	if s.read < s.shipped { // what is in the log may be removed from the journal
		if err := s.reopen(); err != nil {
			return err
		}
	}
	durable, _, _ := s.ledger.journal.position()
	for s.read < durable && len(s.waiting) < sharedBatch {
		_, payload, err := s.in.next()
		if errors.Is(err, io.EOF) {
			err = &CorruptError{File: s.in.dir, Reason: "records that were durable are gone"}
		}
		var frame *frame
		if err == nil {
			frame, err = parseFrame(payload)
		}
		if err != nil {
			return unavailable(CodeJournalFailed, err, "reading the journal: %v", err)
		}
		seq := s.read
		s.read++
		if seq == s.shipped+uint64(len(s.window)) {
			s.await(seq, s.ledger.cfg.LogForm.LeafHash(frame.entry), int64(len(frame.entry)))
		}
		if a := s.at(seq); a == nil || a.found || !a.taken.IsZero() {
			continue
		}
		s.records = append(s.records, seq)
		s.identities = append(s.identities, s.ledger.identity(seq))
		s.waiting = append(s.waiting, s.ledger.cfg.LogForm.Leaf(bytes.Clone(frame.entry)))
	}
	return nil
}

// identity names a record to the log. It is the same whatever the record says, so that a journal that was restored from a
// backup, and writes other records, is found out. Who can append to the log and knows the identity of a record to come can
// put something else there, and the ledger refuses everything from then on: so a secret is in it: the id of
// the journal is in each of its files.
func (l *Ledger) identity(seq uint64) [32]byte {
	b := append([]byte(identityLine), l.secret...)
	b = append(b, l.journal.id[:]...)
	return sha256.Sum256(binary.BigEndian.AppendUint64(b, seq))
}

// look follows the log to its last checkpoint.
func (s *sharedFeed) look(ctx context.Context) error {
	s.looked = s.now()
	cp, err := s.log.Checkpoint(ctx)
	if err != nil {
		return fmt.Errorf("evidence: checkpoint of the log: %w", err)
	}
	if s.last != nil && cp.Size() <= s.last.Size() {
		if cp.Size() == s.last.Size() && cp.Root() != s.last.Root() {
			return s.forked(cp, translog.VerifyConsistency(s.last, cp, nil))
		}
		return s.keep() // one that is older is from where readers lag behind
	}
	found := make(map[uint64]uint64) // indexes, by sequence number
	err = s.log.Continue(ctx, s.last, cp, func(index uint64, leaf [32]byte) {
		seq, ok := s.leaves[leaf]
		if _, twice := found[seq]; ok && !twice {
			found[seq] = index
		}
	})
	if err != nil {
		if translog.CodeOf(err) != "" {
			return s.forked(cp, err)
		}
		return fmt.Errorf("evidence: read the log: %w", err)
	}
	s.last, s.grown = cp, s.looked
	for seq := range found {
		a := s.at(seq)
		a.found = true
		s.ahead++
		delete(s.leaves, a.leaf)
	}
	s.tell(found)
	s.advance()
	return s.keep()
}

// tell tells those who wait where records were found.
func (s *sharedFeed) tell(found map[uint64]uint64) {
	if len(found) == 0 {
		return
	}
	l := s.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.indexes == nil {
		l.indexes = make(map[uint64]uint64)
	}
	maps.Copy(l.indexes, found)
	if len(l.indexes) > 2*indexBound {
		maps.DeleteFunc(l.indexes, func(seq, _ uint64) bool { return seq+indexBound < s.shipped })
	}
	l.backlog.announce()
}

func (s *sharedFeed) forked(cp *translog.Checkpoint, err error) error {
	return unavailable(CodeLogDiverged, err, "the log of %d entries does not continue that of %d: %v", cp.Size(), s.last.Size(), err)
}

// advance passes over the records that were found.
func (s *sharedFeed) advance() {
	n, size := 0, int64(0)
	for n < len(s.window) && s.window[n].found {
		size += s.window[n].bytes
		n++
	}
	if n == 0 {
		return
	}
	s.window = slices.Clone(s.window[n:])
	s.shipped += uint64(n)
	s.ahead -= n
	l := s.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	l.backlog.ship(n, size)
}

// keep keeps the place, now and then. It does not while a record was found before one that is missing: whoever begins at
// the place would miss it.
func (s *sharedFeed) keep() error {
	p := &place{stream: s.ledger.stream, records: s.shipped, checkpoint: s.last}
	switch {
	case s.last == nil || s.ahead > 0 || s.shipped == 0: // a stream without records may never be
		return nil
	case s.ledger.secret == nil: // it comes first
		return nil
	case s.kept != nil && s.kept.records == p.records && s.kept.checkpoint.Size() == p.checkpoint.Size():
		return nil
	case s.kept != nil && s.now().Sub(s.wrote) < keepInterval:
		return nil
	}
	return s.write(p)
}

func (s *sharedFeed) write(p *place) error {
	if err := p.write(&s.ledger.cfg); err != nil {
		return fmt.Errorf("evidence: keep the place in the log: %w", err)
	}
	s.kept, s.wrote = p, s.now()
	return nil
}

// idle waits until there is something to submit, or it is time to look.
func (s *sharedFeed) idle(ctx context.Context) {
	durable, changed, _ := s.ledger.journal.position()
	if durable > s.read || len(s.waiting) > 0 {
		return
	}
	wait := idleLook
	if len(s.window) > 0 {
		wait = lookInterval
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-changed:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// close keeps the last place. The feeder has returned.
func (s *sharedFeed) close() error {
	s.wrote = time.Time{}
	return s.keep()
}
