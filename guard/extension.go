package guard

// Extension is what a server says of its guard among the extensions of its capabilities (spec/guard.md section 7.1), in
// the handshake and to anybody: nothing in it depends on who asks, and nothing of the policy is told.
func (g *Guard) Extension() map[string]any {
	e := map[string]any{
		"badges": g.AcceptsBadges(), "callProof": "none", "enforcing": !g.shadow, "discovery": "filtered",
		"constraints": g.enforced.names(),
	}
	if g.shadow {
		e["discovery"] = "whole"
	}
	switch {
	case g.RequiresProof():
		e["callProof"] = "required"
	case g.AcceptsBadges():
		e["callProof"] = "optional"
	}
	if server := g.server.String(); server != "" {
		e["server"] = server
	}
	return e
}
