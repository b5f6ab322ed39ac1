package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/touchmark-dev/touchmark/guard"
)

// use works on a request to use something of the upstream.
func (g *Gateway) use(ctx context.Context, m *message, u *use, params, meta object) {
	r, err := g.request(m, params, meta)
	if err != nil {
		g.refuseCredentials(ctx, m, err)
		return
	}
	if !params.has(u.members...) || u.describe(r, params) != nil || narrowClient(params) != nil {
		g.refuseRequest(ctx, m, guard.CauseParamsMalformed)
		return
	}
	if r.Require, r.Missing, err = g.look(ctx, params, r.Capability); err != nil {
		g.noUpstream(ctx, m, r, err)
		return
	}
	grant, err := g.guard.Check(ctx, r)
	if err != nil {
		g.answerRefusal(m, guard.RefusalOf(err), r.Capability)
		return
	}
	g.run(ctx, m, u, params, grant, func() error { return g.still(ctx, params, r) })
}

// still looks again after a decision that may have taken its time: nothing goes out
// after the announcement of a change that nobody has judged.
func (g *Gateway) still(ctx context.Context, params object, decided *guard.Request) error {
	level, missing, err := g.look(ctx, params, decided.Capability)
	if err != nil {
		return err
	}
	if level != decided.Require || missing != decided.Missing {
		return fmt.Errorf("gateway: %s %q has changed while its use was decided", decided.Capability.Kind, clip(decided.Capability.Name))
	}
	return nil
}

// latePatience is how long a call that was cut short keeps what it holds, while the
// upstream has not said that it has stopped: most never say so.
const latePatience = 5 * time.Second

// An ending is what came back from the upstream.
type ending struct {
	result object
	err    error
}

// run lets what was granted go upstream, and answers when its outcome has its place in the records.
func (g *Gateway) run(ctx context.Context, m *message, u *use, params object, grant *guard.Grant, still func() error) {
	var patience time.Duration
	if c := grant.Constraints(); c != nil && (c.MaxRuntime > 0 || c.MaxConcurrent > 0) {
		patience = latePatience
	}
	unfollow := g.follow(params, grant.Constraints())
	came := make(chan ending, 1)
	outcome := grant.Run(ctx, func(ctx context.Context) guard.Outcome {
		var raw json.RawMessage
		var e ending
		if e.err = still(); e.err == nil {
			raw, e.err = g.upstream.call(ctx, m.Method, params.encode(), patience)
		}
		if e.err == nil {
			e.result, e.err = readResult(raw, u.again)
		}
		came <- e
		return outcomeOf(ctx, e.result, e.err)
	})
	unfollow()
	if err := grant.Finish(ctx, outcome); err != nil {
		g.answerRefusal(m, guard.RefusalOf(err), guard.Capability{})
		return
	}
	var e ending
	select {
	case e = <-came:
	default: // it panicked
		e.err = errors.New("no answer")
	}
	if e.err != nil {
		g.answerUpstreamError(m, e.err)
		return
	}
	ack := grant.Evidence()
	e.result.private()
	e.result.addEvidence(&ack)
	g.answer(m, e.result.encode())
}
