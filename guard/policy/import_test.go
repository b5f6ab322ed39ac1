package policy

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/guard"
)

func importFile(t *testing.T, name string, im *Import) (*Imported, *Policy) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "import", name))
	if err != nil {
		t.Fatal(err)
	}
	done, err := im.Read(text)
	if err != nil {
		t.Fatal(err)
	}
	p, err := (&Config{Enforces: ConstraintNames()}).Parse(done.File)
	if err != nil {
		t.Fatalf("%v\n%s", err, done.File)
	}
	return done, p
}

func notes(done *Imported) string {
	var text strings.Builder
	for _, n := range done.Notes {
		fmt.Fprintf(&text, "%d %s: %s\n", n.Line, n.Kind, n.Text)
	}
	return text.String()
}

// TestImportProfile: the static RBAC profile, and what it answers.
func TestImportProfile(t *testing.T) {
	done, p := importFile(t, "profile.yaml", &Import{MinLevel: badge.LevelDomain, Members: map[string][]string{
		"sre": {"did:web:sre.example"}, "developer": {"did:web:dev.example"}, "automation": {"did:web:bot.example"},
	}})
	if got, want := notes(done), "24 dropped: approval_via: how an approval is asked for is not a matter of the policy here\n"; got != want {
		t.Errorf("got  %swant %s", got, want)
	}
	call := func(who, environment string, actor guard.Actor, kind guard.Kind, name, method string) *Call {
		return &Call{
			Verb: guard.Invoke, Method: method, Capability: guard.Capability{Kind: kind, Name: name},
			Caller: Caller{Level: badge.LevelDomain, DID: "did:web:" + who + ".example"},
			Facts:  guard.Facts{Environment: environment, Actor: actor},
		}
	}
	for _, c := range []struct {
		call *Call
		want string
		rule string
	}{
		{call("sre", "", "", guard.KindTool, "read_logs", "tools/call"), "allow", "sre.1"},
		{call("sre", "", guard.ActorHuman, guard.KindTool, "restart_service", "tools/call"), "require_approval", "sre.2"},
		{call("sre", "", guard.ActorAutomation, guard.KindTool, "restart_service", "tools/call"), "deny", ""},
		{call("sre", "", "", guard.KindTool, "restart_service", "tools/call"), "deny", ""},
		{call("sre", "production", "", guard.KindResource, "prod_config", "resources/read"), "allow", "sre.3"},
		{call("sre", "staging", "", guard.KindResource, "prod_config", "resources/read"), "deny", ""},
		{call("sre", "production", "", guard.KindResource, "prod_config", "resources/subscribe"), "deny", "_methods"},
		{call("dev", "staging", "", guard.KindTool, "read_logs", "tools/call"), "allow", "developer.1"},
		{call("dev", "production", "", guard.KindTool, "read_logs", "tools/call"), "deny", ""},
		{call("dev", "production", "", guard.KindResource, "prod_config", "resources/read"), "deny", "developer.2"},
		{call("bot", "", guard.ActorServiceAccount, guard.KindTool, "collect_metrics", "tools/call"), "allow", "automation.1"},
		{call("bot", "", guard.ActorHuman, guard.KindTool, "restart_service", "tools/call"), "deny", "automation.2"},
		{call("other", "", guard.ActorHuman, guard.KindTool, "read_logs", "tools/call"), "deny", ""},
	} {
		x := p.Explain(c.call)
		if x.Answer != c.want || x.Decision.Rule != c.rule {
			t.Errorf("%+v: %s by %q, want %s by %q", c.call, x.Answer, x.Decision.Rule, c.want, c.rule)
		}
	}
	if done, p = importFile(t, "profile.yaml", &Import{MinLevel: badge.LevelDomain}); len(done.Notes) != 4 {
		t.Errorf("notes without members:\n%s", notes(done))
	}
	if x := p.Explain(call("sre", "", "", guard.KindTool, "read_logs", "tools/call")); x.Answer != "deny" {
		t.Errorf("a role without members: %s", x.Answer)
	}
}

