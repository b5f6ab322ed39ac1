package rfc006

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"time"
)

// maxRemembered bounds the records that a [Reader] remembers to find those that come twice. It takes about 100 bytes for
// each.
const maxRemembered = 1_000_000

// A Reader reads records, one on each line, and holds them against each other. Make it with [NewReader].
type Reader struct {
	lines  *bufio.Reader
	line   int
	latest time.Time
	most   int                    // how many are remembered
	seen   map[[32]byte]*[32]byte // hash of a record's id, or of the record itself if it has none, to that of the record
}

// NewReader returns a Reader of r.
func NewReader(r io.Reader) *Reader {
	return &Reader{lines: bufio.NewReaderSize(r, MaxLineBytes+2), most: maxRemembered, seen: make(map[[32]byte]*[32]byte)}
}

// Next returns what came of the next line, and io.EOF behind the last one. Any other error is that of the source. Empty
// lines are passed over.
func (r *Reader) Next() (*Result, error) {
	for {
		line, long, err := r.next()
		if err != nil {
			return nil, err
		}
		r.line++
		if long {
			return &Result{Line: r.line, Verdict: Rejected, Code: CodeTooLarge, Reason: faultf(CodeTooLarge, "a line of more than %d bytes", MaxLineBytes).reason}, nil
		}
		if line = bytes.TrimRight(line, " \t\r\n"); len(line) > 0 {
			return r.judge(line), nil
		}
	}
}

// next returns the next line, valid until it is called again. Long says that it was longer than a line may be.
func (r *Reader) next() (line []byte, long bool, err error) {
	line, err = r.lines.ReadSlice('\n')
	for errors.Is(err, bufio.ErrBufferFull) {
		long = true
		_, err = r.lines.ReadSlice('\n')
	}
	if errors.Is(err, io.EOF) && (len(line) > 0 || long) {
		err = nil
	}
	return line, long, err
}

func (r *Reader) judge(line []byte) *Result {
	out := &Result{Line: r.line}
	record, doubts, err := parse(line)
	out.Record = record
	if err == nil {
		var again Code
		if again, err = r.compare(record, line); again != "" {
			doubts = append(doubts, again)
		}
	}
	switch {
	case err != nil:
		out.Verdict, out.Code, out.Reason = Rejected, err.code, err.reason
		return out
	case len(doubts) > 0:
		out.Verdict, out.Code, out.Notes = Undetermined, doubts[0], doubts[1:]
		out.Reason = reasons[doubts[0]]
	default:
		out.Verdict = Accepted
	}
	if !record.time.IsZero() {
		if record.time.Before(r.latest) {
			out.Notes = append(out.Notes, CodeTimeReversed)
		} else {
			r.latest = record.time
		}
	}
	return out
}

// compare looks for the record among those before it.
func (r *Reader) compare(record *Record, line []byte) (doubt Code, err *fault) {
	content := sha256.Sum256(line)
	key := content
	if record.ID != "" {
		key = sha256.Sum256([]byte("id " + record.ID))
	}
	if before, ok := r.seen[key]; ok {
		if *before == content {
			return "", faultf(CodeDuplicate, "the same record again")
		}
		return "", faultf(CodeConflict, "another record with the id %.80q", record.ID)
	}
	if len(r.seen) >= r.most {
		return CodeUnremembered, nil
	}
	r.seen[key] = &content
	return "", nil
}

var reasons = map[Code]string{
	CodeAuthLevelForm:    "capiscio.auth.level is in the words of the published tools, and not in those of the protocol",
	CodeCallerUnverified: "nobody verified who the caller is",
	CodePolicyUnnamed:    "it is not said which policy decided",
	CodeUnremembered:     "there are so many records that it is not known whether this one was among them before",
}
