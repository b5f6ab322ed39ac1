package evidence

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/did"
)

// testStream is a stream of one server as a ledger would write it.
type testStream struct {
	t       *testing.T
	signer  *testSigner
	header  Header // of the next record
	entries [][]byte
}

func newTestStream(t *testing.T) *testStream {
	s := newTestSigner("server")
	st := &testStream{t: t, signer: s, header: s.header(0)}
	st.add(&Record{Genesis: &Genesis{}})
	return st
}

// next returns the entry that r would become, and does not add it.
func (s *testStream) next(r *Record, change func(*Record)) []byte {
	s.t.Helper()
	r.Header = s.header
	r.ID = newRecordID()
	if change != nil {
		change(r)
	}
	return mustSign(s.t, r, s.signer)
}

func (s *testStream) add(r *Record) *Record {
	s.t.Helper()
	entry := s.next(r, nil)
	m, err := r.Message()
	if err != nil {
		s.t.Fatal(err)
	}
	s.entries = append(s.entries, entry)
	s.header.Sequence++
	s.header.Previous = m.Hash()
	s.header.Time = s.header.Time.Add(time.Second)
	return r
}

func (s *testStream) decision(kind DecisionKind) *Record {
	d := fullDraft()
	d.Decision.Kind, d.Decision.Shadow = kind, false
	d.Decision.Shown, d.Decision.Withheld = nil, nil // an answered list has no other outcome
	if kind.Allows() {
		d.Decision.DenyReason, d.Decision.DenyCause, d.Decision.Constraints = "", "", Constraints{}
	}
	return mustPrepare(s.t, d, Header{})
}

func outcomeOf(r *Record) *Record {
	return &Record{Outcome: &Outcome{DecisionID: r.ID, DecisionSequence: r.Sequence, Status: OutcomeOK}}
}

// fill adds one of each: allowed with outcome, denied, shadowed with outcome, allowed without.
func (s *testStream) fill() *testStream {
	allowed := s.add(s.decision(Allow))
	s.add(s.decision(Deny))
	s.add(outcomeOf(allowed))
	shadowed := s.decision(Deny)
	shadowed.Decision.Shadow = true
	s.add(shadowed)
	s.add(outcomeOf(shadowed))
	listed := s.decision(Allow)
	none := uint64(0)
	listed.Decision.Shown, listed.Decision.Withheld = &none, &none
	s.add(listed)
	s.add(&Record{Change: &Change{Subject: ChangePolicy, PolicyVersion: "b"}})
	s.add(s.decision(AllowWithConstraints))
	s.add(&Record{})
	return s
}

func (s *testStream) config() *ChainConfig { return &ChainConfig{Keys: s.signer.keys} }

func TestChain(t *testing.T) {
	s := newTestStream(t).fill()
	got, err := VerifyChain(s.entries, s.config())
	if err != nil {
		t.Fatal(err)
	}
	if got.First != 0 || got.Last != 9 || got.Records != 10 || got.Head != s.header.Previous || !slices.Equal(got.Open, []uint64{8}) {
		t.Errorf("summary %+v", got)
	}
	if got.Stream != s.header.Stream || got.Server != s.signer.did || !got.Latest.Equal(s.header.Time.Add(-time.Second)) {
		t.Errorf("summary %+v", got)
	}
}

