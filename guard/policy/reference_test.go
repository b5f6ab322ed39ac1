package policy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/guard"
)

// A reference decides by spec/policy.md as it is written down, over the file as JSON, rule by rule, with no index and
// nothing compiled. Trees are what encoding/json makes of a text.
type reference struct{ file map[string]any }

// decideBy returns the decision of some of the rules, and the rule that goes before all others that match.
func (f *reference) decideBy(rules []map[string]any, c *Call) (d guard.Decision, best string) {
	if table, ok := f.file["_methods"].(map[string]any); ok && !slices.Contains([]any{"evaluate", "filter"}, table[c.Method]) {
		return guard.Decision{Kind: guard.Deny, Rule: "_methods"}, ""
	}
	type hit struct {
		rule map[string]any
		t    truth
	}
	var hits []hit
	for _, rule := range rules {
		if t := f.match(rule, c); t != no {
			hits = append(hits, hit{rule, t})
		}
	}
	strictness := []string{"deny", "require_approval", "allow_with_constraints", "allow"}
	var winner map[string]any
	kind, level := "", ""
	for _, h := range hits { // the rules that match
		if h.t == yes && h.rule["decision"] != "deny" {
			other := slices.Index(strictness, h.rule["decision"].(string)) - slices.Index(strictness, kind)
			if winner == nil || other < 0 || other == 0 && asText(h.rule["min_level"]) < level {
				winner, kind, level = h.rule, h.rule["decision"].(string), asText(h.rule["min_level"])
			}
		}
	}
	for _, h := range hits {
		if h.rule["decision"] == "deny" {
			return guard.Decision{Kind: guard.Deny, Rule: h.rule["id"].(string)}, ""
		}
	}
	if winner == nil {
		return guard.Decision{NoRule: true}, ""
	}
	best = winner["id"].(string)
	for _, decision := range strictness[1:3] { // those that may match, the strictest first
		if slices.Index(strictness, decision) >= slices.Index(strictness, kind) {
			break
		}
		for _, h := range hits {
			if h.t == unknown && h.rule["decision"] == decision {
				if kind != decision {
					winner, kind = h.rule, decision
				}
				level = max(level, asText(h.rule["min_level"]))
			}
		}
	}
	d = guard.Decision{Rule: winner["id"].(string), Anonymous: level == ""}
	d.Kind = []guard.Answer{guard.Deny, guard.RequireApproval, guard.AllowWithConstraints, guard.Allow}[slices.Index(strictness, kind)]
	d.MinLevel, _ = badge.ParseLevel(level)
	for _, h := range hits {
		if c, ok := h.rule["constraints"].(map[string]any); ok {
			n := time.Duration(c["max_runtime_sec"].(float64)) * time.Second
			if d.Constraints == nil || n < d.Constraints.MaxRuntime {
				d.Constraints = &guard.Constraints{MaxRuntime: n}
			}
		}
	}
	return d, best
}

func asText(v any) string {
	if v == nil {
		return ""
	}
	return fmt.Sprint(v)
}

// list reads one or a list of several.
func list(v any) []any {
	if all, ok := v.([]any); ok {
		return all
	}
	return []any{v}
}

func globs(v any, name string) bool {
	return slices.ContainsFunc(list(v), func(p any) bool { return slow([]rune(p.(string)), []rune(name)) })
}

func (f *reference) match(rule map[string]any, c *Call) truth {
	match := rule["match"].(map[string]any)
	named := false
	for member, kind := range kindNames {
		if v, ok := match[member]; ok {
			if named = true; kind != c.Capability.Kind || !globs(v, c.Capability.Name) {
				return no
			}
		}
	}
	if !named && c.Capability.Kind == guard.KindMethod && rule["decision"] != "deny" {
		return no
	}
	t := yes
	for member, v := range match {
		if _, isKind := kindNames[member]; !isKind {
			t = min(t, f.condition(member, v, c, rule["decision"] == "deny"))
		}
	}
	return t
}

func known(s string, v any) truth {
	if s == "" {
		return unknown
	}
	return truthOf(globs(v, s))
}

