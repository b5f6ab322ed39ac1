package evidence

import "time"

// kinds is a set of kinds of record.
type kinds uint8

const (
	inGenesis kinds = 1 << iota
	inDecision
	inOutcome
	inHeartbeat
	inChange
	inRefusals

	inAll = inGenesis | inDecision | inOutcome | inHeartbeat | inChange | inRefusals
)

func (k Kind) set() kinds {
	switch k {
	case KindGenesis:
		return inGenesis
	case KindDecision:
		return inDecision
	case KindOutcome:
		return inOutcome
	case KindHeartbeat:
		return inHeartbeat
	case KindChange:
		return inChange
	case KindRefusals:
		return inRefusals
	}
	return 0
}

// A member ties a name on the wire to its place in a Record: at returns a pointer (or one of the types below)
// that appendValue writes from and setValue reads into. A member whose value is zero is left out.
type member struct {
	name string
	in   kinds
	at   func(*Record) any
}

// before reports whether the member stands before a name. Mostly the first letters tell.
func (m *member) before(name string) bool {
	return name != "" && (m.name[0] < name[0] || m.name[0] == name[0] && m.name < name)
}

type (
	// derived is the place of a member that follows from others: read only to be compared.
	derived func(*Record) string
	// count is a number that is written when it is zero, too.
	count uint64
	// version is the place of the member v.
	version struct{}
)

