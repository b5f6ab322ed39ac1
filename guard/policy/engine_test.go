package policy_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/policy"
)

func TestCapabilities(t *testing.T) {
	c, err := policy.ParseCapabilities([]byte(`
version: 1
capabilities:
  - {tool: "read_*", labels: {action: read, area: files}, risk_tags: low}
  - {tool: read_secret, labels: {area: keys}, risk_tags: [high]}
  - {tool: ping}
`))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]*policy.CapabilityInfo{
		"read_file":   {Labels: map[string][]string{"action": {"read"}, "area": {"files"}}, RiskTags: []string{"low"}},
		"read_secret": {Labels: map[string][]string{"action": {"read"}, "area": {"files", "keys"}}, RiskTags: []string{"high", "low"}},
		"ping":        {Labels: map[string][]string{}, RiskTags: []string{}},
		"other":       nil, "read_\xff": nil,
	} {
		if got := c.Describe(guard.Capability{Kind: guard.KindTool, Name: name}); !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v, want %+v", name, got, want)
		}
		if got := c.Describe(guard.Capability{Kind: guard.KindPrompt, Name: name}); got != nil {
			t.Errorf("prompt %q: %+v", name, got)
		}
	}
	for text, want := range map[string]string{
		"capabilities: [{tool: a}]": "not of version 1", "version: 1": "no capabilities", "version: 1\nrules: []": `"rules"`,
		"version: 1\ncapabilities: [{tool: '[']}": "YAML", "version: 1\ncapabilities: [{labels: {a: b}}]": "no name",
	} {
		_, err := policy.ParseCapabilities([]byte(text))
		var e *policy.Error
		if !errors.As(err, &e) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestParseConstraints(t *testing.T) {
	c, err := policy.ParseConstraints([]byte(`{"max_retries": 0, "network_allowlist": ["a.example"]}`), guard.ConstraintNames())
	if err != nil || c.MaxRetries == nil || *c.MaxRetries != 0 || len(c.NetworkAllowlist) != 1 {
		t.Errorf("%+v, %v", c, err)
	}
	for _, text := range []string{
		``, `[]`, `{}`, `null`, `{"max_retries":"0"}`, `{"max_retries":1.5}`, `{"max_retries":-1}`, `{"max_retries":1,"max_retries":2}`,
		`{"max_runtime_sec":1}`, `{"x":1}`, `{"network_allowlist":"a"}`, `{"network_allowlist":["*"]}`, `{"max_retries":1}{}`,
	} {
		if c, err := policy.ParseConstraints([]byte(text), []string{guard.ConstraintRetries, guard.ConstraintNetwork}); err == nil {
			t.Errorf("%q: %+v", text, c)
		}
	}
}
