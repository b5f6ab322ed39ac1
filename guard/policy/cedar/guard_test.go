package cedar_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/guardtest"
	"github.com/touchmark-dev/touchmark/guard/policy"
	"github.com/touchmark-dev/touchmark/guard/policy/cedar"
)

// A guard asks the policies about callers whose badges it verified, and records which one decided.
func TestGuard(t *testing.T) {
	w := guardtest.New(t)
	p := shipped(t)
	g := w.Guard(func(cfg *guard.Config) {
		cfg.Policy, cfg.Limiter, cfg.Enforces = p, limiter{}, []string{guard.ConstraintNetwork}
	})
	agent := w.Agent(badge.LevelDomain)
	for _, test := range []struct {
		request *guard.Request
		code    guard.Code
		rule    string
	}{
		{agent.Call("read_file", `{}`), "", "readers"},
		{w.Agent(badge.LevelRegistered).Call("read_file", `{}`), guard.CodeTrustInsufficient, "readers"},
		{guardtest.Call("ping", `{}`), "", "health"},
		{guardtest.Call("read_file", `{}`), guard.CodeAuthMissing, ""},
		{w.Agent(badge.LevelOrganization).Call("write_file", `{"path":"/data/reports/a"}`), "", "reports"},
		{w.Agent(badge.LevelOrganization).Call("write_file", `{}`), guard.CodePolicyIndeterminate, ""},
		{w.Agent(badge.LevelOrganization).Call("write_file", `{"path":7}`), guard.CodePolicyIndeterminate, ""},
		{agent.Call("nothing", `{}`), guard.CodePolicyDenied, ""},
	} {
		_, err := g.Check(t.Context(), test.request)
		if code := guard.RefusalOf(err).Code; err != nil && code != test.code || err == nil && test.code != "" {
			t.Errorf("%s: %v, want %q", test.request.Capability.Name, err, test.code)
		}
		all := w.Recorder.Decisions()
		last := all[len(all)-1]
		if last.Rule != test.rule || last.PolicyVersion != p.Version() || (last.Kind == evidence.Deny) != (test.code != "") {
			t.Errorf("%s: recorded %s by %q, version %s", test.request.Capability.Name, last.Kind, last.Rule, last.PolicyVersion)
		}
	}
}

type limiter struct{ guard.Limiter }

// A guard that does not enforce what the policies ask for does not start with them.
func TestGuardRefusesWhatItCannotEnforce(t *testing.T) {
	w := guardtest.New(t)
	_, err := guard.New(&guard.Config{
		Server: w.Server, Badges: w.Badges, Proofs: w.Proofs, Evidence: w.Recorder, Policy: shipped(t),
	})
	if err == nil || !strings.Contains(err.Error(), "rate_per_minute") {
		t.Error(err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(string(read(f, "policies.cedar")))
	f.Add(permitAll)
	f.Add(`@id("a")forbid(principal in A::"b",action in [Action::"c"],resource is D)when{{"a":[1]}.a.contains(-1)&&ip("::1").isLoopback()};`)
	f.Fuzz(func(t *testing.T, text string) {
		p, err := cedar.Parse([]byte(text))
		if err != nil {
			return
		}
		for _, c := range []*policy.Call{tool(`{"a":{"b":[1,"c",null]}}`), {Verb: guard.Discover, Method: "tools/list", Capability: tool("").Capability}} {
			if d, err := p.Try(c); err == nil && d.Kind == guard.Allow && d.Rule == "" {
				t.Fatalf("allowed by nothing: %+v", d)
			}
		}
	})
}

// FuzzArguments: whatever a caller sends, a policy that denies unless the arguments are what it wants denies.
func FuzzArguments(f *testing.F) {
	p, err := cedar.Parse([]byte(permitAll + `@id("f") forbid (principal, action, resource)
		unless { context.arguments.path == "/data" && context.arguments.n == 1 };`))
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range []string{`{"path":"/data","n":1}`, `{"path":"/data","n":1.0}`, `{"path":{"__entity":{"type":"A","id":"b"}},"n":[]}`, `{"path":"/data","Path":"/","n":1}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := p.Try(tool(text))
		if err != nil || d.Rule == "f" {
			return
		}
		var a map[string]any
		if json.Unmarshal([]byte(text), &a) != nil || a["path"] != "/data" || a["n"] != 1.0 {
			t.Fatalf("%q is allowed", text)
		}
	})
}