// TestImportGovernance: rules on labels, risk tags and server lists.
func TestImportGovernance(t *testing.T) {
	done, p := importFile(t, "governance.yaml", &Import{MinLevel: badge.LevelDomain})
	const want = `6 needed: the file does not say what has the label {"mcp.action": ["read"]}; declare it under capabilities
12 needed: the file does not say what has the label {"mcp.action": ["write"]}; declare it under capabilities
13 needed: the file does not say what has the risk tags ["prod"]; declare it under capabilities
16 needed: max_runtime_sec is accepted only where something enforces it; remove it where nothing does
17 needed: max_retries is accepted only where something enforces it; remove it where nothing does
21 needed: the file does not say what has the label {"mcp.action": ["write"]}; declare it under capabilities
22 needed: the file does not say what has the risk tags ["non_prod"]; declare it under capabilities
25 needed: max_runtime_sec is accepted only where something enforces it; remove it where nothing does
26 needed: network_allowlist is accepted only where something enforces it; remove it where nothing does
`
	if got := notes(done); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if p.Len() != 4 {
		t.Errorf("%d rules:\n%s", p.Len(), done.File)
	}
	text := string(done.File) + "capabilities:\n  - {tool: \"get_*\", labels: {mcp.action: read}}\n" +
		"  - {tool: deploy, labels: {mcp.action: write}, risk_tags: prod}\n  - {tool: try, labels: {mcp.action: write}, risk_tags: non_prod}\n"
	p, err := (&Config{Enforces: ConstraintNames()}).Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ server, tool, want, rule string }{
		{"github", "get_issue", "allow", "allow-read-approved-servers"},
		{"github", "deploy", "require_approval", "require-approval-production-write"},
		{"github", "try", "allow_with_constraints", "constrain-medium-risk"},
		{"github", "other", "deny", ""},
		{"evil", "get_issue", "deny", "deny-unregistered-server"},
		{"", "get_issue", "deny", "deny-unregistered-server"},
	} {
		x := p.Explain(&Call{
			Verb: guard.Invoke, Method: "tools/call", Capability: guard.Capability{Kind: guard.KindTool, Name: c.tool},
			Caller: Caller{Level: badge.LevelDomain, DID: "did:web:a.example"}, Facts: guard.Facts{Server: c.server},
		})
		if x.Answer != c.want || x.Decision.Rule != c.rule {
			t.Errorf("%s on %q: %s by %q, want %s by %q", c.tool, c.server, x.Answer, x.Decision.Rule, c.want, c.rule)
		}
	}
}

// TestImportLosesNothing: what cannot be carried over never makes a rule allow more, and is reported.
func TestImportLosesNothing(t *testing.T) {
	rule := func(rest string) string {
		return "version: v1\nrules:\n  - {id: a, " + rest + "}\n  - {id: z, decision: DENY}"
	}
	grant := func(rest string) string {
		return "roles:\n  r: {grants: [{capability: \"tool:x\", " + rest + "}, {capability: \"tool:z\", decision: deny}]}\n"
	}
	const leftOut, denies = "so it is left out", "denies without regard to it"
	for _, c := range []struct{ name, text, note, in string }{ // in: a part of the file that is made; with "!" not of it
		{"condition of allow", rule("match: {region: eu}, decision: ALLOW"), leftOut, "!id: a"},
		{"condition of deny", rule("match: {region: eu}, decision: DENY"), denies, `id: a`},
		{"label of allow", rule("match: {labels: {x: 1}}, decision: ALLOW"), leftOut, "!id: a"},
		{"label of deny", rule("match: {labels: {x: 1}}, decision: DENY"), denies, "id: a"},
		{"risk tags", rule("match: {risk_tags: {a: b}}, decision: ALLOW"), leftOut, "!id: a"},
		{"member", rule("unless: {x: y}, decision: REQUIRE_APPROVAL"), leftOut, "!id: a"},
		{"constraint", rule("decision: ALLOW, constraints: {max_cost: 3}"), leftOut, "!id: a"},
		{"constraint of another value", rule("decision: ALLOW, constraints: {max_retries: many}"), "is not a number", "!id: a"},
		{"hosts", rule("decision: ALLOW, constraints: {network_allowlist: [\"*\"]}"), "is not a name in lower case", "!id: a"},
		{"constraint of zero", rule("decision: ALLOW, constraints: {max_runtime_sec: 0}"), "cannot be expressed", "!id: a"},
		{"constraints of deny", rule("decision: DENY, constraints: {max_retries: 3}"), "constraints mean nothing", "!max_retries"},
		{"constraints of allow", rule("decision: ALLOW, constraints: {max_retries: 3}"), "it allows with them", "allow_with_constraints"},
		{"no constraints", rule("decision: ALLOW_WITH_CONSTRAINTS"), "it is left out", "!id: a"},
		{"decision", rule("decision: MAYBE"), `"MAYBE" is not known; rule "a" denies`, "id: a"},
		{"pattern", rule("match: {labels: {mcp.tool: \"a[b]\"}}, decision: ALLOW"), "cannot be expressed, and is left out", "!id: a"},
		{"tool", rule("match: {labels: {mcp.tool: \"a*\"}}, decision: ALLOW"), "", `tool: ["a*"]`},
		{"servers of allow", rule("mcp: {deny_servers_not_in: [s]}, decision: ALLOW"), "nothing else denies the others", `servers: ["s"]`},
		{"servers twice", rule("mcp: {deny_servers_not_in: [s]}, match: {labels: {mcp.server: \"*\"}}, decision: ALLOW"), "names servers", "!id: a"},
		{"mcp", rule("mcp: {allow_servers: [s]}, decision: DENY"), denies, "id: a"},
		{"description", rule("description: x, decision: DENY"), "decides nothing", "id: a"},
		{"id", strings.Replace(rule("decision: DENY"), "id: a", "id: a b", 1), `it is "rule-1"`, "id: rule-1"},
		{"id twice", strings.Replace(rule("decision: DENY"), "id: z", "id: a", 1), `it is "rule-2"`, "id: rule-2"},

		{"grant", grant("decision: allow, unless: x"), leftOut, "!tool:x"},
		{"grant that denies", grant("decision: deny, unless: x"), denies, "tool:x"},
		{"actor", grant("decision: allow, constraints: {actor_required: robot}"), leftOut, "!tool:x"},
		{"actor of deny", grant("decision: deny, constraints: {actor_required: robot}"), denies, "tool:x"},
		{"constraint of a grant", grant("decision: allow, constraints: {max_calls: 1}"), leftOut, "!tool:x"},
		{"approval of allow", grant("decision: allow, constraints: {approval_required: true}"), "it requires one", "require_approval"},
		{"approval in doubt", grant("decision: require_approval, constraints: {approval_required: false}"), "it requires one", "require_approval"},
		{"approval of deny", grant("decision: deny, constraints: {approval_required: true}"), "means nothing", "decision: deny"},
		{"action", grant("decision: allow, actions: [read]"), leftOut, "!tool:x"},
		{"one action", grant("decision: allow, actions: [read, execute]"), `there is left ["execute"]`, `actions: ["execute"]`},
		{"action of deny", grant("decision: deny, actions: [read]"), "denies all", "tool:x"},
		{"kind", strings.Replace(grant("decision: allow"), "tool:x", "task:x", 1), "it is left out", "!task:x"},
		{"reserved", strings.Replace(grant("decision: allow"), "tool:x", "tool:x{a}", 1), leftOut, "!tool:x"},
		{"reserved of deny", strings.Replace(grant("decision: deny"), "tool:x", "tool:x{a}", 1), denies, "tool:x?a?"},
		{"grant with constraints", grant("decision: allow_with_constraints"), "it is left out", "!tool:x"},
		{"setting", "_settings: {policy_error: allow}\n" + grant("decision: deny"), "it is always deny", "tool:x"},
		{"setting unknown", "defaults: {mode: observe}\n" + grant("decision: deny"), "the setting mode is not known", "tool:x"},
		{"other", "_methods: {_other: allow}\n" + grant("decision: deny"), "that the table does not name are denied", "_other: deny"},
		{"method", "_methods: {tools/call: observe}\n" + grant("decision: deny"), "it is denied", `"tools/call": deny`},
		{"method allowed", "_methods: {tools/call: allow}\n" + grant("decision: deny"), "allow is evaluate here", `"tools/call": evaluate`},
		{"open method", "_methods: {ping: deny}\n" + grant("decision: deny"), "open to everybody", "!ping"},
	} {
		done, err := (&Import{MinLevel: badge.LevelDomain}).Read([]byte(c.text))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if !strings.Contains(notes(done), c.note) {
			t.Errorf("%s: no %q in\n%s", c.name, c.note, notes(done))
		}
		part, absent := strings.CutPrefix(c.in, "!")
		if strings.Contains(string(done.File), part) == absent {
			t.Errorf("%s: want %q in\n%s", c.name, c.in, done.File)
		}
	}
}

