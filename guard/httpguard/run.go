package httpguard

import (
	"context"
	"fmt"
	"net/http"
	"runtime/debug"
	"strings"

	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/internal/jcs"
)

// headerEvidence says where the evidence of a granted request is (spec/guard.md section 13.3).
const headerEvidence = "Touchmark-Evidence"

// The error classes that this package adds to those of package guard.
const (
	classClientError = "http_4xx"
	classServerError = "http_5xx"
	classWrongType   = "http_415" // the handler did not run
)

// How a handler ended.
const (
	returned = iota
	panicked // with anything
	aborted  // with http.ErrAbortHandler: it wants the connection to end
)

// run runs what was granted, records how it ended, and answers.
func (h *handler) run(out http.ResponseWriter, c *call, grant *guard.Grant) {
	if c.wrong {
		h.refuseType(out, c, grant)
		return
	}
	var limit int64
	if constraints := grant.Constraints(); constraints != nil {
		limit = constraints.MaxResultBytes
	}
	x := &execution{handler: h, req: c.req, w: newWriter(out, c.req, limit, evidenceField(grant.Evidence()))}
	o, how := guard.Outcome{ErrorClass: guard.ClassExit}, panicked
	ended := false
	defer func() {
		if !ended { // the handler ended this goroutine
			x.w.end()
			_ = grant.Finish(c.req.Context(), o) //nolint:errcheck // there is nobody to be told
		}
	}()
	ends := make(chan int, 1)
	o = grant.Run(context.WithValue(c.req.Context(), grantKey{}, grant), func(ctx context.Context) guard.Outcome {
		o, how := x.serve(ctx)
		ends <- how
		return o
	})
	ended = true
	select {
	case how = <-ends:
	default: // it still runs, or ended its goroutine
	}
	committed := x.w.end()
	err := grant.Finish(c.req.Context(), o)
	switch {
	case committed && (err != nil || how != returned):
		panic(http.ErrAbortHandler) // what went out is not whole
	case err != nil:
		h.refuse(out, c.req, err, 0)
	case how == aborted:
		panic(http.ErrAbortHandler)
	case how != returned:
		h.problem(out, &problem{Status: http.StatusInternalServerError, DecisionID: grant.Evidence().ID})
	default:
		x.w.finish(out)
	}
}

// An execution is one run of a handler.
type execution struct {
	*handler
	req *http.Request
	w   *writer
}

func (x *execution) serve(ctx context.Context) (o guard.Outcome, how int) {
	defer func() {
		switch p := recover(); p {
		case nil:
		case http.ErrAbortHandler:
			o, how = x.w.outcome(ctx), aborted
			if o.ErrorClass == "" {
				o.ErrorClass = guard.ClassError
			}
		default:
			x.log.Error("httpguard: panic in handler", "value", fmt.Sprint(p), "stack", string(debug.Stack()))
			o, how = guard.Outcome{ErrorClass: guard.ClassPanic}, panicked
		}
	}()
	x.next.ServeHTTP(x.w, x.req.WithContext(ctx))
	return x.w.outcome(ctx), returned
}

// An answer is what a record commits to of one: it is hashed while it goes out, and not kept.
type answer struct {
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"`
	Status int    `json:"status"`
	Type   string `json:"type,omitempty"`
}

// outcome says how the handler ended, from what it has written.
func (w *writer) outcome(ctx context.Context) guard.Outcome {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.status == 0 {
		w.writeHeader(http.StatusOK)
	}
	a := &answer{
		SHA256: evidence.Hash(w.sum.Sum(nil)).String(), Size: w.size, Status: w.status,
		Type: strings.ToValidUTF8(w.sent.Get("Content-Type"), "\ufffd"),
	}
	o := guard.Outcome{Size: max(w.size, 1)}
	o.Result, _ = jcs.Marshal(a) //nolint:errcheck // it has a canonical form
	switch {
	case w.tooLarge:
		o.ErrorClass, o.Size = guard.ClassResultTooLarge, w.limit+1
	case ctx.Err() != nil:
		o.ErrorClass = guard.ClassOf(ctx, ctx.Err())
	case w.status >= http.StatusInternalServerError:
		o.ErrorClass = classServerError
	case w.status >= http.StatusBadRequest:
		o.ErrorClass = classClientError
	}
	return o
}

// refuseType answers a granted request with a body that its handler is not written for. It comes after the decision, so that
// nobody learns from it what there is.
func (h *handler) refuseType(out http.ResponseWriter, c *call, grant *guard.Grant) {
	if err := grant.Finish(c.req.Context(), guard.Outcome{ErrorClass: classWrongType}); err != nil {
		h.refuse(out, c.req, err, 0)
		return
	}
	h.problem(out, &problem{Status: http.StatusUnsupportedMediaType, DecisionID: grant.Evidence().ID})
}

func evidenceField(ack evidence.Ack) string {
	field := fmt.Sprintf("id=%q, leaf_hash=%q", ack.ID, ack.LeafHash)
	if ack.Promise != "" {
		field += fmt.Sprintf(", promise=%q", ack.Promise)
	}
	return field
}
