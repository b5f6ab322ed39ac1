package monitor

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/evidence"
)

const codeForm = Code(evidence.CodeLogForm)

func newDigestFixture(t testing.TB) *fixture {
	f := newFixture(t, nil)
	f.digests()
	return f
}

func TestDigestsClean(t *testing.T) {
	f := newDigestFixture(t)
	entries := f.server.records(1001)
	for from := 0; from < len(entries); {
		n := min(from/3+1, len(entries)-from)
		f.append(entries[from : from+n]...)
		from += n
		f.want()
		if from%2 == 0 {
			f.reopen()
		}
	}
	if f.m.state.Size != 1001 || len(f.m.streams) != 1 || len(f.m.library.waiting) != 0 || f.m.last.NotChecked != nil || f.m.last.Unread != 0 {
		t.Errorf("%+v, %d streams", f.m.last, len(f.m.streams))
	}
	other := newServer(t, "other.example.com")
	other.form = evidence.FormDigest
	for kid, key := range other.keys() {
		f.cfg.Keys[kid] = key
	}
	f.reopen()
	for _, entry := range other.records(300) {
		f.append(entry, f.server.next(heartbeat()))
	}
	f.want()
}

// Every fault of a chain is found in a log of digests, too, and its proof holds.
func TestDigestChainFaults(t *testing.T) {
	for _, tt := range chainFaults {
		t.Run(tt.name, func(t *testing.T) {
			f := newDigestFixture(t)
			done := f.server.records(11)
			f.append(done...)
			f.want()
			f.append(tt.add(f.server, done)...)
			got := f.look()
			for _, want := range tt.want {
				if want == Code(evidence.CodeDuplicate) {
					want = CodeRepeated
				}
				if !slices.Contains(got, want) {
					t.Errorf("found %q, want %q among them", got, want)
				}
			}
			if slices.Contains(got, CodeMissing) || slices.Contains(got, codeForm) {
				t.Errorf("found %q", got)
			}
			f.want()
			f.reopen()
			f.want()
		})
	}
}

// Without records the log, the digests and their form are what is looked at, and that is said.
func TestDigestsWithoutRecords(t *testing.T) {
	f := newDigestFixture(t)
	f.cfg.Records, f.cfg.Dir = nil, t.TempDir()
	f.reopen()
	entries := f.server.records(600)
	f.append(entries[:500]...)
	f.want()
	if f.m.last.Unread != 500 || len(f.m.last.NotChecked) == 0 || len(f.m.streams) != 0 {
		t.Errorf("%+v", f.m.last)
	}
	f.reopen()
	f.leaves(entries[500], evidence.FormDigest.Leaf(entries[7]))
	f.want(codeForm, CodeRepeated)
	f.want()
	f.source.entries = func(_ uint64, bundle []byte) []byte {
		return []byte(strings.Replace(string(bundle), "evidence-digest", "evidence-digesT", 1))
	}
	f.reopen()
	if got := f.look(); !slices.Contains(got, CodeEntryChanged) {
		t.Errorf("found %q", got)
	}
	f.cfg.Records = []RecordSource{f.own.source("own")}
	if err := f.m.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(f.cfg); err == nil || !strings.Contains(err.Error(), "begin again in another directory") {
		t.Errorf("records where there were none: %v", err)
	}
	f.cfg.Records = nil
	f.m = nil
	f.reopen()
}

// A record that is withheld is told by the digest that is left of it, and not as a gap besides.
func TestRecordMissing(t *testing.T) {
	f := newDigestFixture(t)
	f.append(f.server.records(9)...)
	f.leaves(evidence.FormDigest.Leaf(f.server.next(heartbeat()))) // withheld
	f.append(f.server.next(heartbeat()))
	f.want(CodeMissing)
	f.want()
	f.reopen()
	f.want()
	f.server.next(heartbeat()) // neither in the log nor kept
	f.append(f.server.next(heartbeat()))
	f.want(Code(evidence.CodeGap))
	var none [32]byte
	rand.Read(none[:])                                                     //nolint:errcheck // never fails, see crypto/rand
	f.leaves(append([]byte("touchmark/evidence-digest/v1\n"), none[:]...)) // of nothing that there ever was
	f.append(f.server.next(heartbeat()))
	f.want(CodeMissing)
}

