package index

import (
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/evidence"
)

func openIndex(t testing.TB, dir string) *Index {
	t.Helper()
	x, err := Open(t.Context(), &Config{Journal: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := x.Close(); err != nil {
			t.Error(err)
		}
	})
	return x
}

// seqs returns the numbers of the records that an answer has.
func seqs(t testing.TB, answer func(yield func(*Hit, error) bool)) []uint64 {
	t.Helper()
	all := []uint64{}
	for hit, err := range answer {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, hit.Record.Sequence)
	}
	return all
}

// reference answers a query from all records there are.
func reference(t testing.TB, dir string, q *Query) []uint64 {
	t.Helper()
	return answer(records(t, dir), q)
}

func records(t testing.TB, dir string) (all []*evidence.Record) {
	t.Helper()
	for r, err := range evidence.EntriesFrom(dir, evidence.Place{Segment: 1}, 0) {
		if err != nil {
			t.Fatal(err)
		}
		e, err := evidence.ParseEntry(r.Entry)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, e.Record)
	}
	return all
}

func answer(all []*evidence.Record, q *Query) []uint64 {
	out := []uint64{}
	for _, r := range all {
		var of *evidence.Record
		if r.Outcome != nil {
			of = all[r.Outcome.DecisionSequence]
		}
		if q.HasFrom && (!q.Newest && r.Sequence < q.From || q.Newest && r.Sequence > q.From) || !q.Match(r, of) {
			continue
		}
		out = append(out, r.Sequence)
	}
	if q.Newest {
		slices.Reverse(out)
	}
	if q.Limit > 0 && len(out) > q.Limit {
		out = out[:q.Limit]
	}
	return out
}

func randomQuery(r *rand.Rand, w *world, records uint64) *Query {
	some := func(all ...string) string { return all[r.IntN(len(all))] }
	maybe := func(n int, all ...string) string {
		if r.IntN(n) == 0 {
			return some(all...)
		}
		return ""
	}
	q := &Query{Newest: r.IntN(2) == 0, Limit: 1 + r.IntN(40)}
	q.Caller = maybe(3, w.callers[r.IntN(len(w.callers))].String(), Anonymous, "uid:3", "did:web:nobody.example")
	q.Target = maybe(4, w.targets...)
	q.Tenant = maybe(4, w.tenants[1:]...)
	q.Rule = maybe(5, w.rules...)
	q.Capability = maybe(6, "tool", "resource", "prompt")
	q.Decision = evidence.DecisionKind(maybe(6, "allow", "deny", "require_approval"))
	q.Reason = maybe(6, "TOOL_POLICY_DENIED", "BADGE_EXPIRED", "NO_SUCH_CODE")
	q.Kind = evidence.Kind(maybe(6, "genesis", "decision", "outcome", "heartbeat", "change"))
	q.Outcomes = r.IntN(3) == 0
	if r.IntN(3) == 0 {
		q.Since = testStart.Add(time.Duration(r.IntN(int(records))) * time.Millisecond)
	}
	if r.IntN(3) == 0 {
		q.Until = testStart.Add(time.Duration(r.IntN(int(records))) * time.Millisecond)
	}
	if q.HasFrom = r.IntN(3) == 0; q.HasFrom {
		q.From = r.Uint64N(records + 10)
	}
	return q
}

// TestFind: whatever is asked, in a journal of several segments that grows, the index answers like the journal.
func TestFind(t *testing.T) {
	dir := t.TempDir()
	j := newJournal(t, dir, 200_000, 7)
	r := rand.New(rand.NewPCG(3, 4))
	for round := range 3 {
		j.some(600)
		x := openIndex(t, dir)
		if want := uint64(600); round > 0 && x.Indexed() != want || round == 0 && x.Indexed() != want+1 {
			t.Errorf("round %d: %d records were read", round, x.Indexed())
		}
		all := records(t, dir)
		for range 40 {
			q := randomQuery(r, j.world, j.seq)
			want := answer(all, q)
			if got := seqs(t, x.Find(t.Context(), q)); !slices.Equal(got, want) {
				t.Fatalf("%+v: %d, want %d", q, got, want)
			}
			if got := seqs(t, Scan(t.Context(), dir, q)); !slices.Equal(got, want) {
				t.Fatalf("scan of %+v: %d, want %d", q, got, want)
			}
		}
		x2 := openIndex(t, dir)
		if x2.Indexed() != 0 {
			t.Errorf("round %d: %d records were read again", round, x2.Indexed())
		}
	}
	if j.number < 4 {
		t.Errorf("%d segments", j.number)
	}
}

