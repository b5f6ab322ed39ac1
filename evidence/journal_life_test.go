package evidence

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/touchmark-dev/touchmark/internal/durable"
	"github.com/touchmark-dev/touchmark/internal/durable/durabletest"
)

// shortened is what the tests make of every third payload.
func shortened(index uint64) []byte {
	if index%3 == 0 {
		return payloadFor(index)[:10]
	}
	return payloadFor(index)
}

func shorten(index uint64, payload []byte) ([]byte, error) {
	if index%3 == 0 {
		return payload[:10], nil
	}
	return payload, nil
}

// headAt is the head of a journal whose first segments are removed up to a segment.
func headAt(t testing.TB, fsys durable.FS, dir string, number uint64) *JournalHead {
	t.Helper()
	f, err := fsys.Open(filepath.Join(dir, segmentName(number)), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := openSegment(f, "test")
	if err != nil {
		t.Fatal(err)
	}
	return &JournalHead{Journal: r.head.journal, Segment: number, First: r.head.first, Entry: []byte("entry"), Receipt: []byte("receipt\n")}
}

// lifeContents reads a journal from its first payload, each of which is the one that was appended or what is left of it,
// and returns the index of the first and of the one after the last, and how many were shortened.
func lifeContents(fsys durable.FS) (first, next uint64, short int, err error) {
	r, err := openJournalReader(fsys, crashDir, 0)
	if err != nil {
		return 0, 0, 0, err
	}
	defer r.close()
	first = r.index
	for {
		index, p, err := r.next()
		if errors.Is(err, io.EOF) {
			return first, r.index, short, nil
		}
		if err != nil {
			return 0, 0, 0, err
		}
		switch {
		case bytes.Equal(p, payloadFor(index)):
		case bytes.Equal(p, shortened(index)):
			short++
		default:
			return 0, 0, 0, fmt.Errorf("payload %d was never written", index)
		}
	}
}

// TestJournalLifeCrashes lets the power fail at every operation of a journal that is compacted and loses its beginning
// while it is written to, and is opened again. Each crash leaves each segment as it was or as it was to be, and the
// journal beginning where it did or where the head says; nothing else is lost, and the next writer goes on.
func TestJournalLifeCrashes(t *testing.T) {
	t.Parallel()
	c := &crashRun{TB: t, disk: durabletest.NewDisk(crashDir)}
	j := c.open()
	c.appendBatches(j, 14)
	began := c.disk.Len()
	if done, err := j.compact(t.Context(), shorten); err != nil || done.payloads == 0 || done.bytes <= 0 {
		t.Fatalf("%+v, %v", done, err)
	}
	compacted := c.disk.Len()
	c.appendBatches(j, 3)
	head := headAt(t, c.disk, crashDir, 3)
	dropping := c.disk.Len()
	if err := j.drop(head); err != nil {
		t.Fatal(err)
	}
	dropped := c.disk.Len()
	c.appendBatches(j, 2)
	if done, err := j.compact(t.Context(), shorten); err != nil {
		t.Fatalf("%+v, %v", done, err)
	}
	if err := j.close(); err != nil {
		t.Fatal(err)
	}
	j = c.open()
	c.appendBatches(j, 2)
	_, _, shortNow, err := lifeContents(c.disk)
	if err != nil || shortNow == 0 {
		t.Fatalf("%d payloads are short, %v", shortNow, err)
	}
	j.poison(errors.New("stopped by the test"))
	_ = j.close()
	crashes := 0
	c.disk.Crashes(0, sampling(11), func(crash *durabletest.Crash) bool {
		crashes++
		acked := c.acknowledged(crash.At)
		j, err := openJournal(smallJournal(crash.Disk, crashDir))
		if err != nil {
			t.Errorf("%v: %v", crash, err)
			return false
		}
		defer j.close()
		first, next, short, err := lifeContents(crash.Disk)
		switch {
		case err != nil || next != j.next || next < acked:
			t.Errorf("%v: %d to %d, %v; the next is %d, and %d were acknowledged", crash, first, next, err, j.next, acked)
		case first != 0 && (crash.At <= dropping || first != head.First), first == 0 && crash.At >= dropped:
			t.Errorf("%v: it begins with %d", crash, first)
		case short > 0 && crash.At <= began, short == 0 && crash.At >= compacted:
			t.Errorf("%v: %d payloads are short", crash, short)
		}
		for _, name := range crash.Disk.Names(crashDir) {
			n, ok := segmentNumber(name)
			if name == compactName || name == copyName || ok && first > 0 && n < head.Segment {
				t.Errorf("%v: %s is left", crash, name)
			}
		}
		if err := appendOne(j, payloadFor(j.next)); err != nil {
			t.Errorf("%v: %v", crash, err)
		}
		return !t.Failed()
	})
	t.Logf("%d operations, %d crashes", c.disk.Len(), crashes)
}

// TestJournalLifeFaults fails each operation in turn. Compacting and removing say so, the journal stays whole, and goes
// on; what is tried again succeeds.
func TestJournalLifeFaults(t *testing.T) {
	t.Parallel()
	for n := 1; ; n++ {
		c := &crashRun{TB: t, disk: durabletest.NewDisk(crashDir)}
		j := c.open()
		c.appendBatches(j, 14)
		head := headAt(t, c.disk, crashDir, 3)
		left := n
		c.disk.SetFault(func(durabletest.Op) error {
			if left--; left == 0 {
				return syscall.EIO
			}
			return nil
		})
		_, err := j.compact(t.Context(), shorten)
		if err == nil {
			err = j.drop(head)
		}
		c.disk.SetFault(nil)
		if hit := left <= 0; hit != (err != nil) {
			t.Errorf("fault %d: %v", n, err)
		}
		if _, next, _, err := lifeContents(c.disk); err != nil || next != j.next {
			t.Fatalf("fault %d: it ends with %d, %v", n, next, err)
		}
		c.appendBatches(j, 1)
		if _, err := j.compact(t.Context(), shorten); err != nil {
			t.Fatalf("fault %d: compacting again: %v", n, err)
		}
		if err := j.drop(head); err != nil {
			t.Fatalf("fault %d: removing again: %v", n, err)
		}
		if err := j.close(); err != nil {
			t.Fatal(err)
		}
		j = c.open()
		if first, next, _, err := lifeContents(c.disk); err != nil || first != head.First || next != j.next {
			t.Fatalf("fault %d: %d to %d, %v", n, first, next, err)
		}
		_ = j.close()
		if left > 0 || t.Failed() {
			t.Logf("%d faults", n-1)
			return
		}
	}
}

// TestJournalCompactionFrees: the files are smaller, and the bytes of what was cut are not in them.
func TestJournalCompactionFrees(t *testing.T) {
	disk := durabletest.NewDisk(crashDir)
	j := mustOpenJournal(t, smallJournal(disk, crashDir))
	appendPayloads(t, j, 60)
	before := j.closed
	done, err := j.compact(t.Context(), shorten)
	if err != nil || before-done.bytes != j.closed {
		t.Fatalf("%+v, %v: %d bytes before, %d after", done, err, before, j.closed)
	}
	again, err := j.compact(t.Context(), shorten)
	if err != nil || again.payloads != 0 {
		t.Errorf("compacted again: %+v, %v", again, err)
	}
	var total int64
	for _, name := range disk.Names(crashDir) {
		b, err := durable.ReadFile(disk, filepath.Join(crashDir, name), 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		n, ok := segmentNumber(name)
		if !ok || n == j.head.number {
			continue
		}
		total += int64(len(b))
		for i := uint64(0); i < j.head.first; i += 3 {
			if bytes.Contains(b, payloadFor(i)[:15]) {
				t.Errorf("%s still has payload %d", name, i)
			}
		}
	}
	if total != j.closed {
		t.Errorf("%d bytes, and the journal counts %d", total, j.closed)
	}
	if err := j.close(); err != nil {
		t.Fatal(err)
	}
}

// TestJournalOldFilesAreWiped: a file that a copy replaced, and what a crash left of one, are overwritten before nobody
// can find them any more.
func TestJournalOldFilesAreWiped(t *testing.T) {
	disk := durabletest.NewDisk(crashDir)
	j := mustOpenJournal(t, smallJournal(disk, crashDir))
	appendPayloads(t, j, 60)
	last := segmentName(j.head.number)
	var kept []durable.File
	for _, name := range []string{last, copyName, compactName} {
		name = filepath.Join(crashDir, name)
		if filepath.Base(name) != last {
			if err := durable.WriteFile(disk, name, bytes.Join([][]byte{make([]byte, blockBytes), payloadFor(59)}, nil)); err != nil {
				t.Fatal(err)
			}
		}
		f, err := disk.Open(name, os.O_RDWR)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		kept = append(kept, f)
	}
	j.poison(errors.New("stopped by the test"))
	_ = j.close()
	j = mustOpenJournal(t, smallJournal(disk, crashDir))
	defer j.close()
	for i, f := range kept {
		size, err := f.Size()
		if err != nil || size <= blockBytes {
			t.Fatalf("file %d: %d bytes, %v", i, size, err)
		}
		b := make([]byte, size)
		if _, err := f.ReadAt(b, 0); err != nil {
			t.Fatal(err)
		}
		if !isZero(b[blockBytes:]) {
			t.Errorf("file %d has what was in it", i)
		}
	}
	if count, err := contents(disk); err != nil || count != 60 {
		t.Errorf("%d payloads, %v", count, err)
	}
}

// TestJournalReaderOfRecovered: who reads the last segment of a writer that was killed reads on when the next writer has
// put a copy in its place.
func TestJournalReaderOfRecovered(t *testing.T) {
	dir := t.TempDir()
	j := mustOpenJournal(t, smallJournal(durable.OS{}, dir))
	const all = 12
	appendPayloads(t, j, all)
	var readers []*journalReader
	for i := range all {
		r, err := openJournalReader(durable.OS{}, dir, uint64(i))
		if err != nil {
			t.Fatal(err)
		}
		defer r.close()
		r.cur.window = nil // it has not read ahead
		readers = append(readers, r)
	}
	j.poison(errors.New("stopped by the test"))
	_ = j.close()
	j = mustOpenJournal(t, smallJournal(durable.OS{}, dir))
	defer j.close()
	for i, r := range readers {
		for want := uint64(i); want < all; want++ {
			if index, p, err := r.next(); err != nil || index != want || !bytes.Equal(p, payloadFor(want)) {
				t.Fatalf("reader %d, payload %d: %v", i, want, err)
			}
		}
		if _, _, err := r.next(); !errors.Is(err, io.EOF) {
			t.Errorf("reader %d: %v", i, err)
		}
	}
}

// TestPlacesOfRecovered: so does who reads single records at their places.
func TestPlacesOfRecovered(t *testing.T) {
	cfg, _ := ledgerConfig(t)
	l := mustOpenLedger(t, cfg)
	recordMany(t, l, 5)
	places := NewPlaceReader(cfg.Dir)
	defer places.Close()
	read := func() (entries []string) {
		t.Helper()
		for e, err := range EntriesFrom(cfg.Dir, Place{Segment: 1}, 0) {
			if err != nil {
				t.Fatal(err)
			}
			entry, err := places.Entry(e.Place)
			if err != nil || !bytes.Equal(entry, e.Entry) {
				t.Fatalf("record %d: %v", e.Sequence, err)
			}
			entries = append(entries, string(entry))
		}
		return entries
	}
	before := read()
	crash(t, l)
	l = mustOpenLedger(t, cfg)
	defer mustClose(t, l)
	places.open[0].window = nil // or it would still have them
	if after := read(); len(after) <= len(before) || after[5] != before[5] {
		t.Errorf("%d records, %d before", len(after), len(before))
	}
}

// TestJournalCountsWhatItHas: a segment that others see to be closed is as long as the journal counts it.
func TestJournalCountsWhatItHas(t *testing.T) {
	disk := durabletest.NewDisk(crashDir)
	j := mustOpenJournal(t, smallJournal(disk, crashDir))
	appendPayloads(t, j, 60)
	if err := j.close(); err != nil {
		t.Fatal(err)
	}
	cut := uint64(0)
	for _, op := range disk.Ops() {
		switch n, ok := segmentNumber(filepath.Base(op.Target)); {
		case op.Kind == durabletest.OpTruncate && op.Off < j.cfg.segmentBytes: // not a reservation
			cut++
		case op.Kind == durabletest.OpRename && ok && n != cut+1:
			t.Errorf("segment %d has its name, and %d were cut", n, cut)
		}
	}
	if cut < 2 {
		t.Errorf("%d segments were cut", cut)
	}
}

// TestJournalReaderIsOvertaken: readers of segments that are compacted read on, and those whose next segment is removed
// are told.
func TestJournalReaderIsOvertaken(t *testing.T) {
	disk := durabletest.NewDisk(crashDir)
	j := mustOpenJournal(t, smallJournal(disk, crashDir))
	defer j.close()
	appendPayloads(t, j, 100)
	read := func(r *journalReader, n int) {
		t.Helper()
		for range n {
			if index, p, err := r.next(); err != nil || !bytes.Equal(p, payloadFor(index)) && !bytes.Equal(p, shortened(index)) {
				t.Fatalf("payload %d: %v", index, err)
			}
		}
	}
	var readers []*journalReader
	for i := range 30 { // at all places of the first segments
		r, err := openJournalReader(disk, crashDir, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer r.close()
		read(r, i)
		if i%2 == 0 {
			r.cur.window = nil // it has not read ahead
		}
		readers = append(readers, r)
	}
	if _, err := j.compact(t.Context(), shorten); err != nil {
		t.Fatal(err)
	}
	for i, r := range readers {
		read(r, 40-i)
	}
	head := headAt(t, disk, crashDir, j.head.number)
	if err := j.drop(head); err != nil {
		t.Fatal(err)
	}
	for _, r := range readers {
		var removed *RemovedError
		var err error
		for err == nil {
			_, _, err = r.next()
		}
		if !errors.As(err, &removed) || removed.First != head.First || removed.Next != r.index {
			t.Fatalf("got %v", err)
		}
	}
	if got := readPayloads(t, disk, crashDir, head.First); got != j.next {
		t.Errorf("read to %d, want %d", got, j.next)
	}
	if r, err := openJournalReader(disk, crashDir, 3); err != nil || r.index != head.First {
		t.Errorf("a reader of what was removed: %v", err)
	}
}

// TestJournalHeadDamage: a head that does not fit is damage, and a journal without its beginning and without a head is.
func TestJournalHeadDamage(t *testing.T) {
	disk := durabletest.NewDisk(crashDir)
	j := mustOpenJournal(t, smallJournal(disk, crashDir))
	appendPayloads(t, j, 100)
	good := headAt(t, disk, crashDir, 3)
	if err := j.drop(good); err != nil {
		t.Fatal(err)
	}
	if err := j.close(); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(crashDir, headName)
	text, err := durable.ReadFile(disk, name, maxHeadBytes)
	if err != nil {
		t.Fatal(err)
	}
	check := func(what string) {
		t.Helper()
		_, _, _, err := lifeContents(disk)
		wantCorrupt(t, "reading, "+what, err)
		j, err := openJournal(smallJournal(disk, crashDir))
		if err == nil {
			_ = j.close()
		}
		wantCorrupt(t, "opening, "+what, err)
	}
	for what, edit := range map[string]string{
		"another first record": strings.Replace(string(text), fmt.Sprint("first ", good.First), fmt.Sprint("first ", good.First+1), 1),
		"a later segment":      strings.Replace(string(text), "segment 3", "segment 4", 1),
		"a segment too early":  strings.Replace(string(text), "segment 3", "segment 2", 1),
		"none that there is":   strings.Replace(string(text), "segment 3", "segment 999", 1),
		"cut short":            string(text[:40]),
		"empty":                "",
		"another form":         strings.Replace(string(text), "segment 3", "segment 03", 1),
	} {
		if err := durable.WriteFile(disk, name, []byte(edit)); err != nil {
			t.Fatal(err)
		}
		check(what)
	}
	if err := disk.Remove(name); err != nil {
		t.Fatal(err)
	}
	check("without a head")
	if err := durable.WriteFile(disk, name, text); err != nil {
		t.Fatal(err)
	}
	if first, _, _, err := lifeContents(disk); err != nil || first != good.First {
		t.Errorf("restored: %d, %v", first, err)
	}
	if _, err := readHead(disk, "/elsewhere"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// TestJournalQuota: a journal of its full size refuses as a full disk does, takes what needs not leave space, and goes
// on when it has become smaller.
func TestJournalQuota(t *testing.T) {
	disk := durabletest.NewDisk(crashDir)
	cfg := smallJournal(disk, crashDir)
	cfg.quota = 5 * cfg.segmentBytes
	j := mustOpenJournal(t, cfg)
	space := loneSpace(3000)
	fill := func() (n uint64) {
		t.Helper()
		for {
			wait, err := j.tryReserve(space, space)
			if wait != nil {
				<-wait
				continue
			}
			if err != nil {
				if !errors.Is(err, errQuota) || !errors.As(err, new(*noSpaceError)) {
					t.Fatal(err)
				}
				return n
			}
			c, err := j.append(space, payloadFor(j.next))
			if err != nil {
				t.Fatal(err)
			}
			if <-c.done; c.err != nil {
				t.Fatal(c.err)
			}
			n++
		}
	}
	if n := fill(); n < 20 || j.closed+cfg.segmentBytes > cfg.quota {
		t.Errorf("%d payloads, %d bytes", n, j.closed)
	}
	if _, err := j.tryReserve(space, 0); err != nil {
		t.Errorf("the space that was left is refused: %v", err)
	}
	j.release(space)
	if err := j.drop(headAt(t, disk, crashDir, 3)); err != nil {
		t.Fatal(err)
	}
	if n := fill(); n < 5 {
		t.Errorf("%d payloads after two segments were removed", n)
	}
	if err := j.close(); err != nil {
		t.Fatal(err)
	}
	j = mustOpenJournal(t, cfg)
	if n := fill(); n != 0 && j.closed+cfg.segmentBytes > cfg.quota {
		t.Errorf("%d payloads are taken beyond the bound", n)
	}
	if _, err := j.tryReserve(space, 0); err != nil {
		t.Errorf("what must be written is refused: %v", err)
	}
	j.release(space)
	for range 40 { // more than two segments hold
		wait, err := j.tryReserve(space, beyondQuota)
		for wait != nil {
			<-wait
			wait, err = j.tryReserve(space, beyondQuota)
		}
		if err != nil {
			t.Fatalf("what must be written is refused when the journal has %d bytes, %d are allowed: %v", j.closed, cfg.quota, err)
		}
		c, err := j.append(space, payloadFor(j.next))
		if err != nil {
			t.Fatal(err)
		}
		if <-c.done; c.err != nil {
			t.Fatal(c.err)
		}
	}
	if n := fill(); n != 0 {
		t.Errorf("%d payloads are taken beyond the bound", n)
	}
	if err := j.close(); err != nil {
		t.Fatal(err)
	}
	cfg.quota = cfg.segmentBytes
	if _, err := openJournal(cfg); err == nil {
		t.Error("a bound that holds no two segments is accepted")
	}
}

// FuzzJournalHead reads any bytes as a head. What is accepted is written again as it was.
func FuzzJournalHead(f *testing.F) {
	h := &JournalHead{Segment: 3, First: 7, Entry: []byte("{}"), Receipt: []byte("c2sp.org/tlog-proof@v1\n")}
	text, err := h.MarshalText()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(headLine + "\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		h := new(JournalHead)
		if h.UnmarshalText(b) != nil {
			return
		}
		if again, err := h.MarshalText(); err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%q was read, and written as %q, %v", b, again, err)
		}
		_, _ = h.Verify(Keys{}, nil)
	})
}
