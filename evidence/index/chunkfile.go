package index

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"

	"github.com/touchmark-dev/touchmark/evidence"
)

// The form of a chunk, a file of the index about up to maxRows records of one segment (spec/evidence-index.md section 3).
const (
	maxRows     = 1 << 16
	blockBytes  = 4096
	headerBytes = 176
	tailBytes   = 16
	timeBytes   = 8
	placeBytes  = 4
	idBytes     = 6
	keyBytes    = 16
	bitmapBytes = maxRows / 8
	maxSparse   = bitmapBytes / 2 // a longer list of two bytes a record is a bitmap
	placeUnit   = 8               // frames begin at multiples of it

	maxOffset = 1 << 40 // in a segment

	// maxChunkBytes bounds what is read as a chunk: as many keys as records can have, each with a list.
	maxChunkBytes = headerBytes + maxRows*(timeBytes+placeBytes+idBytes+maxKeys*(keyBytes+2)) + 64*bitmapBytes*maxKeys
)

var chunkMagic = [16]byte{'t', 'o', 'u', 'c', 'h', 'm', 'a', 'r', 'k', ' ', 'i', 'n', 'd', 'x', 0, 1}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A header says what a chunk is about.
type header struct {
	journal        [16]byte
	segment        evidence.Hash // header of the segment
	number         uint64        // of the segment
	first          uint64        // sequence number of the first record
	base, last     int64         // offsets of the first and the last record in the segment
	earliest, late int64         // times, in Unix nanoseconds
	rows, keys     uint32
	lists          uint32 // bytes of all lists
}

func (h *header) timesAt() int64  { return headerBytes }
func (h *header) placesAt() int64 { return h.timesAt() + int64(h.rows)*timeBytes }
func (h *header) idsAt() int64    { return h.placesAt() + int64(h.rows)*placeBytes }
func (h *header) keysAt() int64   { return h.idsAt() + int64(h.rows)*idBytes }
func (h *header) listsAt() int64  { return h.keysAt() + int64(h.keys)*keyBytes }
func (h *header) size() int64     { return h.listsAt() + int64(h.lists) }

// end is the sequence number behind the last record.
func (h *header) end() uint64 { return h.first + uint64(h.rows) }

func (h *header) marshal() []byte {
	b := make([]byte, 0, headerBytes)
	b = append(append(append(b, chunkMagic[:]...), h.journal[:]...), h.segment[:]...)
	for _, n := range []uint64{
		h.number, h.first, uint64(h.base), uint64(h.last), uint64(h.earliest), uint64(h.late), //nolint:gosec // the bits
		uint64(h.rows), uint64(h.keys), uint64(h.lists),
	} {
		b = binary.LittleEndian.AppendUint64(b, n)
	}
	return b[:headerBytes]
}

func parseHeader(b []byte) (*header, error) {
	if len(b) != headerBytes || [16]byte(b[:16]) != chunkMagic {
		return nil, errors.New("not a chunk of this version")
	}
	h := &header{journal: [16]byte(b[16:32]), segment: evidence.Hash(b[32:64])}
	n := func(i int) uint64 { return binary.LittleEndian.Uint64(b[64+8*i:]) }
	h.number, h.first, h.base, h.last = n(0), n(1), int64(n(2)), int64(n(3)) //nolint:gosec // the bits
	h.earliest, h.late = int64(n(4)), int64(n(5))                            //nolint:gosec // the bits
	if n(6) == 0 || n(6) > maxRows || n(7) > maxRows*maxKeys || n(8) > maxChunkBytes || h.base < 0 || h.last < h.base || h.last > maxOffset {
		return nil, errors.New("a chunk of impossible size")
	}
	h.rows, h.keys, h.lists = uint32(n(6)), uint32(n(7)), uint32(n(8)) //nolint:gosec // they were compared
	return h, nil
}

// seal appends the checksums to what makes up a chunk: of each block, and of the list of these with the length.
func seal(b []byte) []byte {
	size := len(b)
	for at := 0; at < size; at += blockBytes {
		b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[at:min(at+blockBytes, size)], castagnoli))
	}
	sums := len(b)
	b = binary.LittleEndian.AppendUint64(b, uint64(size)) //nolint:gosec // not negative
	b = binary.LittleEndian.AppendUint32(b, 0)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[size:sums+12], castagnoli))
}

