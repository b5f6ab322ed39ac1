package index

import (
	"bytes"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/evidence"
)

// FuzzChunk: whatever a file has in it, a query of it ends, and says which rows there are or that it is damaged.
func FuzzChunk(f *testing.F) {
	dir := f.TempDir()
	j := newJournal(f, dir, 1<<30, 5)
	j.some(40)
	segments, err := evidence.Segments(dir)
	if err != nil {
		f.Fatal(err)
	}
	b := newBuilder(&segments[0], 0)
	b.decision = func(uint64) (*evidence.Record, error) { return nil, nil }
	for e, err := range evidence.EntriesFrom(dir, evidence.Place{Segment: 1}, 0) {
		if err != nil {
			f.Fatal(err)
		}
		parsed, err := evidence.ParseEntry(e.Entry)
		if err != nil {
			f.Fatal(err)
		}
		if err := b.add(parsed.Record, e.Place); err != nil {
			f.Fatal(err)
		}
	}
	good := b.bytes()
	f.Add(good, false)
	f.Add(good[:len(good)/2], false)
	f.Add(good[:b.end()], true)
	f.Fuzz(func(t *testing.T, data []byte, sealed bool) {
		if sealed { // so that what is behind the checksums is reached
			data = seal(bytes.Clone(data))
		}
		c, err := openChunk(bytes.NewReader(data), int64(len(data)), "fuzzed")
		if err != nil {
			return
		}
		for _, filter := range []*Filter{
			{}, {Target: "read_file", Outcomes: true}, {ID: "0b5c1f9e-6d3a-4c57-9f0e-2a8d4b7c6e10"}, {Since: time.Unix(1, 0), Kind: evidence.KindGenesis},
		} {
			set, _, err := c.find(filter)
			if err != nil {
				continue
			}
			for row := set.next(0, false); row >= 0; row = set.next(row+1, false) {
				if row < int(c.rows) {
					_, _ = c.place(row)
					_, _ = c.inTime(row, filter)
				}
			}
		}
		_, _ = resume(c)
	})
}