// TestFindID: an id is found, and another one with the same beginning is not.
func TestFindID(t *testing.T) {
	dir := t.TempDir()
	j := newJournal(t, dir, 1<<20, 5)
	j.some(300)
	x := openIndex(t, dir)
	for hit, err := range Scan(t.Context(), dir, &Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		id := hit.Record.ID
		if got := seqs(t, x.Find(t.Context(), &Query{Filter: Filter{ID: id}})); !slices.Equal(got, []uint64{hit.Record.Sequence}) {
			t.Errorf("%s: %d", id, got)
		}
		id = id[:35] + string("0123456789abcdef"[(strings.IndexByte("0123456789abcdef", id[35])+1)%16])
		if got := seqs(t, x.Find(t.Context(), &Query{Filter: Filter{ID: id}})); len(got) != 0 {
			t.Errorf("%s: %d", id, got)
		}
	}
	for _, id := range []string{"x", "zzzzzzzz-0000-4000-8000-000000000000"} {
		if got := seqs(t, x.Find(t.Context(), &Query{Filter: Filter{ID: id}})); len(got) != 0 {
			t.Errorf("%s: %d", id, got)
		}
	}
}

// TestManyChunks: a segment has as many chunks as it needs, and the last one goes on.
func TestManyChunks(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 70,000 records")
	}
	dir := t.TempDir()
	j := newJournal(t, dir, 1<<40, 500)
	j.some(60_000)
	openIndex(t, dir)
	j.some(10_000)
	x := openIndex(t, dir)
	if x.Indexed() != 10_000 || len(x.chunks) != 2 {
		t.Errorf("%d records were read, %d chunks", x.Indexed(), len(x.chunks))
	}
	r := rand.New(rand.NewPCG(5, 6))
	all := records(t, dir)
	for range 10 {
		q := randomQuery(r, j.world, j.seq)
		want := answer(all, q)
		if got := seqs(t, x.Find(t.Context(), q)); !slices.Equal(got, want) {
			t.Fatalf("%+v: %d, want %d", q, got, want)
		}
	}
}

func chunkNames(t *testing.T, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, DirName, "*"+chunkSuffix))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// TestDamage: every byte of the index is under a checksum. One that is changed has the file made again, before a query or
// in the middle of it.
func TestDamage(t *testing.T) {
	dir := t.TempDir()
	j := newJournal(t, dir, 30_000, 5)
	j.some(200)
	openIndex(t, dir)
	q := &Query{Filter: Filter{Target: "read_file", Outcomes: true}}
	want := reference(t, dir, q)
	names := chunkNames(t, dir)
	if len(names) < 3 {
		t.Fatalf("%q", names)
	}
	good, err := os.ReadFile(names[1])
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(7, 8))
	for range 60 {
		at := r.IntN(len(good))
		bad := slices.Clone(good)
		bad[at] ^= byte(1 + r.IntN(255))
		if err := os.WriteFile(names[1], bad, 0o600); err != nil {
			t.Fatal(err)
		}
		x := openIndex(t, dir)
		if got := seqs(t, x.Find(t.Context(), q)); !slices.Equal(got, want) {
			t.Fatalf("byte %d changed: %d, want %d", at, got, want)
		}
	}
	for _, text := range []string{"", "x", string(good[:len(good)-1]), string(good) + "x", string(good[:len(good)/2])} {
		if err := os.WriteFile(names[1], []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		x := openIndex(t, dir)
		if got := seqs(t, x.Find(t.Context(), q)); !slices.Equal(got, want) {
			t.Fatalf("%d bytes: %d, want %d", len(text), got, want)
		}
	}
	if again, err := os.ReadFile(names[1]); err != nil || !slices.Equal(again, good) {
		t.Errorf("another file was made: %v", err)
	}
}

// TestMissing: what is not there is made again, and what is of nobody is left alone or removed.
func TestMissing(t *testing.T) {
	dir := t.TempDir()
	j := newJournal(t, dir, 30_000, 5)
	j.some(200)
	openIndex(t, dir)
	names := chunkNames(t, dir)
	if err := os.Remove(names[0]); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(names[1]+".tmp", []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, DirName, "README"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	x := openIndex(t, dir)
	if got := seqs(t, x.Find(t.Context(), &Query{})); len(got) != 201 || x.Indexed() == 0 || x.Indexed() >= 201 {
		t.Errorf("%d records, %d read", len(got), x.Indexed())
	}
	if _, err := os.Stat(names[1] + ".tmp"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what a process left that was stopped: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, DirName, "README")); err != nil {
		t.Error(err)
	}
	for _, name := range append(chunkNames(t, dir), filepath.Join(dir, DirName, lockName)) {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	if info, err := os.Stat(filepath.Join(dir, DirName)); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info, err)
	}
}