func (f *reference) condition(member string, v any, c *Call, deny bool) truth {
	switch member {
	case "verb":
		return truthOf(slices.Contains(list(v), any(map[guard.Verb]string{guard.Invoke: "invoke", guard.Discover: "discover"}[c.Verb])))
	case "method":
		if c.Verb == guard.Discover && c.Method != "" && globs(v, uses(c.Capability.Kind)) && uses(c.Capability.Kind) != "" {
			return yes
		}
		return known(c.Method, v)
	case "servers":
		return known(c.Facts.Server, v)
	case "servers_not_in":
		if t := known(c.Facts.Server, v); t != unknown {
			return yes - t
		}
		return unknown
	case "environment":
		return known(c.Facts.Environment, v)
	case "tenant":
		return known(c.Facts.Tenant, v)
	case "actor":
		if c.Facts.Actor == "" {
			return unknown
		}
		return truthOf(slices.Contains(list(v), any(string(c.Facts.Actor))))
	case "caller":
		best := no
		for _, alternative := range list(v) {
			t := yes
			for name, w := range alternative.(map[string]any) {
				t = min(t, f.caller(name, w, c))
			}
			best = max(best, t)
		}
		return best
	case "labels", "risk_tags":
		return f.labels(member, v, c)
	case "time":
		return truthOf(slices.ContainsFunc(list(v), func(w any) bool { return inWindow(w.(map[string]any), c.Time.UTC()) }))
	case "arguments":
		if c.Verb == guard.Discover {
			return truthOf(!deny)
		}
		return tests(v, c.Arguments)
	}
	panic(member)
}

func inWindow(w map[string]any, t time.Time) bool {
	if days, ok := w["days"]; ok && !slices.Contains(list(days), any(strings.ToLower(t.Weekday().String()[:3]))) {
		return false
	}
	from, to, _ := strings.Cut(asText(w["hours"]), "-")
	now := t.Format("15:04")
	return w["hours"] == nil || from <= now && now < to
}

func (f *reference) caller(name string, v any, c *Call) truth {
	badgeLess := c.Caller.Level == badge.LevelNone
	switch name {
	case "anonymous":
		return truthOf(v.(bool) == badgeLess)
	case "level":
		if badgeLess {
			return unknown
		}
		return truthOf(slices.Contains(list(v), any(c.Caller.Level.String())))
	case "did":
		return known(c.Caller.DID, v)
	case "badge_actor":
		if c.Caller.BadgeActor == "" {
			return unknown
		}
		return truthOf(slices.Contains(list(v), any(c.Caller.BadgeActor)))
	case "issuer":
		return known(c.Caller.Issuer, v)
	case "assurance":
		return known(c.Caller.Assurance, v)
	case "spiffe_id":
		return known(c.Caller.SPIFFEID, v)
	case "uid":
		if !c.Caller.HasUID {
			return unknown
		}
		return truthOf(slices.Contains(list(v), any(float64(c.Caller.UID))))
	case "claims":
		return tests(v, c.Facts.Claims)
	}
	panic(name)
}

func (f *reference) labels(member string, v any, c *Call) truth {
	declared, tags, labels := false, map[any]bool{}, map[string]map[string]bool{}
	everTagged := map[any]bool{}
	all, _ := f.file["capabilities"].([]any)
	for _, one := range all {
		d := one.(map[string]any)
		for _, tag := range list(d["risk_tags"]) {
			everTagged[tag] = true
		}
		for name, kind := range kindNames {
			if p, ok := d[name]; !ok || kind != c.Capability.Kind || !globs(p, c.Capability.Name) {
				continue
			}
			declared = true
			for _, tag := range list(d["risk_tags"]) {
				tags[tag] = true
			}
			values, _ := d["labels"].(map[string]any)
			for label, value := range values {
				if labels[label] == nil {
					labels[label] = map[string]bool{}
				}
				labels[label][value.(string)] = true
			}
		}
	}
	if !declared {
		return unknown
	}
	t := yes
	if member == "risk_tags" {
		for _, tag := range list(v) {
			if !everTagged[tag] {
				return unknown
			}
			t = min(t, truthOf(tags[tag]))
		}
		return t
	}
	for label, admitted := range v.(map[string]any) {
		some, others := false, false
		for value := range labels[label] {
			some, others = some || globs(admitted, value), others || !globs(admitted, value)
		}
		switch {
		case some == others: // both, or there is no value
			t = min(t, unknown)
		case others:
			t = no
		}
	}
	return t
}