func TestPartialChain(t *testing.T) {
	s := newTestStream(t).fill()
	cfg := s.config()
	cfg.AllowPartial = true
	for from := range s.entries {
		got, err := VerifyChain(s.entries[from:], cfg)
		if err != nil {
			t.Fatalf("from %d: %v", from, err)
		}
		if got.First != uint64(from) {
			t.Errorf("from %d: %+v", from, got)
		}
	}
	// An outcome of a decision within the part is held against it.
	for name, o := range map[string]*Outcome{
		"denied":                 {DecisionID: newRecordID(), DecisionSequence: 2, Status: OutcomeOK},
		"id of another decision": {DecisionID: newRecordID(), DecisionSequence: 1, Status: OutcomeOK},
	} {
		s := newTestStream(t)
		s.add(s.decision(Allow))
		s.add(s.decision(Deny))
		s.add(&Record{Outcome: o})
		if _, err := VerifyChain(s.entries[1:], cfg); CodeOf(err) != CodeOutcomeUnmatched {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A decision before the part has one outcome and not two, whatever id the second names.
	s2 := newTestStream(t)
	allowed := s2.add(s2.decision(Allow))
	s2.add(&Record{})
	s2.add(outcomeOf(allowed))
	s2.add(&Record{})
	again := outcomeOf(allowed)
	again.Outcome.DecisionID = newRecordID()
	s2.add(again)
	for from := 2; from <= 3; from++ {
		if _, err := VerifyChain(s2.entries[from:], partial(s2)); CodeOf(err) != CodeOutcomeUnmatched {
			t.Errorf("two outcomes of one decision, from %d: %v", from, err)
		}
	}
	// What comes from before the part is not taken for a later record.
	entries := append(slices.Clone(s.entries[3:5]), s.entries[1])
	if _, err := VerifyChain(entries, cfg); CodeOf(err) != CodeReordered {
		t.Errorf("got %v", err)
	}
}

func partial(s *testStream) *ChainConfig {
	cfg := s.config()
	cfg.AllowPartial = true
	return cfg
}

func TestChainRefused(t *testing.T) {
	other := did.MustParse("did:web:other.example")
	tests := []struct {
		name   string
		change func(*testStream) // what is done to a filled stream
		code   Code
	}{
		{"nothing", func(s *testStream) { s.entries = nil }, CodeGenesisMissing},
		{"no beginning", func(s *testStream) { s.entries = s.entries[1:] }, CodeGenesisMissing},
		{"gap", func(s *testStream) { s.entries = slices.Delete(s.entries, 4, 6) }, CodeGap},
		{"reordered", func(s *testStream) { s.entries[4], s.entries[5] = s.entries[5], s.entries[4] }, CodeReordered},
		{"moved to the end", func(s *testStream) { moved := s.entries[4]; s.entries = append(slices.Delete(s.entries, 4, 5), moved) }, CodeReordered},
		{"duplicate", func(s *testStream) { s.entries = slices.Insert(s.entries, 4, s.entries[3]) }, CodeDuplicate},
		{"duplicate of long ago", func(s *testStream) { s.entries = append(s.entries, s.entries[2]) }, CodeDuplicate},
		{"beginning again", func(s *testStream) { s.entries = append(s.entries, s.entries[0]) }, CodeDuplicate},
		{"second beginning", func(s *testStream) {
			s.entries = append(s.entries, s.next(&Record{Genesis: &Genesis{Software: "x"}}, func(r *Record) { r.Sequence, r.Previous = 0, Hash{} }))
		}, CodeGenesisRepeated},
		{"two records with one number", func(s *testStream) {
			s.entries = append(s.entries, s.next(&Record{}, func(r *Record) { r.Sequence-- }))
		}, CodeConflict},
		{"rewritten past", func(s *testStream) {
			s.entries[3] = s.next(&Record{}, func(r *Record) { v := mustVerify(s.t, s.entries[3], s.signer.keys); r.Header = v.Record().Header })
		}, CodePreviousMismatch},
		{"other stream", func(s *testStream) {
			s.entries = append(s.entries, s.next(&Record{}, func(r *Record) { r.Stream[0]++ }))
		}, CodeStreamMismatch},
		{"other server", func(s *testStream) {
			kid := other.String() + "#key-1"
			s.signer.keys[kid] = s.signer.keys[s.signer.kid]
			s.signer.kid = kid
			s.entries = append(s.entries, s.next(&Record{}, func(r *Record) { r.Server = other }))
		}, CodeServerMismatch},
		{"other predecessor", func(s *testStream) {
			s.entries = append(s.entries, s.next(&Record{}, func(r *Record) { r.Previous[0]++ }))
		}, CodePreviousMismatch},
		{"time back", func(s *testStream) {
			s.entries = append(s.entries, s.next(&Record{}, func(r *Record) { r.Time = r.Time.Add(-time.Second - 1) }))
		}, CodeTimeReversed},
		{"epoch back", func(s *testStream) {
			s.header.Epoch = 2
			s.add(&Record{})
			s.header.Epoch = 1
			s.add(&Record{})
		}, CodeEpochReversed},
		{"outcome of nothing", func(s *testStream) {
			s.add(&Record{Outcome: &Outcome{DecisionID: newRecordID(), DecisionSequence: 8, Status: OutcomeOK}})
		}, CodeOutcomeUnmatched},
		{"outcome of a denied call", func(s *testStream) {
			denied := mustVerify(s.t, s.entries[2], s.signer.keys).Record()
			s.add(outcomeOf(denied))
		}, CodeOutcomeUnmatched},
		{"second outcome", func(s *testStream) {
			allowed := mustVerify(s.t, s.entries[1], s.signer.keys).Record()
			s.add(outcomeOf(allowed))
		}, CodeOutcomeUnmatched},
		{"unknown key", func(s *testStream) { s.signer.keys = newTestSigner("other").keys }, CodeKeyUnknown},
		{"not an entry", func(s *testStream) { s.entries[2] = []byte("{}") }, CodeMalformed},
		{"bad signature", func(s *testStream) {
			s.entries[2] = bytes.Replace(s.entries[2], []byte(`"seq":2`), []byte(`"seq":9`), 1)
		}, CodeSignatureInvalid},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newTestStream(t).fill()
			test.change(s)
			got, err := VerifyChain(s.entries, s.config())
			if CodeOf(err) != test.code || got != nil {
				t.Fatalf("got %v, want %s", err, test.code)
			}
			if !strings.Contains(err.Error(), string(test.code)) {
				t.Errorf("%q does not say %s", err, test.code)
			}
			var place *ChainError
			if errors.As(err, &place) && len(s.entries) > 0 && !slices.ContainsFunc(s.entries, func(e []byte) bool { return bytes.Equal(e, place.Entry) }) {
				t.Error("the error does not carry the entry it refuses")
			}
		})
	}
}