// TestOtherJournal: the index of another journal is of no use, and goes.
func TestOtherJournal(t *testing.T) {
	a, b := t.TempDir(), t.TempDir()
	newJournal(t, a, 30_000, 5).some(100)
	j := newJournal(t, b, 30_000, 5)
	j.rand = rand.New(rand.NewPCG(9, 9))
	j.some(150)
	// The salts of the second segments differ, the first ones are the same file.
	openIndex(t, a)
	if err := os.CopyFS(filepath.Join(b, DirName), os.DirFS(filepath.Join(a, DirName))); err != nil {
		t.Fatal(err)
	}
	q := &Query{Filter: Filter{Target: "read_file"}}
	x := openIndex(t, b)
	if got, want := seqs(t, x.Find(t.Context(), q)), reference(t, b, q); !slices.Equal(got, want) {
		t.Errorf("%d, want %d", got, want)
	}
}

// TestVanished: records that were read before they were durable, and are gone after a crash, are gone from the index.
func TestVanished(t *testing.T) {
	dir := t.TempDir()
	j := newJournal(t, dir, 1<<30, 1)
	j.some(50)
	before, size := *j, j.off
	j.some(30)
	x := openIndex(t, dir)
	if err := os.Truncate(segmentFile(dir, 1), size); err != nil {
		t.Fatal(err)
	}
	if got := seqs(t, x.Find(t.Context(), &Query{})); len(got) != 51 {
		t.Errorf("at once: %d records", len(got))
	}
	j = &before
	j.rand = rand.New(rand.NewPCG(10, 10))
	j.begin()
	j.some(40)
	x = openIndex(t, dir)
	for _, q := range []*Query{{}, {Newest: true}, {Filter: Filter{Target: "read_file"}}} {
		if got, want := seqs(t, x.Find(t.Context(), q)), reference(t, dir, q); !slices.Equal(got, want) {
			t.Errorf("%+v: %d, want %d", q, got, want)
		}
	}
}

// TestSegmentRewritten: a segment that was written anew under its name, with other places, is read anew, also while a
// query is under way.
func TestSegmentRewritten(t *testing.T) {
	for _, during := range []bool{false, true} {
		dir := t.TempDir()
		newJournal(t, dir, 30_000, 5).some(200)
		x := openIndex(t, dir)
		if !during {
			rewrite(t, dir, 2)
			x = openIndex(t, dir)
		}
		var got []uint64
		for hit, err := range x.Find(t.Context(), &Query{}) {
			if err != nil {
				t.Fatal(err)
			}
			if got = append(got, hit.Record.Sequence); during && len(got) == 30 {
				rewrite(t, dir, 2)
			}
		}
		if len(got) != 201 || !slices.IsSorted(got) {
			t.Errorf("during %v: %d", during, got)
		}
	}
}

// TestRemoved: records that a journal removed at its beginning are in no answer, also when that happens under a query; an
// outcome whose decision is gone is nobody's.
func TestRemoved(t *testing.T) {
	for _, during := range []bool{false, true} {
		dir := t.TempDir()
		newJournal(t, dir, 30_000, 5).some(200)
		x := openIndex(t, dir)
		all := records(t, dir)
		var first uint64
		if !during {
			first = remove(t, dir, 2)
			x = openIndex(t, dir)
		}
		var got []uint64
		for hit, err := range x.Find(t.Context(), &Query{Newest: true}) {
			if err != nil {
				t.Fatal(err)
			}
			if got = append(got, hit.Record.Sequence); during && len(got) == 10 {
				first = remove(t, dir, 2)
			}
		}
		if n := len(got); uint64(n) != 201-first || got[n-1] != first {
			t.Errorf("during %v: %d records to %d, the first one is %d", during, n, got[n-1], first)
		}
		q := &Query{Filter: Filter{Capability: "tool", Outcomes: true}}
		var want []uint64
		for _, r := range all[first:] {
			var of *evidence.Record
			if o := r.Outcome; o != nil && o.DecisionSequence >= first {
				of = all[o.DecisionSequence]
			}
			if q.Match(r, of) {
				want = append(want, r.Sequence)
			}
		}
		if got := seqs(t, x.Find(t.Context(), q)); !slices.Equal(got, want) {
			t.Errorf("during %v: %d, want %d", during, got, want)
		}
		if got := seqs(t, Scan(t.Context(), dir, q)); !slices.Equal(got, want) {
			t.Errorf("during %v: scan: %d, want %d", during, got, want)
		}
		if first == 0 {
			t.Error("nothing was removed")
		}
	}
}

