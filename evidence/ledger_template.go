package evidence

import (
	"bytes"
	"strconv"
	"time"
)

// A template is the message of a record but for its place: sequence number, hash of the record before, and time. To
// fill it in takes a microsecond, so that many records a second find their place under one lock.
type template struct {
	message Message
	prev    int // offset of the text of the hash
	seq     int // offset of the digits
	time    int // offset of the text of the time
}

// vacant is the sequence number in templates. It is the largest there is, so that a filled template is not longer.
const vacant = maxNumber

// vacantDigits is how many digits vacant has.
const vacantDigits = 15

// template encodes and checks r, whose header lacks only its place, into a buffer.
func (r *Record) template(b []byte) (*template, error) {
	r.Time = time.Unix(0, 0)
	if r.Genesis == nil {
		r.Sequence, r.Previous = vacant, Hash{1}
	}
	m, err := r.appendMessage(b)
	if err != nil {
		return nil, err
	}
	// Nothing that a caller chose looks like this: the quotes in it are escaped. The names are in their order.
	end := 0
	after := func(name string) int {
		end += bytes.Index(m[end:], []byte(name)) + len(name)
		return end
	}
	return &template{message: m, prev: after(`,"prev":"`), seq: after(`,"seq":`), time: after(`,"time":"`)}, nil
}

// fill gives r its place and returns its message. The template is used up.
func (t *template) fill(r *Record, seq uint64, prev Hash, at time.Time) (Message, error) {
	r.Sequence, r.Previous, r.Time = seq, prev, at
	if r.Genesis != nil {
		return r.Message() // it has no hash to fill in, and needs no haste
	}
	if err := r.checkHeader(); err != nil {
		return nil, err
	}
	m := t.message
	prev.append(m[t.prev:t.prev])
	appendTime(m[t.time:t.time], at)
	digits := len(strconv.AppendUint(m[t.seq:t.seq], seq, 10))
	return m[:t.seq+digits+copy(m[t.seq+digits:], m[t.seq+vacantDigits:])], nil
}
