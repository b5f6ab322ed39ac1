package authzen

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	strict "github.com/go-json-experiment/json"
)

var seeds = []string{
	`{"decision":true}`, `{"decision":false}`, `{"decision":"true"}`, `{"decision":true,"context":{}}`, `{"Decision":true,"decision":true}`,
	`{"decision":true,"context":{"obligations":[]}}`, `{"decision":true,"context":{"reason":{"403":"x"},"policy_version":"v1"}}`,
	`{"decision":true,"context":{"obligations":[{"id":"1","type":"custom","properties":{"vendor":"dev.touchmark","max_runtime_sec":30}}]}}`,
	`{"decision":false,"context":{"access_request":{"endpoint":"https://a.example/r","expires_at":"2100-01-01T00:00:00Z"}}}`,
	`{"evaluations":[{"decision":true},{"decision":true}]}`, `{"result":{"decision":true,"request_id":"id"}}`, `{"result":{"decision":true}}`,
	`{"decision":true,"decision":false}`, `[]`, `null`, ``,
}

// plainYes is another reader's opinion: a JSON object by strict rules that says yes and asks for nothing.
func plainYes(text string) bool {
	var m map[string]any
	if strict.Unmarshal([]byte(text), &m) != nil || m["decision"] != true || !exact(m, "decision", "context") {
		return false
	}
	about, ok := m["context"]
	if !ok {
		return true
	}
	context, ok := about.(map[string]any)
	if !ok || !exact(context, "obligations", "access_request", "policy_version") {
		return false
	}
	if _, ok := context["access_request"]; ok {
		return false
	}
	if v, ok := context["policy_version"]; ok {
		if s, ok := v.(string); !ok || !plainVersion(s) {
			return false
		}
	}
	list, ok := context["obligations"]
	if !ok {
		return true
	}
	none, ok := list.([]any)
	return ok && len(none) == 0
}

func exact(m map[string]any, names ...string) bool {
	for have := range m {
		for _, name := range names {
			if have != name && strings.EqualFold(have, name) {
				return false
			}
		}
	}
	return true
}

// judge reports what is wrong with the answer that was read from a text.
func judge(text string) string {
	r := reader{[]string{"max_runtime_sec"}, time.Unix(1e9, 0)}
	a, err := r.decision([]byte(text))
	plain := err == nil && a.permit && !a.unmet && a.constraints == nil
	switch {
	case plain != plainYes(text):
		return "is yes to one reader alone"
	case err != nil && (a.permit || a.approval):
		return "gives an answer with an error"
	case a.permit && a.approval:
		return "is yes, and is to be approved"
	}
	if all, err := r.list([]byte(text), 2); err == nil {
		var m struct{ Evaluations []json.RawMessage }
		if json.Unmarshal([]byte(text), &m) != nil || len(m.Evaluations) != 2 || all[0].permit && !strings.Contains(string(m.Evaluations[0]), "true") {
			return "is a list to one reader alone"
		}
	}
	if a, err := r.opa([]byte(text), "id"); err == nil && a.permit {
		var m struct {
			Result map[string]any `json:"result"`
		}
		if strict.Unmarshal([]byte(text), &m) != nil || m.Result["request_id"] != "id" || m.Result["decision"] != true {
			return "is yes of OPA to one reader alone"
		}
	}
	return ""
}

func FuzzResponse(f *testing.F) {
	for _, s := range seeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if wrong := judge(text); wrong != "" {
			t.Fatalf("%q %s", text, wrong)
		}
	})
}

// Random answers, made of the parts of good ones: none is yes but those that are exactly that.
func TestRandomAnswers(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4)) //nolint:gosec // the same cases each time
	parts := []string{
		`{`, `}`, `[`, `]`, `:`, `,`, `"decision"`, `"Decision"`, `"deci\u0073ion"`, `true`, `false`, `"true"`, `1`, `null`, `"context"`,
		`"obligations"`, `"access_request"`, `"policy_version"`, `"v1"`, `{}`, `[]`, ` `, "\n", `"a"`, `"decision":true`, `"context":{}`,
		`"obligations":[]`, `{"decision":true}`, `"result":`, `"evaluations":`, `"request_id":"id"`, `"id":"1","type":"custom","properties":{}`,
	}
	yes := 0
	for range 10_000 {
		var text string
		if rng.IntN(2) == 0 {
			var b strings.Builder
			b.WriteString("{")
			for range rng.IntN(8) {
				b.WriteString(parts[rng.IntN(len(parts))])
			}
			b.WriteString("}")
			text = b.String()
		} else {
			seed := seeds[rng.IntN(len(seeds)-1)]
			at := rng.IntN(len(seed))
			text = seed[:at] + parts[rng.IntN(len(parts))] + seed[at+min(rng.IntN(3), len(seed)-at):]
		}
		if wrong := judge(text); wrong != "" {
			t.Fatalf("%q %s", text, wrong)
		}
		if plainYes(text) {
			yes++
		}
	}
	if yes < 30 {
		t.Errorf("only %d were yes: the cases say little", yes)
	}
}
