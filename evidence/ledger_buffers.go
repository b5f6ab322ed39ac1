package evidence

import "sync"

const (
	// messageBytes is enough for most messages, so that their buffers do not grow.
	messageBytes = 2048
	// keptBytes is the size of the largest buffer that is used again: those of unusual records are not.
	keptBytes = 16 << 10
)

// Buffers are kept from record to record, so that many records a second do not keep the garbage collector busy. The zero
// value is ready for use.
type buffers struct{ pool sync.Pool }

// get returns an empty buffer of at least this capacity. What it held before may still be in it.
func (p *buffers) get(size int) []byte {
	if b, ok := p.pool.Get().(*[]byte); ok && cap(*b) >= size {
		return *b
	}
	return make([]byte, 0, size)
}

// put takes a buffer that nobody uses any more.
func (p *buffers) put(b []byte) {
	if cap(b) > keptBytes {
		return
	}
	b = b[:0]
	p.pool.Put(&b)
}
