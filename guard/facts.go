package guard

import (
	"context"
	"encoding/json"
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
