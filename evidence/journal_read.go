package evidence

import (
	"errors"
	"fmt"
	"io"

	"github.com/touchmark-dev/touchmark/internal/durable"
)

// A CorruptError says that a journal is not what its writer left: bytes that
// were acknowledged are damaged or gone. Nothing is cut off or repaired.
// Keep the directory, and restore the file from a copy if there is one.
type CorruptError struct {
	File   string
	Offset int64 // in bytes
	Reason string
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("evidence: journal %q is damaged at byte %d: %s", e.File, e.Offset, e.Reason)
}

// windowBytes is how much a segmentReader reads at a time; a frame fits.
const windowBytes = 256 << 10

// A segmentReader reads the frames of one segment. It believes nothing but
// checksums, and leaves it to its user to say what an end in the middle means.
type segmentReader struct {
	name string
	file durable.File
	head *segmentHeader

	off    int64 // of the next frame
	batch  int64 // start of the batch that the last frame is in
	end    int64 // where frames end if that is known, else -1
	sealed bool  // at off is a seal: nothing follows, and all before it was durable when it was written
	again  bool  // it was opened once more, in the place of one with the same header

	window    []byte
	windowOff int64
}

// openSegment reads the header of a segment.
func openSegment(f durable.File, name string) (*segmentReader, error) {
	r := &segmentReader{name: name, file: f, off: blockBytes, batch: -1, end: -1}
	b := make([]byte, blockBytes)
	n, err := f.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read journal %q: %w", name, err)
	}
	if r.head, err = parseSegmentHeader(b[:n]); err != nil {
		return nil, r.corrupt(0, "%v", err)
	}
	if r.head.end > 0 {
		r.end = r.head.end
	}
	return r, nil
}

func (r *segmentReader) corrupt(off int64, format string, args ...any) error {
	return &CorruptError{File: r.name, Offset: off, Reason: fmt.Sprintf(format, args...)}
}

// at returns up to n bytes at off, fewer only at the end of the file. The
// slice is valid until the next call.
func (r *segmentReader) at(off int64, n int) ([]byte, error) {
	if off < r.windowOff || off+int64(n) > r.windowOff+int64(len(r.window)) {
		if err := r.fill(off); err != nil {
			return nil, err
		}
	}
	b := r.window[off-r.windowOff:]
	return b[:min(n, len(b))], nil
}

func (r *segmentReader) fill(off int64) error {
	if r.window == nil {
		size, err := r.file.Size()
		if err != nil {
			return fmt.Errorf("read journal %q: %w", r.name, err)
		}
		r.window = make([]byte, min(size, windowBytes))
	}
	n, err := r.file.ReadAt(r.window[:cap(r.window)], off)
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read journal %q: %w", r.name, err)
	}
	r.window, r.windowOff = r.window[:n], off
	return nil
}

// next returns the payload of the next frame, valid until the next call. ok is
// false when there is no frame at r.off: the frames end here, or what is here
// is damaged, or was not written yet.
func (r *segmentReader) next() (payload []byte, ok bool, err error) {
	if payload, ok, err = r.frame(); ok || err != nil {
		return payload, ok, err
	}
	// The window may be older than the frame.
	if err := r.fill(r.off); err != nil {
		return nil, false, err
	}
	return r.frame()
}

func (r *segmentReader) frame() (payload []byte, ok bool, err error) {
	if r.sealed {
		return nil, false, nil
	}
	if err := r.skipPadding(); err != nil {
		return nil, false, err
	}
	payload, head, ok, err := r.frameAt(r.off)
	if !ok || err != nil {
		return nil, false, err
	}
	switch {
	case r.end >= 0 && r.off+frameSpace(head.length) > r.end:
		return nil, false, nil
	case head.back == 0 && r.off%blockBytes == 0:
		r.batch = r.off
	case r.batch < 0 || head.back != r.off-r.batch:
		return nil, false, nil
	}
	if head.length == 0 {
		r.sealed = r.batch == r.off // r.off stays: the frames end where the seal begins
		return nil, false, nil
	}
	r.off += frameSpace(head.length)
	return payload, true, nil
}

// skipPadding moves to the next block when nothing but zeroes is left of this one.
func (r *segmentReader) skipPadding() error {
	rest := roundUp(r.off, blockBytes) - r.off
	b, err := r.at(r.off, int(rest))
	if err == nil && int64(len(b)) == rest && isZero(b) {
		r.off += rest
	}
	return err
}

// frameAt returns the frame at off if there is a valid one.
func (r *segmentReader) frameAt(off int64) (payload []byte, head frameHead, ok bool, err error) {
	b, err := r.at(off, frameHeaderBytes)
	if err != nil || len(b) < frameHeaderBytes {
		return nil, head, false, err
	}
	if head, ok = r.head.parseHead(b); !ok {
		return nil, head, false, nil
	}
	b, err = r.at(off, frameHeaderBytes+head.length)
	if err != nil || len(b) < frameHeaderBytes+head.length {
		return nil, head, false, err
	}
	payload = b[frameHeaderBytes:]
	return payload, head, head.sum == r.head.checksum(off, b[4:12], payload), nil
}

// checkTail says whether what lies from r.off on can be what a writer left
// that was stopped in the middle of one batch. Only one batch is ever under way, and it
// begins when everything before it is durable. So a frame of a batch that begins
// behind r.off proves that r.off was durable once and is damaged now, and so do
// bytes further away than a batch reaches.
func (r *segmentReader) checkTail() error {
	tail := r.off
	if r.sealed {
		tail += blockBytes
	}
	last, err := r.lastWritten(tail)
	if err != nil {
		return err
	}
	switch {
	case last < tail:
		return nil
	case r.sealed:
		return r.corrupt(last, "bytes follow the seal")
	case last >= r.off+maxBatchBytes:
		return r.corrupt(r.off, "no valid frame is here, but bytes were written up to %d", last)
	}
	for off := roundUp(r.off, frameAlign); off <= last; off += frameAlign {
		_, head, ok, err := r.frameAt(off)
		if err != nil {
			return err
		}
		if ok && off-head.back > r.off {
			return r.corrupt(r.off, "no valid frame is here, but one of a later batch is at byte %d", off)
		}
	}
	return nil
}

// lastWritten returns the offset of the last byte from off on that is not
// zero, and off-1 if there is none.
func (r *segmentReader) lastWritten(off int64) (int64, error) {
	for last := off - 1; ; {
		b, err := r.at(off, windowBytes)
		if err != nil {
			return 0, err
		}
		if len(b) == 0 {
			return last, nil
		}
		if !isZero(b) {
			i := len(b) - 1
			for b[i] == 0 {
				i--
			}
			last = off + int64(i)
		}
		off += int64(len(b))
	}
}