// members lists every member there is, in the order of RFC 8785. The encoder, the decoder and the test that
// reads spec/evidence.md go by this table.
var members = [...]member{
	{"actor", inDecision, func(r *Record) any { return &r.Decision.Actor }},
	{"badge_hash", inDecision, func(r *Record) any { return &r.Decision.BadgeHash }},
	{"bearer_unsafe", inDecision | inChange | inRefusals, func(r *Record) any { return bearerUnsafe(r) }},
	{"caller_ial", inDecision, func(r *Record) any { return &r.Decision.Caller.Assurance }},
	{"caller_issuer", inDecision, func(r *Record) any { return &r.Decision.Caller.Issuer }},
	{"caller_level", inDecision, func(r *Record) any { return &r.Decision.Caller.Level }},
	{"capability", inDecision, func(r *Record) any { return &r.Decision.Capability }},
	{"capiscio.agent.did", inDecision, func(r *Record) any { return &r.Decision.Caller.DID }},
	{"capiscio.auth.level", inDecision, func(r *Record) any { return (*string)(&r.Decision.Caller.Auth) }},
	{"capiscio.badge.jti", inDecision, func(r *Record) any { return &r.Decision.Caller.BadgeID }},
	{"capiscio.decision", inDecision, func(r *Record) any { return derived(wireDecision) }},
	{"capiscio.deny_reason", inDecision, func(r *Record) any { return &r.Decision.DenyReason }},
	{"capiscio.hop.hop_id", inDecision, func(r *Record) any { return &r.Decision.HopID }},
	{"capiscio.hop.parent_hash", inDecision, func(r *Record) any { return &r.Decision.ParentHopHash }},
	{"capiscio.policy_version", inDecision | inChange, func(r *Record) any { return policyVersion(r) }},
	{"capiscio.target", inDecision, func(r *Record) any { return &r.Decision.Target }},
	{"capiscio.tool.params_hash", inDecision, func(r *Record) any { return &r.Decision.ParamsHash }},
	{"capiscio.txn_id", inDecision, func(r *Record) any { return &r.Decision.TxnID }},
	{"change", inChange, func(r *Record) any { return (*string)(&r.Change.Subject) }},
	{"channel_certificate", inDecision, func(r *Record) any { return &r.Decision.Channel.Certificate }},
	{"channel_scheme", inDecision, func(r *Record) any { return &r.Decision.Channel.Scheme }},
	{"channel_subject", inDecision, func(r *Record) any { return &r.Decision.Channel.Subject }},
	{"claimed_actor", inDecision, func(r *Record) any { return &r.Decision.Claimed.Actor }},
	{"claimed_approval", inDecision, func(r *Record) any { return &r.Decision.Claimed.Approval }},
	{"claimed_mode", inDecision, func(r *Record) any { return &r.Decision.Claimed.Mode }},
	{"claimed_policy", inDecision, func(r *Record) any { return &r.Decision.Claimed.Policy }},
	{"constraint_cosigned_within_sec", inDecision, func(r *Record) any { return &r.Decision.Constraints.CosignedWithinSec }},
	{"constraint_included_within_sec", inDecision, func(r *Record) any { return &r.Decision.Constraints.IncludedWithinSec }},
	{"constraint_max_concurrent", inDecision, func(r *Record) any { return &r.Decision.Constraints.MaxConcurrent }},
	{"constraint_max_result_bytes", inDecision, func(r *Record) any { return &r.Decision.Constraints.MaxResultBytes }},
	{"constraint_max_retries", inDecision, func(r *Record) any { return &r.Decision.Constraints.MaxRetries }},
	{"constraint_max_runtime_sec", inDecision, func(r *Record) any { return &r.Decision.Constraints.MaxRuntimeSec }},
	{"constraint_network_allowlist", inDecision, func(r *Record) any { return &r.Decision.Constraints.NetworkAllowlist }},
	{"constraint_rate_per_minute", inDecision, func(r *Record) any { return &r.Decision.Constraints.RatePerMinute }},
	{"count", inRefusals, func(r *Record) any { return (*count)(&r.Refusals.Count) }},
	{"decision_id", inOutcome, func(r *Record) any { return &r.Outcome.DecisionID }},
	{"decision_kind", inDecision, func(r *Record) any { return (*string)(&r.Decision.Kind) }},
	{"decision_seq", inOutcome, func(r *Record) any { return (*count)(&r.Outcome.DecisionSequence) }},
	{"deny_cause", inDecision, func(r *Record) any { return &r.Decision.DenyCause }},
	{"duration_ns", inOutcome, func(r *Record) any { return duration(r) }},
	{"egress_enforced_by", inChange, func(r *Record) any { return &r.Change.EgressEnforcedBy }},
	{"epoch", inAll, func(r *Record) any { return (*count)(&r.Epoch) }},
	{"error_class", inOutcome, func(r *Record) any { return &r.Outcome.ErrorClass }},
	{"event.name", inDecision, func(r *Record) any { return derived(eventName) }},
	{"from", inRefusals, func(r *Record) any { return &r.Refusals.From }},
	{"group_00", inRefusals, groupAt(0)},
	{"group_01", inRefusals, groupAt(1)},
	{"group_02", inRefusals, groupAt(2)},
	{"group_03", inRefusals, groupAt(3)},
	{"group_04", inRefusals, groupAt(4)},
	{"group_05", inRefusals, groupAt(5)},
	{"group_06", inRefusals, groupAt(6)},
	{"group_07", inRefusals, groupAt(7)},
	{"group_08", inRefusals, groupAt(8)},
	{"group_09", inRefusals, groupAt(9)},
	{"group_10", inRefusals, groupAt(10)},
	{"group_11", inRefusals, groupAt(11)},
	{"group_12", inRefusals, groupAt(12)},
	{"group_13", inRefusals, groupAt(13)},
	{"group_14", inRefusals, groupAt(14)},
	{"group_15", inRefusals, groupAt(15)},
	{"id", inAll, func(r *Record) any { return &r.ID }},
	{"kind", inAll, func(r *Record) any { return derived(kindName) }},
	{"list_shown", inDecision, func(r *Record) any { return &r.Decision.Shown }},
	{"list_withheld", inDecision, func(r *Record) any { return &r.Decision.Withheld }},
	{"log_form", inGenesis, func(r *Record) any { return (*string)(&r.Genesis.LogForm) }},
	{"log_origin", inGenesis, func(r *Record) any { return &r.Genesis.LogOrigin }},
	{"method", inDecision, func(r *Record) any { return &r.Decision.Method }},
	{"min_level", inDecision, func(r *Record) any { return &r.Decision.MinLevel }},
	{"outcome", inOutcome, func(r *Record) any { return (*string)(&r.Outcome.Status) }},
	{"params_commitment", inDecision, func(r *Record) any { return &r.Decision.ParamsCommitment }},
	{"params_form", inDecision, func(r *Record) any { return (*string)(&r.Decision.ParamsForm) }},
	{"prev", inAll &^ inGenesis, func(r *Record) any { return &r.Previous }},
	{"previous_policy_version", inChange, func(r *Record) any { return &r.Change.PreviousPolicyVersion }},
	{"proof_hash", inDecision, func(r *Record) any { return &r.Decision.ProofHash }},
	{"request_id", inDecision, func(r *Record) any { return &r.Decision.RequestID }},
	{"result_commitment", inOutcome, func(r *Record) any { return &r.Outcome.ResultCommitment }},
	{"result_size", inOutcome, func(r *Record) any { return resultSize(r) }},
	{"rule", inDecision, func(r *Record) any { return &r.Decision.Rule }},
	{"seq", inAll, func(r *Record) any { return (*count)(&r.Sequence) }},
	{"server", inAll, func(r *Record) any { return &r.Server }},
	{"shadow", inDecision | inChange, func(r *Record) any { return shadow(r) }},
	{"shadow_kind", inDecision, func(r *Record) any { return (*string)(&r.Decision.ShadowKind) }},
	{"shadow_reason", inDecision, func(r *Record) any { return &r.Decision.ShadowReason }},
	{"shadow_rule", inDecision, func(r *Record) any { return &r.Decision.ShadowRule }},
	{"software", inGenesis, func(r *Record) any { return &r.Genesis.Software }},
	{"span_id", inDecision, func(r *Record) any { return &r.Decision.SpanID }},
	{"stream", inAll, func(r *Record) any { return &r.Stream }},
	{"tenant", inDecision, func(r *Record) any { return &r.Decision.Tenant }},
	{"time", inAll, func(r *Record) any { return &r.Time }},
	{"to", inRefusals, func(r *Record) any { return &r.Refusals.To }},
	{"trace_id", inDecision, func(r *Record) any { return &r.Decision.TraceID }},
	{"transport", inDecision, func(r *Record) any { return &r.Decision.Transport }},
	{"v", inAll, func(r *Record) any { return version{} }},
}

