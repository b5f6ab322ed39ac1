package index

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/internal/durable"
)

// DirName is the directory of the index in that of the journal, where a [Config] names no other.
const DirName = "index"

const (
	lockName    = "lock"
	chunkSuffix = ".index"
	chunkDigits = 20
)

// A Config says of which journal there is to be an index, and where.
type Config struct {
	Journal string // directory of the ledger
	Dir     string // of the index; empty means DirName in Journal
}

// An Index is an index over one journal. Close it in the end. It is not safe for concurrent use; several, also in
// several processes, may be open over one journal.
type Index struct {
	cfg     Config
	chunks  []*chunk // in the order of their records
	places  *evidence.PlaceReader
	indexed uint64
}

// Open opens the index over a journal and brings it up to date, which takes a few seconds for each million records that
// it does not have yet. It waits while another process does that. Errors about the journal are those of
// [evidence.ReadJournal]; without permission to write into the directory of the index there is none.
func Open(ctx context.Context, cfg *Config) (*Index, error) {
	x := &Index{cfg: *cfg}
	if x.cfg.Dir == "" {
		x.cfg.Dir = filepath.Join(cfg.Journal, DirName)
	}
	if _, err := evidence.Segments(cfg.Journal); err != nil {
		return nil, err // there is nothing to make a directory beside
	}
	x.places = evidence.NewPlaceReader(cfg.Journal)
	if err := x.Update(ctx); err != nil {
		return nil, errors.Join(err, x.Close())
	}
	return x, nil
}

// Indexed returns how many records were read to bring the index up to date, since it was opened.
func (x *Index) Indexed() uint64 { return x.indexed }

// Close closes the files.
func (x *Index) Close() error {
	return errors.Join(x.closeChunks(), x.places.Close())
}

func (x *Index) closeChunks() error {
	var err error
	for _, c := range x.chunks {
		err = errors.Join(err, c.close())
	}
	x.chunks = nil
	return err
}

