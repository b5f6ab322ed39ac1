package guard

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/touchmark-dev/touchmark/internal/jcs"
)

// A limited capability is one that a request uses under constraints that a [Limiter] enforces.
type limited struct {
	capability  Capability
	constraints *Constraints
}

// acquire takes what an allowed request needs of the [Limiter], or turns v into a refusal (spec/guard.md section 5.2). A
// limiter that fails or panics has not said that there is room.
func (g *Guard) acquire(ctx context.Context, r *Request, caller *Principal, v *verdict) (held []func()) {
	if v.constraints.asked()&setRuntime != 0 && g.abandoned.Load() >= g.maxAbandoned {
		v.code, v.cause = CodeConstraintIndeterminate, CauseAbandoned
		return nil
	}
	if len(v.limits) == 0 {
		return nil
	}
	defer func() {
		if p := recover(); p != nil {
			v.err, v.code, v.cause = g.panicked(p).err, CodeConstraintIndeterminate, CausePanic
		}
		if !v.allowed() {
			g.release(held)
			held = nil
		}
	}()
	key := LimitKey{Caller: caller.Key()}
	if v.constraints.asked()&setRetries != 0 {
		key.Params = r.repeatHash()
	}
	for i := range v.limits {
		key.Capability = v.limits[i].capability
		release, err := g.limiter.Acquire(ctx, key, v.limits[i].constraints)
		if err != nil {
			g.limit(v, err)
			if len(v.limits) > 1 {
				v.about = &v.limits[i].capability
			}
			return held
		}
		held = append(held, release)
	}
	return held
}

// limit makes the refusal that the error of a [Limiter] is.
func (g *Guard) limit(v *verdict, err error) {
	var reached *LimitedError
	if errors.As(err, &reached) && slices.Contains([]string{CauseRate, CauseConcurrency, CauseRetries}, reached.Cause) {
		v.code, v.cause, v.retryAfter = CodeConstraintExceeded, reached.Cause, max(0, reached.RetryAfter)
		return
	}
	g.log.Error("guard: limiter", "error", err)
	v.code, v.cause, v.err = CodeConstraintIndeterminate, CauseLimiter, fmt.Errorf("limiter: %w", err)
}

// release gives back what was taken.
func (g *Guard) release(all []func()) {
	for _, give := range all {
		if give != nil {
			g.giveBack(give)
		}
	}
}

func (g *Guard) giveBack(give func()) {
	defer func() {
		if p := recover(); p != nil {
			g.panicked(p)
		}
	}()
	give()
}

// repeatHash is what a repeat of the request has in common with it.
func (r *Request) repeatHash() (sum [32]byte) {
	h := sha256.New()
	for _, part := range [][]byte{
		[]byte(r.Method), []byte(r.target()), canonical(r.Arguments), canonical(r.InputResponses),
	} {
		var length [8]byte
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		h.Write(length[:])
		h.Write(part)
	}
	h.Sum(sum[:0])
	return sum
}

// canonical returns the RFC 8785 form of JSON, and what has none as it is. Absent, null and {} are the same.
func canonical(text json.RawMessage) []byte {
	form, err := jcs.Canonicalize(text)
	if err != nil {
		return text
	}
	if s := string(form); s == "null" || s == "{}" {
		return nil
	}
	return form
}