func TestChainTolerance(t *testing.T) {
	s := newTestStream(t).fill()
	s.header.Time = s.header.Time.Add(-3 * time.Second)
	s.add(&Record{})
	s.header.Time = s.header.Time.Add(-3 * time.Second)
	s.add(&Record{})
	cfg := s.config()
	for tolerance, code := range map[time.Duration]Code{
		0: CodeTimeReversed, 2 * time.Second: CodeTimeReversed,
		// 2 s earlier than the latest, and then another 2 s: steps do not add up unnoticed.
		3 * time.Second: CodeTimeReversed, 4 * time.Second: "",
	} {
		cfg.Tolerance = tolerance
		if _, err := VerifyChain(s.entries, cfg); CodeOf(err) != code {
			t.Errorf("tolerance %v: %v, want %q", tolerance, err, code)
		}
	}
}

// An entry that was refused does not count: the right one can follow.
func TestChainGoesOnAfterRefusal(t *testing.T) {
	s := newTestStream(t).fill()
	c, err := NewChain(s.config())
	if err != nil {
		t.Fatal(err)
	}
	if summary := c.Summary(); summary.Records != 0 {
		t.Errorf("empty chain: %+v", summary)
	}
	for i, entry := range s.entries {
		for j := range s.entries {
			if j == i {
				continue
			}
			if _, err := c.Add(s.entries[j]); CodeOf(err) == "" {
				t.Fatalf("record %d in the place of %d: %v", j, i, err)
			}
		}
		if _, err := c.Add(entry); err != nil {
			t.Fatal(err)
		}
	}
}

func TestChainConfigRefused(t *testing.T) {
	if _, err := NewChain(&ChainConfig{}); err == nil {
		t.Error("a chain without keys")
	}
	if _, err := VerifyChain(nil, &ChainConfig{Keys: newTestSigner("s").keys, Tolerance: -1}); err == nil {
		t.Error("a negative tolerance")
	}
}
