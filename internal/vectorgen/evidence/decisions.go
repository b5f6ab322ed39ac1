package evidence

import (
	"strings"

	"github.com/touchmark-dev/touchmark/evidence"
)

// callers are records that claim more of the caller than was verified, or less.
func callers(w *world) []*Vector {
	badge, nobody, denied := record(w.allowed(1)), record(w.anonymous(1)), record(w.denied(1))
	invalid := func(name, text, member string, value any, defect string) *Vector {
		return w.bad(name, evidence.CodeRecordInvalid, member, defect, with(text, member, value))
	}
	return []*Vector{
		invalid("auth-apikey", nobody, "capiscio.auth.level", "apikey", "the caller is said to have an API key, which nothing verifies"),
		invalid("auth-missing", nobody, "capiscio.auth.level", nil, "it is not said how the caller was authenticated"),
		invalid("badge-did-missing", badge, "capiscio.agent.did", nil, "a badge caller without a DID"),
		invalid("badge-jti-missing", badge, "capiscio.badge.jti", nil, "a badge caller without a badge id"),
		invalid("badge-issuer-missing", badge, "caller_issuer", nil, "a badge caller without an issuer"),
		invalid("badge-level-missing", badge, "caller_level", nil, "a badge caller without a level"),
		invalid("badge-level-5", badge, "caller_level", "5", "a level that there is not"),
		invalid("badge-level-number", badge, "caller_level", 2, "a level that is a number"),
		invalid("badge-ial-missing", badge, "caller_ial", nil, "a badge caller without an assurance"),
		invalid("badge-hash-missing", badge, "badge_hash", nil, "a badge caller without the hash of the badge"),
		invalid("anonymous-did", nobody, "capiscio.agent.did", agent, "an anonymous caller with a DID"),
		invalid("anonymous-jti", nobody, "capiscio.badge.jti", badgeID, "an anonymous caller with a badge id"),
		invalid("anonymous-issuer", nobody, "caller_issuer", "https://registry.example", "an anonymous caller with an issuer"),
		invalid("anonymous-level", nobody, "caller_level", "0", "an anonymous caller with a level"),
		invalid("anonymous-ial", nobody, "caller_ial", "0", "an anonymous caller with an assurance"),
		invalid("channel-scheme-prose", denied, "channel_scheme", "a certificate", "channel_scheme is not a word"),
		invalid("channel-subject-missing", denied, "channel_subject", nil, "a channel without a subject"),
		invalid("channel-subject-alone", nobody, "channel_subject", "uid:1000", "a subject of no channel"),
		invalid("channel-certificate-alone", nobody, "channel_certificate", policy, "a certificate of no channel"),
	}
}