// remove removes segments at the beginning of a journal, and returns the number of the first record that is left.
func remove(t *testing.T, dir string, segments uint64) (first uint64) {
	t.Helper()
	all, err := evidence.Segments(dir)
	if err != nil {
		t.Fatal(err)
	}
	s := all[segments]
	head := &evidence.JournalHead{Journal: s.Journal, Segment: s.Number, First: s.First, Entry: []byte("the entry"), Receipt: []byte("the receipt")}
	text, err := head.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "head"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, s := range all[:segments] {
		if err := os.Remove(segmentFile(dir, s.Number)); err != nil {
			t.Fatal(err)
		}
	}
	return s.First
}

// rewrite writes a segment anew without private parts: with another salt, and shorter frames.
func rewrite(t *testing.T, dir string, number uint64) {
	t.Helper()
	name := segmentFile(dir, number)
	segments, err := evidence.Segments(dir)
	if err != nil {
		t.Fatal(err)
	}
	s := segments[number-1]
	old, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	j := &journalWriter{t: t, dir: t.TempDir(), segment: 1 << 40, rand: rand.New(rand.NewPCG(11, 11)), perBatch: 1 << 30, journal: s.Journal}
	j.number, j.seq = number-1, s.First
	for i := range 8 {
		j.previous |= int64(old[64+i]) << (8 * i)
	}
	j.begin()
	for e, err := range evidence.EntriesFrom(dir, evidence.Place{Segment: number}, s.First) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Place.Segment != number {
			break
		}
		payload := append([]byte{1, 0, 0, 0, byte(len(e.Entry)), byte(len(e.Entry) >> 8), 0, 0}, make([]byte, 24)...)
		j.frame(append(append(payload, e.Entry...), append(make([]byte, 1, 35), make([]byte, 34)...)...))
		j.batch[len(j.batch)-1] = 0
	}
	j.flush()
	next, err := os.ReadFile(segmentFile(dir, number+1))
	if err != nil {
		t.Fatal(err)
	}
	now, err := os.ReadFile(segmentFile(j.dir, number))
	if err != nil {
		t.Fatal(err)
	}
	copy(now[72:], next[64:72])
	binary.LittleEndian.PutUint64(now[80:], uint64(j.off))
	binary.LittleEndian.PutUint32(now[4092:], crc32.Checksum(now[:4092], castagnoli))
	if err := os.WriteFile(name+".tmp", now, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := os.Rename(name+".tmp", name); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(make([]byte, len(old)), 0); err != nil { // what was there is overwritten
		t.Fatal(err)
	}
}

// TestOpenRefuses: errors about the journal are the journal's.
func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	if _, err := Open(t.Context(), &Config{Journal: dir}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no journal: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, DirName)); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a directory was made where there is no journal")
	}
	j := newJournal(t, dir, 30_000, 5)
	j.some(200)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	text, err := os.ReadFile(segmentFile(dir, 2))
	if err != nil {
		t.Fatal(err)
	}
	text[6000] ^= 1
	if err := os.WriteFile(segmentFile(dir, 2), text, 0o600); err != nil {
		t.Fatal(err)
	}
	var corrupt *evidence.CorruptError
	if _, err := Open(t.Context(), &Config{Journal: dir}); !errors.As(err, &corrupt) {
		t.Errorf("a damaged journal: %v", err)
	}
	if err := os.Remove(segmentFile(dir, 2)); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), &Config{Journal: dir}); !errors.As(err, &corrupt) {
		t.Errorf("a missing segment: %v", err)
	}
	for _, err := range Scan(ctx, dir, &Query{Newest: true}) {
		if !errors.Is(err, ErrNewest) {
			t.Errorf("newest without a limit: %v", err)
		}
	}
}

// TestMerge: the answers about several journals come in the order of time.
func TestMerge(t *testing.T) {
	a, b := t.TempDir(), t.TempDir()
	newJournal(t, a, 30_000, 5).some(20)
	newJournal(t, b, 30_000, 5).some(30)
	for _, newest := range []bool{false, true} {
		q := &Query{Newest: newest, Limit: 100}
		var of [2]int
		last := time.Time{}
		for f, err := range Merge(newest, Scan(t.Context(), a, q), Scan(t.Context(), b, q)) {
			if err != nil {
				t.Fatal(err)
			}
			if !last.IsZero() && (newest && f.Record.Time.After(last) || !newest && f.Record.Time.Before(last)) {
				t.Errorf("newest %v: %v after %v", newest, f.Record.Time, last)
			}
			last = f.Record.Time
			of[f.Journal]++
		}
		if of != [2]int{21, 31} {
			t.Errorf("newest %v: %d", newest, of)
		}
	}
	failed := false
	for _, err := range Merge(false, Scan(t.Context(), a, &Query{}), Scan(t.Context(), t.TempDir(), &Query{})) {
		failed = failed || err != nil
	}
	if !failed {
		t.Error("a journal that is not there was passed over")
	}
}
