package guard

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
)

// Facts are what a server knows about a call beside the caller's badge and the channel. Each comes from a source
// that the client does not choose: the configuration, a token that another layer verified, a mapping of
// principals. What a client says of itself is no Fact. An empty member is not known, and conditions of policies on
// it fail closed (spec/policy.md section 4).
type Facts struct {
	Server      string // the name under which who runs the guard knows the server, not what it calls itself
	Environment string // such as "production"
	Tenant      string
	Actor       Actor

	// Disputed says that sources disagree about Actor, which is then empty, or that one gave what is no class. Then a
	// class that a policy finds by itself is one among others: none is known.
	Disputed bool

	// DisputedServer and DisputedEnvironment say that sources disagree about Server or Environment, which are then empty,
	// and that nothing else that a policy was told of them takes their place.
	DisputedServer, DisputedEnvironment bool

	// Claims is the JSON object of an access token's claims, verified.
	Claims json.RawMessage
}

// An Actor is a class of caller. The zero Actor is not known.
type Actor string

// The classes.
const (
	ActorHuman          Actor = "human"
	ActorSupervisedAI   Actor = "supervised_ai"
	ActorAutomation     Actor = "automation"
	ActorServiceAccount Actor = "service_account"
)

// ActorUnclear is no class: in a [Decision] it says that sources disagree about the class of the caller, so that none is
// recorded.
const ActorUnclear Actor = "unclear"

// Known reports whether a is one of the four classes.
func (a Actor) Known() bool {
	switch a {
	case ActorHuman, ActorSupervisedAI, ActorAutomation, ActorServiceAccount:
		return true
	}
	return false
}

// A FactSource knows facts of its own about a request: who runs the guard writes one to map the identities of channels
// or the claims of tokens to tenants and actors. Caller is identified; r is as the adapter made it, and only r.Facts and
// r.Channel may be believed. Facts must be safe for concurrent use.
//
// What it says and what the adapter says in [Request.Facts] are put together: a member that both know and that differs
// is not known. An error refuses the request with [CodePolicyIndeterminate]; so does a panic.
type FactSource interface {
	Facts(ctx context.Context, caller *Principal, r *Request) (Facts, error)
}

// facts puts together what the adapter and the [FactSource] know. A source that fails or panics leaves nothing to decide
// by.
func (g *Guard) facts(ctx context.Context, caller *Principal, r *Request) (f Facts, v verdict) {
	f = r.Facts
	if g.factSource != nil {
		defer func() {
			if p := recover(); p != nil {
				f, v = Facts{}, g.panicked(p)
				v.code = CodePolicyIndeterminate
			}
		}()
		more, err := g.factSource.Facts(ctx, caller, r)
		if err != nil {
			g.log.Error("guard: facts", "error", err)
			return Facts{}, verdict{code: CodePolicyIndeterminate, cause: CauseFacts, err: fmt.Errorf("facts: %w", err)}
		}
		f = agreed(f, more)
	}
	if f.Actor != "" && !f.Actor.Known() {
		f.Disputed = true
	}
	f.settle()
	return f, verdict{}
}

// settle forgets what sources disagree about.
func (f *Facts) settle() {
	if f.Disputed {
		f.Actor = ""
	}
	if f.DisputedServer {
		f.Server = ""
	}
	if f.DisputedEnvironment {
		f.Environment = ""
	}
}

// agreed puts together what two sources know. Where they differ, nothing is known.
func agreed(a, b Facts) Facts {
	f := Facts{
		Server: either(a.Server, b.Server), Environment: either(a.Environment, b.Environment),
		Tenant: either(a.Tenant, b.Tenant), Actor: either(a.Actor, b.Actor),
		Disputed:            a.Disputed || b.Disputed || differ(a.Actor, b.Actor),
		DisputedServer:      a.DisputedServer || b.DisputedServer || differ(a.Server, b.Server),
		DisputedEnvironment: a.DisputedEnvironment || b.DisputedEnvironment || differ(a.Environment, b.Environment),
	}
	if len(a.Claims) == 0 || len(b.Claims) == 0 || bytes.Equal(a.Claims, b.Claims) {
		f.Claims = a.Claims
		if len(a.Claims) == 0 {
			f.Claims = b.Claims
		}
	}
	return f
}

func differ[T ~string](a, b T) bool { return a != "" && b != "" && a != b }

func either[T ~string](a, b T) T {
	switch {
	case a == "" || a == b:
		return b
	case b == "":
		return a
	}
	return ""
}
