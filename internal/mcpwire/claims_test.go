package mcpwire

import "testing"

func TestClaims(t *testing.T) {
	const draft = "io.modelcontextprotocol/server-policy-enforcement"
	for _, c := range []struct {
		name string
		meta map[string]any
		want Claimed
	}{
		{"nothing", nil, Claimed{}},
		{"not ours", map[string]any{"actor": "human", "example/mode": "observe", "capiscio_policy": "x"}, Claimed{}},
		{"ours", map[string]any{
			"dev.touchmark/actor": "human", "dev.touchmark/policy": "allow-all", "dev.touchmark/mode": "shadow", "dev.touchmark/approval": true,
		}, Claimed{"human", "allow-all", "shadow", "true"}},
		{"the draft's", map[string]any{draft + "/actor": "human", draft + ".mode": "observe"}, Claimed{Actor: "human", Mode: "observe"}},
		{"in one object", map[string]any{draft: map[string]any{"approval": map[string]any{"present": true}, "actor": nil}},
			Claimed{Actor: "null", Approval: `{"present":true}`}},
		{"of two names the first", map[string]any{draft + "/actor": "automation", "dev.touchmark/actor": "human"}, Claimed{Actor: "human"}},
		{"no object", map[string]any{draft: "actor"}, Claimed{}},
	} {
		if got := ClaimsOf(c.meta); got != c.want {
			t.Errorf("%s: got %+v", c.name, got)
		}
	}
}
