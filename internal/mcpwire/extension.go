package mcpwire

// Extension returns what a guarded server announces under [ExtensionGuard]:
// whether it takes badges, whether a badge needs a call proof, and the DID that
// call proofs must name, "" for none (spec/guard.md section 7.1).
func Extension(acceptsBadges, requiresProof bool, server string) map[string]any {
	e := map[string]any{"badges": acceptsBadges, "callProof": "none"}
	switch {
	case requiresProof:
		e["callProof"] = "required"
	case acceptsBadges:
		e["callProof"] = "optional"
	}
	if server != "" {
		e["server"] = server
	}
	return e
}
