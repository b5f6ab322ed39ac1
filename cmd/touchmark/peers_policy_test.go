package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/internal/peers"
)

var clients = []string{"v1", "v2", "inspector"}

const operation = "trigger-long-running-operation"

// A published policy of rules on labels, risk tags and server lists: imported,
// checked, explained, and enforced in front of two servers from npm.
func TestSeed001Policy(t *testing.T) {
	b := newBench(t)
	capabilities, err := os.ReadFile(filepath.Join("testdata", "published", "capabilities.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	rules := b.imported("governance.yaml", string(capabilities))
	declared := []string{"--policy", rules, "--server-name", "github", "--egress-enforced-by", "nftables"}

	t.Run("checked", func(t *testing.T) {
		b := b.in(t)
		const place = "policy: line 16, column 40: nothing here enforces network_allowlist"
		enforced := []string{"--enforces", "max_runtime_sec", "--enforces", "max_retries"}
		b.rejects(2, place, append(append([]string{"policy", "check"}, enforced...), rules)...)
		b.rejects(2, place, append([]string{"gateway", "--home", b.home, "--policy", rules, "--server-name", "github"}, b.upstream...)...)
		enforced = append(enforced, "--enforces", "network_allowlist")
		b.must(append(append([]string{"policy", "check", "--strict"}, enforced...), rules)...)
		for _, x := range [][3]string{
			{`{tool: read_text_file, server: github, caller: {level: 2}}`, "allow", "reads-of-approved-servers"},
			{`{tool: write_file, server: github, caller: {level: 2}}`, "require_approval", "production-writes"},
			{`{tool: create_directory, server: jira, caller: {level: 2}}`, "allow_with_constraints", "medium-risk"},
			{`{tool: create_directory, server: jira, caller: {level: 1}}`, "deny", "medium-risk"},
			{`{tool: read_text_file, server: other, caller: {level: 4}}`, "deny", "unregistered-servers"},
			{`{tool: move_file, server: github, caller: {level: 4}}`, "deny", ""},
		} {
			b.explain(rules, x[0], x[1], x[2], enforced...)
		}
	})
	t.Run("server-filesystem", func(t *testing.T) {
		b := b.in(t)
		file := filepath.Join(b.data, "a.txt")
		for _, client := range clients {
			made := filepath.Join(b.data, "made-by-"+client)
			b.drive(client, "reader", declared, []step{
				{method: "tools/list", has: []string{`"read_text_file"`, `"write_file"`, `"create_directory"`}, lacks: []string{`"move_file"`}},
				{method: "tools/call", name: "read_text_file", args: `{"path":"` + file + `"}`, has: []string{"hello from a file", "dev.touchmark/evidence"}, kind: "allow"},
				{method: "tools/call", name: "create_directory", args: `{"path":"` + made + `"}`, has: []string{"dev.touchmark/evidence"}, kind: "allow_with_constraints", sdk: true},
				{method: "tools/call", name: "write_file", args: `{"path":"` + made + `/x","content":"x"}`, refused: true, has: []string{"APPROVAL_REQUIRED"}, kind: "require_approval"},
				{method: "tools/call", name: "move_file", args: `{"source":"` + file + `","destination":"` + made + `/y"}`, refused: true, has: []string{"move_file"}, kind: "deny", sdk: true},
			})
			if _, err := os.Stat(made); (err != nil) != (client == "inspector") {
				t.Errorf("%s: %v", client, err)
			}
			if _, err := os.Stat(filepath.Join(made, "x")); err == nil {
				t.Error("the file was written")
			}
		}
		refused := []step{
			{method: "tools/list", has: []string{`"tools":[]`}},
			{method: "tools/call", name: "read_text_file", args: `{"path":"` + file + `"}`, refused: true, has: []string{"unknown tool"}, kind: "deny"},
		}
		b.drive("v1", "reader", []string{"--policy", rules, "--server-name", "other", "--egress-enforced-by", "nftables"}, refused)
		b.drive("v2", "reader", []string{"--policy", rules, "--egress-enforced-by", "nftables"}, refused) // no name at all
		b.drive("v2", "guest", declared, refused)
		if !b.inJournal(`"egress_enforced_by":"nftables"`, `"constraint_network_allowlist":"api.github.com api.slack.com"`, `"rule":"unregistered-servers"`) {
			t.Error("the journal does not say who keeps the server to which hosts")
		}
	})
	t.Run("without the hosts", func(t *testing.T) { // the line is dropped: nobody has to be declared
		b := b.in(t)
		text, err := os.ReadFile(rules)
		if err != nil {
			t.Fatal(err)
		}
		short := strings.Replace(string(text), `, network_allowlist: ["api.github.com", "api.slack.com"]`, "", 1)
		if strings.Contains(short, "network_allowlist") {
			t.Fatal(short)
		}
		b.drive("v2", "reader", []string{"--policy", b.file(short), "--server-name", "github"}, []step{
			{method: "tools/call", name: "create_directory", args: `{"path":"` + b.data + `/more"}`, kind: "allow_with_constraints"},
		})
	})
	t.Run("server-everything", func(t *testing.T) {
		b := b.in(t)
		b.everything()
		for _, client := range clients {
			steps := []step{
				{method: "tools/list", has: []string{`"echo"`, `"` + operation + `"`}, lacks: []string{`"get-env"`}},
				{method: "tools/call", name: "echo", args: `{"message":"hallo"}`, has: []string{"hallo"}, kind: "allow", sdk: true},
				{method: "tools/call", name: operation, args: `{"duration":0.1,"steps":1}`, has: []string{"completed"}, kind: "allow_with_constraints"},
				{method: "tools/call", name: "get-env", refused: true, has: []string{"get-env"}, kind: "deny"},
				{method: "resources/list", has: []string{"features.md"}, sdk: true},
				{method: "resources/read", name: "demo://resource/static/document/features.md", has: []string{"features.md"}, kind: "allow"},
				{method: "prompts/list", has: []string{`"simple-prompt"`}, lacks: []string{`"args-prompt"`}, sdk: true},
				{method: "prompts/get", name: "simple-prompt", has: []string{`"messages"`}, kind: "allow"},
				{method: "prompts/get", name: "args-prompt", refused: true, kind: "deny", sdk: true},
				{method: "completion/complete", name: "completable-prompt", args: `{"name":"department","value":"E"}`, has: []string{"Engineering"}, kind: "allow", sdk: true},
			}
			b.drive(client, "reader", declared, steps)
		}
		// Of two rules about one call the tighter limits hold.
		text, err := os.ReadFile(rules)
		if err != nil {
			t.Fatal(err)
		}
		tight := b.file(strings.Replace(string(text), "rules:\n", "rules:\n  - {id: at-once, match: {tool: "+operation+"}, min_level: 2, decision: allow_with_constraints, constraints: {max_runtime_sec: 1}}\n", 1))
		b.drive("v1", "reader", []string{"--policy", tight, "--server-name", "github", "--egress-enforced-by", "nftables"}, []step{
			{method: "tools/call", name: operation, args: `{"duration":600,"steps":2}`, refused: true, has: []string{"CONSTRAINT_EXCEEDED", "RUNTIME_EXCEEDED"}, kind: "allow_with_constraints"},
		})
		if !b.inJournal(`"constraint_max_runtime_sec":1,`, `"error_class":"abandoned"`) {
			t.Error("the journal does not say that the call was given up")
		}
	})
}

// Roles with grants, as in a static RBAC profile: imported, checked, explained, and
// enforced in front of two servers from npm.
func TestSeed000Policy(t *testing.T) {
	b := newBench(t)
	b.must("key", "new", "--out", filepath.Join(b.home, "robot.jwk"))
	key, err := os.ReadFile(filepath.Join(b.home, "issuer.jwk"))
	if err != nil {
		t.Fatal(err)
	}
	issuer := b.file(strings.Replace(string(key), `{`, `{"kid":"issuer-1",`, 1))
	b.must("badge", "issue", "--issuer-key", issuer, "--issuer", b.subject("reader").Issuer,
		"--subject", "did:web:robots.example", "--subject-key", filepath.Join(b.home, "robot.jwk"), "--level", "2",
		"--domain", "robots.example", "--actor", "service_account", "--ttl", "1h", "--out", filepath.Join(b.home, "robot.badge"))
	actors := "actors:\n  - {caller: {badge_actor: service_account, issuer: \"" + b.subject("reader").Issuer + "\"}, actor: service_account}\n"
	rules := b.imported("roles.yaml", actors, "--member", "operator="+b.subject("reader").Subject.String(),
		"--member", "developer="+b.subject("editor").Subject.String(), "--member", "robot=did:web:robots.example")
	staging := []string{"--policy", rules, "--environment", "staging"}

	t.Run("checked", func(t *testing.T) {
		b := b.in(t)
		b.must("policy", "check", "--strict", rules)
		operator := `caller: {level: 2, did: "` + b.subject("reader").Subject.String() + `"}`
		developer := `caller: {level: 3, did: "` + b.subject("editor").Subject.String() + `"}`
		for _, x := range [][3]string{
			{`{tool: echo, ` + operator + `}`, "allow", "operator.1"},
			{`{tool: toggle-simulated-logging, ` + operator + `}`, "require_approval", "operator.5"},
			{`{resource: "demo://resource/static/document/a", environment: staging, ` + operator + `}`, "allow", "operator.7"},
			{`{resource: "demo://resource/static/document/a", environment: production, ` + operator + `}`, "deny", ""},
			{`{tool: get-env, environment: staging, ` + developer + `}`, "deny", "developer.2"},
			{`{tool: echo, environment: production, ` + developer + `}`, "deny", ""},
			{`{tool: get-sum, actor: service_account, caller: {level: 2, did: "did:web:robots.example"}}`, "allow", "robot.1"},
			{`{tool: get-sum, actor: human, caller: {level: 2, did: "did:web:robots.example"}}`, "deny", ""},
			{`{tool: echo, caller: {level: 4, did: "did:web:nobody.example"}}`, "deny", ""},
		} {
			b.explain(rules, x[0], x[1], x[2])
		}
	})
	t.Run("server-filesystem", func(t *testing.T) {
		b := b.in(t)
		file := filepath.Join(b.data, "a.txt")
		read := step{method: "tools/call", name: "read_text_file", args: `{"path":"` + file + `"}`, has: []string{"hello from a file"}, kind: "allow"}
		for _, client := range clients {
			b.drive(client, "reader", staging, []step{
				{method: "tools/list", has: []string{`"read_text_file"`, `"write_file"`}, lacks: []string{`"move_file"`, `"create_directory"`}},
				read,
				{method: "tools/call", name: "write_file", args: `{"path":"` + b.data + `/x","content":"x"}`, refused: true, has: []string{"APPROVAL_REQUIRED"}, kind: "require_approval"},
				{method: "tools/call", name: "create_directory", args: `{"path":"` + b.data + `/no"}`, refused: true, has: []string{"create_directory"}, kind: "deny", sdk: true},
			})
		}
		b.drive("v2", "editor", staging, []step{
			{method: "tools/list", has: []string{`"read_text_file"`, `"create_directory"`}, lacks: []string{`"move_file"`}},
			read,
			{method: "tools/call", name: "move_file", args: `{"source":"` + file + `","destination":"` + b.data + `/y"}`, refused: true, has: []string{"unknown tool"}, kind: "deny"},
		})
		b.drive("v1", "robot", staging, []step{ // its badge says what it is; it is no human
			{method: "tools/list", has: []string{`"create_directory"`}, lacks: []string{`"read_text_file"`, `"list_allowed_directories"`}},
			{method: "tools/call", name: "create_directory", args: `{"path":"` + b.data + `/by-robot"}`, kind: "allow"},
			{method: "tools/call", name: "list_allowed_directories", refused: true, has: []string{"unknown tool"}, kind: "deny"},
		})
		if !b.inJournal(`"actor":"service_account"`) {
			t.Error("the journal does not say of which class the robot is")
		}
	})
	t.Run("server-everything", func(t *testing.T) {
		b := b.in(t)
		b.everything()
		const document = "demo://resource/static/document/features.md"
		for _, client := range clients {
			steps := []step{
				{method: "tools/list", has: []string{`"echo"`, `"toggle-simulated-logging"`}, lacks: []string{`"get-env"`, `"get-sum"`}},
				{method: "tools/call", name: "echo", args: `{"message":"hallo"}`, has: []string{"hallo"}, kind: "allow", sdk: true},
				{method: "tools/call", name: "toggle-simulated-logging", refused: true, has: []string{"APPROVAL_REQUIRED"}, kind: "require_approval", sdk: true},
				{method: "tools/call", name: "get-sum", args: `{"a":1,"b":2}`, refused: true, has: []string{"get-sum"}, kind: "deny"},
				{method: "prompts/list", has: []string{`"simple-prompt"`}, lacks: []string{`"args-prompt"`}, sdk: true},
				{method: "prompts/get", name: "simple-prompt", has: []string{`"messages"`}, kind: "allow"},
				{method: "resources/read", name: document, has: []string{"features.md"}, kind: "allow"},
				// A method that the table denies, and one that it does not name.
				{method: "completion/complete", name: "completable-prompt", args: `{"name":"department","value":"E"}`, refused: true, has: []string{"TOOL_NOT_FOUND"}, kind: "deny", sdk: true},
				{method: "resources/subscribe", name: document, refused: true, kind: "deny", sdk: true},
			}
			b.drive(client, "reader", staging, steps)
		}
		b.drive("v2", "reader", []string{"--policy", rules, "--environment", "production"}, []step{
			{method: "resources/read", name: document, refused: true, has: []string{"not found"}, kind: "deny"},
			{method: "tools/call", name: "echo", args: `{"message":"hallo"}`, has: []string{"hallo"}, kind: "allow"},
		})
		b.drive("v1", "robot", staging, []step{
			{method: "tools/call", name: "get-sum", args: `{"a":1,"b":2}`, has: []string{"3"}, kind: "allow"},
		})
	})
}

// in is the bench in a subtest.
func (b *bench) in(t *testing.T) *bench {
	t.Helper()
	inner := *b
	inner.t = t
	return &inner
}

// everything puts the npm server that has everything behind the gateway.
func (b *bench) everything() {
	b.t.Helper()
	b.upstream = []string{"--", b.node, peers.Script(b.t, "@modelcontextprotocol/server-everything"), "stdio"}
}

// subject is what the badge of an agent of the tour says.
func (b *bench) subject(as string) *badge.Unverified {
	b.t.Helper()
	u, err := badge.Inspect(b.token(as))
	if err != nil {
		b.t.Fatal(err)
	}
	return u
}

// inJournal reports whether the files of the journal have all the texts.
func (b *bench) inJournal(texts ...string) bool {
	b.t.Helper()
	for _, text := range texts {
		if _, _, code := b.run("grep", "-raqF", text, filepath.Join(b.home, "journal")); code != 0 {
			b.t.Errorf("not in the journal: %s", text)
			return false
		}
	}
	return true
}