// TestImportRefusals: a source with parts that could deny and are not known is not carried over at all.
func TestImportRefusals(t *testing.T) {
	for _, c := range []struct {
		name, text, want string
		im               Import
	}{
		{"no shape", "version: 1\n", "neither of the shapes", Import{}},
		{"no level", "rules: [{id: a, decision: ALLOW}]", "give a minimum level", Import{}},
		{"top", "rules: []\ndeny: [x]\n", `line 2, column 1: the file has "deny"`, Import{}},
		{"top of roles", "roles: {}\nblocked: [x]\n", `line 2, column 1: the file has "blocked"`, Import{}},
		{"role", "roles: {r: {grants: [], inherits: x}}", `a role has "inherits"`, Import{}},
		{"version", "version: v2\nrules: []", `version "v2" of such a policy`, Import{}},
		{"version of roles", "version: 2\nroles: {}", `version "2" of such a policy`, Import{}},
		{"rule without decision", "rules: [{id: a}]", "a rule has no decision", Import{}},
		{"grant without decision", "roles: {r: {grants: [{capability: x}]}}", "no decision", Import{}},
		{"deny that cannot be", "rules: [{match: {labels: {mcp.tool: \"a[\"}}, decision: DENY}]", "change it in the source", Import{}},
		{"members", "roles: {r: {grants: [{capability: \"tool:a\", decision: deny}]}}", "is no policy",
			Import{Members: map[string][]string{"r": {"did:web:["}}}},
	} {
		_, err := c.im.Read([]byte(c.text))
		var refused *Error
		if err == nil || !errors.As(err, &refused) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
	if done, err := (&Import{}).Read([]byte("rules: [{id: a, match: {x: y}, decision: ALLOW}]")); err != nil || done.File != nil || len(done.Notes) != 1 {
		t.Errorf("nothing left: %+v, %v", done, err)
	}
}