func kindName(r *Record) string { return string(r.Kind()) }

// eventName is fixed by the published protocol for every capability, not for tools alone.
func eventName(*Record) string { return "capiscio.tool_invocation" }

func wireDecision(r *Record) string {
	if r.Decision.Kind.Allows() {
		return "ALLOW"
	}
	return "DENY"
}

func policyVersion(r *Record) *string {
	if r.Change != nil {
		return &r.Change.PolicyVersion
	}
	return &r.Decision.PolicyVersion
}

func bearerUnsafe(r *Record) *bool {
	switch {
	case r.Change != nil:
		return &r.Change.BearerUnsafe
	case r.Refusals != nil:
		return &r.Refusals.BearerUnsafe
	}
	return &r.Decision.BearerUnsafe
}

func shadow(r *Record) *bool {
	if r.Change != nil {
		return &r.Change.Shadow
	}
	return &r.Decision.Shadow
}

// duration is written whenever the end of the call was seen, resultSize whenever there was a result.
func duration(r *Record) any {
	if r.Outcome.Status == OutcomeUnknown {
		return &r.Outcome.Duration
	}
	return (*nanoseconds)(&r.Outcome.Duration)
}

func resultSize(r *Record) any {
	if r.Outcome.ResultCommitment.IsZero() {
		return &r.Outcome.ResultSize
	}
	return (*count)(&r.Outcome.ResultSize)
}

// nanoseconds is a duration that is written when it is zero, too.
type nanoseconds time.Duration
