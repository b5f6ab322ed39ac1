package monitor

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"
	"time"

	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/translog"
)

// A source that withholds what a proof is made of does not make the monitor forget what it saw.
func TestFaultOutlastsItsSource(t *testing.T) {
	f := newFixture(t, nil)
	f.append(f.server.records(9)...)
	f.want()
	f.server.next(heartbeat()) // dropped
	other := newServer(t, "other.example.com")
	maps.Copy(f.cfg.Keys, other.keys())
	f.append(other.records(3)...)
	f.append(f.server.next(heartbeat()), f.server.next(heartbeat()))
	asked := 0
	f.source.tile = func(_, _ uint64, tile []byte) []byte {
		if asked++; asked > 1 { // those that show that the tree continues
			return nil
		}
		return tile
	}
	report, err := f.m.Look(t.Context())
	if err == nil || len(report.Faults) > 0 || len(f.m.streams) != 1 || f.m.state.Size != 9 {
		t.Fatalf("%v, %+v, %d streams", err, report, len(f.m.streams))
	}
	f.source.tile = nil
	f.want(Code(evidence.CodeGap))
	f.want()
	f.reopen()
	f.want()
	if s := f.m.streams[f.server.header.Stream]; s.Next != 12 || s.Missing != 1 || len(f.m.streams) != 2 {
		t.Errorf("%+v", s.streamState)
	}
}

// A record that waits for long is one fault, and not one at each look.
func TestOmittedOnce(t *testing.T) {
	l := newLedgerFixture(t)
	l.log.BeforeAppend(func(uint64, [][]byte) error { return errors.New("the log takes nothing") })
	l.record()
	l.now = l.now.Add(24 * time.Hour)
	l.want(CodeOmitted)
	for range 3 {
		l.now = l.now.Add(time.Minute)
		l.want()
	}
	l.log.BeforeAppend(nil)
	l.flush()
}

// A server that leaps over numbers takes neither memory nor place on the disk.
func TestHugeGaps(t *testing.T) {
	f := newFixture(t, nil)
	f.append(f.server.records(3)...)
	f.want()
	var want []Code
	for range 20 {
		f.server.header.Sequence += MaxGap / 8
		f.append(f.server.next(heartbeat()))
		want = append(want, Code(evidence.CodeGap))
	}
	f.want(want...)
	s := f.m.streams[f.server.header.Stream]
	if s.Missing > MaxGap || s.Missing < MaxGap/2 {
		t.Errorf("%d records are missing", s.Missing)
	}
	if n := len(s.file.runs) + len(s.file.edits); n > 0 {
		t.Errorf("%d frames in memory", n)
	}
	f.reopen()
	f.want()
	// What fills a gap later has its place.
	f.append(f.server.sign(heartbeat(), func(r *evidence.Record) { r.Sequence = 1000 }))
	f.want(Code(evidence.CodeReordered))
}

// Cheap faults leave room for the proof of a fork.
func TestProofOfAForkHasItsPlace(t *testing.T) {
	f := newFixture(t, nil)
	f.append(f.server.records(3)...)
	fork := f.log.Fork()
	var rubbish [][]byte
	for i := range MaxFaults + 50 {
		rubbish = append(rubbish, fmt.Appendf(nil, "rubbish %d", i))
	}
	f.append(rubbish...)
	report, err := f.m.Look(t.Context())
	if err != nil || len(report.Faults) != MaxFaults+1 || report.More != 49 || report.Faults[MaxFaults].Dir != "" {
		t.Fatalf("%d faults and %d more, %v", len(report.Faults), report.More, err)
	}
	if n := f.m.Faults()[0].N; n != MaxFaults+50 {
		t.Errorf("%d are counted", n)
	}
	f.reopen()
	for range 400 {
		if _, err := fork.Append(t.Context(), [][]byte{[]byte("another")}); err != nil {
			t.Fatal(err)
		}
	}
	f.source.Source = fork.Source()
	f.want(Code(translog.CodeForked))
}

// More calls at once than are followed do not make honest outcomes faults.
func TestManyOpenDecisions(t *testing.T) {
	f := newFixture(t, nil)
	f.append(f.server.next(genesis()))
	f.want()
	f.m.open = MaxOpenAll - 2
	var open []*evidence.Record
	for range 5 {
		d := decision(evidence.Allow)
		f.append(f.server.next(d))
		open = append(open, d)
	}
	f.want(CodeLimit)
	for _, d := range open {
		f.append(f.server.next(outcome(d)))
	}
	f.want()
	f.reopen()
	f.want()
	if !f.m.streams[f.server.header.Stream].Full || f.m.open != 0 {
		t.Error("forgotten")
	}
}

