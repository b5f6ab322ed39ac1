package serververify

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/touchmark-dev/touchmark/did"
)

// verify is Verify for an endpoint that was read.
func (v *Verifier) verify(ctx context.Context, e endpoint) (*Server, error) {
	ctx, cancel := context.WithTimeout(ctx, v.cfg.Timeout)
	defer cancel()
	c, err := v.open(ctx, &e)
	if err != nil {
		return nil, err
	}
	srv, err := v.verifyConn(ctx, c, &e, did.DID{})
	if err != nil {
		c.close()
		return nil, err
	}
	c.until = srv.Until
	t := v.keep(e, srv.DID)
	t.add(c)
	srv.target = t
	return srv, nil
}

// keep returns the target of a verified server, for v.Client to find. When the
// same place was another server before, or another endpoint, which admissions
// may judge otherwise, that one is not reached through v.Client any more.
func (v *Verifier) keep(e endpoint, d did.DID) *target {
	key := scopeOf(e.origin, d)
	v.mu.Lock()
	defer v.mu.Unlock()
	old, ok := v.targets[key]
	if ok && old.did == d && old.endpoint.text == e.text {
		return old
	}
	if ok {
		v.order = slices.DeleteFunc(v.order, func(s scope) bool { return s == key })
	}
	t := &target{v: v, endpoint: e, did: d, scope: key}
	v.targets[key] = t
	v.order = append(v.order, key)
	if len(v.order) > maxServers {
		delete(v.targets, v.order[0])
		v.order = v.order[1:]
	}
	return t
}

// A router finds the target of a request.
type router interface {
	route(req *http.Request) (*target, error) // nil for none
	closeIdle()
}

func (t *target) route(req *http.Request) (*target, error) {
	if t.endpoint.isURL(req) {
		return t, nil
	}
	r, err := readRequest(req)
	if err != nil || !r.under(t.scope) {
		return nil, err
	}
	return t, nil
}

func (v *Verifier) route(req *http.Request) (*target, error) {
	r, err := readRequest(req)
	if err != nil {
		return nil, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if r.path != "" {
		if t, ok := v.targets[r]; ok {
			return t, nil
		}
	}
	return v.targets[scope{origin: r.origin}], nil
}

func (v *Verifier) closeIdle() {
	v.mu.Lock()
	var all []*target
	for _, t := range v.targets {
		all = append(all, t)
	}
	v.mu.Unlock()
	for _, t := range all {
		t.closeIdle()
	}
}

func newClient(r router) *http.Client {
	return &http.Client{
		Transport: &roundTripper{r},
		CheckRedirect: func(req *http.Request, _ []*http.Request) error {
			return fmt.Errorf("serververify: redirect to %.200q refused: verify that server by itself", req.URL.Redacted())
		},
	}
}

// A roundTripper sends requests on verified connections.
type roundTripper struct{ router }

// RoundTrip implements [http.RoundTripper].
func (rt *roundTripper) RoundTrip(req *http.Request) (*http.Response, error) {
	t, err := find(rt.router, req)
	if err != nil {
		closeBody(req)
		return nil, err
	}
	resp, again, err := t.send(req)
	if again != nil {
		resp, _, err = t.send(again)
	}
	return resp, err
}

// find returns the target of a request.
func find(r router, req *http.Request) (*target, error) {
	t, err := r.route(req)
	if err != nil {
		return nil, fmt.Errorf("serververify: request refused: %w", err)
	}
	if t == nil {
		return nil, fmt.Errorf("serververify: request to %.200q refused: that server was not verified", req.URL.Redacted())
	}
	return t, nil
}

// CloseIdleConnections closes connections on which nothing is under way.
func (rt *roundTripper) CloseIdleConnections() { rt.closeIdle() }

// send sends a request once. When the connection had been used before and
// failed, and the request may be sent twice, it returns the request to send
// again: the server may have closed the connection for want of use.
func (t *target) send(req *http.Request) (*http.Response, *http.Request, error) {
	c, reused, err := t.acquire(req.Context())
	if err != nil {
		closeBody(req)
		return nil, nil, err
	}
	resp, err := t.roundTrip(c, req)
	if err == nil || !reused || req.Context().Err() != nil || !repeatable(req) {
		return resp, nil, err
	}
	again := req.Clone(req.Context())
	if req.GetBody != nil {
		if again.Body, err = req.GetBody(); err != nil {
			return nil, nil, err
		}
	}
	c.close()
	return nil, again, errors.New("serververify: connection lost")
}

func (t *target) roundTrip(c *conn, req *http.Request) (*http.Response, error) {
	if t.endpoint.origin.scheme != schemeUnix {
		return c.cc.RoundTrip(req)
	}
	out, err := overUnix(req)
	if err != nil { // readRequest has read the URL already
		c.cc.Release()
		closeBody(req)
		return nil, fmt.Errorf("serververify: request refused: %w", err)
	}
	resp, err := c.cc.RoundTrip(out)
	if err == nil {
		resp.Request = req
	}
	return resp, err
}

func repeatable(req *http.Request) bool {
	switch req.Method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodDelete, http.MethodPut:
		return req.Body == nil || req.Body == http.NoBody || req.GetBody != nil
	}
	return false
}

func closeBody(req *http.Request) {
	if req.Body != nil {
		req.Body.Close()
	}
}
