package index

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/touchmark-dev/touchmark/evidence"
)

// nano returns t in Unix nanoseconds, the last there is for all later times: it stands for any of them.
func nano(t time.Time) int64 {
	if last := time.Unix(0, math.MaxInt64); !t.Before(last) {
		return math.MaxInt64
	}
	if t.Before(time.Unix(0, 0)) { // no record has an earlier time
		return 0
	}
	return t.UnixNano()
}

// A builder makes one chunk. What it holds is bounded by maxRows and by how large keys are, which it does not keep.
type builder struct {
	header
	times  []int64
	places []uint32
	ids    [][idBytes]byte
	keyOf  map[uint64]uint32 // number of a key, by its hash
	hashes []uint64          // of the keys
	lists  [][]uint16        // rows, in their order
	rowKey []uint32          // numbers of the keys of all rows but for their kinds, one row after the other
	ends   []uint32          // where those of a row end

	// decision returns the record of a decision that is not in the chunk, nil if the journal has it no more.
	decision func(seq uint64) (*evidence.Record, error)
}

func newBuilder(s *evidence.Segment, first uint64) *builder {
	return &builder{
		header: header{journal: s.Journal, segment: s.Header, number: s.Number, first: first},
		keyOf:  make(map[uint64]uint32),
	}
}

// add adds the next record. It was read at place.
func (b *builder) add(r *evidence.Record, at evidence.Place) error {
	if r.Sequence != b.end() || at.Segment != b.number {
		return fmt.Errorf("index: record %d in segment %d, and not %d in segment %d", r.Sequence, at.Segment, b.end(), b.number)
	}
	if b.rows == 0 {
		b.base = at.Offset
	}
	distance := (at.Offset - b.base) / placeUnit
	if distance < 0 || distance > 1<<32-1 {
		return fmt.Errorf("index: a record is %d bytes behind the first of its chunk", at.Offset-b.base)
	}
	row := len(b.times)
	prefix, _ := idPrefix(r.ID)
	b.ids = append(b.ids, [idBytes]byte{prefix[0], prefix[1], prefix[2], prefix[3], byte(row), byte(row >> 8)})
	b.times = append(b.times, nano(r.Time))
	b.places = append(b.places, uint32(distance)) //nolint:gosec // it was compared
	b.list(hash(b.journal, kindKey(r.Kind())), row)
	b.last, b.rows = at.Offset, b.rows+1
	if err := b.addKeys(r, row); err != nil {
		return err
	}
	b.ends = append(b.ends, uint32(len(b.rowKey))) //nolint:gosec // at most maxRows*maxKeys
	return nil
}

// addKeys lists a decision, and an outcome like its decision.
func (b *builder) addKeys(r *evidence.Record, row int) error {
	d := r.Decision
	if o := r.Outcome; o != nil {
		if o.DecisionSequence >= b.first {
			of := int(o.DecisionSequence - b.first) //nolint:gosec // less than row: decisions come first
			if of >= row {
				return nil
			}
			for _, k := range b.keysOf(of) {
				b.rowKey = append(b.rowKey, k)
				b.lists[k] = append(b.lists[k], uint16(row)) //nolint:gosec // less than maxRows
			}
			return nil
		}
		decision, err := b.decision(o.DecisionSequence)
		if err != nil || decision == nil {
			return err
		}
		d = decision.Decision
	}
	if d == nil {
		return nil
	}
	eachKey(d, func(k key) {
		if n, is := b.list(hash(b.journal, k), row); is {
			b.rowKey = append(b.rowKey, n)
		}
	})
	return nil
}

func (b *builder) keysOf(row int) []uint32 {
	from := uint32(0)
	if row > 0 {
		from = b.ends[row-1]
	}
	return b.rowKey[from:b.ends[row]]
}

// list notes that a key lists a row, and reports whether it did not already.
func (b *builder) list(hash uint64, row int) (number uint32, is bool) {
	n, ok := b.keyOf[hash]
	if !ok {
		n = uint32(len(b.lists)) //nolint:gosec // at most maxRows*maxKeys
		b.keyOf[hash] = n
		b.hashes, b.lists = append(b.hashes, hash), append(b.lists, nil)
	}
	list := b.lists[n]
	if len(list) > 0 && int(list[len(list)-1]) == row {
		return n, false
	}
	b.lists[n] = append(list, uint16(row)) //nolint:gosec // less than maxRows
	return n, true
}

