package guard

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"sync/atomic"

	"github.com/touchmark-dev/touchmark/badge"
)

// A PanicError says that a guarded function panicked. The panic went no further.
type PanicError struct {
	Value any // what it panicked with
}

func (e *PanicError) Error() string {
	return fmt.Sprintf("guard: panic in guarded function: %v", e.Value)
}

var errExit = errors.New("guard: the guarded function ended its goroutine")

// Do runs fn if the guard allows the request, under the constraints of the decision ([Grant.Run]), and records how it
// ended. The result is committed to in its JSON form; a result that has none is recorded without one, and withheld where
// its size is limited. A panic in fn, or in making that form, is recorded and returned as a *[PanicError]. An
// *[ExceededError] says that fn ran and that its result is withheld.
func Do[T any](ctx context.Context, g *Guard, r *Request, fn func(context.Context) (T, error)) (result T, err error) {
	grant, err := g.Check(ctx, r)
	if err != nil {
		return result, err
	}
	var got atomic.Pointer[returned[T]] // fn may still run when Run returns
	o := Outcome{ErrorClass: ClassExit}
	defer func() {
		if lost := grant.Finish(ctx, o); lost != nil {
			var none T
			result, err = none, lost
		}
	}()
	o = grant.Run(ctx, func(ctx context.Context) (o Outcome) {
		defer func() {
			if p := recover(); p != nil {
				o = Outcome{ErrorClass: ClassPanic}
				got.Store(&returned[T]{err: &PanicError{p}})
			}
		}()
		result, err := fn(ctx)
		o = resultOf(ctx, result, err)
		got.Store(&returned[T]{result, err})
		return o
	})
	if all := got.Load(); all != nil {
		return all.result, all.err
	}
	return result, errExit
}

// returned is what a function returned.
type returned[T any] struct {
	result T
	err    error
}

func resultOf(ctx context.Context, result any, err error) Outcome {
	if err != nil {
		return Outcome{ErrorClass: ClassOf(ctx, err)}
	}
	text, err := json.Marshal(result)
	if err != nil { // there is nothing to commit to, nor to measure
		return Outcome{Size: math.MaxInt64}
	}
	return Outcome{Result: text}
}

// A Function names a plain Go function as a capability.
type Function struct {
	Name  string      // the capability; required
	Level badge.Level // the annotation: who may call it where the policy has no rule
}

// Credentials are what a caller of a wrapped function presents. The zero Credentials are anonymous.
type Credentials struct {
	Badge string // compact JWS
	Proof string // call proof over MethodCall, the function's name and its argument in JSON
	TxnID string
}

// MethodCall is the method that call proofs for plain functions name.
const MethodCall = "call"

// Wrap puts a guard in front of fn. The argument is committed to, and covered by the call proof, as the JSON
// that encoding/json makes of it; where it makes none, the call is refused.
func Wrap[In, Out any](g *Guard, f Function, fn func(context.Context, In) (Out, error)) func(context.Context, Credentials, In) (Out, error) {
	return func(ctx context.Context, c Credentials, in In) (Out, error) {
		r := &Request{
			Verb: Invoke, Method: MethodCall, Capability: Capability{Kind: KindTool, Name: f.Name},
			Require: f.Level, RequireIsRule: true, Badge: c.Badge, Proof: c.Proof, TxnID: c.TxnID,
		}
		args, err := json.Marshal(in)
		if err != nil {
			var none Out
			return none, g.Refuse(ctx, r, CodeRequestMalformed, CauseParamsMalformed)
		}
		r.Arguments = args
		return Do(ctx, g, r, func(ctx context.Context) (Out, error) { return fn(ctx, in) })
	}
}
