package serververify

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"

	"github.com/touchmark-dev/touchmark/did"
)

// A target is one verified server and the connections to it.
type target struct {
	v        *Verifier
	endpoint endpoint
	did      did.DID // who every connection has to lead to

	mu    sync.Mutex
	conns []*conn
}

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
// same place was another server before, that one is not reached through
// v.Client any more.
func (v *Verifier) keep(e endpoint, d did.DID) *target {
	key := scopeOf(e.origin, d)
	v.mu.Lock()
	defer v.mu.Unlock()
	old, ok := v.targets[key]
	if ok && old.did == d {
		return old
	}
	if ok {
		v.order = slices.DeleteFunc(v.order, func(s scope) bool { return s == key })
	}
	t := &target{v: v, endpoint: e, did: d}
	v.targets[key] = t
	v.order = append(v.order, key)
	if len(v.order) > maxServers {
		delete(v.targets, v.order[0])
		v.order = v.order[1:]
	}
	return t
}

// acquire returns a verified connection with room for a request reserved on
// it, and whether it was used before.
func (t *target) acquire(ctx context.Context) (c *conn, reused bool, err error) {
	for _, c := range t.usable() {
		if c.cc.Reserve() != nil {
			continue
		}
		ok, err := t.refresh(ctx, c)
		if err != nil {
			return nil, false, err
		}
		if ok {
			return c, true, nil
		}
	}
	openCtx, cancel := context.WithTimeout(ctx, t.v.cfg.Timeout)
	defer cancel()
	c, err = t.v.open(openCtx, &t.endpoint)
	if err != nil {
		return nil, false, err
	}
	srv, err := t.v.verifyConn(openCtx, c, &t.endpoint, t.did)
	if err == nil && c.cc.Reserve() != nil {
		err = &UndeterminedError{Reason: "the server closed the connection on which it was verified", DID: t.did}
	}
	if err != nil {
		c.close()
		return nil, false, err
	}
	c.until = srv.Until
	t.add(c)
	return c, false, nil
}

// refresh verifies a connection again when its verification has aged. It takes
// over the room reserved on it; the result says whether the room is still
// there.
func (t *target) refresh(ctx context.Context, c *conn) (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.v.cfg.Time().Before(c.until) {
		return true, nil
	}
	srv, err := t.v.verifyConn(ctx, c, &t.endpoint, t.did)
	var refused *UntrustedError
	if errors.As(err, &refused) {
		t.remove(c)
		c.close()
	}
	if err != nil {
		return false, err // undetermined: what is under way on c may end, the next request asks again
	}
	c.until = srv.Until
	return c.cc.Reserve() == nil, nil
}

// usable returns the connections that may be in order, and forgets those that
// are not.
func (t *target) usable() []*conn {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.conns = slices.DeleteFunc(t.conns, func(c *conn) bool { return c.cc.Err() != nil })
	return slices.Clone(t.conns)
}

func (t *target) add(c *conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.conns = append(t.conns, c)
}

func (t *target) remove(c *conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.conns = slices.DeleteFunc(t.conns, func(other *conn) bool { return other == c })
}

func (t *target) closeIdle() {
	for _, c := range t.usable() {
		c.closeIfIdle()
	}
}

// A router finds the target of a request.
type router interface {
	route(scopes []scope) *target
	closeIdle()
}

func (t *target) route(scopes []scope) *target {
	if slices.Contains(scopes, scopeOf(t.endpoint.origin, t.did)) {
		return t
	}
	return nil
}

func (v *Verifier) route(scopes []scope) *target {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, s := range scopes {
		if t, ok := v.targets[s]; ok {
			return t
		}
	}
	return nil
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
	scopes, err := requestScopes(req)
	if err != nil {
		closeBody(req)
		return nil, fmt.Errorf("serververify: request refused: %w", err)
	}
	t := rt.route(scopes)
	if t == nil {
		closeBody(req)
		return nil, fmt.Errorf("serververify: request to %.200q refused: that server was not verified", req.URL.Redacted())
	}
	resp, again, err := t.send(req)
	if again != nil {
		resp, _, err = t.send(again)
	}
	return resp, err
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
	if err != nil { // requestScopes has read the URL already
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
