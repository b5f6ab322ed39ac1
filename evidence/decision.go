package evidence

import "strings"

// Claimed is what a caller says of itself and of how it is to be judged. It is recorded, and nothing goes by it.
type Claimed struct {
	Actor, Policy, Mode, Approval string
}

func (c *Claimed) texts() [4]*string { return [...]*string{&c.Actor, &c.Policy, &c.Mode, &c.Approval} }

func (c *Claimed) makeText() {
	for _, text := range c.texts() {
		*text = recordText(*text, maxText)
	}
}

// Constraints are what a call is bound to beside that it may run. A zero member binds it to nothing. The names
// are those of spec/policy.md section 6.
type Constraints struct {
	MaxRuntimeSec  uint64
	MaxRetries     *uint64 // nil asks for nothing, 0 for no retry
	MaxResultBytes uint64
	RatePerMinute  uint64
	MaxConcurrent  uint64

	// IncludedWithinSec and CosignedWithinSec are how long the call waited at most for its record to be in the log.
	IncludedWithinSec uint64
	CosignedWithinSec uint64

	// NetworkAllowlist are the hosts that may be reached, with one space between two. Nil asks for nothing, an
	// empty string for no network.
	NetworkAllowlist *string
}

// Opens reports whether the decision lets a call run whose outcome is to come. An answered list is its own outcome.
func (d *Decision) Opens() bool { return (d.Kind.Allows() || d.Shadow) && d.Shown == nil }

// IsZero reports whether nothing is asked for.
func (c *Constraints) IsZero() bool { return *c == Constraints{} }

func (c *Constraints) makeText() {
	if c.NetworkAllowlist != nil {
		hosts := recordText(*c.NetworkAllowlist, maxTarget)
		c.NetworkAllowlist = &hosts
	}
}

func isActor(s string) bool {
	switch s {
	case "human", "supervised_ai", "automation", "service_account":
		return true
	}
	return false
}

// isSpanID reports whether s has the form of the id of a span in the W3C trace context.
func isSpanID(s string) bool { return len(s) == 16 && strings.Trim(s, hexDigits) == "" }

func (d *Decision) checkShadow() error {
	tried := d.ShadowKind != ""
	return firstBroken(
		rule{"shadow_kind", !tried || isDecisionKind(d.ShadowKind), decisionKinds},
		rule{"shadow_rule", !tried || d.ShadowRule != "", "the rule that is tried out"},
		rule{"shadow_rule", tried || d.ShadowRule == "", "no rule that is tried out without what it would have decided"},
		rule{"shadow_rule", textAllowed(d.ShadowRule, maxText), "plain text of at most 256 bytes"},
		rule{"shadow_reason", !tried || d.ShadowKind.Allows() || d.ShadowReason != "", "a code where the rule would have refused"},
		rule{"shadow_reason", tried && !d.ShadowKind.Allows() || d.ShadowReason == "", "no code where the rule would not have refused"},
		rule{"shadow_reason", d.ShadowReason == "" || isCode(d.ShadowReason), "a code such as TOOL_POLICY_DENIED"},
	)
}

func (d *Decision) checkConstraints() error {
	c := &d.Constraints
	const number = "a number of at most 15 digits"
	return firstBroken(
		rule{"decision_kind", d.Kind != Allow || c.IsZero(), "allow_with_constraints where there are constraints"},
		rule{"constraint_cosigned_within_sec", c.CosignedWithinSec <= maxNumber, number},
		rule{"constraint_included_within_sec", c.IncludedWithinSec <= maxNumber, number},
		rule{"constraint_max_runtime_sec", c.MaxRuntimeSec <= maxNumber, number},
		rule{"constraint_max_retries", c.MaxRetries == nil || *c.MaxRetries <= maxNumber, number},
		rule{"constraint_max_result_bytes", c.MaxResultBytes <= maxNumber, number},
		rule{"constraint_rate_per_minute", c.RatePerMinute <= maxNumber, number},
		rule{"constraint_max_concurrent", c.MaxConcurrent <= maxNumber, number},
		rule{"constraint_network_allowlist", c.NetworkAllowlist == nil || textAllowed(*c.NetworkAllowlist, maxTarget), "plain text of at most 1024 bytes, or a hash"},
	)
}
