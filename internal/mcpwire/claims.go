package mcpwire

import "encoding/json"

// prefixesClaimed are before the names of the members of `_meta` in which a
// caller says of itself what it cannot choose: ours, and those of the draft of
// server-side policy enforcement.
var prefixesClaimed = [...]string{
	"dev.touchmark/",
	"io.modelcontextprotocol/server-policy-enforcement/",
	"io.modelcontextprotocol/server-policy-enforcement.",
}

// MetaClaimed is the member of `_meta` that holds such members of the draft in
// one object.
const MetaClaimed = "io.modelcontextprotocol/server-policy-enforcement"

// Claimed is what a caller says of itself, none of it believed
// (spec/guard.md section 3.2).
type Claimed struct {
	Actor    string
	Policy   string
	Mode     string
	Approval string
}

// ClaimsOf returns what the `_meta` of a request claims. A value that is no
// string is given in JSON. Where one thing is claimed under several names, the
// first of them counts, in the order of the specification.
func ClaimsOf(meta map[string]any) Claimed {
	if len(meta) == 0 {
		return Claimed{}
	}
	return Claimed{
		Actor: claim(meta, "actor"), Policy: claim(meta, "policy"), Mode: claim(meta, "mode"), Approval: claim(meta, "approval"),
	}
}

func claim(meta map[string]any, name string) string {
	for _, prefix := range prefixesClaimed {
		if v, ok := meta[prefix+name]; ok {
			return claimText(v)
		}
	}
	if all, ok := meta[MetaClaimed].(map[string]any); ok {
		if v, ok := all[name]; ok {
			return claimText(v)
		}
	}
	return ""
}

func claimText(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	text, err := json.Marshal(v)
	if err != nil {
		return "?"
	}
	return string(text)
}
