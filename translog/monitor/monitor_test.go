package monitor

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/translogtest"
)

func TestClean(t *testing.T) {
	f := newFixture(t, nil)
	entries := f.server.records(1000)
	for from := 0; from < len(entries); {
		n := min(from/3+1, len(entries)-from)
		f.append(entries[from : from+n]...)
		from += n
		f.want()
		if from%2 == 0 {
			f.reopen() // what is known is in the directory
		}
	}
	if f.m.state.Size != 1000 || len(f.m.streams) != 1 {
		t.Errorf("%d entries, %d streams", f.m.state.Size, len(f.m.streams))
	}
	f.want()
}

func TestSeveralStreams(t *testing.T) {
	f := newFixture(t, nil)
	other := newServer(t, "other.example.com")
	for kid, key := range other.keys() {
		f.cfg.Keys[kid] = key
	}
	a, b := f.server.records(300), other.records(300)
	for i := range a {
		f.append(a[i], b[i])
	}
	f.want()
}

// The faults of chains: what is done to entries of one stream, before which 10 are in order.
func TestChainFaults(t *testing.T) {
	for _, tt := range chainFaults {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t, nil)
			done := f.server.records(11)
			f.append(done...)
			f.want()
			f.append(tt.add(f.server, done)...)
			f.want(tt.want...)
			f.want() // each is told once
			f.reopen()
			f.want()
			if n := len(f.m.known); n != len(tt.want) {
				t.Errorf("%d proofs are kept, want %d", n, len(tt.want))
			}
		})
	}
}

type chainFault struct {
	name string
	add  func(s *server, done [][]byte) [][]byte
	want []Code
}

var chainFaults = []chainFault{
	{"gap", func(s *server, _ [][]byte) [][]byte {
		s.next(heartbeat())
		return [][]byte{s.next(heartbeat()), s.next(heartbeat())}
	}, []Code{Code(evidence.CodeGap)}},
	{"reordered", func(s *server, _ [][]byte) [][]byte {
		a, b := s.next(heartbeat()), s.next(heartbeat())
		return [][]byte{b, a, s.next(heartbeat())}
	}, []Code{Code(evidence.CodeGap), Code(evidence.CodeReordered)}},
	{"duplicate", func(_ *server, done [][]byte) [][]byte { return [][]byte{done[4]} }, []Code{Code(evidence.CodeDuplicate)}},
	{"genesis again", func(_ *server, done [][]byte) [][]byte { return [][]byte{done[0]} }, []Code{Code(evidence.CodeDuplicate)}},
	{"conflict", func(s *server, done [][]byte) [][]byte {
		entry := s.sign(heartbeat(), func(r *evidence.Record) { r.Sequence = 4 })
		return [][]byte{entry}
	}, []Code{Code(evidence.CodeConflict)}},
	{"another predecessor", func(s *server, _ [][]byte) [][]byte {
		entry := s.sign(heartbeat(), func(r *evidence.Record) { r.Previous = evidence.Hash{9} })
		s.follow(entry)
		return [][]byte{entry, s.next(heartbeat())}
	}, []Code{Code(evidence.CodePreviousMismatch)}},
	{"time", func(s *server, _ [][]byte) [][]byte {
		entry := s.sign(heartbeat(), func(r *evidence.Record) { r.Time = r.Time.Add(-time.Hour) })
		s.follow(entry)
		return [][]byte{entry, s.next(heartbeat())}
	}, []Code{Code(evidence.CodeTimeReversed)}},
	{"epoch", func(s *server, _ [][]byte) [][]byte {
		s.header.Epoch = 2
		a := s.next(heartbeat())
		s.header.Epoch = 1
		return [][]byte{a, s.next(heartbeat())}
	}, []Code{Code(evidence.CodeEpochReversed)}},
	{"outcome of nothing", func(s *server, _ [][]byte) [][]byte {
		d := decision(evidence.Deny)
		return [][]byte{s.next(d), s.next(outcome(d))}
	}, []Code{Code(evidence.CodeOutcomeUnmatched)}},
	{"two outcomes", func(s *server, _ [][]byte) [][]byte {
		d := decision(evidence.Allow)
		return [][]byte{s.next(d), s.next(outcome(d)), s.next(outcome(d))}
	}, []Code{Code(evidence.CodeOutcomeUnmatched)}},
	{"outcome of what is missing", func(s *server, _ [][]byte) [][]byte {
		d := decision(evidence.Allow)
		s.next(d)
		return [][]byte{s.next(outcome(d))}
	}, []Code{Code(evidence.CodeGap)}},
	{"unknown key", func(s *server, _ [][]byte) [][]byte {
		return [][]byte{newServer(s.t, "stranger.example.com").next(genesis())}
	}, []Code{Code(evidence.CodeKeyUnknown)}},
	{"bad signature", func(s *server, _ [][]byte) [][]byte {
		_, other, _ := newKey(s.t)
		s.key, other = other, s.key
		entry := s.next(heartbeat())
		s.key = other
		return [][]byte{entry}
	}, []Code{Code(evidence.CodeSignatureInvalid)}},
	{"no record", func(_ *server, _ [][]byte) [][]byte { return [][]byte{[]byte("{}")} }, []Code{Code(evidence.CodeMalformed)}},
	{"no beginning", func(s *server, _ [][]byte) [][]byte {
		s.header.Stream = evidence.NewStreamID()
		s.header.Sequence, s.header.Previous = 0, evidence.Hash{}
		s.next(genesis())
		return [][]byte{s.next(heartbeat()), s.next(heartbeat())}
	}, []Code{Code(evidence.CodeGenesisMissing)}},
	{"far ahead", func(s *server, _ [][]byte) [][]byte {
		return [][]byte{s.sign(heartbeat(), func(r *evidence.Record) { r.Sequence = 1 << 40 })}
	}, []Code{Code(evidence.CodeGap)}},
}

