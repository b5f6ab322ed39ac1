package policy

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/guard"
)

const callsEach = 20 // on each random policy

// TestReference: a compiled policy and the reference agree on every random policy and call, so that nothing is
// allowed that no rule allows. TOUCHMARK_SOAK=1 tries a million calls.
func TestReference(t *testing.T) {
	rounds := 400
	if os.Getenv("TOUCHMARK_SOAK") != "" {
		rounds = 50_000
	}
	counts, refused := map[string]int{}, 0
	for seed := range uint64(rounds) {
		g := &generator{rand.New(rand.NewPCG(seed, 1))}
		text, err := json.Marshal(g.file())
		if err != nil {
			t.Fatal(err)
		}
		p, err := (&Config{Enforces: ConstraintNames()}).Parse(text)
		if err != nil && strings.Contains(err.Error(), "never in shadow") {
			refused++
			continue
		}
		if err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, text)
		}
		var tree map[string]any
		if err := json.Unmarshal(text, &tree); err != nil {
			t.Fatal(err)
		}
		for range callsEach {
			c := g.call()
			require := pick(g, badge.LevelNone, badge.LevelNone, badge.LevelNone, badge.LevelOrganization, guard.LevelUnsatisfiable)
			want := (&reference{tree}).decide(c, require)
			want.Version = p.Version()
			if diff := cmp.Diff(want, p.decide(&question{call: *c, require: require})); diff != "" {
				t.Fatalf("seed %d, want -, got +:\n%s\n%s\n%+v %s %s", seed, diff, text, c, c.Arguments, c.Facts.Claims)
			}
			if x := p.Explain(c); x.Decision.Rule != want.Rule || x.Decision.Kind != want.Kind {
				t.Fatalf("seed %d: explained %+v, want %+v", seed, x.Decision, want)
			}
			counts[fmt.Sprint(want.Kind, want.NoRule)]++
			for what, is := range map[string]bool{
				"changed by a rule in shadow": want.Shadow != nil, "final": want.Final, "of a class": want.Actor.Known(),
				"of an unclear class": want.Actor == guard.ActorUnclear, "described": want.About != nil,
			} {
				if is {
					counts[what]++
				}
			}
		}
	}
	if refused < rounds/50 || refused > rounds/4 {
		t.Errorf("%d of %d policies refused for what is in shadow", refused, rounds)
	}
	for kind, n := range counts {
		if n < rounds*callsEach/200 {
			t.Errorf("only %d of %d decisions were %s: the generator is one-sided", n, rounds*callsEach, kind)
		}
	}
	if len(counts) != 10 {
		t.Errorf("decisions of %d sorts, want 10", len(counts))
	}
}

// A generator makes random files and calls from a few words, so that they meet.
type generator struct{ *rand.Rand }

func pick[T any](g *generator, all ...T) T { return all[g.IntN(len(all))] }

func (g *generator) some(p float64) bool { return g.Float64() < p }

var nameWords = []string{"read", "read_file", "read_é", "write", "write_x", "x_wipe", "a.b", "", "wipe"}

func (g *generator) pattern() string {
	return pick(g, "*", "read*", "*_wipe", "r*e", "*e*", "write_?", "read_file", "write", "x_wipe", "?*", "a.b", "*é", "zzz")
}

func (g *generator) patterns() any {
	if g.some(0.7) {
		return g.pattern()
	}
	return []any{g.pattern(), g.pattern()}
}

func (g *generator) file() map[string]any {
	f := map[string]any{"version": 1}
	var rules []any
	for i := range 1 + g.IntN(8) {
		rules = append(rules, g.rule(fmt.Sprintf("r%d", i)))
	}
	f["rules"] = rules
	if g.some(0.6) {
		var all []any
		for range 1 + g.IntN(4) {
			d := map[string]any{pick(g, "tool", "tool", "resource"): g.patterns()}
			if g.some(0.7) {
				d["labels"] = map[string]any{pick(g, "action", "data"): pick(g, "read", "write")}
			}
			if g.some(0.6) {
				d["risk_tags"] = pick[any](g, "prod", []any{"prod", "pii"}, "pii")
			}
			all = append(all, d)
		}
		f["capabilities"] = all
	}
	if g.some(0.4) {
		var all []any
		for range 1 + g.IntN(3) {
			all = append(all, map[string]any{"caller": pick[any](g, g.caller(), []any{g.caller(), g.caller()}), "actor": pick(g, "human", "automation")})
		}
		f["actors"] = all
	}
	if g.some(0.3) {
		f["final_levels"] = pick[any](g, 3, []any{"3", 4}, "4", []any{0, 1, 2, 3, 4})
	}
	if g.some(0.03) {
		f["shadow"] = true
	}
	if g.some(0.1) {
		f["_methods"] = map[string]any{"tools/call": "evaluate", "tools/list": "filter", "_other": "deny", "prompts/get": "deny"}
	}
	return f
}

