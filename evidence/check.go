package evidence

import (
	"slices"
	"strings"
	"time"
)

// maxNumber is the largest number in a record: 15 digits, which every JSON reader holds exactly.
const maxNumber = 999_999_999_999_999

// A rule is one thing that must hold in a record.
type rule struct {
	member string
	ok     bool
	want   string // what must hold, for the error
}

func firstBroken(rules ...rule) error {
	for i := range rules {
		if r := &rules[i]; !r.ok {
			return invalid(r.member, "want %s", r.want)
		}
	}
	return nil
}

// check applies the rules of spec/evidence.md section 2 that concern more than the form of a value. Writers
// and readers go through it, so that nothing is written that would not be read.
func (r *Record) check() error {
	if err := r.checkHeader(); err != nil {
		return err
	}
	if err := r.checkUnknown(); err != nil {
		return err
	}
	switch r.Kind() {
	case KindGenesis:
		return r.Genesis.check()
	case KindDecision:
		return r.Decision.check()
	case KindOutcome:
		return r.Outcome.check(r.Sequence)
	case KindChange:
		return r.Change.check()
	case KindRefusals:
		return r.Refusals.check()
	case KindHeartbeat:
		return nil
	}
	return invalid("kind", "want one of Genesis, Decision, Outcome, Change and Refusals, not several")
}

func (r *Record) checkHeader() error {
	genesis := r.Genesis != nil
	return firstBroken(
		rule{"id", isUUID4(r.ID), "a lower-case UUID of version 4"},
		rule{"stream", !r.Stream.IsZero(), "a stream"},
		rule{"epoch", r.Epoch >= 1 && r.Epoch <= maxNumber, "a number from 1"},
		rule{"seq", r.Sequence <= maxNumber, "a number of at most 15 digits"},
		rule{"seq", genesis == (r.Sequence == 0), "0 in the genesis record and in no other"},
		rule{"prev", genesis == r.Previous.IsZero(), "the hash of the record before, absent in the genesis record"},
		rule{"time", recordableTime(r.Time), "a time"},
		rule{"server", !r.Server.IsZero(), "the DID of the server"},
	)
}

// recordableTime reports whether t has a text, and is not a clock's that was never set.
func recordableTime(t time.Time) bool {
	year := t.UTC().Year()
	return year >= 1970 && year <= 9999
}

func (r *Record) checkUnknown() error {
	for i, u := range r.Unknown {
		_, known := find(u.Name)
		if known || (i > 0 && r.Unknown[i-1].Name >= u.Name) {
			return invalid(u.Name, "want unknown members in the order of their names")
		}
	}
	return nil
}

func (g *Genesis) check() error {
	return firstBroken(
		rule{"log_form", g.LogForm.check() == nil, `"digest", or nothing`},
		rule{"log_origin", textAllowed(g.LogOrigin, maxText), "plain text of at most 256 bytes"},
		rule{"software", textAllowed(g.Software, maxText), "plain text of at most 256 bytes"},
	)
}

