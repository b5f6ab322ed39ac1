package guard

import (
	"encoding/json"
	"time"
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

// Constraints are the conditions under which a [Decision] lets something run. A zero member asks for nothing.
// This package enforces none of them: it refuses [AllowWithConstraints].
type Constraints struct {
	MaxRuntime     time.Duration
	MaxRetries     *int // nil asks for nothing, 0 for no retry
	MaxResultBytes int64
	RatePerMinute  int // of calls by one caller of one capability
	MaxConcurrent  int // of calls by one caller of one capability

	// NetworkAllowlist are the hosts that may be reached. Nil asks for nothing, an empty list for no network.
	NetworkAllowlist []string
}
