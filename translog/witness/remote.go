package witness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/touchmark-dev/touchmark/translog"
)

const (
	maxAnswerBytes = 16 << 10
	maxAnswerLines = 32
)

// A remote is a witness somewhere else, and what is known of it.
type remote struct {
	name     string
	url      string
	verifier note.Verifier

	mu      sync.Mutex // held during a request
	size    uint64     // that it said it has cosigned
	failed  int        // times in a row
	waiting time.Time  // until when it is left alone
}

// left reports whether the witness is busy, or has failed and is left alone.
func (w *remote) left(now time.Time) bool {
	if !w.mu.TryLock() {
		return true
	}
	defer w.mu.Unlock()
	return now.Before(w.waiting)
}

// cosign asks one witness, twice when it knows another size than was thought.
func (c *Collector) cosign(ctx context.Context, w *remote, cp *translog.Checkpoint) (line []byte, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	defer func() {
		switch {
		case err == nil:
			w.failed = 0
			return
		case errors.Is(context.Cause(ctx), errEnough):
			return // it is slow, and may be asked again
		}
		w.waiting = c.cfg.Time().Add(min(maxBackoff, minBackoff<<min(w.failed, 10)))
		w.failed++
	}()
	line, err = c.request(ctx, w, cp)
	var conflict *ConflictError
	if errors.As(err, &conflict) && conflict.Size != w.size {
		w.size = conflict.Size
		line, err = c.request(ctx, w, cp)
	}
	if err == nil {
		w.size = cp.Size()
	}
	return line, err
}

func (c *Collector) request(ctx context.Context, w *remote, cp *translog.Checkpoint) ([]byte, error) {
	if w.size > cp.Size() {
		return nil, fmt.Errorf("it says it has cosigned a tree of %d entries; the log has %d", w.size, cp.Size())
	}
	r := &Request{Old: w.size, Checkpoint: cp.Note()}
	if 0 < w.size && w.size < cp.Size() {
		proof, err := c.cfg.Proof(ctx, w.size, cp.Size())
		if err != nil {
			return nil, err
		}
		r.Proof = proof
	}
	body, err := r.MarshalText()
	if err != nil {
		return nil, err
	}
	status, contentType, answer, err := c.post(ctx, w.url, body)
	switch {
	case err != nil:
		return nil, err
	case status == http.StatusConflict && contentType == SizeType:
		return nil, conflictOf(answer)
	case status != http.StatusOK:
		return nil, fmt.Errorf("status %d: %.200q", status, answer)
	}
	return w.signature(textOf(cp), answer)
}

func (c *Collector) post(ctx context.Context, url string, body []byte) (status int, contentType string, answer []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return 0, "", nil, err
	}
	req.Header.Set("Content-Type", "text/plain; charset=utf-8")
	res, err := c.cfg.Client.Do(req)
	if err != nil {
		return 0, "", nil, err
	}
	defer res.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(res.Body, maxAnswerBytes+1))
	if err == nil && len(answer) > maxAnswerBytes {
		err = fmt.Errorf("an answer of more than %d bytes", maxAnswerBytes)
	}
	contentType, _, _ = mime.ParseMediaType(res.Header.Get("Content-Type"))
	return res.StatusCode, contentType, answer, err
}

func conflictOf(answer []byte) error {
	text, ok := strings.CutSuffix(string(answer), "\n")
	size, err := strconv.ParseUint(text, 10, 63)
	if !ok || err != nil || strconv.FormatUint(size, 10) != text {
		return errors.New("a conflict without the size that it knows")
	}
	return &ConflictError{size}
}

// signature finds the witness's own line among those it sent. What others have
// signed is not asked of it.
func (w *remote) signature(text string, answer []byte) ([]byte, error) {
	n := 0
	for line := range bytes.Lines(answer) {
		if n++; n > maxAnswerLines {
			break
		}
		opened, err := note.Open(append([]byte(text+"\n"), line...), note.VerifierList(w.verifier))
		if err == nil && len(opened.Sigs) == 1 {
			return line, nil
		}
	}
	return nil, errors.New("no cosignature of its key in its answer")
}