// The first record of a stream may be the one that is withheld.
func TestGenesisMissing(t *testing.T) {
	f := newDigestFixture(t)
	f.leaves(evidence.FormDigest.Leaf(f.server.next(genesis())))
	f.append(f.server.next(heartbeat()), f.server.next(heartbeat()))
	f.want(CodeMissing)
}

// One missing record excuses one gap, and not a second one in another stream of the server.
func TestMissingExcusesOnce(t *testing.T) {
	f := newDigestFixture(t)
	other := newServer(t, "mcp.example.com")
	other.form = evidence.FormDigest
	f.append(f.server.records(3)...)
	f.append(other.records(3)...)
	f.leaves(evidence.FormDigest.Leaf(f.server.next(heartbeat())))
	other.next(heartbeat()) // dropped
	f.append(f.server.next(heartbeat()), other.next(heartbeat()))
	f.want(CodeMissing, Code(evidence.CodeGap))
	if f.m.last.Excused != 1 {
		t.Errorf("%d records are excused", f.m.last.Excused)
	}
	f.reopen()
	f.want()
	if f.m.last.Excused != 1 {
		t.Errorf("%d records are excused", f.m.last.Excused)
	}
}

// Where several servers write, the leaf of one of them, of which nobody has a record, excuses no gap of another one.
func TestMissingExcusesNoOther(t *testing.T) {
	f := newDigestFixture(t)
	other := newServer(t, "other.example.com")
	other.form = evidence.FormDigest
	maps.Copy(f.cfg.Keys, other.keys())
	f.reopen()
	f.append(f.server.records(3)...)
	f.append(other.records(3)...)
	f.leaves(evidence.FormDigest.Leaf([]byte("rubbish, of the other server")))
	f.server.next(heartbeat()) // dropped
	f.append(f.server.next(heartbeat()), other.next(heartbeat()))
	f.want(CodeMissing, Code(evidence.CodeGap))
	if f.m.last.Excused != 0 {
		t.Errorf("%d records are excused", f.m.last.Excused)
	}
}

// A record that comes too late was told, and is not told as omitted from a log that has its digest.
func TestRecordCameLate(t *testing.T) {
	f := newDigestFixture(t)
	f.append(f.server.records(5)...)
	late := f.server.next(heartbeat())
	f.leaves(evidence.FormDigest.Leaf(late))
	f.append(f.server.next(heartbeat()))
	f.want(CodeMissing)
	f.own.entries = slices.Insert(f.own.entries, 5, late)
	f.want()
	f.reopen()
	f.want()
}