func (g *generator) rule(id string) map[string]any {
	r := map[string]any{"id": id, "match": g.match()}
	if g.some(0.15) {
		r["shadow"] = true
	}
	switch d := pick(g, "deny", "allow", "allow", "allow", "allow", "allow", "require_approval", "allow_with_constraints"); d {
	case "deny":
		r["decision"] = d
	default:
		r["decision"] = d
		if d != "require_approval" && g.some(0.2) {
			r["anonymous"] = true
		} else {
			r["min_level"] = strconv.Itoa(g.IntN(5))
		}
		if d == "allow_with_constraints" || d == "require_approval" && g.some(0.3) {
			r["constraints"] = map[string]any{"max_runtime_sec": 1 + g.IntN(30)}
		}
	}
	return r
}

func (g *generator) match() map[string]any {
	m := map[string]any{}
	if g.some(0.85) {
		m[pick(g, "tool", "tool", "tool", "tool", "resource", "prompt", "resource_template", "custom_method")] = g.patterns()
	}
	for g.some(0.45) || len(m) == 0 {
		switch g.IntN(14) {
		case 0:
			m["verb"] = pick[any](g, "invoke", "discover", []any{"invoke", "discover"})
		case 1:
			m["method"] = pick[any](g, "tools/*", "tools/call", "tools/list", []any{"resources/read", "prompts/get"})
		case 2:
			m["labels"] = map[string]any{pick(g, "action", "data", "nothing"): pick[any](g, "read", "w*", []any{"read", "write"}, "none")}
		case 3:
			m["risk_tags"] = pick[any](g, "prod", []any{"prod", "pii"}, "pii", "never")
		case 4:
			m["servers"] = pick[any](g, "github", "*", []any{"jira", "git*"})
		case 5:
			m["servers_not_in"] = pick[any](g, "github", []any{"jira", "git*"})
		case 6:
			m["caller"] = pick[any](g, g.caller(), []any{g.caller(), g.caller()}, []any{})
		case 7:
			m["actor"] = pick[any](g, "human", []any{"human", "automation"})
		case 8:
			m["tenant"] = pick[any](g, "acme", "a*")
		case 9:
			m["environment"] = pick[any](g, "prod", []any{"dev", "prod"})
		case 10:
			w := map[string]any{"days": pick[any](g, "mon", []any{"tue", "sat"})}
			if g.some(0.6) {
				w["hours"] = pick(g, "08:00-18:00", "00:00-12:30", "12:00-24:00")
			}
			m["time"] = w
		default:
			m["arguments"] = g.tests()
		}
	}
	return m
}

func (g *generator) caller() map[string]any {
	c := map[string]any{}
	for len(c) == 0 || g.some(0.3) {
		switch g.IntN(9) {
		case 0:
			c["anonymous"] = g.some(0.5)
		case 1:
			c["did"] = pick[any](g, "did:web:a.example", "did:web:*", []any{"did:key:*", "did:web:b.example"})
		case 2:
			c["level"] = pick[any](g, "2", []any{"1", "3"})
		case 3:
			c["assurance"] = "1"
		case 4:
			c["issuer"] = pick[any](g, "https://ca.example", "https://*")
		case 5:
			c["spiffe_id"] = "spiffe://a.example/*"
		case 6:
			c["uid"] = pick[any](g, 1000, []any{0, 1000})
		case 7:
			c["badge_actor"], c["issuer"] = pick[any](g, "human", []any{"human", "automation"}), "https://*"
		default:
			c["claims"] = g.tests()
		}
	}
	return c
}