// bytes returns the chunk as a file has it.
func (b *builder) bytes() []byte {
	h := b.header
	h.earliest, h.late = slices.Min(b.times), slices.Max(b.times)
	h.keys = uint32(len(b.lists)) //nolint:gosec // at most maxRows*maxKeys
	order := make([]uint32, len(b.lists))
	for i := range order {
		order[i] = uint32(i)                          //nolint:gosec // the same
		h.lists += uint32(listBytes(len(b.lists[i]))) //nolint:gosec // at most maxChunkBytes
	}
	slices.SortFunc(order, func(x, y uint32) int {
		if b.hashes[x] < b.hashes[y] {
			return -1
		}
		return 1
	})
	out := append(make([]byte, 0, h.size()+h.size()/blockBytes*4+64), h.marshal()...)
	for _, t := range b.times {
		out = binary.LittleEndian.AppendUint64(out, uint64(t)) //nolint:gosec // the bits
	}
	for _, p := range b.places {
		out = binary.LittleEndian.AppendUint32(out, p)
	}
	ids := slices.Clone(b.ids)
	slices.SortFunc(ids, func(x, y [idBytes]byte) int { return bytes.Compare(x[:4], y[:4]) })
	for _, id := range ids {
		out = append(out, id[:]...)
	}
	at := uint32(0)
	for _, i := range order {
		n := len(b.lists[i])
		out = binary.LittleEndian.AppendUint64(out, b.hashes[i])
		out = binary.LittleEndian.AppendUint32(out, uint32(n)) //nolint:gosec // at most maxRows
		out = binary.LittleEndian.AppendUint32(out, at)
		at += uint32(listBytes(n)) //nolint:gosec // at most maxChunkBytes
	}
	for _, i := range order {
		out = appendList(out, b.lists[i])
	}
	return seal(out)
}

func appendList(out []byte, rows []uint16) []byte {
	if listBytes(len(rows)) != bitmapBytes {
		for _, row := range rows {
			out = binary.LittleEndian.AppendUint16(out, row)
		}
		return out
	}
	var set rowSet
	for _, row := range rows {
		set.add(int(row))
	}
	for _, word := range set {
		out = binary.LittleEndian.AppendUint64(out, word)
	}
	return out
}

// resume returns a builder that goes on with a chunk.
func resume(c *chunk) (*builder, error) {
	b := &builder{header: c.header, keyOf: make(map[uint64]uint32, c.keys)}
	b.keys, b.header.lists = 0, 0
	rows := int(c.rows)
	for row := range rows {
		t, err := c.read(c.timesAt()+int64(row)*timeBytes, timeBytes)
		if err != nil {
			return nil, err
		}
		b.times = append(b.times, int64(binary.LittleEndian.Uint64(t))) //nolint:gosec // the bits
	}
	for row := range rows {
		p, err := c.read(c.placesAt()+int64(row)*placeBytes, placeBytes)
		if err != nil {
			return nil, err
		}
		b.places = append(b.places, binary.LittleEndian.Uint32(p))
	}
	for row := range rows {
		id, err := c.read(c.idsAt()+int64(row)*idBytes, idBytes)
		if err != nil {
			return nil, err
		}
		b.ids = append(b.ids, [idBytes]byte(id))
	}
	return b, b.resumeLists(c)
}

// resumeLists reads the keys and what they list, and from that the keys of each row.
func (b *builder) resumeLists(c *chunk) error {
	kinds := make(map[uint64]bool)
	for _, k := range allKinds {
		kinds[hash(b.journal, kindKey(k))] = true
	}
	of := make([][]uint32, c.rows)
	for i := range int64(c.keys) {
		entry, err := c.read(c.keysAt()+i*keyBytes, keyBytes)
		if err != nil {
			return err
		}
		h, n, at := binary.LittleEndian.Uint64(entry), binary.LittleEndian.Uint32(entry[8:]), binary.LittleEndian.Uint32(entry[12:])
		var set rowSet
		if n == 0 || n > c.rows {
			return damaged("%s has a list of %d rows", c.name, n)
		}
		if err := c.readList(n, at, &set); err != nil {
			return err
		}
		number := uint32(len(b.lists)) //nolint:gosec // at most c.keys
		rows := make([]uint16, 0, n)
		for row := set.next(0, false); row >= 0; row = set.next(row+1, false) {
			if row >= int(c.rows) {
				return damaged("%s lists row %d of %d", c.name, row, c.rows)
			}
			rows = append(rows, uint16(row)) //nolint:gosec // less than maxRows
			if !kinds[h] {
				of[row] = append(of[row], number)
			}
		}
		b.keyOf[h] = number
		b.hashes, b.lists = append(b.hashes, h), append(b.lists, rows)
	}
	for _, keys := range of {
		b.rowKey = append(b.rowKey, keys...)
		b.ends = append(b.ends, uint32(len(b.rowKey))) //nolint:gosec // at most maxRows*maxKeys
	}
	return nil
}

// allKinds are the kinds of record that are listed.
var allKinds = [...]evidence.Kind{
	evidence.KindGenesis, evidence.KindDecision, evidence.KindOutcome, evidence.KindHeartbeat, evidence.KindChange, evidence.KindRefusals,
}

// isDamaged reports whether an error is about the index, and not about what is asked of the system.
func isDamaged(err error) bool {
	var d *damagedError
	return errors.As(err, &d)
}