func tests(v any, text json.RawMessage) truth {
	t := yes
	var tree any
	var err error
	if len(text) > 0 {
		d := json.NewDecoder(bytes.NewReader(text))
		d.UseNumber()
		err = d.Decode(&tree)
	}
	for _, one := range v.([]any) {
		if err != nil {
			return unknown
		}
		t = min(t, testOne(one.(map[string]any), tree, len(text) > 0))
	}
	return t
}

func testOne(test map[string]any, at any, found bool) truth {
	for _, step := range strings.Split(test["pointer"].(string), "/")[1:] {
		step = strings.ReplaceAll(strings.ReplaceAll(step, "~1", "/"), "~0", "~")
		switch container := at.(type) {
		case map[string]any:
			for name := range container {
				if name != step && strings.EqualFold(name, step) {
					return unknown
				}
			}
			at, found = container[step], found && has(container, step)
		case []any:
			var i int
			_, err := fmt.Sscan(step, &i)
			if found = found && err == nil && fmt.Sprint(i) == step && 0 <= i && i < len(container); found {
				at = container[i]
			}
		default:
			found = false
		}
		if !found {
			at = nil
			break
		}
	}
	if want, ok := test["exists"]; ok {
		return truthOf(found == want.(bool))
	}
	if !found {
		return unknown
	}
	return compareOne(test, at)
}

func has(m map[string]any, name string) bool { _, ok := m[name]; return ok }

func compareOne(test map[string]any, at any) truth {
	if want, ok := test["type"]; ok {
		return typeOf(at, want.(string))
	}
	n, isNumber := at.(json.Number)
	f, exact := exactly(n)
	s, isText := at.(string)
	for op, want := range test {
		switch op {
		case "lt", "gt":
			if !isNumber || !exact {
				return unknown
			}
			return truthOf(op == "lt" && f < want.(float64) || op == "gt" && f > want.(float64))
		case "prefix", "glob", "matches":
			switch {
			case !isText || op != "prefix" && len(s) > MaxMatchedBytes:
				return unknown
			case op == "prefix":
				return truthOf(strings.HasPrefix(s, want.(string)))
			case op == "glob":
				return truthOf(globs(want, s))
			}
			return truthOf(regexp.MustCompile(`\A(?:` + want.(string) + `)\z`).MatchString(s))
		case "eq", "in":
			switch list(want)[0].(type) {
			case string:
				if !isText {
					return unknown
				}
				return truthOf(slices.Contains(list(want), at))
			case bool:
				if b, ok := at.(bool); ok {
					return truthOf(b == want)
				}
				return unknown
			}
			if !isNumber || !exact {
				return unknown
			}
			return truthOf(slices.Contains(list(want), any(f)))
		}
	}
	panic(fmt.Sprint(test))
}

// exactly reads a number of at most 15 digits.
func exactly(n json.Number) (float64, bool) {
	digits := strings.TrimLeft(strings.ReplaceAll(strings.Split(strings.ToLower(strings.TrimLeft(n.String(), "-")), "e")[0], ".", ""), "0")
	f, err := n.Float64()
	outside := digits != "" && (max(f, -f) < 1e-300 || max(f, -f) > 1e300)
	return f, err == nil && len(digits) <= 15 && len(n) <= 30 && !outside
}

func typeOf(at any, want string) truth {
	switch v := at.(type) {
	case string:
		return truthOf(want == "string")
	case bool:
		return truthOf(want == "boolean")
	case nil:
		return truthOf(want == "null")
	case []any:
		return truthOf(want == "array")
	case map[string]any:
		return truthOf(want == "object")
	case json.Number:
		f, exact := exactly(v)
		if want == "integer" {
			if !exact {
				return unknown
			}
			return truthOf(f == float64(int64(f)) || max(f, -f) >= 1e15)
		}
		return truthOf(want == "number")
	}
	panic(want)
}
