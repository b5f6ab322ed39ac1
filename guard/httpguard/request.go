package httpguard

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/internal/mcpwire"
	"github.com/touchmark-dev/touchmark/serververify/workload"
)

// A call is a request as it will run.
type call struct {
	req   *http.Request
	route *Route // nil where the table has none
	wrong bool   // its body is of a type that the route does not take
}

// base says what can be said of any request. What it is about is not known yet: it is nothing that could be allowed.
func (h *handler) base(req *http.Request) *guard.Request {
	r := &guard.Request{
		Verb: guard.Invoke, Method: req.Method, Transport: "http", Missing: true,
		Capability: guard.Capability{Kind: guard.KindMethod, Name: req.URL.Path}, Facts: h.facts,
	}
	if p, err := workload.FromRequest(req); err == nil {
		r.Channel = p
	}
	r.TraceParent, r.TraceState = mcpwire.Trace(req.Header.Get, nil)
	r.TraceID = mcpwire.TraceID(r.TraceParent)
	return r
}

// read says what a request asks for, and what it presents. Which refusals come of it does not depend on what there is.
func (h *handler) read(w http.ResponseWriter, req *http.Request, r *guard.Request, c *call) *malformed {
	if err := checkForm(req); err != nil {
		return err
	}
	presented, failed := h.rules.FromHeader(req.Header)
	var field *mcpwire.Error
	if errors.As(failed, &field) {
		return bad(field.Cause())
	} else if failed != nil {
		return bad(CauseHeader)
	}
	r.Badge, r.Proof, r.TxnID = presented.Badge, presented.Hop, presented.Txn
	c.req = routed(req)
	body, err := h.readBody(w, req)
	if err != nil {
		return err
	}
	var opaque bool
	if r.Arguments, opaque, err = argumentsOf(c.req.URL, req.Header, body); err != nil {
		return err
	}
	r.Target, r.HTTPMethod, r.HTTPURI = c.req.URL.Path, req.Method, h.url+req.URL.EscapedPath()
	h.deliver(c.req, body)
	_, pattern := h.router.Handler(c.req)
	if c.route = h.routes[pattern]; c.route == nil {
		if pattern != "" {
			r.Capability.Name = pattern
		}
		return nil
	}
	r.Capability, r.Missing = c.route.capability(), false
	r.Require, r.RequireIsRule = c.route.Level, true
	c.wrong = opaque && !c.route.Octets
	return nil
}

func (h *handler) readBody(w http.ResponseWriter, req *http.Request) ([]byte, *malformed) {
	if req.Body == nil || req.Body == http.NoBody {
		return nil, nil
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, h.maxBody))
	var tooLong *http.MaxBytesError
	switch {
	case errors.As(err, &tooLong):
		return nil, &malformed{http.StatusRequestEntityTooLarge, CauseTooLong}
	case err != nil:
		return nil, bad(CauseBody)
	}
	return body, nil
}

// deliver gives a request that is about to run the body that was judged, and takes the credentials from it: a handler that
// passes the request on would pass them on too.
func (h *handler) deliver(req *http.Request, body []byte) {
	req.Body, req.ContentLength = http.NoBody, int64(len(body))
	if len(body) > 0 {
		req.Body = io.NopCloser(bytes.NewReader(body))
	}
	req.TransferEncoding, req.Trailer = nil, nil
	for _, name := range []string{mcpwire.HeaderBadge, mcpwire.HeaderHop, mcpwire.HeaderTxn, "Trailer"} {
		deleteField(req.Header, name)
	}
	if !h.rules.AllowAuthorizationBeside && isBearer(req.Header.Get("Authorization")) {
		req.Header.Del("Authorization")
	}
}

func isBearer(authorization string) bool {
	scheme, _, _ := strings.Cut(authorization, " ")
	return strings.EqualFold(scheme, "Bearer")
}

// deleteField deletes a field however it is written. Programs that take fields for variables make no difference between
// - and _.
func deleteField(h http.Header, name string) {
	for k := range h {
		if strings.EqualFold(strings.ReplaceAll(k, "_", "-"), name) {
			delete(h, k)
		}
	}
}
