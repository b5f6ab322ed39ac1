package telemetry

import (
	"slices"
	"strings"

	"github.com/touchmark-dev/touchmark/guard"
)

// HighRisk says which calls are high-risk writes: those of capabilities that the policy gave one of Tags, unless it says
// by the label Action that they only read. A capability with such a tag of which the policy does not say what it
// does is taken to write.
type HighRisk struct {
	Tags        []string // without regard to case; "" matches nothing
	Action      string   // the label that says what a capability does
	ReadActions []string // its values for capabilities that only read, without regard to case
}

// DefaultHighRisk is what counts where a [Config] does not say: production, destructive and cross-tenant writes.
func DefaultHighRisk() HighRisk {
	return HighRisk{
		Tags:        []string{"prod", "production", "destructive", "cross_tenant", "high_risk"},
		Action:      "mcp.action",
		ReadActions: []string{"read"},
	}
}

func (h *HighRisk) clone() HighRisk {
	return HighRisk{slices.Clone(h.Tags), h.Action, slices.Clone(h.ReadActions)}
}

func (h *HighRisk) has(d *guard.Description) bool {
	if d == nil || !slices.ContainsFunc(d.RiskTags, func(tag string) bool { return tag != "" && foldIn(h.Tags, tag) }) {
		return false
	}
	action, known := d.Labels[h.Action]
	return !known || !foldIn(h.ReadActions, action)
}

func foldIn(list []string, s string) bool {
	return slices.ContainsFunc(list, func(x string) bool { return strings.EqualFold(x, s) })
}

// unapproved reports whether a call that runs is a high-risk write that nobody approved. One that is allowed where the
// rule asks for an approval was approved; in shadow mode it was not.
func (h *HighRisk) unapproved(d *guard.Decided) bool {
	approved := d.Allowed && d.Kind == kindRequireApproval
	return d.Runs() && !approved && h.has(d.About)
}
