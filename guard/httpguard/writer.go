package httpguard

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// held is how much of an answer waits for the outcome, unless the handler flushes it.
const held = 64 << 10

var (
	errOver     = errors.New("httpguard: the call is over")
	errTooLarge = errors.New("httpguard: the answer is larger than the policy allows")
)

// A writer passes an answer on, hashes it, and keeps it from being longer than it may. Of an answer that went out before
// its outcome was recorded it keeps back the end, so that nobody takes it for a whole one if that fails.
//
// It does not unwrap, and cannot be hijacked: what would go around it would go around the record.
type writer struct {
	req      *http.Request
	limit    int64  // 0: none
	evidence string // of the header field

	mu     sync.Mutex
	out    http.ResponseWriter // nil when the call is over
	header http.Header         // the handler's own

	status    int // 0: not said yet
	sent      http.Header
	length    int64 // that the handler declared, or -1
	committed bool  // status and header went out
	wait      []byte
	passed    int64 // octets that went out
	size      int64
	sum       hash.Hash
	tooLarge  bool
}

func newWriter(w http.ResponseWriter, req *http.Request, limit int64, evidence string) *writer {
	return &writer{
		req: req, limit: limit, evidence: evidence, out: w, header: w.Header().Clone(), length: -1, sum: sha256.New(),
	}
}

// Header implements [http.ResponseWriter].
func (w *writer) Header() http.Header {
	if w.header == nil {
		w.header = http.Header{}
	}
	return w.header
}

// WriteHeader implements [http.ResponseWriter]. Informational answers go nowhere: none goes out before the outcome of its
// own accord.
func (w *writer) WriteHeader(status int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.writeHeader(status)
}

func (w *writer) writeHeader(status int) {
	if status < 100 || status > 999 {
		panic(fmt.Sprintf("httpguard: invalid status %d", status))
	}
	if w.out == nil || w.status != 0 || status < 200 {
		return
	}
	w.status, w.sent = status, w.Header().Clone()
	if n, err := strconv.ParseInt(w.sent.Get("Content-Length"), 10, 64); err == nil && n >= 0 {
		w.length = n
	}
	if w.limit > 0 && w.length > w.limit && w.hasBody() {
		w.tooLarge = true
	}
}

// hasBody reports whether the answer has a body that goes out.
func (w *writer) hasBody() bool {
	return w.req.Method != http.MethodHead && w.status != http.StatusNoContent && w.status != http.StatusNotModified
}

// Write implements [http.ResponseWriter].
func (w *writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.status == 0 {
		w.writeHeader(http.StatusOK)
	}
	switch {
	case w.out == nil:
		return 0, errOver
	case w.req.Method == http.MethodHead:
		return len(p), nil
	case !w.hasBody():
		return 0, http.ErrBodyNotAllowed
	case w.length >= 0 && w.size+int64(len(p)) > w.length:
		return 0, http.ErrContentLength
	case w.tooLarge || w.limit > 0 && w.size+int64(len(p)) > w.limit:
		w.tooLarge = true
		return 0, errTooLarge
	}
	w.size += int64(len(p))
	w.sum.Write(p)
	w.wait = append(w.wait, p...)
	if len(w.wait) > held {
		if err := w.pass(false); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// pass sends what waits: all of it, or all but the last octet of an answer that would be whole with it.
func (w *writer) pass(whole bool) error {
	if !w.committed {
		w.commit()
	}
	n := len(w.wait)
	if !whole && n > 0 && w.length >= 0 && w.passed+int64(n) >= w.length {
		n--
	}
	if n == 0 {
		return nil
	}
	_, err := w.out.Write(w.wait[:n])
	w.passed += int64(n)
	w.wait = append(w.wait[:0], w.wait[n:]...)
	return err
}

func (w *writer) commit() {
	w.committed = true
	h := w.out.Header()
	clear(h)
	maps.Copy(h, w.sent)
	h.Set(headerEvidence, w.evidence)
	if h.Get("Cache-Control") == "" {
		h.Set("Cache-Control", "private")
	}
	w.out.WriteHeader(w.status)
}

// FlushError is for [http.ResponseController].
func (w *writer) FlushError() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.status == 0 {
		w.writeHeader(http.StatusOK)
	}
	switch {
	case w.out == nil:
		return errOver
	case w.tooLarge:
		return errTooLarge
	}
	if err := w.pass(false); err != nil {
		return err
	}
	return http.NewResponseController(w.out).Flush()
}

// Flush implements [http.Flusher].
func (w *writer) Flush() { _ = w.FlushError() } //nolint:errcheck // as far as possible

// SetReadDeadline is for [http.ResponseController].
func (w *writer) SetReadDeadline(t time.Time) error {
	return w.control(func(c *http.ResponseController) error { return c.SetReadDeadline(t) })
}

// SetWriteDeadline is for [http.ResponseController].
func (w *writer) SetWriteDeadline(t time.Time) error {
	return w.control(func(c *http.ResponseController) error { return c.SetWriteDeadline(t) })
}

// EnableFullDuplex is for [http.ResponseController].
func (w *writer) EnableFullDuplex() error {
	return w.control((*http.ResponseController).EnableFullDuplex)
}

func (w *writer) control(do func(*http.ResponseController) error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.out == nil {
		return errOver
	}
	return do(http.NewResponseController(w.out))
}

// end takes the answer from the handler, which may still run, and returns whether something of it went out.
func (w *writer) end() (committed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.out = nil
	return w.committed
}

// finish sends the rest of an answer whose outcome is recorded, after the handler has returned.
func (w *writer) finish(out http.ResponseWriter) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.out = out
	if w.status == 0 {
		w.writeHeader(http.StatusOK)
	}
	_ = w.pass(true) //nolint:errcheck // nobody is there any more
	w.out = nil
	h := out.Header()
	for k, v := range w.header {
		if strings.HasPrefix(k, http.TrailerPrefix) || w.declared(k) {
			h[k] = v
		}
	}
}

// declared reports whether a field was declared to be a trailer.
func (w *writer) declared(name string) bool {
	for _, list := range w.sent["Trailer"] {
		for one := range strings.SplitSeq(list, ",") {
			if http.CanonicalHeaderKey(strings.TrimSpace(one)) == name {
				return true
			}
		}
	}
	return false
}