func TestOtherServerInStream(t *testing.T) {
	f := newFixture(t, nil)
	f.append(f.server.records(5)...)
	other := newServer(t, "other.example.com")
	for kid, key := range other.keys() {
		f.cfg.Keys[kid] = key
	}
	f.reopen()
	other.header.Stream, other.header.Sequence, other.header.Previous = f.server.header.Stream, 5, f.server.header.Previous
	f.append(other.next(heartbeat()))
	f.want(Code(evidence.CodeServerMismatch))
}

func TestForked(t *testing.T) {
	for _, size := range []int{0, 1, 300} { // what each side appends after the fork
		f := newFixture(t, nil)
		f.append(f.server.records(301)...)
		f.want()
		fork := f.log.Fork()
		f.append(f.server.next(heartbeat()))
		if _, err := fork.Append(t.Context(), [][]byte{[]byte("another")}); err != nil {
			t.Fatal(err)
		}
		f.want()
		for i := range size {
			if _, err := fork.Append(t.Context(), [][]byte{{byte(i), byte(i >> 8)}}); err != nil {
				t.Fatal(err)
			}
		}
		f.source.Source = fork.Source()
		f.want(Code(translog.CodeForked))
		f.want()
		if f.m.state.Size != 302 {
			t.Errorf("read on in a forked log: %d entries", f.m.state.Size)
		}
	}
}

func TestViews(t *testing.T) {
	views := make([]*liar, 2)
	f := newFixture(t, nil)
	f.append(f.server.records(21)...)
	fork := f.log.Fork()
	for i := range views {
		views[i] = &liar{Source: f.log.Source()}
		f.cfg.Views = append(f.cfg.Views, View{Name: "view", Source: views[i]})
	}
	f.reopen()
	f.want()
	lagging, err := f.log.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	f.append(f.server.next(heartbeat()))
	views[0].checkpoint = func([]byte) []byte { return lagging.Note() }
	f.want()
	// A view that is shown another tree, first a larger one, then a smaller one.
	if _, err := fork.Append(t.Context(), [][]byte{[]byte("a"), []byte("b"), []byte("c")}); err != nil {
		t.Fatal(err)
	}
	views[1].Source = fork.Source()
	f.want(Code(translog.CodeForked))
	for range 5 {
		f.append(f.server.next(heartbeat()))
	}
	f.want(Code(translog.CodeForked))
	views[1].checkpoint = func(note []byte) []byte { return bytes.Replace(note, []byte("\n24\n"), []byte("\n25\n"), 1) }
	f.want(Code(translog.CodeCheckpointSignatureInvalid))
}

func TestRolledBack(t *testing.T) {
	f := newFixture(t, nil)
	f.append(f.server.records(11)...)
	f.want()
	old, err := f.log.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	f.append(f.server.next(heartbeat()))
	f.want()
	f.source.checkpoint = func([]byte) []byte { return old.Note() }
	f.want(Code(translog.CodeRolledBack))
	f.source.checkpoint = nil
	f.want()
}

func TestEntryChanged(t *testing.T) {
	for _, read := range []bool{false, true} { // whether the monitor has read it before
		f := newFixture(t, nil)
		f.append(f.server.records(600)...)
		if read {
			f.want()
		}
		f.source.entries = func(n uint64, bundle []byte) []byte {
			if n == 1 {
				bundle = bytes.Replace(bundle, []byte(`"echo"`), []byte(`"exec"`), 1)
			}
			return bundle
		}
		f.want(CodeEntryChanged)
		if !read && f.m.state.Size != 0 {
			t.Errorf("believed %d entries of which one was changed", f.m.state.Size)
		}
		f.source.entries = nil
		f.want()
		if f.m.state.Size != 600 {
			t.Errorf("%d entries", f.m.state.Size)
		}
	}
}

func TestTileChanged(t *testing.T) {
	f := newFixture(t, nil)
	f.append(f.server.records(600)...)
	f.want()
	f.source.tile = func(level, n uint64, tile []byte) []byte {
		if level == 0 && n == 0 {
			tile = slices.Clone(tile)
			tile[40] ^= 1
		}
		return tile
	}
	f.want(CodeTreeUnfounded)
	f.source.tile = nil
	f.want()
}

func TestUnreadable(t *testing.T) {
	f := newFixture(t, nil)
	f.append(f.server.records(10)...)
	f.source.entries = func(uint64, []byte) []byte { return []byte{0} }
	report, err := f.m.Look(t.Context())
	if err == nil || len(report.Faults) != 0 {
		t.Errorf("report %+v, error %v", report, err)
	}
	f.source.entries = nil
	f.want()
}

func TestCheckpointRefused(t *testing.T) {
	f := newFixture(t, nil)
	f.append(f.server.records(10)...)
	f.source.checkpoint = func(note []byte) []byte { return bytes.Replace(note, []byte("\n10\n"), []byte("\n11\n"), 1) }
	f.want(Code(translog.CodeCheckpointSignatureInvalid))
	f.want()
	other := translogtest.NewLog("log.example/other")
	f.source.Source, f.source.checkpoint = other.Source(), nil
	f.want(Code(translog.CodeOriginUnknown))
}
