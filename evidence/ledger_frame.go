package evidence

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// A frame is the payload of the journal for one record: what the ledger needs to know of the record when it
// starts again without parsing it, the entry, and the private part.
type frame struct {
	opens      bool      // a decision whose outcome is to come
	closes     bool      // an outcome
	oldestOpen uint64    // the first decision without an outcome, this record counted; its own number if none
	reference  uint64    // the decision that an outcome belongs to
	time       time.Time // of the record
	entry      []byte
	private    []byte
}

const (
	frameVersion    = 1
	framePrefix     = 32
	frameOldestOpen = 8 // offset of oldestOpen, which is filled in last

	flagOpens  = 1
	flagCloses = 2
)

// bytes returns the frame.
func (f *frame) bytes() []byte {
	return append(append(f.appendPrefix(nil), f.entry...), f.private...)
}

// appendPrefix appends what stands before the entry, framePrefix bytes.
func (f *frame) appendPrefix(b []byte) []byte {
	flags := byte(0)
	if f.opens {
		flags |= flagOpens
	}
	if f.closes {
		flags |= flagCloses
	}
	b = append(b, frameVersion, flags, 0, 0)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(f.entry))) //nolint:gosec // at most MaxEntryBytes
	b = binary.LittleEndian.AppendUint64(b, f.oldestOpen)
	b = binary.LittleEndian.AppendUint64(b, f.reference)
	return binary.LittleEndian.AppendUint64(b, uint64(f.time.UnixNano())) //nolint:gosec // the bits of an int64
}

// parseFrame reads what bytes made. The slices are parts of b.
func parseFrame(b []byte) (*frame, error) {
	if len(b) < framePrefix || b[0] != frameVersion || b[1]&^(flagOpens|flagCloses) != 0 || b[2] != 0 || b[3] != 0 {
		return nil, errors.New("evidence: journal frame of another version, or cut short")
	}
	size := int64(binary.LittleEndian.Uint32(b[4:]))
	if size == 0 || size > MaxEntryBytes || size > int64(len(b)-framePrefix) {
		return nil, fmt.Errorf("evidence: journal frame with an entry of %d bytes", size)
	}
	return &frame{
		opens:      b[1]&flagOpens != 0,
		closes:     b[1]&flagCloses != 0,
		oldestOpen: binary.LittleEndian.Uint64(b[frameOldestOpen:]),
		reference:  binary.LittleEndian.Uint64(b[16:]),
		time:       time.Unix(0, int64(binary.LittleEndian.Uint64(b[24:]))).UTC(), //nolint:gosec // the bits of an int64
		entry:      b[framePrefix : framePrefix+size],
		private:    b[framePrefix+size:],
	}, nil
}