func (d *Decision) check() error {
	for _, check := range []func() error{d.Caller.check, d.Channel.check, d.checkAnswer, d.checkShadow, d.checkConstraints, d.checkRequest, d.checkParams} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// check keeps the record from claiming more than was verified: a caller is a verified badge with all that
// belongs to it, or nobody.
func (c *Caller) check() error {
	switch c.Auth {
	case AuthAnonymous:
		return firstBroken(
			rule{"capiscio.agent.did", c.DID.IsZero(), "no DID: nothing about an anonymous caller was verified"},
			rule{"capiscio.badge.jti", c.BadgeID == "", "no badge id: nothing about an anonymous caller was verified"},
			rule{"caller_issuer", c.Issuer == "", "no issuer: nothing about an anonymous caller was verified"},
			rule{"caller_level", c.Level == "", "no level: nothing about an anonymous caller was verified"},
			rule{"caller_ial", c.Assurance == "", "no assurance: nothing about an anonymous caller was verified"},
		)
	case AuthBadge:
		return firstBroken(
			rule{"capiscio.agent.did", !c.DID.IsZero(), "the DID of the badge"},
			rule{"capiscio.badge.jti", isUUID4(c.BadgeID), "the badge's jti, a lower-case UUID of version 4"},
			rule{"caller_issuer", c.Issuer != "" && textAllowed(c.Issuer, maxTarget), "the issuer of the badge"},
			rule{"caller_level", isLevel(c.Level), `"0" to "4"`},
			rule{"caller_ial", c.Assurance == "0" || c.Assurance == "1", `"0" or "1"`},
		)
	}
	return invalid("capiscio.auth.level", "want %q or %q: no other way of authentication is verified here, %.40q is not",
		AuthBadge, AuthAnonymous, string(c.Auth))
}

func (c *Channel) check() error {
	none := c.Scheme == ""
	return firstBroken(
		rule{"channel_scheme", none || isToken(c.Scheme), "a word"},
		rule{"channel_subject", none || c.Subject != "", "whom the channel authenticated"},
		rule{"channel_subject", !none || c.Subject == "", "no subject without a scheme"},
		rule{"channel_subject", textAllowed(c.Subject, maxTarget), "plain text of at most 1024 bytes, or a hash"},
		rule{"channel_certificate", !none || c.Certificate.IsZero(), "no certificate of nobody"},
	)
}

const decisionKinds = "allow, allow_with_constraints, require_approval or deny"

func isDecisionKind(k DecisionKind) bool {
	return slices.Contains([]DecisionKind{Allow, AllowWithConstraints, RequireApproval, Deny}, k)
}

func (d *Decision) checkAnswer() error {
	return firstBroken(
		rule{"decision_kind", isDecisionKind(d.Kind), decisionKinds},
		rule{"rule", textAllowed(d.Rule, maxText), "plain text of at most 256 bytes"},
		rule{"capiscio.policy_version", d.PolicyVersion != "" && textAllowed(d.PolicyVersion, maxText), "the digest of the policy"},
		rule{"min_level", d.MinLevel == "" || isLevel(d.MinLevel), `"0" to "4"`},
		rule{"capiscio.deny_reason", d.Kind.Allows() == (d.DenyReason == ""), "a code unless the decision allows"},
		rule{"capiscio.deny_reason", d.DenyReason == "" || isCode(d.DenyReason), "a code such as TOOL_POLICY_DENIED"},
		rule{"deny_cause", d.DenyCause == "" || isCode(d.DenyCause), "a code such as BADGE_EXPIRED"},
		rule{"deny_cause", d.DenyCause == "" || d.DenyReason != "", "no cause without a reason"},
	)
}

func (d *Decision) checkRequest() error {
	const plain = "plain text of at most 256 bytes, or a hash"
	return firstBroken(
		rule{"method", d.Method != "" && textAllowed(d.Method, maxText), plain},
		rule{"capability", d.Capability == "" || isToken(d.Capability), "a word"},
		rule{"capiscio.target", textAllowed(d.Target, maxTarget), "plain text of at most 1024 bytes, or a hash"},
		rule{"request_id", textAllowed(d.RequestID, maxText), plain},
		rule{"capiscio.txn_id", textAllowed(d.TxnID, maxText), plain},
		rule{"capiscio.hop.hop_id", textAllowed(d.HopID, maxText), plain},
		rule{"capiscio.hop.hop_id", d.HopID == "" || !d.ProofHash.IsZero(), "no hop without a call proof"},
		rule{"capiscio.hop.parent_hash", d.ParentHopHash.IsZero() || d.HopID != "", "no parent without a hop"},
		rule{"trace_id", textAllowed(d.TraceID, maxText), plain},
		rule{"span_id", d.SpanID == "" || isSpanID(d.SpanID), "16 hexadecimal digits in lower case"},
		rule{"span_id", d.SpanID == "" || strings.Trim(d.SpanID, "0") != "", "a span, which has an id that is not all zero"},
		rule{"span_id", d.SpanID == "" || d.TraceID != "", "no span of no trace"},
		rule{"actor", d.Actor == "" || isActor(d.Actor), "human, supervised_ai, automation or service_account"},
		rule{"tenant", textAllowed(d.Tenant, maxText), plain},
		rule{"claimed_actor", textAllowed(d.Claimed.Actor, maxText), plain},
		rule{"claimed_policy", textAllowed(d.Claimed.Policy, maxText), plain},
		rule{"claimed_mode", textAllowed(d.Claimed.Mode, maxText), plain},
		rule{"claimed_approval", textAllowed(d.Claimed.Approval, maxText), plain},
		rule{"transport", d.Transport == "" || isToken(d.Transport), "a word"},
		rule{"list_shown", (d.Shown == nil) == (d.Withheld == nil), "both counts of a list, or neither"},
		rule{"list_shown", d.Shown == nil || *d.Shown <= maxNumber, "a number of at most 15 digits"},
		rule{"list_withheld", d.Withheld == nil || *d.Withheld <= maxNumber, "a number of at most 15 digits"},
	)
}

func (d *Decision) checkParams() error {
	badge := d.Caller.Auth == AuthBadge
	return firstBroken(
		rule{"badge_hash", !badge || !d.BadgeHash.IsZero(), "the hash of the badge that was verified"},
		rule{"params_commitment", !d.ParamsCommitment.IsZero(), "a commitment, to no parameters if there were none"},
		rule{"params_form", d.ParamsForm == ParamsTree || d.ParamsForm == ParamsOctets, "tree or octets"},
		rule{"capiscio.tool.params_hash", d.ParamsForm == ParamsTree || d.ParamsHash.IsZero(), "no hash of a canonical form that does not exist"},
	)
}

func (o *Outcome) check(seq uint64) error {
	unknown := o.Status == OutcomeUnknown
	statuses := []OutcomeStatus{OutcomeOK, OutcomeError, OutcomeInputRequired, OutcomeUnknown}
	return firstBroken(
		rule{"outcome", slices.Contains(statuses, o.Status), "ok, error, input_required or unknown"},
		rule{"decision_id", isUUID4(o.DecisionID), "the id of the decision"},
		rule{"decision_seq", o.DecisionSequence >= 1 && o.DecisionSequence < seq, "the number of an earlier record"},
		rule{"error_class", (o.Status == OutcomeError) == (o.ErrorClass != ""), "a word exactly when the outcome is error"},
		rule{"error_class", o.ErrorClass == "" || isToken(o.ErrorClass), "a word"},
		rule{"duration_ns", o.Duration >= 0 && o.Duration <= maxNumber*time.Nanosecond, "nanoseconds, at most 15 digits"},
		rule{"duration_ns", !unknown || o.Duration == 0, "no duration of what was not seen to end"},
		rule{"result_commitment", !unknown || o.ResultCommitment.IsZero(), "no result of what was not seen to end"},
		rule{"result_size", o.ResultSize <= maxNumber, "a number of at most 15 digits"},
		rule{"result_size", o.ResultSize == 0 || !o.ResultCommitment.IsZero(), "no size without a result"},
	)
}

func (c *Change) check() error {
	subjects := []ChangeSubject{ChangePolicy, ChangeConfiguration, ChangeKey}
	return firstBroken(
		rule{"change", slices.Contains(subjects, c.Subject), "policy, configuration or key"},
		rule{"capiscio.policy_version", c.PolicyVersion != "" && textAllowed(c.PolicyVersion, maxText), "the digest of the policy"},
		rule{"previous_policy_version", textAllowed(c.PreviousPolicyVersion, maxText), "the digest of a policy"},
		rule{"egress_enforced_by", textAllowed(c.EgressEnforcedBy, maxText), "a name"},
	)
}
