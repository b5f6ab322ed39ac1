package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/touchmark-dev/touchmark/internal/strictjson"
)

// errUpstreamGone ends every call that was waiting when the upstream's stream
// ended.
var errUpstreamGone = errors.New("the upstream server is gone")

// An upstreamError is a JSON-RPC error with which the upstream answered. It
// goes back to the caller as it came.
type upstreamError struct{ raw json.RawMessage }

func (e *upstreamError) Error() string { return "the upstream answered with an error" }

// upstream sends requests to the guarded server under ids of the gateway's own,
// so that no two callers' ids can meet there.
type upstream struct {
	s *stream

	mu      sync.Mutex // guards next, pending and gone
	next    uint64
	pending map[uint64]chan *message
	gone    bool
}

func newUpstream(s *stream) *upstream {
	return &upstream{s: s, pending: map[uint64]chan *message{}}
}

// call sends a request and waits for its answer. When ctx ends first the upstream
// is told that nobody waits any more, and is given patience to say that it has
// stopped: its answer is then still dropped.
func (u *upstream) call(ctx context.Context, method string, params json.RawMessage, patience time.Duration) (json.RawMessage, error) {
	answer := make(chan *message, 1)
	u.mu.Lock()
	if u.gone {
		u.mu.Unlock()
		return nil, errUpstreamGone
	}
	u.next++
	id := u.next
	u.pending[id] = answer
	u.mu.Unlock()
	defer func() {
		u.mu.Lock()
		delete(u.pending, id)
		u.mu.Unlock()
	}()
	rawID := json.RawMessage(strconv.FormatUint(id, 10))
	if err := u.s.write(&message{ID: rawID, Method: method, Params: params}); err != nil {
		return nil, fmt.Errorf("%w: %w", errUpstreamGone, err)
	}
	select {
	case m, ok := <-answer:
		switch {
		case !ok:
			return nil, errUpstreamGone
		case len(m.Error) > 0:
			return nil, &upstreamError{m.Error}
		}
		return m.Result, nil
	case <-ctx.Done():
		if u.isGone() { // its end is why ctx ended
			return nil, errUpstreamGone
		}
		_ = u.cancel(id) // best effort: the answer is dropped either way
		if patience > 0 {
			timer := time.NewTimer(patience)
			defer timer.Stop()
			select {
			case <-answer:
			case <-timer.C:
			}
		}
		return nil, ctx.Err()
	}
}

func (u *upstream) cancel(id uint64) error {
	return u.s.write(&message{
		Method: "notifications/cancelled",
		Params: json.RawMessage(`{"requestId":` + strconv.FormatUint(id, 10) + `}`),
	})
}

// deliver hands an answer to who waits for it. An answer that nobody waits for
// is dropped: it came late, or the upstream made it up.
func (u *upstream) deliver(m *message) {
	var id uint64
	if err := strictjson.Unmarshal(m.ID, &id); err != nil {
		return
	}
	u.mu.Lock()
	answer, ok := u.pending[id]
	delete(u.pending, id)
	u.mu.Unlock()
	if ok {
		answer <- m
	}
}

func (u *upstream) isGone() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.gone
}

// close ends every call that waits.
func (u *upstream) close() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.gone = true
	for id, answer := range u.pending {
		close(answer)
		delete(u.pending, id)
	}
}