func (g *generator) tests() []any {
	var all []any
	for range 1 + g.IntN(2) {
		op := pick(g, "eq", "in", "lt", "gt", "prefix", "glob", "matches", "exists", "type", "eq")
		values := map[string][]any{
			"eq": {"a", "/data/x", 1, 2.5, true, false}, "in": {[]any{"a", "b"}, []any{1, 2}}, "lt": {2, -1.5}, "gt": {1, 0},
			"prefix": {"/data/", "a"}, "glob": {"/data/*", "?"}, "matches": {"[a-z]+", "/data/[^.]*|b", "a|b"},
			"exists": {true, false}, "type": {"string", "integer", "number", "object", "array", "null", "boolean"},
		}
		all = append(all, map[string]any{"pointer": pick(g, "/path", "/n", "/list/1", "/a~1b/c", "", "/list"), op: pick(g, values[op]...)})
	}
	return all
}

func (g *generator) document() json.RawMessage {
	scalar := func() string {
		return pick(g, `"a"`, `"/data/x"`, `"\/data\/x"`, `"b"`, `1`, `1.0`, `2`, `2.5`, `-3`, `9007199254740993`, `1e400`, `1e2`, `true`,
			`false`, `null`, `[]`, `{}`, `"é"`, `0.1e1`, `"\u0061"`, `12345678901234567`, `[1,"a"]`)
	}
	if g.some(0.1) {
		return pick(g, nil, json.RawMessage(`{"path":`), json.RawMessage(`[1]`), json.RawMessage(` "a" `), json.RawMessage(`{}`))
	}
	text := "{"
	for i, name := range []string{`"path"`, `"n"`, `"list"`, `"a/b"`, `"PATH"`, `"p\u0061th2"`, `"N"`} {
		if g.some(map[bool]float64{true: 0.7, false: 0.05}[i < 4]) {
			value := scalar()
			switch i {
			case 2:
				value = "[" + scalar() + " , " + scalar() + "]"
			case 3:
				value = `{"c" : ` + scalar() + "}"
			}
			if text != "{" {
				text += ","
			}
			text += name + ":" + value
		}
	}
	return json.RawMessage(text + "}")
}

func (g *generator) call() *Call {
	c := &Call{
		Verb: guard.Invoke, Method: "tools/call", Arguments: g.document(),
		Capability: guard.Capability{Kind: guard.KindTool, Name: pick(g, nameWords...)},
		Time:       time.Date(2026, 11, 21+g.IntN(7), g.IntN(24), g.IntN(60), 0, 0, time.UTC),
	}
	if g.some(0.25) {
		c.Capability.Kind = pick(g, guard.KindResource, guard.KindPrompt, guard.KindTemplate, guard.KindMethod)
		c.Method = pick(g, "resources/read", "prompts/get", "completion/complete", "x/custom")
	}
	if g.some(0.2) {
		c.Verb, c.Method, c.Arguments = guard.Discover, pick(g, "tools/list", "resources/list"), nil
	}
	if g.some(0.7) {
		c.Caller.Level = badge.LevelSelfSigned + badge.Level(g.IntN(5))
		c.Caller.DID = pick(g, "did:web:a.example", "did:web:b.example", "did:key:z6Mk")
		c.Caller.Issuer, c.Caller.Assurance = "https://ca.example", pick(g, "0", "1")
		c.Caller.BadgeActor = pick(g, "", "human", "automation", "service_account")
	}
	if g.some(0.4) {
		c.Caller.SPIFFEID = pick(g, "spiffe://a.example/x", "spiffe://b.example/x")
	}
	if g.some(0.4) {
		c.Caller.UID, c.Caller.HasUID = pick[uint32](g, 0, 1000, 1001), true
	}
	if g.some(0.5) {
		c.Facts = guard.Facts{
			Server: pick(g, "github", "jira", "other"), Environment: pick(g, "prod", "dev", "test"), Tenant: pick(g, "acme", "b"),
			Actor: pick(g, "", guard.ActorHuman, guard.ActorAutomation, guard.ActorServiceAccount, guard.ActorUnclear, "robot"),
		}
	}
	c.Facts.Disputed = g.some(0.05)
	if g.some(0.4) {
		c.Facts.Claims = g.document()
	}
	return c
}
