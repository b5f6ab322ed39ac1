package policy

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/touchmark-dev/touchmark/guard"
)

// readRoles reads roles: grants for the callers that are members.
func (f *file) readRoles(n *yaml.Node) error {
	return mapping(n, "roles", func(name string, key, value *yaml.Node) (bool, error) {
		if _, err := identifier(key); err != nil {
			return true, err
		}
		return true, f.readRole(name, value)
	})
}

func (f *file) readRole(role string, n *yaml.Node) error {
	sections := make(map[string]*yaml.Node)
	err := mapping(n, "a role", func(name string, _, value *yaml.Node) (bool, error) {
		sections[name] = value
		switch name {
		case "description":
			_, err := text(value, name)
			return true, err
		case "members", "grants":
			return true, nil
		}
		return false, nil
	})
	members, grants := sections["members"], sections["grants"]
	switch {
	case err != nil:
		return err
	case members == nil:
		return at(n, "role %q has no members; write a list of callers, which may be empty", role)
	case members.Kind != yaml.SequenceNode:
		return at(members, "members is not a list of callers")
	case grants == nil || grants.Kind != yaml.SequenceNode || len(grants.Content) == 0:
		return at(n, "role %q has no list of grants", role)
	}
	for i, g := range grants.Content {
		r, err := f.readGrant(role+"."+strconv.Itoa(i+1), members, g)
		if err != nil {
			return err
		}
		if err := f.add(g, r); err != nil {
			return err
		}
	}
	return nil
}

func (f *file) readGrant(id string, members, n *yaml.Node) (rule, error) {
	r := rule{id: id, canonical: map[string]any{}}
	have := make(map[string]*yaml.Node, 6)
	err := mapping(n, "a grant", func(name string, _, value *yaml.Node) (known bool, err error) {
		have[name] = value
		switch name {
		case "capability", "actions", "conditions", "constraints", "shadow": // need the decision, or each other
			return true, nil
		}
		return r.readCommon(name, value)
	})
	if err != nil {
		return rule{}, err
	}
	for _, name := range []string{"capability", "decision"} {
		if have[name] == nil {
			return rule{}, at(n, "a grant has no %s", name)
		}
	}
	m := &matcher{file: f, deny: r.decision == guard.Deny, caller: true, canonical: map[string]any{}}
	if c := have["conditions"]; c != nil {
		if err := m.read(c, "conditions"); err != nil {
			return rule{}, err
		}
	}
	if err := m.readGranted(have["capability"], have["actions"]); err != nil {
		return rule{}, err
	}
	if err := m.readCallers(members); err != nil {
		return rule{}, err
	}
	r.take(m)
	return r, f.complete(&r, n, have)
}

// actions are the methods of what may be done with a kind of capability.
var actions = map[guard.Kind]map[string][]string{
	guard.KindTool:   {"execute": {"tools/call"}},
	guard.KindPrompt: {"get": {"prompts/get"}, "complete": {"completion/complete"}},
	guard.KindResource: {
		"read": {"resources/read"}, "subscribe": {"resources/subscribe", "resources/unsubscribe", "subscriptions/listen"},
	},
	guard.KindTemplate: {"complete": {"completion/complete"}},
}

// readGranted reads the capability of a grant, as in tool:NAME, and what may be done with it.
func (m *matcher) readGranted(capability, does *yaml.Node) error {
	s, err := text(capability, "capability")
	if err != nil {
		return err
	}
	kind, name, ok := strings.Cut(s, ":")
	if !ok || actions[guard.Kind(kind)] == nil {
		return at(capability, "capability %q is not one of %s, a colon and a pattern", s,
			strings.Join(slices.Sorted(maps.Keys(actionNames())), ", "))
	}
	g, err := parseGlob(name)
	if err != nil {
		return at(capability, "%v", err)
	}
	m.kind, m.names, m.canonical[kind] = guard.Kind(kind), []glob{g}, name
	if does == nil {
		return nil
	}
	c := condition{name: "method", line: does.Line, what: aboutMethod}
	var all []any
	err = each(does, "actions", func(n *yaml.Node) error {
		methods := actions[m.kind][n.Value]
		if n.Kind != yaml.ScalarNode || methods == nil {
			return at(n, "%q is no action on a %s; there are %s", n.Value, kind,
				strings.Join(slices.Sorted(maps.Keys(actions[m.kind])), ", "))
		}
		for _, method := range methods {
			c.globs, all = append(c.globs, glob{text: method, shape: shapeLiteral}), append(all, method)
		}
		return nil
	})
	c.value = single(all)
	m.add(c)
	return err
}

func actionNames() map[string]bool {
	names := make(map[string]bool)
	for kind := range actions {
		names[string(kind)] = true
	}
	return names
}
