package serververify

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/touchmark-dev/touchmark/did"
)

// A target is one verified server and the connections to it.
type target struct {
	v        *Verifier
	endpoint endpoint
	did      did.DID // who every connection has to lead to
	scope    scope   // where requests may go

	mu    sync.Mutex
	conns []*conn
}

// acquire returns a verified connection with room for a request reserved on
// it, and whether it was used before.
func (t *target) acquire(ctx context.Context) (c *conn, reused bool, err error) {
	var tried []*conn // that had room, and lost it while they were verified again
	for c := t.reserve(tried); c != nil; c = t.reserve(tried) {
		ok, err := t.refresh(ctx, c)
		if err != nil {
			return nil, false, err
		}
		if ok {
			return c, true, nil
		}
		tried = append(tried, c)
	}
	c, err = t.connect(ctx)
	if errors.Is(err, errConnClosed) {
		// net/http gives a connection up too when its own writer is late, on a
		// busy machine.
		c, err = t.connect(ctx)
	}
	return c, false, err
}

var errConnClosed = errors.New("the server closed the connection on which it was verified")

// connect opens a connection, verifies it, and reserves room on it.
func (t *target) connect(ctx context.Context) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, t.v.cfg.Timeout)
	defer cancel()
	c, err := t.v.open(ctx, &t.endpoint)
	if err != nil {
		return nil, err
	}
	srv, err := t.v.verifyConn(ctx, c, &t.endpoint, t.did)
	if err == nil && c.cc.Reserve() != nil {
		err = &UndeterminedError{Reason: errConnClosed.Error(), DID: t.did, err: errConnClosed}
	}
	if err != nil {
		c.close()
		return nil, err
	}
	c.until = srv.Until
	t.add(c)
	return c, nil
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

// reserve returns a connection with room for a request, which is the caller's
// then, and forgets those that are lost. It returns nil when there is none but
// those in tried.
func (t *target) reserve(tried []*conn) *conn {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := 0; i < len(t.conns); i++ {
		c := t.conns[i]
		switch {
		case len(tried) > 0 && slices.Contains(tried, c):
		case c.cc.Reserve() == nil:
			return c
		case c.cc.Err() != nil:
			t.conns = slices.Delete(t.conns, i, i+1)
			i--
		}
	}
	return nil
}

// usable returns the connections that are not known to be lost.
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