func decisions(w *world) []*Vector {
	allowed, denied := record(w.allowed(1)), record(w.denied(1))
	invalid := func(name, text, member string, value any, defect string) *Vector {
		return w.bad(name, evidence.CodeRecordInvalid, member, defect, with(text, member, value))
	}
	return []*Vector{
		invalid("event-name", allowed, "event.name", "capiscio.hop_verified", "another event.name"),
		invalid("event-name-missing", allowed, "event.name", nil, "event.name is missing"),
		invalid("decision-contradiction", denied, "capiscio.decision", "ALLOW", "capiscio.decision contradicts decision_kind"),
		w.bad("decision-kind-missing", evidence.CodeRecordInvalid, "capiscio.decision", "decision_kind is missing", with(allowed, "decision_kind", nil)),
		w.bad("decision-kind-observe", evidence.CodeRecordInvalid, "decision_kind", "a fifth kind of decision",
			with(with(denied, "decision_kind", "observe"), "capiscio.decision", "DENY")),
		invalid("deny-reason-missing", denied, "capiscio.deny_reason", nil, "denied without a reason"),
		invalid("deny-reason-allowed", allowed, "capiscio.deny_reason", "TOOL_POLICY_DENIED", "allowed with a reason for denial"),
		invalid("deny-reason-prose", denied, "capiscio.deny_reason", "the path /srv is not allowed", "a reason that is not a code"),
		invalid("deny-cause-alone", allowed, "deny_cause", "BADGE_EXPIRED", "a cause without a reason"),
		invalid("policy-missing", allowed, "capiscio.policy_version", nil, "a decision without the policy"),
		invalid("rule-control", allowed, "rule", "a\x7f", "rule has a control character"),
		invalid("min-level", denied, "min_level", "3.5", "a minimum level that there is not"),
		invalid("method-missing", allowed, "method", nil, "a decision without a method"),
		invalid("method-long", allowed, "method", strings.Repeat("m", 257), "a method of more than 256 bytes that was not replaced by its hash"),
		invalid("target-long", allowed, "capiscio.target", strings.Repeat("t", 1025), "a target of more than 1024 bytes that was not replaced by its hash"),
		invalid("target-false-hash", allowed, "capiscio.target", "sha256:read_file", "a target that looks like a hash and is none"),
		invalid("target-bidi", allowed, "capiscio.target", "read\u202eelif", "a target that shows in another order"),
		invalid("capability-prose", allowed, "capability", "a tool", "capability is not a word"),
		invalid("transport-prose", allowed, "transport", "over http", "transport is not a word"),
		w.bad("hop-without-proof", evidence.CodeRecordInvalid, "capiscio.hop.hop_id", "a hop without a call proof", with(allowed, "proof_hash", nil)),
		w.bad("parent-without-hop", evidence.CodeRecordInvalid, "capiscio.hop.parent_hash", "a parent hop without a hop", with(denied, "capiscio.hop.hop_id", nil)),
		invalid("actor-unknown", denied, "actor", "robot", "a class of actor that there is not"),
		invalid("tenant-long", denied, "tenant", strings.Repeat("t", 257), "a tenant of more than 256 bytes that was not replaced by its hash"),
		invalid("claimed-mode-long", denied, "claimed_mode", strings.Repeat("m", 257), "a claim of more than 256 bytes that was not replaced by its hash"),
		invalid("span-upper-case", denied, "span_id", "B7AD6B7169203331", "span_id is in upper case"),
		invalid("span-zero", denied, "span_id", strings.Repeat("0", 16), "span_id is all zero"),
		w.bad("span-without-trace", evidence.CodeRecordInvalid, "span_id", "a span of no trace", with(denied, "trace_id", nil)),
		invalid("trial-kind", denied, "shadow_kind", "observe", "a fifth kind of decision of a rule that is tried out"),
		invalid("trial-rule-missing", denied, "shadow_rule", nil, "the decision of a rule that is not named"),
		w.bad("trial-kind-missing", evidence.CodeRecordInvalid, "shadow_rule", "a rule that is tried out without its decision", with(with(denied, "shadow_kind", nil), "shadow_reason", nil)),
		invalid("trial-reason-missing", denied, "shadow_reason", nil, "a rule that is tried out would have refused without a reason"),
		w.bad("trial-reason-allowed", evidence.CodeRecordInvalid, "shadow_reason", "a rule that is tried out would have allowed, with a reason for denial", with(denied, "shadow_kind", "allow")),
		w.bad("constraint-of-allow", evidence.CodeRecordInvalid, "decision_kind", "constraints of a call that was allowed without", with(allowed, "constraint_max_concurrent", 1)),
		invalid("constraint-zero", denied, "constraint_rate_per_minute", 0, "a rate of 0 instead of no constraint"),
		invalid("constraint-text", denied, "constraint_max_runtime_sec", "30", "a number of seconds that is a string"),
		invalid("constraint-hosts-long", denied, "constraint_network_allowlist", strings.Repeat("h", 1025), "hosts of more than 1024 bytes that were not replaced by their hash"),
		invalid("list-half", denied, "list_shown", nil, "one of the two counts of a list"),
		invalid("commitment-missing", allowed, "params_commitment", nil, "no commitment to the parameters"),
		invalid("form-missing", allowed, "params_form", nil, "it is not said how the parameters were committed to"),
		w.bad("plain-hash-of-octets", evidence.CodeRecordInvalid, "capiscio.tool.params_hash", "the hash of a canonical form that there is not", with(denied, "params_form", "octets")),
		invalid("shadow-text", denied, "shadow", "true", "a flag that is a string"),
	}
}

func outcomes(w *world) []*Vector {
	decision := w.allowed(1)
	ok := record(w.outcome(2, decision))
	r := w.outcome(2, decision)
	r.Outcome.Status, r.Outcome.ErrorClass = evidence.OutcomeError, "panic"
	failed := record(r)
	r.Outcome = &evidence.Outcome{DecisionID: decision.ID, DecisionSequence: 1, Status: evidence.OutcomeUnknown}
	unknown := record(r)
	invalid := func(name, text, member string, value any, defect string) *Vector {
		return w.bad(name, evidence.CodeRecordInvalid, member, defect, with(text, member, value))
	}
	return []*Vector{
		invalid("outcome-status", ok, "outcome", "done", "an outcome that there is not"),
		invalid("outcome-decision-id", ok, "decision_id", nil, "an outcome without the id of its decision"),
		invalid("outcome-decision-seq", ok, "decision_seq", 2, "an outcome of itself"),
		invalid("outcome-class-missing", failed, "error_class", nil, "an error without a class"),
		invalid("outcome-class-prose", failed, "error_class", "no such file: /srv/data/a.txt", "an error class that is not a word"),
		invalid("outcome-duration-missing", ok, "duration_ns", nil, "an outcome without a duration"),
		invalid("outcome-unknown-duration", unknown, "duration_ns", 5, "the duration of what was not seen to end"),
		w.bad("outcome-unknown-result", evidence.CodeRecordInvalid, "result_commitment", "the result of what was not seen to end",
			with(with(unknown, "result_commitment", policy), "result_size", 0)),
		invalid("outcome-size-missing", ok, "result_size", nil, "a result without its size"),
		w.bad("outcome-size-alone", evidence.CodeRecordInvalid, "result_size", "the size of no result", with(ok, "result_commitment", nil)),
		invalid("outcome-size-text", ok, "result_size", "44", "a size that is a string"),
	}
}
