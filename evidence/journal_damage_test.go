package evidence

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/touchmark-dev/touchmark/internal/durable"
)

// writeJournal leaves a journal of n batches of three payloads in a directory, and returns where each batch
// of its last segment begins. Unless it is sealed it is as a kill leaves it.
func writeJournal(t testing.TB, dir string, n int, sealed bool) (batches []int64) {
	t.Helper()
	j := mustOpenJournal(t, journalConfig{fs: durable.OS{}, dir: dir, segmentBytes: 256 << 10, maxPayload: 4 << 10})
	for range n {
		batches = append(batches, j.off)
		c, err := j.append(0, payloadFor(j.next), payloadFor(j.next+1), payloadFor(j.next+2))
		if err != nil {
			t.Fatal(err)
		}
		if <-c.done; c.err != nil {
			t.Fatal(c.err)
		}
	}
	batches = append(batches, j.off)
	if !sealed {
		j.poison(errors.New("stopped by the test"))
	}
	if err := j.close(); sealed != (err == nil) {
		t.Fatal(err)
	}
	return batches
}

// copyDir copies the files of a directory into a new one.
func copyDir(t testing.TB, dir string) string {
	t.Helper()
	out := t.TempDir()
	if err := os.CopyFS(out, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return out
}

// flip changes one byte of a file.
func flip(t testing.TB, name string, off int64) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	data[off] ^= 0x20
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// reopen opens a journal that was tampered with, and returns how many payloads it has.
func reopen(dir string) (uint64, error) {
	j, err := openJournal(journalConfig{fs: durable.OS{}, dir: dir, segmentBytes: 64 << 10, maxPayload: 4 << 10})
	if err != nil {
		return 0, err
	}
	return j.next, j.close()
}

func wantCorrupt(t testing.TB, what string, err error) {
	t.Helper()
	var corrupt *CorruptError
	if !errors.As(err, &corrupt) {
		t.Errorf("%s: %v, want a *CorruptError", what, err)
	}
}

// TestJournalRefusesDamage flips bytes. Damage before the last batch, or anywhere before a seal, destroys what
// was acknowledged: it is reported and nothing is cut off.
func TestJournalRefusesDamage(t *testing.T) {
	for _, sealed := range []bool{false, true} {
		dir := t.TempDir()
		batches := writeJournal(t, dir, 6, sealed)
		last := batches[len(batches)-2]
		for off := int64(0); off < batches[len(batches)-1]; off += 389 {
			damaged := copyDir(t, dir)
			name := filepath.Join(damaged, segmentName(1))
			flip(t, name, off)
			got, err := reopen(damaged)
			switch what := fmt.Sprintf("sealed %v, byte %d", sealed, off); {
			case off >= last && !sealed:
				if err != nil || got < 15 || got > 18 {
					t.Errorf("%s: %d payloads, %v", what, got, err)
				}
			case err == nil && got == 18 && readPayloads(t, durable.OS{}, damaged, 0) == 18:
				// The byte was padding.
			default:
				wantCorrupt(t, what, err)
				if _, again := reopen(damaged); err == nil || again == nil || again.Error() != err.Error() {
					t.Errorf("%s: refused with %v, and then with %v", what, err, again)
				}
			}
		}
	}
}

// TestJournalRefusesDamagedSegmentBefore damages a segment that is not the last: opening does not read it, reading does.
func TestJournalRefusesDamagedSegmentBefore(t *testing.T) {
	dir := t.TempDir()
	writeJournal(t, dir, 6, true)
	writeJournal(t, dir, 6, true)
	flip(t, filepath.Join(dir, segmentName(1)), 3*blockBytes+100)
	r, err := openJournalReader(durable.OS{}, dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.close()
	for err == nil {
		_, _, err = r.next()
	}
	wantCorrupt(t, "reading on", err)
}

func TestJournalRefusesMissingAndForeignSegments(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	for range 3 {
		writeJournal(t, dir, 2, true)
		writeJournal(t, other, 2, true)
	}
	for _, test := range []struct {
		name string
		do   func(dir string) error
	}{
		{"first missing", func(d string) error { return os.Remove(filepath.Join(d, segmentName(1))) }},
		{"middle missing", func(d string) error { return os.Remove(filepath.Join(d, segmentName(2))) }},
		{"of another journal", func(d string) error {
			return os.Rename(filepath.Join(other, segmentName(2)), filepath.Join(d, segmentName(2)))
		}},
		{"two in each other's place", func(d string) error {
			a, b := filepath.Join(d, segmentName(1)), filepath.Join(d, segmentName(2))
			return errors.Join(os.Rename(a, a+"x"), os.Rename(b, a), os.Rename(a+"x", b))
		}},
		{"empty", func(d string) error { return os.Truncate(filepath.Join(d, segmentName(3)), 0) }},
		{"cut in the header", func(d string) error { return os.Truncate(filepath.Join(d, segmentName(3)), 100) }},
	} {
		damaged := copyDir(t, dir)
		if err := test.do(damaged); err != nil {
			t.Fatal(err)
		}
		_, err := reopen(damaged)
		wantCorrupt(t, test.name, err)
		wantCorrupt(t, test.name+", read", readToEnd(damaged, 0))
	}
}

// TestReaderRefusesRenamedSegments: who removes the oldest segments and gives the others their names leaves a
// journal that reads well, unless a segment is asked for its number.
func TestReaderRefusesRenamedSegments(t *testing.T) {
	dir := t.TempDir()
	for range 3 {
		writeJournal(t, dir, 2, true)
	}
	last := copyDir(t, dir)
	for i := uint64(2); i <= 3; i++ {
		if err := os.Rename(filepath.Join(dir, segmentName(i)), filepath.Join(dir, segmentName(i-1))); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(filepath.Join(last, segmentName(i-1))); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Rename(filepath.Join(last, segmentName(3)), filepath.Join(last, segmentName(1))); err != nil {
		t.Fatal(err)
	}
	for _, from := range []uint64{0, 7, 13} {
		wantCorrupt(t, fmt.Sprint("two left, from ", from), readToEnd(dir, from))
		wantCorrupt(t, fmt.Sprint("one left, from ", from), readToEnd(last, from))
	}
}

// readToEnd reads a journal from a payload on and returns the error that ended it.
func readToEnd(dir string, from uint64) error {
	r, err := openJournalReader(durable.OS{}, dir, from)
	for err == nil {
		_, _, err = r.next()
	}
	if r != nil {
		err = errors.Join(err, r.close())
	}
	return err
}

// TestJournalStaleBytes puts bytes behind the last frame that a disk may leave there: they never become frames.
func TestJournalStaleBytes(t *testing.T) {
	dir := t.TempDir()
	batches := writeJournal(t, dir, 4, false)
	end := batches[len(batches)-1]
	name := filepath.Join(dir, segmentName(1))
	segment, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	other := t.TempDir()
	writeJournal(t, other, 4, false)
	foreign, err := os.ReadFile(filepath.Join(other, segmentName(1)))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name  string
		stale []byte
	}{
		{"frames of this segment, from elsewhere in it", segment[batches[1]:batches[3]]},
		{"frames of another segment, from this place", foreign[end:]},
		{"frames of another segment", foreign[blockBytes:batches[2]]},
		{"text", []byte("not a frame, but longer than the header of one")},
	} {
		damaged := copyDir(t, dir)
		f, err := os.OpenFile(filepath.Join(damaged, segmentName(1)), os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt(test.stale, end); err != nil {
			t.Fatal(err)
		}
		f.Close()
		if got, err := reopen(damaged); err != nil || got != 12 {
			t.Errorf("%s: %d payloads, %v", test.name, got, err)
		}
		if got := readPayloads(t, durable.OS{}, damaged, 0); got != 12 {
			t.Errorf("%s: read %d payloads", test.name, got)
		}
	}
}

// TestJournalRefusesBytesFarAway: one batch is under way at a time, so nothing that a crash leaves is further
// away than a batch is long.
func TestJournalRefusesBytesFarAway(t *testing.T) {
	dir := t.TempDir()
	j := mustOpenJournal(t, journalConfig{fs: durable.OS{}, dir: dir, segmentBytes: 8 << 20})
	appendPayloads(t, j, 3)
	end := j.off
	j.poison(errors.New("stopped by the test"))
	_ = j.close()
	name := filepath.Join(dir, segmentName(1))
	flip(t, name, end+maxBatchBytes-1)
	if got, err := reopen(copyDir(t, dir)); err != nil || got != 3 {
		t.Errorf("within a batch: %d payloads, %v", got, err)
	}
	flip(t, name, end+maxBatchBytes)
	_, err := reopen(dir)
	wantCorrupt(t, "beyond a batch", err)
}

// TestJournalCraftedFrames puts frames behind the last one whose checksums hold and which contradict the others, as
// only somebody who knows the salt can. Readers and writers refuse them, and come to an end.
func TestJournalCraftedFrames(t *testing.T) {
	dir := t.TempDir()
	batches := writeJournal(t, dir, 2, false)
	end := batches[len(batches)-1]
	f, err := (durable.OS{}).Open(filepath.Join(dir, segmentName(1)), os.O_RDONLY)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	seg, err := openSegment(f, "test")
	if err != nil {
		t.Fatal(err)
	}
	lost := make([]byte, blockBytes)
	for name, crafted := range map[string][]byte{
		"of no batch":        seg.head.appendFrame(lost[:16:16], end-16, []byte("a frame"))[16:],
		"a seal in a batch":  seg.head.appendFrame(lost[:8:8], end-8, nil)[8:],
		"of a later batch":   append(lost[:blockBytes:blockBytes], seg.head.appendFrame(nil, end+blockBytes, []byte("a frame"))...),
		"a seal, and a byte": append(appendZeroes(seg.head.appendFrame(nil, end, nil), blockBytes), 1),
	} {
		damaged := copyDir(t, dir)
		file, err := os.OpenFile(filepath.Join(damaged, segmentName(1)), os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := file.WriteAt(crafted, end); err != nil {
			t.Fatal(err)
		}
		file.Close()
		r, err := openJournalReader(durable.OS{}, damaged, 0)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for ; err == nil; n++ {
			_, _, err = r.next()
		}
		r.close()
		got, rerr := reopen(damaged)
		if read := uint64(n - 1); errors.Is(err, io.EOF) && (rerr != nil || got != read || read != 6) {
			t.Errorf("%s: read %d payloads, recovered %d, %v", name, read, got, rerr)
		}
		if !errors.Is(err, io.EOF) {
			wantCorrupt(t, name, err)
			wantCorrupt(t, name, rerr)
		}
	}
}

func TestJournalRefusesSecondWriter(t *testing.T) {
	dir := t.TempDir()
	j := mustOpenJournal(t, smallJournal(durable.OS{}, dir))
	if _, err := openJournal(smallJournal(durable.OS{}, dir)); !errors.Is(err, durable.ErrLocked) {
		t.Errorf("a second writer: %v", err)
	}
	if err := j.close(); err != nil {
		t.Fatal(err)
	}
	if err := j.close(); !errors.Is(err, errJournalClosed) {
		t.Errorf("closing again: %v", err)
	}
	if _, err := j.append(0, []byte("late")); !errors.Is(err, errJournalClosed) {
		t.Errorf("appending to a closed journal: %v", err)
	}
	if err := mustOpenJournal(t, smallJournal(durable.OS{}, dir)).close(); err != nil {
		t.Error(err)
	}
}

func TestJournalRefusesPayloads(t *testing.T) {
	j := mustOpenJournal(t, smallJournal(durable.OS{}, t.TempDir()))
	defer j.close()
	for _, n := range []int{0, 4<<10 + 1} {
		if _, err := j.append(0, make([]byte, n)); err == nil {
			t.Errorf("a payload of %d bytes was taken", n)
		}
	}
	for _, cfg := range []journalConfig{
		{segmentBytes: blockBytes}, {segmentBytes: 1<<20 + 1}, {maxPayload: maxFramePayload + 1}, {maxPayload: -1},
	} {
		cfg.fs, cfg.dir = durable.OS{}, t.TempDir()
		if _, err := openJournal(cfg); err == nil {
			t.Errorf("segments of %d for payloads of %d were taken", cfg.segmentBytes, cfg.maxPayload)
		}
	}
}

// TestJournalLiveReader reads a journal while it is written and changes segments.
func TestJournalLiveReader(t *testing.T) {
	dir := t.TempDir()
	j := mustOpenJournal(t, smallJournal(durable.OS{}, dir))
	written := make(chan struct{})
	go func() {
		defer close(written)
		appendPayloads(t, j, 300)
	}()
	for done := false; !done; {
		select {
		case <-written:
			done = true
		default:
		}
		readPayloads(t, durable.OS{}, dir, 0)
	}
	if got := readPayloads(t, durable.OS{}, dir, 0); got != 300 {
		t.Errorf("read %d payloads", got)
	}
	if err := j.close(); err != nil {
		t.Fatal(err)
	}
}
