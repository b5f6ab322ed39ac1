package monitor

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/touchmark-dev/touchmark/evidence"
)

// breaking is a source that ends with an error, as long as there is one.
func breaking(s RecordSource, broken *error) RecordSource {
	return RecordSource{Name: s.Name, Read: func(from uint64) iter.Seq2[*evidence.StoredRecord, error] {
		return func(yield func(*evidence.StoredRecord, error) bool) {
			for record, err := range s.Read(from) {
				if !yield(record, err) {
					return
				}
			}
			if *broken != nil {
				yield(nil, *broken)
			}
		}
	}}
}

// wantBroken is [fixture.want] of a look whose only error is that these sources are broken.
func (f *fixture) wantBroken(names []string, want ...Code) {
	f.t.Helper()
	report, err := f.m.Look(f.t.Context())
	var unread *RecordsError
	if !errors.As(err, &unread) || unread.Source != names[0] || strings.Count(err.Error(), "\n") != len(names)-1 || !slices.Equal(report.Broken, names) {
		f.t.Errorf("%v, broken %q, want %q", err, report.Broken, names)
	}
	var got []Code
	for _, fault := range report.Faults {
		got = append(got, fault.Code)
		f.check(fault)
	}
	if !slices.Equal(got, want) {
		f.t.Errorf("found %q, want %q", got, want)
	}
}

