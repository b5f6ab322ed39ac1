package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/touchmark-dev/touchmark/internal/peers"
)

// A step is one request of an unmodified client, and what has to come of it.
type step struct {
	method string
	name   string // of what is used: a tool, a prompt, the URI of a resource
	args   string // JSON; "" for none

	has, lacks []string // texts of the answer
	refused    bool     // the answer is an error

	kind string // of the decision in the evidence

	sdk bool // not by the inspector, which starts a process for each request
}

// params are those of the request.
func (s *step) params() map[string]any {
	p := map[string]any{}
	switch s.method {
	case "tools/call", "prompts/get":
		p["name"] = s.name
		if s.args != "" {
			p["arguments"] = json.RawMessage(s.args)
		}
	case "resources/read", "resources/subscribe":
		p["uri"] = s.name
	case "completion/complete":
		p["ref"] = map[string]string{"type": "ref/prompt", "name": s.name}
		p["argument"] = json.RawMessage(s.args)
	}
	return p
}

// flags are what the inspector calls the request.
func (s *step) flags() []string {
	flags := []string{"--method", s.method}
	switch s.method {
	case "tools/call":
		flags = append(flags, "--tool-name", s.name)
	case "prompts/get":
		flags = append(flags, "--prompt-name", s.name)
	case "resources/read":
		flags = append(flags, "--uri", s.name)
	}
	var args map[string]any
	_ = json.Unmarshal([]byte(s.args), &args)
	for name, value := range args {
		text, ok := value.(string)
		if !ok {
			raw, _ := json.Marshal(value)
			text = string(raw)
		}
		flags = append(flags, "--tool-arg", name+"="+text)
	}
	return flags
}

// behind is the command line of a gateway in front of the bench's upstream, to
// which the agent's requests are signed by a bridge.
func (b *bench) behind(as string, gateway []string) []string {
	line := append([]string{b.command, "connect", "--home", b.home, "--as", as, "--", b.command, "gateway", "--quiet", "--home", b.home}, gateway...)
	return append(line, b.upstream...)
}

// drive makes the steps one after the other as an agent, by a client of the
// TypeScript SDK, version v1 or v2, or by the inspector, and holds the evidence
// against them.
func (b *bench) drive(client, as string, gateway []string, steps []step) {
	b.t.Helper()
	if client == "inspector" {
		steps = slices.DeleteFunc(slices.Clone(steps), func(s step) bool { return s.sdk })
		if os.Getenv("TOUCHMARK_SOAK") == "" {
			steps = steps[:min(3, len(steps))]
		}
	}
	before := b.records()
	for i, text := range b.answers(client, as, gateway, steps) {
		s := &steps[i]
		if refused := !strings.Contains(text, `"result":`); refused != s.refused {
			b.t.Errorf("%s: %s %s: %s", client, s.method, s.name, text)
		}
		for _, want := range s.has {
			if !strings.Contains(text, want) {
				b.t.Errorf("%s: %s %s: no %q in %s", client, s.method, s.name, want, text)
			}
		}
		for _, hidden := range s.lacks {
			if strings.Contains(text, hidden) {
				b.t.Errorf("%s: %s %s: %q in %s", client, s.method, s.name, hidden, text)
			}
		}
	}
	b.holds(client, before, steps)
}

// answers returns what came of each step, as JSON: a result, or an error.
func (b *bench) answers(client, as string, gateway []string, steps []step) []string {
	b.t.Helper()
	var all []string
	if client == "inspector" {
		for i := range steps {
			line := append([]string{peers.Script(b.t, "@modelcontextprotocol/inspector"), "--cli"}, steps[i].flags()...)
			out, errOut, code := b.run(b.node, append(append(line, "--"), b.behind(as, gateway)...)...)
			if code == 0 {
				out = `{"result":` + out + `}`
			}
			all = append(all, out+errOut)
		}
		return all
	}
	requests := make([][2]any, len(steps))
	for i := range steps {
		requests[i] = [2]any{steps[i].method, steps[i].params()}
	}
	text, err := json.Marshal(requests)
	if err != nil {
		b.t.Fatal(err)
	}
	script, err := filepath.Abs(filepath.Join("testdata", "client.mjs"))
	if err != nil {
		b.t.Fatal(err)
	}
	dir := peers.Package(b.t, map[string]string{"v1": "@modelcontextprotocol/sdk", "v2": "@modelcontextprotocol/client"}[client])
	out, errOut, code := b.run(b.node, append([]string{script, client, dir, string(text)}, b.behind(as, gateway)...)...)
	var raw []json.RawMessage
	if err := json.Unmarshal([]byte(out), &raw); err != nil || code != 0 || len(raw) != len(steps) {
		b.t.Fatalf("%s: exit code %d, %v\n%s%s", client, code, err, out, errOut)
	}
	for _, r := range raw {
		all = append(all, string(r))
	}
	return all
}