// What is made up of an honest log's files, or says more than they show, is no proof.
func TestCheckForged(t *testing.T) {
	f := newFixture(t, nil)
	f.append(f.server.records(21)...)
	f.want()
	cp, err := f.log.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	older := cp.Note()
	f.append(f.server.next(heartbeat()))
	if cp, err = f.m.client.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	entry := func(files fstest.MapFS, index uint64, name, proofName string) {
		data, err := f.m.client.StoredEntry(t.Context(), index, cp.Size())
		if err != nil {
			t.Fatal(err)
		}
		proof, err := f.m.client.Prove(t.Context(), cp, index, translog.LeafHash(data))
		if err != nil {
			t.Fatal(err)
		}
		text, err := proof.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		files[name], files[proofName] = &fstest.MapFile{Data: data}, &fstest.MapFile{Data: text}
	}
	stream := f.server.header.Stream.String()
	for name, fault := range map[string]*Fault{
		"a gap between any two":     {Code: Code(evidence.CodeGap), Sequence: at(7), Other: at(3), Index: at(7)},
		"any record as the first":   {Code: Code(evidence.CodeGenesisMissing), Sequence: at(7), Index: at(7)},
		"any outcome":               {Code: Code(evidence.CodeOutcomeUnmatched), Sequence: at(8), Index: at(8)},
		"any record as a limit":     {Code: CodeLimit, Sequence: at(7), Index: at(7)},
		"any record as omitted":     {Code: CodeOmitted, Sequence: at(7), Index: at(7)},
		"any checkpoint":            {Code: CodeTreeUnfounded},
		"no checkpoint":             {Code: Code(translog.CodeWitnessQuorum)},
		"any two checkpoints":       {Code: Code(translog.CodeRolledBack)},
		"any entry as served":       {Code: CodeEntryChanged, Index: at(7)},
		"a journal":                 {Code: CodeJournal, Sequence: at(3), Other: at(3)},
		"a journal, elsewhere":      {Code: CodeJournal, Sequence: at(9), Other: at(3), Word: "seen"},
		"no code":                   {Sequence: at(7), Index: at(7)},
		"a code that there is none": {Code: "NONE", Sequence: at(7), Index: at(7)},
		"another log":               {Code: CodeTreeUnfounded, Origin: "log.example/other", Word: "seen"},
		"another number":            {Code: Code(evidence.CodeGap), Sequence: at(9), Other: at(3), Index: at(7), Word: "seen"},
	} {
		files := fstest.MapFS{
			fileCheckpoint: &fstest.MapFile{Data: older}, fileEarlier: &fstest.MapFile{Data: cp.Note()},
		}
		if fault.Origin == "" {
			fault.Origin = f.log.Policy().Origins()[0]
		}
		fault.Stream, fault.Found = stream, time.Now()
		if i := fault.Index; i != nil {
			entry(files, *i, fileEntry, fileEntryProof)
		}
		if i := fault.Other; i != nil {
			entry(files, *i, fileOther, fileOtherProof)
		}
		text, err := json.Marshal(fault)
		if err != nil {
			t.Fatal(err)
		}
		files[fileFault] = &fstest.MapFile{Data: text}
		var wrong *ProofError
		if got, err := Check(files, f.log.Policy(), f.cfg.Keys); !errors.As(err, &wrong) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// A view whose tiles are rubbish is blamed itself.
func TestLyingView(t *testing.T) {
	f := newFixture(t, nil)
	f.append(f.server.records(300)...)
	view := &liar{Source: f.log.Source()}
	f.cfg.Views = []View{{Name: "mirror", Source: view}}
	f.reopen()
	f.want()
	seen, err := f.log.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	f.append(f.server.next(heartbeat()))
	f.source.checkpoint = func([]byte) []byte { return seen.Note() }
	view.tile = func(_, _ uint64, tile []byte) []byte {
		for i := range tile {
			tile[i] ^= 1
		}
		return tile
	}
	report, err := f.m.Look(t.Context())
	if err != nil || len(report.Faults) != 1 || report.Faults[0].Code != CodeTreeUnfounded ||
		report.Faults[0].Word != `the view "mirror" served tiles that do not belong to checkpoint` {
		t.Fatalf("%v, %+v", err, report.Faults)
	}
}

// A state that somebody else wrote is refused or found out, and never believed over the log.
func TestStateTamperedWith(t *testing.T) {
	for name, change := range map[string]func(*state){
		"too many entries":  func(s *state) { s.Size = 1 << 59 },
		"far too many":      func(s *state) { s.Size = 1<<63 + 1 },
		"a later record":    func(s *state) { s.Streams[0].Next = 1<<61 + 7 },
		"another range":     func(s *state) { s.Range = s.Range[:1] },
		"another log":       func(s *state) { s.Origin = "log.example/other" },
		"another version":   func(s *state) { s.Version = 0 },
		"a stream twice":    func(s *state) { s.Streams = append(s.Streams, s.Streams[0]) },
		"another last tree": func(s *state) { s.Checkpoint[len(s.Checkpoint)-3] ^= 1 },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, nil)
			f.append(f.server.records(7)...)
			f.want()
			path := filepath.Join(f.cfg.Dir, fileState)
			change(f.m.state)
			text, err := json.Marshal(f.m.state)
			if err == nil {
				err = errors.Join(f.m.Close(), os.WriteFile(path, text, 0o600))
			}
			if err != nil {
				t.Fatal(err)
			}
			m, err := Open(f.cfg)
			if err == nil {
				f.append(f.server.next(heartbeat()))
				var report *Report
				report, err = m.Look(t.Context())
				if err == nil && len(report.Faults) == 0 {
					t.Error("nothing was noticed")
				}
				if err := m.Close(); err != nil {
					t.Error(err)
				}
			}
			f.m = &Monitor{}
		})
	}
}