// A chunk is an open file of the index. Every byte that is read of it was held against a checksum. It is not safe for
// concurrent use.
type chunk struct {
	header
	name string
	file io.ReaderAt
	body int64 // bytes before the checksums
	sums []byte

	block  int64 // the one that was read last, -1 for none
	buffer []byte
}

// damaged is an error about the form of a chunk.
type damagedError struct{ reason string }

func (e *damagedError) Error() string { return "index: a file is damaged: " + e.reason }

func damaged(format string, args ...any) error {
	return &damagedError{reason: fmt.Sprintf(format, args...)}
}

// openChunk reads the checksums and the header.
func openChunk(file io.ReaderAt, size int64, name string) (*chunk, error) {
	var tail [tailBytes]byte
	if size < headerBytes+tailBytes || size > 2*maxChunkBytes {
		return nil, damaged("%s has %d bytes", name, size)
	}
	if _, err := file.ReadAt(tail[:], size-tailBytes); err != nil {
		return nil, err
	}
	body := binary.LittleEndian.Uint64(tail[:])
	if body < headerBytes || body > uint64(size) {
		return nil, damaged("%s says that it has %d bytes", name, body)
	}
	blocks := (int64(body) + blockBytes - 1) / blockBytes //nolint:gosec // at most size
	if int64(body)+4*blocks+tailBytes != size {           //nolint:gosec // at most size
		return nil, damaged("%s has %d bytes, of which it knows %d", name, size, body)
	}
	sums := make([]byte, 4*blocks, 4*blocks+tailBytes)
	if _, err := file.ReadAt(sums, int64(body)); err != nil { //nolint:gosec // at most size
		return nil, err
	}
	if crc32.Checksum(append(sums, tail[:12]...), castagnoli) != binary.LittleEndian.Uint32(tail[12:]) {
		return nil, damaged("%s fails the checksum of its checksums", name)
	}
	c := &chunk{name: name, file: file, body: int64(body), sums: sums, block: -1} //nolint:gosec // at most size
	b, err := c.read(0, headerBytes)
	if err != nil {
		return nil, err
	}
	h, err := parseHeader(b)
	if err != nil || h.size() != int64(body) { //nolint:gosec // at most size
		return nil, damaged("%s: %v", name, err)
	}
	c.header = *h
	return c, nil
}

// openChunkFile is openChunk for a file of the operating system.
func openChunkFile(name string) (c *chunk, err error) {
	f, err := os.Open(name) //nolint:gosec // in the directory of the index
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil {
		c, err = openChunk(f, info.Size(), name)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return c, nil
}

func (c *chunk) close() error {
	if f, ok := c.file.(io.Closer); ok {
		return f.Close()
	}
	return nil
}

// read returns n bytes at off, valid until the next call.
func (c *chunk) read(off int64, n int) ([]byte, error) {
	from, to := off/blockBytes, (off+int64(n)-1)/blockBytes
	if off < 0 || n <= 0 || 4*(to+1) > int64(len(c.sums)) {
		return nil, damaged("%s has no %d bytes at %d", c.name, n, off)
	}
	if from == to && c.block == from {
		return c.part(off-from*blockBytes, n)
	}
	size := int((to - from + 1) * blockBytes)
	if cap(c.buffer) < size {
		c.buffer = make([]byte, size)
	}
	c.block = -1
	got, err := c.file.ReadAt(c.buffer[:size], from*blockBytes)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	c.buffer = c.buffer[:min(int64(got), c.body-from*blockBytes)]
	for i := from; i <= to; i++ {
		at := (i - from) * blockBytes
		if at >= int64(len(c.buffer)) {
			return nil, damaged("%s ends in block %d", c.name, i)
		}
		block := c.buffer[at:min(at+blockBytes, int64(len(c.buffer)))]
		if crc32.Checksum(block, castagnoli) != binary.LittleEndian.Uint32(c.sums[4*i:]) {
			return nil, damaged("%s fails its checksum in block %d", c.name, i)
		}
	}
	if from == to {
		c.block = from
	}
	return c.part(off-from*blockBytes, n)
}

func (c *chunk) part(at int64, n int) ([]byte, error) {
	if at+int64(n) > int64(len(c.buffer)) {
		return nil, damaged("%s ends too early", c.name)
	}
	return c.buffer[at : at+int64(n)], nil
}