// A record that was looked at and is taken back does not take the faults along that it is needed for.
func TestRecordTakenBack(t *testing.T) {
	f := newDigestFixture(t)
	entries := f.server.records(9)
	f.append(entries...)
	f.want()
	twice := f.server.sign(heartbeat(), func(r *evidence.Record) { r.Sequence = 8 })
	f.own.entries[8] = twice
	f.leaves(evidence.FormDigest.Leaf(twice))
	f.keep(f.server.sign(heartbeat(), func(r *evidence.Record) { r.Previous = evidence.Hash{9} }))
	f.leaves(evidence.FormDigest.Leaf(f.own.entries[9]))
	f.other.entries = append(f.other.entries, twice)
	promised := &evidence.Promise{
		Server: f.server.did, LeafHash: evidence.Hash{1}, Stream: f.stream, Sequence: 8, LogOrigin: f.m.origin,
		IssuedAt: time.Now(), Deadline: time.Now().Add(time.Hour),
	}
	token, err := promised.Sign(f.server.kid, f.server.key)
	if err == nil {
		err = f.m.AddPromise(token)
	}
	if err != nil {
		t.Fatal(err)
	}
	report, err := f.m.Look(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got []Code
	for _, fault := range report.Faults {
		got = append(got, fault.Code)
		f.check(fault)
		if !strings.Contains(fault.Word, "record 8 was shown, and is not any more") {
			t.Errorf("%s: the word %q", fault.Code, fault.Word)
		}
		f.forge(fault, func(fault *Fault) { fault.Word = "" })
		f.forge(fault, func(fault *Fault) { fault.Sequence = at(999_999) })
		f.forge(fault, func(fault *Fault) { fault.Stream = evidence.NewStreamID().String() })
		f.forge(fault, func(fault *Fault) { fault.Stream, fault.Code = evidence.NewStreamID().String(), CodeJournal })
	}
	if want := []Code{
		Code(evidence.CodeConflict), Code(evidence.CodePreviousMismatch), CodeJournal, Code(evidence.CodePromiseMismatch),
	}; !slices.Equal(got, want) || f.m.state.Size != 11 {
		t.Errorf("found %q in %d entries, want %q", got, f.m.state.Size, want)
	}
	f.want()
	f.reopen()
	f.want()
}

// forge changes what a proof says, which must not hold then.
func (f *fixture) forge(fault *Fault, change func(*Fault)) {
	f.t.Helper()
	name := filepath.Join(f.cfg.Dir, fault.Dir, fileFault)
	text, err := os.ReadFile(name)
	if err != nil {
		f.t.Fatal(err)
	}
	var forged Fault
	if err := json.Unmarshal(text, &forged); err != nil {
		f.t.Fatal(err)
	}
	change(&forged)
	changed, err := json.Marshal(&forged)
	if err == nil {
		err = os.WriteFile(name, changed, 0o600)
	}
	if err != nil {
		f.t.Fatal(err)
	}
	var wrong *ProofError
	if _, err := Check(os.DirFS(filepath.Dir(name)), f.log.Policy(), f.cfg.Keys); !errors.As(err, &wrong) {
		f.t.Errorf("%s: %v", changed, err)
	}
	if err := os.WriteFile(name, text, 0o600); err != nil {
		f.t.Fatal(err)
	}
}

// Copies that lag behind have RecordDelay, and what is there by then is no fault.
func TestRecordDelay(t *testing.T) {
	f := newDigestFixture(t)
	now := time.Now()
	f.cfg.RecordDelay, f.cfg.Time = time.Minute, func() time.Time { return now }
	f.reopen()
	f.append(f.server.records(5)...)
	late, never := f.server.next(heartbeat()), f.server.next(heartbeat())
	f.leaves(evidence.FormDigest.Leaf(late))
	f.want()
	if f.m.state.Size != 5 || f.m.last.Late != 1 {
		t.Errorf("%+v", f.m.last)
	}
	now = now.Add(30 * time.Second)
	f.keep(late)
	f.want()
	f.leaves(evidence.FormDigest.Leaf(never))
	f.append(f.server.next(heartbeat()))
	f.reopen()
	f.want()
	if f.m.state.Size != 6 || f.m.last.Late != 2 {
		t.Errorf("%+v", f.m.last)
	}
	now = now.Add(59 * time.Second)
	f.want()
	now = now.Add(2 * time.Second)
	f.want(CodeMissing)
	if f.m.state.Size != 8 {
		t.Errorf("%d entries", f.m.state.Size)
	}
}

// A digest that is there again is a fault wherever it is, with its record at hand once, twice, or not at all.
func TestDigestRepeated(t *testing.T) {
	f := newDigestFixture(t)
	f.cfg.Records = append(f.cfg.Records, f.own.source("a second copy"))
	f.reopen()
	entries := f.server.records(701)
	f.append(entries...)
	f.leaves(evidence.FormDigest.Leaf(entries[3])) // in the same part
	f.want(CodeRepeated)
	f.reopen()
	f.leaves(evidence.FormDigest.Leaf(entries[300]), evidence.FormDigest.Leaf(entries[300])) // in a later one, of another run
	f.append(f.server.next(heartbeat()))
	f.want(CodeRepeated, CodeRepeated)
	f.want()
	unknown := evidence.FormDigest.Leaf([]byte("nobody has it"))
	f.leaves(unknown, unknown)
	f.want(CodeMissing, CodeRepeated)
}

// A leaf of the other form is told by itself, and what follows it is looked at all the same.
func TestOtherForm(t *testing.T) {
	f := newDigestFixture(t)
	f.append(f.server.records(5)...)
	whole := f.server.next(heartbeat())
	f.leaves(whole, []byte("touchmark/evidence-digest/v1\nshort"), []byte("touchmark/evidence-digest/v2\n"+strings.Repeat("x", 32)))
	f.append(f.server.next(heartbeat()))
	f.want(codeForm, codeForm, codeForm)
	f.want()

	r := newFixture(t, nil)
	r.append(r.server.records(5)...)
	entry := r.server.next(heartbeat())
	r.append(evidence.FormDigest.Leaf(entry))
	r.append(r.server.next(heartbeat()))
	r.want(codeForm, Code(evidence.CodeGap))
}

// A genesis record that lies about the form is one that the files of the proof show by themselves.
func TestFormLies(t *testing.T) {
	for _, form := range []evidence.LogForm{evidence.FormRecord, evidence.FormDigest} {
		f := newFixture(t, nil)
		said := evidence.FormDigest
		if form == evidence.FormDigest {
			f.digests()
			said = evidence.FormRecord
		}
		f.server.form = said
		f.append(f.server.records(5)...)
		report, err := f.m.Look(t.Context())
		if err != nil || len(report.Faults) != 1 || report.Faults[0].Code != codeForm || report.Faults[0].Word != "" {
			t.Fatalf("%s: %+v, %v", form, report, err)
		}
		f.check(report.Faults[0])
		f.want()
	}
}

// A monitor that is told the wrong form says so of the first leaf on, believes the tree, and reads no record.
func TestToldTheWrongForm(t *testing.T) {
	f := newDigestFixture(t)
	f.append(f.server.records(10)...)
	f.cfg.LogForm, f.cfg.Records, f.cfg.Dir = evidence.FormRecord, nil, t.TempDir()
	f.reopen()
	if got := f.look(); len(got) != 10 || slices.ContainsFunc(got, func(c Code) bool { return c != codeForm }) || len(f.m.streams) != 0 {
		t.Errorf("digests, told of records: %q", got)
	}
	r := newFixture(t, nil)
	r.append(r.server.records(10)...)
	r.cfg.LogForm, r.cfg.Dir = evidence.FormDigest, t.TempDir()
	r.reopen()
	if got := r.look(); len(got) != 10 || slices.ContainsFunc(got, func(c Code) bool { return c != codeForm }) || r.m.last.Unread != 0 {
		t.Errorf("records, told of digests: %q", got)
	}
}

func TestDigestConfig(t *testing.T) {
	f := newFixture(t, nil)
	for name, change := range map[string]func(*Config){
		"records of a log that has them": func(c *Config) { c.Records = []RecordSource{f.own.source("own")} },
		"a form that there is not":       func(c *Config) { c.LogForm = "hash" },
		"a delay before":                 func(c *Config) { c.RecordDelay = -1 },
		"one name twice": func(c *Config) {
			c.LogForm, c.Records = evidence.FormDigest, []RecordSource{f.own.source("a"), f.other.source("a")}
		},
		"no name": func(c *Config) { c.LogForm, c.Records = evidence.FormDigest, []RecordSource{f.own.source("")} },
		"no Read": func(c *Config) { c.LogForm, c.Records = evidence.FormDigest, []RecordSource{{Name: "a"}} },
	} {
		cfg := *f.cfg
		cfg.Dir = t.TempDir()
		change(&cfg)
		if _, err := Open(&cfg); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

// The proofs of what only logs of digests have say no more than they show.
func TestDigestProofsHold(t *testing.T) {
	f := newDigestFixture(t)
	entries := f.server.records(5)
	f.append(entries...)
	f.leaves(evidence.FormDigest.Leaf(f.server.next(heartbeat())), evidence.FormDigest.Leaf(entries[2]), entries[3])
	report, err := f.m.Look(t.Context())
	if err != nil || len(report.Faults) != 3 {
		t.Fatalf("%+v, %v", report, err)
	}
	for _, fault := range report.Faults {
		f.check(fault)
		dir := filepath.Join(f.cfg.Dir, fault.Dir)
		text, err := os.ReadFile(filepath.Join(dir, fileFault))
		if err != nil {
			t.Fatal(err)
		}
		for _, change := range []struct{ old, with string }{
			{`"log_form": "digest",`, ``},
			{`"log_form": "digest"`, `"log_form": "hash"`},
			{string(fault.Code), string(CodeMissing)},
			{string(fault.Code), string(CodeRepeated)},
			{string(fault.Code), string(codeForm)},
			{`"other": 2`, `"other": 1`},
			{`"word": "`, `"reason": "`},
		} {
			changed := strings.Replace(string(text), change.old, change.with, 1)
			if changed == string(text) || change.with == string(CodeMissing) && fault.Code == CodeRepeated {
				continue // any digest may be missing, for what the files say; it is the monitor's word, and here there is none
			}
			if err := os.WriteFile(filepath.Join(dir, fileFault), []byte(changed), 0o600); err != nil {
				t.Fatal(err)
			}
			if got, err := Check(os.DirFS(dir), f.log.Policy(), f.cfg.Keys); err == nil {
				t.Errorf("%s, with %q in the place of %q: %+v", fault.Code, change.with, change.old, got)
			}
		}
	}
}

// What a source showed for the leaves of the log is not read from it again, if it is what the log has at its place.
func TestRecordsAreReadOnce(t *testing.T) {
	f := newDigestFixture(t)
	own, from := f.cfg.Records[0], []uint64(nil)
	f.cfg.Records[0].Read = func(n uint64) iter.Seq2[*evidence.StoredRecord, error] {
		from = append(from, n)
		return own.Read(n)
	}
	f.reopen()
	read := func(want []uint64, codes ...Code) {
		t.Helper()
		from = nil
		f.want(codes...)
		if !slices.Equal(from, want) {
			t.Errorf("read from %d, want %d", from, want)
		}
	}
	entries := f.server.records(9)
	f.append(entries[:5]...)
	read([]uint64{0, 4})
	read([]uint64{4})
	f.keep(entries[5]) // and dropped
	f.append(entries[6:]...)
	read([]uint64{5, 4, 4}, Code(evidence.CodeGap), CodeOmitted) // once for the proof
	read([]uint64{8})
	other := f.server.sign(heartbeat(), nil)
	f.leaves(evidence.FormDigest.Leaf(other))
	f.other.entries = append(f.other.entries, other)
	f.append(f.server.sign(heartbeat(), nil))                            // the same number
	read([]uint64{9, 8, 9, 0}, Code(evidence.CodeConflict), CodeJournal) // 9 and 0 for the proof
}

// Leaves that begin alike, as somebody can make them, are not the same.
func TestLeavesThatBeginAlike(t *testing.T) {
	f := newDigestFixture(t)
	a, b, c := [32]byte{31: 1}, [32]byte{31: 2}, [32]byte{31: 3}
	got, err := f.m.repeated(7, [][32]byte{a, b, b, a, c, b})
	if want := map[int]uint64{2: 8, 3: 7, 5: 8}; err != nil || !maps.Equal(got, want) {
		t.Errorf("%v, %v, want %v", got, err, want)
	}
}

// A file may have two records of one number, of which the log has one, and a record behind others of larger numbers. Each
// is compared, though the others were found for the leaves of the log.
func TestFileOfRecordsIsReadWhole(t *testing.T) {
	for name, test := range map[string]struct {
		forged bool
		place  int // of the other record 5 among the lines
		want   Code
	}{
		"before it": {false, 5, CodeJournal},
		"behind it": {false, 6, CodeJournal},
		"at last":   {false, 10, CodeJournal},
		"forged":    {true, 6, Code(evidence.CodeSignatureInvalid)},
	} {
		t.Run(name, func(t *testing.T) {
			f := newDigestFixture(t)
			entries := f.server.records(5)
			signer := f.server
			if test.forged {
				signer = newServer(t, "mcp.example.com")
				signer.header, signer.kid, signer.form = f.server.header, f.server.kid, evidence.FormDigest
				_, signer.key, _ = newKey(t)
			}
			other := signer.sign(heartbeat(), nil)
			for range 5 {
				entries = append(entries, f.server.next(heartbeat()))
			}
			file := filepath.Join(t.TempDir(), "entries")
			lines := bytes.Join(slices.Insert(slices.Clone(entries), test.place, other), []byte("\n"))
			if err := os.WriteFile(file, append(lines, '\n'), 0o600); err != nil {
				t.Fatal(err)
			}
			f.cfg.Records, f.cfg.Dir = []RecordSource{FileRecords(file)}, t.TempDir()
			f.reopen()
			for _, e := range entries {
				f.leaves(evidence.FormDigest.Leaf(e))
			}
			f.want(test.want)
		})
	}
}
