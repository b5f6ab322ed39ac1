package evidence

import (
	"bytes"
	"errors"
	"io"
	"path/filepath"
	"testing"

	"github.com/touchmark-dev/touchmark/internal/durable"
	"github.com/touchmark-dev/touchmark/internal/durable/durabletest"
)

// FuzzSegment overwrites a part of a segment and cuts it. Reading never panics, never loops and yields nothing but
// what was written; reading and recovering agree.
func FuzzSegment(f *testing.F) {
	disk := durabletest.NewDisk(crashDir)
	j := mustOpenJournal(f, smallJournal(disk, crashDir))
	for i := range uint64(4) {
		if err := appendOne(j, payloadFor(i)); err != nil {
			f.Fatal(err)
		}
	}
	j.poison(errors.New("stopped by the test"))
	_ = j.close()
	segment, err := durable.ReadFile(disk, filepath.Join(crashDir, segmentName(1)), 1<<20)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint16(0), []byte{}, uint16(len(segment)))
	f.Add(uint16(5000), []byte("damage"), uint16(len(segment)))
	f.Add(uint16(40), []byte{1}, uint16(blockBytes))
	f.Add(uint16(8192), segment[blockBytes:2*blockBytes], uint16(20000))
	f.Fuzz(func(t *testing.T, off uint16, damage []byte, size uint16) {
		segment := bytes.Clone(segment[:min(int(size), len(segment))])
		if int(off) < len(segment) {
			copy(segment[off:], damage)
		}
		disk := durabletest.NewDisk(crashDir)
		if err := durable.WriteFile(disk, filepath.Join(crashDir, segmentName(1)), segment); err != nil {
			t.Fatal(err)
		}
		r, err := openJournalReader(disk, crashDir, 0)
		if err != nil {
			wantCorrupt(t, "opening", err)
			return
		}
		defer r.close()
		for {
			index, p, err := r.next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				wantCorrupt(t, "reading", err)
				break
			}
			if !bytes.Equal(p, payloadFor(index)) {
				t.Fatalf("payload %d was never written", index)
			}
		}
		if count, err := recovered(t, disk, 0); err == nil && count != r.index {
			t.Fatalf("read %d payloads and recovered %d", r.index, count)
		}
	})
}

// FuzzFrame reads any bytes as the payload of a record. What is accepted is written again as it was.
func FuzzFrame(f *testing.F) {
	f.Add((&frame{entry: []byte("{}"), private: []byte{1}}).bytes())
	f.Add((&frame{opens: true, oldestOpen: 7, entry: []byte("{}")}).bytes())
	f.Add((&frame{closes: true, reference: 3, entry: []byte("{}")}).bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		fr, err := parseFrame(b)
		if err != nil {
			return
		}
		if again := fr.bytes(); !bytes.Equal(again, b) {
			t.Fatalf("%x was read, and written as %x", b, again)
		}
		_ = new(Private).UnmarshalBinary(fr.private)
	})
}