// Update adds the records that were written since.
func (x *Index) Update(ctx context.Context) (err error) {
	if err := durable.MkdirAll(durable.OS{}, x.cfg.Dir); err != nil {
		return fmt.Errorf("index: %w", err)
	}
	lock, err := durable.AwaitLock(ctx, durable.OS{}, filepath.Join(x.cfg.Dir, lockName))
	if err != nil {
		return fmt.Errorf("index: %w", err)
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	for try := 1; ; try++ {
		// Segments that were compacted are other files now.
		if err := x.places.Close(); err != nil {
			return err
		}
		err := x.update(ctx)
		if !overtaken(err) || try == tries {
			return err
		}
	}
}

// tries is how often an update begins again because records were removed meanwhile.
const tries = 5

// overtaken reports whether an error says that records were removed while they were read.
func overtaken(err error) bool {
	var removed *evidence.RemovedError
	return errors.As(err, &removed) || errors.Is(err, fs.ErrNotExist)
}

// update is Update for who holds the lock.
func (x *Index) update(ctx context.Context) error {
	segments, err := evidence.Segments(x.cfg.Journal)
	if err != nil {
		return err
	}
	if err := x.load(segments); err != nil {
		return err
	}
	old := x.chunks
	x.chunks = nil
	for i := range segments {
		s := &segments[i]
		var end *uint64
		if i+1 < len(segments) {
			end = &segments[i+1].First
			if segments[i+1].Number != s.Number+1 || segments[i+1].Journal != s.Journal {
				err := &evidence.CorruptError{File: x.cfg.Journal, Reason: fmt.Sprintf("segment %d does not follow segment %d", segments[i+1].Number, s.Number)}
				return errors.Join(fmt.Errorf("index: %w", err), closeAll(old))
			}
		}
		n := 0
		for n < len(old) && old[n].number == s.Number {
			n++
		}
		if err := x.cover(ctx, s, end, old[:n]); err != nil {
			return errors.Join(err, closeAll(old[n:]))
		}
		old = old[n:]
	}
	return closeAll(old)
}

func closeAll(chunks []*chunk) error {
	var err error
	for _, c := range chunks {
		err = errors.Join(err, c.close())
	}
	return err
}

// load opens the chunks there are, and removes what is none of the journal's.
func (x *Index) load(segments []evidence.Segment) error {
	err := x.closeChunks()
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(x.cfg.Dir)
	if err != nil {
		return fmt.Errorf("index: %w", err)
	}
	for _, e := range entries {
		name := filepath.Join(x.cfg.Dir, e.Name())
		first, ok := chunkNumber(e.Name())
		switch {
		case strings.HasSuffix(e.Name(), chunkSuffix+".tmp"): // of a process that was stopped
			err = os.Remove(name)
		case ok:
			err = x.loadChunk(name, first, segments)
		}
		if err != nil {
			return fmt.Errorf("index: %w", err)
		}
	}
	slices.SortFunc(x.chunks, func(a, b *chunk) int {
		return cmp.Or(cmp.Compare(a.number, b.number), cmp.Compare(a.first, b.first))
	})
	return nil
}

// loadChunk opens a chunk, or removes it if it is damaged or about what the journal has no more.
func (x *Index) loadChunk(name string, first uint64, segments []evidence.Segment) error {
	c, err := openChunkFile(name)
	switch {
	case isDamaged(err):
		return os.Remove(name)
	case err != nil:
		return err
	}
	i := sort.Search(len(segments), func(i int) bool { return segments[i].Number >= c.number })
	if c.first == first && i < len(segments) {
		s := &segments[i]
		last := i+1 == len(segments)
		if s.Number == c.number && s.Header == c.segment && s.Journal == c.journal && s.First <= c.first && (last || c.end() <= segments[i+1].First) {
			x.chunks = append(x.chunks, c)
			return nil
		}
	}
	return errors.Join(c.close(), os.Remove(name))
}

// cover sees to it that the chunks of a segment have all of its records: those from s.First to before end, or if end is
// nil as many as there are. Have are the chunks there are of it.
func (x *Index) cover(ctx context.Context, s *evidence.Segment, end *uint64, have []*chunk) error {
	n, next := 0, s.First
	for n < len(have) && have[n].first == next {
		next = have[n].end()
		n++
	}
	for _, c := range have[n:] { // behind a hole
		if err := errors.Join(c.close(), os.Remove(c.name)); err != nil {
			return fmt.Errorf("index: %w", err)
		}
	}
	have = have[:n]
	if end != nil && next == *end {
		x.chunks = append(x.chunks, have...)
		return nil
	}
	for {
		gone, err := x.extend(ctx, s, have)
		if !gone || len(have) == 0 {
			return err
		}
		// The last record that was read there is not: who wrote it was stopped before it was durable.
		c := have[len(have)-1]
		have = have[:len(have)-1]
		if err := errors.Join(c.close(), os.Remove(c.name)); err != nil {
			return fmt.Errorf("index: %w", err)
		}
	}
}

// extend reads the records of a segment behind those that the chunks have. Gone says that the last of these cannot be
// gone on with: its last record is not in the journal any more, or it is damaged.
func (x *Index) extend(ctx context.Context, s *evidence.Segment, have []*chunk) (gone bool, err error) {
	from, b := evidence.Place{Segment: s.Number}, newBuilder(s, s.First)
	skip := false
	if len(have) > 0 {
		last := have[len(have)-1]
		from.Offset, skip = last.last, true
		if entry, err := x.entryAt(last.end()-1, evidence.Place{Segment: s.Number, Offset: last.last}); err != nil || entry == nil {
			return true, err
		}
		if more, err := x.more(s, last); err != nil || !more {
			x.chunks = append(x.chunks, have...)
			return false, err
		}
		if b, err = x.builderBehind(s, last); err != nil {
			return true, err
		}
	}
	x.chunks = append(x.chunks, have...)
	b.decision = x.decision
	start := b.rows
	for e, err := range evidence.EntriesFrom(x.cfg.Journal, from, b.end()-min(1, b.end())) {
		if err != nil {
			return false, errors.Join(err, x.write(b, start))
		}
		if skip {
			skip = false
			continue
		}
		if e.Place.Segment != s.Number {
			break
		}
		if b.rows == maxRows {
			if err := x.write(b, start); err != nil {
				return false, err
			}
			b, start = newBuilder(s, e.Sequence), 0
			b.decision = x.decision
		}
		parsed, err := evidence.ParseEntry(e.Entry)
		if err == nil {
			err = b.add(parsed.Record, e.Place)
		}
		if err == nil && b.rows%4096 == 0 {
			err = ctx.Err()
		}
		if err != nil {
			return false, errors.Join(err, x.write(b, start))
		}
		x.indexed++
	}
	return false, x.write(b, start)
}

// more reports whether a segment has records behind those of a chunk.
func (x *Index) more(s *evidence.Segment, c *chunk) (bool, error) {
	n := 0
	for e, err := range evidence.EntriesFrom(x.cfg.Journal, evidence.Place{Segment: s.Number, Offset: c.last}, c.end()-1) {
		if err != nil {
			return false, err
		}
		if n++; n == 2 {
			return e.Place.Segment == s.Number, nil
		}
	}
	return false, nil
}

// builderBehind returns the builder of the records behind a chunk: its own, if it has room.
func (x *Index) builderBehind(s *evidence.Segment, c *chunk) (*builder, error) {
	if c.rows == maxRows {
		return newBuilder(s, c.end()), nil
	}
	return resume(c)
}

// write writes what a builder made, if that is more than it had at the start, and opens it.
func (x *Index) write(b *builder, start uint32) error {
	if b.rows == start {
		return nil
	}
	name := filepath.Join(x.cfg.Dir, chunkName(b.first))
	if err := durable.WriteFile(durable.OS{}, name, b.bytes()); err != nil {
		return fmt.Errorf("index: %w", err)
	}
	c, err := openChunkFile(name)
	if err != nil {
		return fmt.Errorf("index: %w", err)
	}
	if n := len(x.chunks); start > 0 { // it is in the place of the last one
		if err := x.chunks[n-1].close(); err != nil {
			return fmt.Errorf("index: %w", err)
		}
		x.chunks = x.chunks[:n-1]
	}
	x.chunks = append(x.chunks, c)
	return nil
}

// decision returns the record of a decision that the index has, nil if it has none of this number.
func (x *Index) decision(seq uint64) (*evidence.Record, error) {
	c := x.chunkOf(seq)
	if c == nil {
		return nil, nil
	}
	at, err := c.place(int(seq - c.first)) //nolint:gosec // less than maxRows
	if err != nil {
		return nil, err
	}
	e, err := x.entryAt(seq, at)
	if err != nil || e == nil {
		return nil, err
	}
	return e.Record, nil
}

// entryAt returns the entry at a place, nil if no record with this number is there.
func (x *Index) entryAt(seq uint64, at evidence.Place) (*evidence.UnverifiedEntry, error) {
	text, err := x.places.Entry(at)
	var corrupt *evidence.CorruptError
	switch {
	case errors.As(err, &corrupt) || errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	}
	e, err := evidence.ParseEntry(text)
	if err != nil {
		return nil, err
	}
	if e.Record.Sequence != seq {
		return nil, nil
	}
	return e, nil
}

// chunkOf returns the chunk that has a record, nil if none has.
func (x *Index) chunkOf(seq uint64) *chunk {
	i := sort.Search(len(x.chunks), func(i int) bool { return x.chunks[i].end() > seq })
	if i == len(x.chunks) || x.chunks[i].first > seq {
		return nil
	}
	return x.chunks[i]
}

func chunkName(first uint64) string { return fmt.Sprintf("%0*d%s", chunkDigits, first, chunkSuffix) }

func chunkNumber(name string) (uint64, bool) {
	digits, ok := strings.CutSuffix(name, chunkSuffix)
	n, err := strconv.ParseUint(digits, 10, 64)
	return n, ok && err == nil && chunkName(n) == name
}