// holds checks that the journal has one decision of each step, of the right kind,
// from a sequence number on; and of nothing else but lists that the client asked
// for by itself. The inspector does not send what it does not find in a list.
func (b *bench) holds(client string, from int, steps []step) {
	b.t.Helper()
	var got, want []string
	for _, r := range b.decisions(from) {
		if !strings.HasSuffix(r.Method, "/list") || r.Decision != "allow" {
			got = append(got, r.Decision+" "+r.Method+" "+r.Target)
		}
	}
	for i := range steps {
		s := &steps[i]
		if strings.HasSuffix(s.method, "/list") || client == "inspector" && s.method == "tools/call" && s.kind == "deny" {
			continue
		}
		target := s.name
		if target == "" || s.method == "resources/subscribe" {
			target = s.method
		}
		want = append(want, s.kind+" "+s.method+" "+target)
	}
	if slices.Sort(got); !slices.Equal(got, slices.Sorted(slices.Values(want))) {
		b.t.Errorf("%s: the evidence has\n%s\nwant\n%s", client, strings.Join(got, "\n"), strings.Join(slices.Sorted(slices.Values(want)), "\n"))
	}
	if out, errOut, code := b.run(b.command, "evidence", "verify", "--home", b.home); code != 0 {
		b.t.Errorf("evidence verify: exit code %d\n%s%s", code, out, errOut)
	}
}

// decisions returns the decisions in the journal from a sequence number on.
func (b *bench) decisions(from int) (all []recordLine) {
	b.t.Helper()
	for line := range strings.Lines(b.must("evidence", "list", "--json", "--home", b.home, "--from", strconv.Itoa(from))) {
		var r recordLine
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			b.t.Fatal(err)
		}
		if r.Kind == "decision" {
			all = append(all, r)
		}
	}
	return all
}

// must runs the command, which has to succeed, and returns what it printed.
func (b *bench) must(args ...string) string {
	b.t.Helper()
	out, errOut, code := b.run(b.command, args...)
	if code != 0 {
		b.t.Fatalf("touchmark %s: exit code %d\n%s%s", strings.Join(args, " "), code, out, errOut)
	}
	return out
}

// rejects runs the command, which has to end with the code and say the text.
func (b *bench) rejects(code int, text string, args ...string) {
	b.t.Helper()
	out, errOut, got := b.run(b.command, args...)
	if got != code || !strings.Contains(out+errOut, text) {
		b.t.Errorf("touchmark %s: exit code %d\n%s%s", strings.Join(args, " "), got, out, errOut)
	}
}

// imported imports a published policy, adds to it, and returns the name of the file.
func (b *bench) imported(source, added string, flags ...string) string {
	b.t.Helper()
	name := filepath.Join(b.t.TempDir(), "policy.yaml")
	b.must(append([]string{"policy", "import", filepath.Join("testdata", "published", source), "--min-level", "2", "--out", name}, flags...)...)
	text, err := os.ReadFile(name)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.file(string(text) + added)
}

func (b *bench) file(text string) string {
	b.t.Helper()
	name := filepath.Join(b.t.TempDir(), "file.yaml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		b.t.Fatal(err)
	}
	return name
}

// explain asks which rule decides about a call, and whether it is allowed.
func (b *bench) explain(name, call, answer, rule string, flags ...string) {
	b.t.Helper()
	line := append([]string{"policy", "explain", "--json", "--call", b.file(call)}, flags...)
	out, errOut, _ := b.run(b.command, append(line, name)...)
	var x struct{ Answer, Rule string }
	if err := json.Unmarshal([]byte(out), &x); err != nil || x.Answer != answer || x.Rule != rule {
		b.t.Errorf("%s: %s by %q, want %s by %q\n%s", call, x.Answer, x.Rule, answer, rule, errOut)
	}
}
