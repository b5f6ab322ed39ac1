package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/guard"
)

// decide is what spec/policy.md says of a whole file: classes, final levels, and rules in shadow.
func (f *reference) decide(c *Call, require badge.Level) guard.Decision {
	known := *c
	actor := f.actor(c)
	if known.Facts.Actor = actor; actor == guard.ActorUnclear {
		known.Facts.Actor = ""
	}
	var all, enforced []map[string]any
	for _, r := range f.file["rules"].([]any) {
		rule := r.(map[string]any)
		all = append(all, rule)
		if rule["shadow"] != true && f.file["shadow"] != true {
			enforced = append(enforced, rule)
		}
	}
	d, _ := f.decideBy(enforced, &known)
	other, best := f.decideBy(all, &known)
	if d.Rule != "_methods" && !cmp.Equal(anyRule(d), anyRule(other)) {
		d.Shadow = &guard.Shadowed{
			Rule: f.tried(all, enforced, []string{other.Rule, best}, &known), Kind: other.Kind, MinLevel: other.MinLevel,
			Anonymous: other.Anonymous, Constraints: other.Constraints,
		}
	}
	if f.file["actors"] != nil {
		d.Actor = actor
	}
	d.Final = f.isFinal(all, &known, require)
	d.About = f.about(c)
	return d
}

// anyRule is a decision without whose it is.
func anyRule(d guard.Decision) guard.Decision {
	d.Rule = ""
	return d
}

// tried is the name of a rule in shadow: one of those given, or the first that restricts.
func (f *reference) tried(all, enforced []map[string]any, first []string, c *Call) string {
	for _, id := range first {
		isIt := func(r map[string]any) bool { return r["id"] == id }
		if slices.ContainsFunc(all, isIt) && !slices.ContainsFunc(enforced, isIt) {
			return id
		}
	}
	for _, r := range all {
		isIt := func(e map[string]any) bool { return r["id"] == e["id"] }
		if slices.ContainsFunc(enforced, isIt) || r["decision"] == "allow" || r["decision"] == "deny" {
			continue
		}
		if f.match(r, c) != no {
			return r["id"].(string)
		}
	}
	return "nobody's"
}

func (f *reference) actor(c *Call) guard.Actor {
	said := map[guard.Actor]bool{}
	if c.Facts.Disputed {
		return guard.ActorUnclear
	}
	if c.Facts.Actor != "" {
		if !slices.Contains(actors[:], c.Facts.Actor) {
			return guard.ActorUnclear
		}
		said[c.Facts.Actor] = true
	}
	entries, _ := f.file["actors"].([]any)
	for _, e := range entries {
		entry := e.(map[string]any)
		if f.condition("caller", entry["caller"], c, false) == yes {
			said[guard.Actor(entry["actor"].(string))] = true
		}
	}
	for actor := range said {
		if len(said) > 1 {
			return guard.ActorUnclear
		}
		return actor
	}
	return ""
}

// isFinal: the annotation asks for a final level, or there is a rule of one that names the capability, and whose
// conditions on what is used may hold.
func (f *reference) isFinal(all []map[string]any, c *Call, require badge.Level) bool {
	if f.file["final_levels"] == nil {
		return false
	}
	final := func(level string) bool {
		return slices.ContainsFunc(list(f.file["final_levels"]), func(l any) bool { return fmt.Sprint(l) == level })
	}
	if require == guard.LevelUnsatisfiable || final(require.String()) {
		return true
	}
	for _, r := range all {
		if !final(asText(r["min_level"])) {
			continue
		}
		what := map[string]any{}
		for member, v := range r["match"].(map[string]any) {
			if !slices.Contains([]string{"caller", "actor", "tenant", "environment", "arguments", "time"}, member) {
				what[member] = v
			}
		}
		if f.match(map[string]any{"match": what, "decision": r["decision"]}, c) != no {
			return true
		}
	}
	return false
}

func (f *reference) about(c *Call) *guard.Description {
	var d *guard.Description
	values := map[string][]string{}
	all, _ := f.file["capabilities"].([]any)
	for _, one := range all {
		entry := one.(map[string]any)
		for name, kind := range kindNames {
			if p, ok := entry[name]; !ok || kind != c.Capability.Kind || !globs(p, c.Capability.Name) {
				continue
			}
			if d == nil {
				d = &guard.Description{}
			}
			if entry["risk_tags"] != nil {
				for _, tag := range list(entry["risk_tags"]) {
					d.RiskTags = append(d.RiskTags, tag.(string))
				}
			}
			labels, _ := entry["labels"].(map[string]any)
			for label, value := range labels {
				values[label] = append(values[label], value.(string))
			}
		}
	}
	if d == nil {
		return nil
	}
	slices.Sort(d.RiskTags)
	d.RiskTags = slices.Compact(d.RiskTags)
	for label, all := range values {
		if d.Labels == nil {
			d.Labels = map[string]string{}
		}
		slices.Sort(all)
		d.Labels[label] = strings.Join(slices.Compact(all), ",")
	}
	return d
}
