package index

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"math"
	"math/bits"
	"sort"

	"github.com/touchmark-dev/touchmark/evidence"
)

// A rowSet is a set of records of a chunk, by their number in it.
type rowSet [maxRows / 64]uint64

func (s *rowSet) add(row int) { s[row/64] |= 1 << (row % 64) }

func (s *rowSet) and(o *rowSet) {
	for i := range s {
		s[i] &= o[i]
	}
}

// fill makes s the first n rows.
func (s *rowSet) fill(n int) {
	*s = rowSet{}
	for i := range n / 64 {
		s[i] = ^uint64(0)
	}
	if n%64 != 0 {
		s[n/64] = 1<<(n%64) - 1
	}
}

// next returns the first row of the set from a row on, in either direction, and -1 if there is none.
func (s *rowSet) next(row int, back bool) int {
	if back {
		return s.before(row)
	}
	for i := row / 64; i < len(s); i++ {
		word := s[i]
		if i == row/64 {
			word &= ^uint64(0) << (row % 64)
		}
		if word != 0 {
			return 64*i + bits.TrailingZeros64(word)
		}
	}
	return -1
}

func (s *rowSet) before(row int) int {
	for i := row / 64; i >= 0 && row >= 0; i-- {
		word := s[i]
		if i == row/64 {
			word &= ^uint64(0) >> (63 - row%64)
		}
		if word != 0 {
			return 64*i + 63 - bits.LeadingZeros64(word)
		}
	}
	return -1
}

// hash is how a key is looked up. It begins with the journal's id, which callers do not know: nobody makes keys that
// fall together.
func hash(journal [16]byte, k key) uint64 {
	const prime = 1099511628211
	h := uint64(14695981039346656037)
	for _, c := range journal {
		h = (h ^ uint64(c)) * prime
	}
	for _, c := range k {
		h = (h ^ uint64(c)) * prime
	}
	h ^= h >> 32
	h *= 0xd6e8feb86659fd93
	return h ^ h>>32
}

// idPrefix is what is kept of the id of a record.
func idPrefix(id string) (p [4]byte, ok bool) {
	if len(id) < 8 {
		return p, false
	}
	_, err := hex.Decode(p[:], []byte(id[:8]))
	return p, err == nil
}

// find returns the rows that may be of records that the filter wants: all that are, and few others.
func (c *chunk) find(f *Filter) (set *rowSet, some bool, err error) {
	set = new(rowSet)
	if !f.Until.IsZero() && c.earliest >= nano(f.Until) || !f.Since.IsZero() && c.late < nano(f.Since) {
		return set, false, nil
	}
	set.fill(int(c.rows))
	if f.ID != "" {
		if err := c.findID(f.ID, set); err != nil {
			return nil, false, err
		}
	}
	for _, term := range f.terms() {
		var listed rowSet
		for _, k := range term {
			if err := c.list(hash(c.journal, k), &listed); err != nil {
				return nil, false, err
			}
		}
		if set.and(&listed); set.next(0, false) < 0 {
			return set, false, nil
		}
	}
	return set, set.next(0, false) >= 0, nil
}

// list adds the rows that a key lists.
func (c *chunk) list(want uint64, set *rowSet) error {
	var failed error
	i := sort.Search(int(c.keys), func(i int) bool {
		b, err := c.read(c.keysAt()+int64(i)*keyBytes, 8)
		if err != nil {
			failed = err
			return true
		}
		return binary.LittleEndian.Uint64(b) >= want
	})
	if failed != nil || i == int(c.keys) {
		return failed
	}
	b, err := c.read(c.keysAt()+int64(i)*keyBytes, keyBytes)
	if err != nil || binary.LittleEndian.Uint64(b) != want {
		return err
	}
	return c.readList(binary.LittleEndian.Uint32(b[8:]), binary.LittleEndian.Uint32(b[12:]), set)
}

// readList adds the rows of the list that begins at a place.
func (c *chunk) readList(n, at uint32, set *rowSet) error {
	size := listBytes(int(n))
	b, err := c.read(c.listsAt()+int64(at), size)
	if err != nil {
		return err
	}
	if size == bitmapBytes {
		for i := range set {
			set[i] |= binary.LittleEndian.Uint64(b[8*i:])
		}
		return nil
	}
	for ; len(b) > 0; b = b[2:] {
		set.add(int(binary.LittleEndian.Uint16(b)))
	}
	return nil
}

// listBytes is the size of a list of n rows.
func listBytes(n int) int {
	if n > maxSparse {
		return bitmapBytes
	}
	return 2 * n
}

func (c *chunk) findID(id string, set *rowSet) error {
	want, ok := idPrefix(id)
	*set = rowSet{}
	if !ok {
		return nil
	}
	var failed error
	at := func(i int) []byte {
		b, err := c.read(c.idsAt()+int64(i)*idBytes, idBytes)
		if err != nil {
			failed = err
			return make([]byte, idBytes)
		}
		return b
	}
	i := sort.Search(int(c.rows), func(i int) bool { return failed != nil || bytes.Compare(at(i)[:4], want[:]) >= 0 })
	for ; i < int(c.rows) && failed == nil; i++ {
		b := at(i)
		if failed != nil || !bytes.Equal(b[:4], want[:]) {
			break
		}
		set.add(int(binary.LittleEndian.Uint16(b[4:])))
	}
	return failed
}

// place returns where the record of a row is.
func (c *chunk) place(row int) (evidence.Place, error) {
	b, err := c.read(c.placesAt()+int64(row)*placeBytes, placeBytes)
	if err != nil {
		return evidence.Place{}, err
	}
	return evidence.Place{Segment: c.number, Offset: c.base + placeUnit*int64(binary.LittleEndian.Uint32(b))}, nil
}

// inTime reports whether the record of a row is of the time that the filter wants.
func (c *chunk) inTime(row int, f *Filter) (bool, error) {
	if f.Since.IsZero() && f.Until.IsZero() {
		return true, nil
	}
	b, err := c.read(c.timesAt()+int64(row)*timeBytes, timeBytes)
	if err != nil {
		return false, err
	}
	t := int64(binary.LittleEndian.Uint64(b)) //nolint:gosec // the bits
	return (f.Since.IsZero() || t >= nano(f.Since)) && (f.Until.IsZero() || t < nano(f.Until) || t == math.MaxInt64), nil
}
