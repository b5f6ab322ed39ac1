package evidence

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// Sizes of the journal's format, in bytes. spec/journal.md section 2 gives the reasons.
const (
	// blockBytes is the unit of disk space that no two batches share: a write
	// that is cut short harms nothing that was acknowledged before it.
	blockBytes = 4096
	// frameHeaderBytes is magic, length, distance to the batch's start, checksum.
	frameHeaderBytes = 16
	// frameAlign is what frame offsets are multiples of.
	frameAlign = 8
	// maxFramePayload bounds the payload of one frame.
	maxFramePayload = 112 << 10
	// maxSegmentBytes bounds one file.
	maxSegmentBytes = 1 << 40
	// maxBatchBytes bounds what one write and one sync make durable.
	maxBatchBytes = 4 << 20
)

// segmentMagic begins each segment; the last byte is the version of the format.
var segmentMagic = [16]byte{'t', 'o', 'u', 'c', 'h', 'm', 'a', 'r', 'k', ' ', 'j', 'r', 'n', 'l', 0, 1}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A segmentHeader is the first block of a segment. It is durable before the
// file has a segment's name.
type segmentHeader struct {
	journal  JournalID // random, the same in each segment of a journal
	salt     [16]byte  // random for each segment: no frame is valid in another one
	number   uint64    // 1 for the first segment
	first    uint64    // index of the first frame
	previous int64     // where the frames of the segment before end, or did before it was compacted; 0 in the first
	was, end int64     // where its own frames ended before it was compacted, and end now; 0 unless it was
}

const (
	headerFields   = 16 + 16 + 16 + 8 + 8 + 8 + 8 + 8
	headerChecksum = blockBytes - 4
)

func (h *segmentHeader) marshal() []byte {
	b := make([]byte, 0, blockBytes)
	b = append(b, segmentMagic[:]...)
	b = append(b, h.journal[:]...)
	b = append(b, h.salt[:]...)
	b = binary.LittleEndian.AppendUint64(b, h.number)
	b = binary.LittleEndian.AppendUint64(b, h.first)
	for _, off := range []int64{h.previous, h.was, h.end} {
		b = binary.LittleEndian.AppendUint64(b, uint64(off)) //nolint:gosec // not negative
	}
	b = b[:headerChecksum]
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func parseSegmentHeader(b []byte) (*segmentHeader, error) {
	if len(b) < blockBytes {
		return nil, errors.New("the segment is shorter than its header")
	}
	if crc32.Checksum(b[:headerChecksum], castagnoli) != binary.LittleEndian.Uint32(b[headerChecksum:]) {
		return nil, errors.New("the segment's header fails its checksum")
	}
	if !bytes.Equal(b[:16], segmentMagic[:]) {
		return nil, fmt.Errorf("%q does not begin a segment of this version", b[:16])
	}
	h := &segmentHeader{
		journal: JournalID(b[16:32]),
		salt:    [16]byte(b[32:48]),
		number:  binary.LittleEndian.Uint64(b[48:]),
		first:   binary.LittleEndian.Uint64(b[56:]),
	}
	for i, off := range []*int64{&h.previous, &h.was, &h.end} {
		v := binary.LittleEndian.Uint64(b[64+8*i:])
		if v > maxSegmentBytes || v%blockBytes != 0 {
			return nil, fmt.Errorf("frames of a segment cannot end at byte %d", v)
		}
		*off = int64(v)
	}
	if h.was == 0 && h.end != 0 || h.was != 0 && (h.end < blockBytes || h.end > h.was) {
		return nil, fmt.Errorf("frames that ended at byte %d cannot end at byte %d in a segment that was compacted", h.was, h.end)
	}
	if !isZero(b[headerFields:headerChecksum]) {
		return nil, errors.New("the segment's header has fields that this version does not know")
	}
	return h, nil
}

// checksum covers the segment's salt and the frame's place in it, so that
// bytes of another time, segment or journal never pass for a frame.
func (h *segmentHeader) checksum(offset int64, head, payload []byte) uint32 {
	var place [8]byte
	binary.LittleEndian.PutUint64(place[:], uint64(offset)) //nolint:gosec // offsets are not negative
	sum := crc32.Update(0, castagnoli, h.salt[:])
	sum = crc32.Update(sum, castagnoli, place[:])
	sum = crc32.Update(sum, castagnoli, head)
	return crc32.Update(sum, castagnoli, payload)
}

// appendFrame adds a frame to the batch that begins at start and of which buf
// is what there is so far. An empty payload is a seal: nothing follows it.
func (h *segmentHeader) appendFrame(buf []byte, start int64, payload []byte) []byte {
	back := len(buf)
	buf = append(buf, h.salt[:4]...)
	buf = binary.LittleEndian.AppendUint32(buf, uint32(len(payload))) //nolint:gosec // at most maxFramePayload
	buf = binary.LittleEndian.AppendUint32(buf, uint32(back))         //nolint:gosec // less than maxBatchBytes
	sum := h.checksum(start+int64(back), buf[back+4:back+12], payload)
	buf = binary.LittleEndian.AppendUint32(buf, sum)
	buf = append(buf, payload...)
	return appendZeroes(buf, frameAlign)
}

// A frameHead is a frame's header as read, before its checksum is checked.
type frameHead struct {
	length int
	back   int64
	sum    uint32
}

// parseHead reads a frame's header; ok is false when it cannot be one.
func (h *segmentHeader) parseHead(b []byte) (head frameHead, ok bool) {
	head = frameHead{
		length: int(binary.LittleEndian.Uint32(b[4:])),
		back:   int64(binary.LittleEndian.Uint32(b[8:])),
		sum:    binary.LittleEndian.Uint32(b[12:]),
	}
	return head, bytes.Equal(b[:4], h.salt[:4]) && head.length <= maxFramePayload && head.back < maxBatchBytes
}

// frameSpace is how much of a batch a payload of n bytes takes.
func frameSpace(n int) int64 { return roundUp(int64(frameHeaderBytes+n), frameAlign) }

// loneSpace is how much of a segment a payload of n bytes takes when it is a
// batch of its own, which is the most that it can take.
func loneSpace(n int) int64 { return roundUp(int64(frameHeaderBytes+n), blockBytes) }

func roundUp(n, unit int64) int64 { return (n + unit - 1) / unit * unit }

// appendZeroes fills b up to a multiple of unit.
func appendZeroes(b []byte, unit int64) []byte {
	return append(b, zeroes[:roundUp(int64(len(b)), unit)-int64(len(b))]...)
}

// zeroes is never written to.
var zeroes [blockBytes]byte

func isZero(b []byte) bool {
	for len(b) > len(zeroes) {
		if !bytes.Equal(b[:len(zeroes)], zeroes[:]) {
			return false
		}
		b = b[len(zeroes):]
	}
	return bytes.Equal(b, zeroes[:len(b)])
}