// One source that hands out rubbish does not hold up what is looked at of others.
func TestBrokenSource(t *testing.T) {
	f := newDigestFixture(t)
	rubbish := filepath.Join(t.TempDir(), "rubbish")
	if err := os.WriteFile(rubbish, []byte("{\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	nowhere := JournalRecords(t.TempDir())
	f.cfg.Records = append([]RecordSource{FileRecords(rubbish), nowhere}, f.cfg.Records...)
	f.reopen()
	f.append(f.server.records(5)...)
	f.wantBroken([]string{rubbish, nowhere.Name})
	f.append(f.server.next(heartbeat()))
	f.server.next(heartbeat()) // dropped
	f.append(f.server.next(heartbeat()))
	f.wantBroken([]string{rubbish, nowhere.Name}, Code(evidence.CodeGap))
	if f.m.state.Size != 7 {
		t.Errorf("%d entries", f.m.state.Size)
	}
}

// A record that may be in a source which cannot be read has the merge delay, and is missing then.
func TestBrokenSourceMayHaveIt(t *testing.T) {
	f := newDigestFixture(t)
	now, broken := time.Now(), errors.New("a disk that is gone")
	f.cfg.Time = func() time.Time { return now }
	f.cfg.Records[0] = breaking(f.cfg.Records[0], &broken)
	f.reopen()
	f.append(f.server.records(5)...)
	f.wantBroken([]string{"own"})
	late, never := f.server.next(heartbeat()), f.server.next(heartbeat())
	f.leaves(evidence.FormDigest.Leaf(late))
	f.wantBroken([]string{"own"})
	if f.m.last.Late != 1 || f.m.state.Size != 5 {
		t.Errorf("%+v", f.m.last)
	}
	f.keep(late)
	f.wantBroken([]string{"own"})
	f.leaves(evidence.FormDigest.Leaf(never))
	f.append(f.server.next(heartbeat()))
	now = now.Add(DefaultMergeDelay)
	f.wantBroken([]string{"own"})
	now = now.Add(DefaultMergeDelay)
	f.wantBroken([]string{"own"}, CodeMissing)
	if f.m.state.Size != 8 {
		t.Errorf("%d entries", f.m.state.Size)
	}
	broken = nil
	f.want()
}

// A source that ends with an error in the place of a record which proves a fault does not take the fault along.
func TestBrokenSourceOfAProof(t *testing.T) {
	f := newDigestFixture(t)
	var broken error
	f.cfg.Records[0] = breaking(f.cfg.Records[0], &broken)
	f.reopen()
	f.append(f.server.records(9)...)
	f.want()
	twice := f.server.sign(heartbeat(), func(r *evidence.Record) { r.Sequence = 8 })
	f.leaves(evidence.FormDigest.Leaf(twice))
	f.other.entries, f.own.entries = [][]byte{twice}, nil
	broken = errors.New("a disk that is gone")
	f.wantBroken([]string{"own"}, Code(evidence.CodeConflict), CodeJournal)
}

// A journal that cannot be read holds up neither what is read of the log nor promises.
func TestBrokenJournal(t *testing.T) {
	l := newLedgerFixture(t)
	l.record()
	l.flush()
	l.log.BeforeAppend(func(uint64, [][]byte) error { return errors.New("the log takes nothing") })
	if err := l.m.AddPromise(l.record()); err != nil {
		t.Fatal(err)
	}
	l.cfg.Journal = t.TempDir()
	segment := filepath.Join(l.cfg.Journal, "00000000000000000001")
	if err := os.WriteFile(segment, bytes.Repeat([]byte("x"), 1<<16), 0o600); err != nil {
		t.Fatal(err)
	}
	promises := l.m.state.Promises
	l.reopen()
	l.m.state.Promises = promises
	l.now = l.now.Add(48 * time.Hour)
	l.wantBroken([]string{l.cfg.Journal}, CodePromiseBroken)
	if l.m.state.Size != 2 {
		t.Errorf("%d entries", l.m.state.Size)
	}
	l.log.BeforeAppend(nil)
	l.flush()
}

// A source of large records takes no more memory than it may, and what was passed over makes room.
func TestMaxAheadBytes(t *testing.T) {
	const n = 3 * MaxAheadBytes / evidence.MaxEntryBytes
	entry := func(i uint64) []byte {
		return append(make([]byte, evidence.MaxEntryBytes-8), binary.BigEndian.AppendUint64(nil, i)...)
	}
	source := RecordSource{Name: "large", Read: func(from uint64) iter.Seq2[*evidence.StoredRecord, error] {
		return func(yield func(*evidence.StoredRecord, error) bool) {
			for i := from; i < n; i++ {
				if !yield(&evidence.StoredRecord{Sequence: i, Entry: entry(i)}, nil) {
					return
				}
			}
		}
	}}
	l := newLibrary([]RecordSource{source}, make(map[string]error), func(evidence.Hash) bool { return false })
	s := l.shelves[0]
	const most = MaxAheadBytes + evidence.MaxEntryBytes // with the record that fills it
	if got := l.find(evidence.Hash{1}); got != nil || s.bytes < MaxAheadBytes || s.bytes >= most {
		t.Fatalf("%d records of %d bytes", len(l.waiting), s.bytes)
	}
	far := uint64(len(l.waiting)) - 1
	for _, i := range []uint64{far, far + 10, n - 1} {
		if got := l.find(sha256.Sum256(entry(i))); (got != nil) != (i < n-1) {
			t.Errorf("record %d: %v", i, got != nil)
		}
	}
	if s.bytes >= most || s.bytes != s.waiting*evidence.MaxEntryBytes || s.waiting != len(l.waiting) {
		t.Errorf("%d records of %d bytes wait", s.waiting, s.bytes)
	}
	l.back()
	if s.bytes != s.waiting*evidence.MaxEntryBytes || s.waiting != len(l.waiting) {
		t.Errorf("%d records of %d bytes wait", s.waiting, s.bytes)
	}
	l.rest()
}

// Of two copies of a stream, the one that lags behind is as good as the other when that breaks.
func TestTwoCopies(t *testing.T) {
	const n = MaxAhead + 5000
	entry := func(i uint64) []byte { return binary.BigEndian.AppendUint64(nil, i) }
	have := map[string]uint64{"a": 10, "b": 9}
	source := func(name string) RecordSource {
		return RecordSource{Name: name, Read: func(from uint64) iter.Seq2[*evidence.StoredRecord, error] {
			return func(yield func(*evidence.StoredRecord, error) bool) {
				for i := from; i < have[name]; i++ {
					if !yield(&evidence.StoredRecord{Sequence: i, Entry: entry(i)}, nil) {
						return
					}
				}
			}
		}}
	}
	logged := make(map[evidence.Hash]bool)
	l := newLibrary([]RecordSource{source("a"), source("b")}, make(map[string]error),
		func(digest evidence.Hash) bool { return logged[digest] })
	look := func(from, to uint64) (missing int) {
		for ; from < to; from += 1000 { // parts
			part := min(from+1000, to)
			for i := from; i < part; i++ {
				if l.find(sha256.Sum256(entry(i))) == nil {
					missing++
				}
			}
			l.settled()
			for i := from; i < part; i++ {
				logged[sha256.Sum256(entry(i))] = true
			}
		}
		l.rest()
		return missing
	}
	missing := look(0, 10)
	have["a"], have["b"] = n, n
	missing += look(10, n)
	have["b"] += 100
	if missing += look(n, n+100); missing > 0 {
		t.Errorf("%d records are missing", missing)
	}
}

// A copy that begins behind the first record is compared on from where it was.
func TestCopyWithoutItsBeginning(t *testing.T) {
	f := newDigestFixture(t)
	f.append(f.server.records(9)...)
	f.want()
	var begins []uint64
	f.cfg.Records = append(f.cfg.Records, RecordSource{Name: "copy", Read: func(from uint64) iter.Seq2[*evidence.StoredRecord, error] {
		begins = append(begins, from)
		return f.own.source("").Read(max(from, 5))
	}})
	f.reopen()
	f.want()
	begins = nil
	f.want()
	if !slices.Equal(begins, []uint64{8}) {
		t.Errorf("read from %d", begins)
	}
}

// A source that takes all of its time leaves the others theirs.
func TestSlowSourceOfRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newDigestFixture(t)
		f.cfg.Timeout = time.Minute
		slow := RecordSource{Name: "slow", Read: func(from uint64) iter.Seq2[*evidence.StoredRecord, error] {
			return func(yield func(*evidence.StoredRecord, error) bool) {
				for record, err := range f.own.source("").Read(from) {
					time.Sleep(time.Hour)
					if !yield(record, err) {
						return
					}
				}
			}
		}}
		f.append(f.server.records(5)...)
		f.want()
		f.cfg.Records = append([]RecordSource{slow}, f.cfg.Records...)
		f.reopen()
		f.m.state.Journals["own"].Next = 0
		if _, err := f.m.Look(t.Context()); err == nil {
			t.Error("no error")
		}
		if next := f.m.state.Journals["own"].Next; next != 5 {
			t.Errorf("compared up to %d", next)
		}
	})
}
