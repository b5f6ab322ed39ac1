package policy

import (
	"slices"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/guard"
)

// A matcher reads a match: which capabilities a rule is about, and the conditions on everything else.
type matcher struct {
	file   *file
	deny   bool
	kinds  bool // whether it may name capabilities, methods and verbs
	kind   guard.Kind
	names  []glob
	caller bool // whether it may not name a caller: the role does

	conditions []condition
	canonical  map[string]any
}

// kindNames are the members that name capabilities.
var kindNames = map[string]guard.Kind{
	"tool": guard.KindTool, "prompt": guard.KindPrompt, "resource": guard.KindResource,
	"resource_template": guard.KindTemplate, "custom_method": guard.KindMethod,
}

func (m *matcher) read(n *yaml.Node, what string) error {
	m.canonical = make(map[string]any)
	err := mapping(n, what, func(name string, key, value *yaml.Node) (bool, error) {
		if kind, ok := kindNames[name]; ok && m.kinds {
			return true, m.readNames(kind, name, key, value)
		}
		return m.readCondition(name, value)
	})
	if err == nil && len(m.canonical) == 0 {
		return at(n, "%s names nothing; write {tool: PATTERN}, or what it is to be about", what)
	}
	return err
}

func (m *matcher) readNames(kind guard.Kind, name string, key, value *yaml.Node) (err error) {
	if m.kind != "" {
		return at(key, "match names %s and %s; write a rule for each", m.kind, kind)
	}
	m.kind = kind
	m.names, m.canonical[name], err = patterns(value, name)
	return err
}

// readCondition reads one of the members that are not about names.
func (m *matcher) readCondition(name string, value *yaml.Node) (known bool, err error) {
	c := condition{name: name, line: value.Line}
	switch name {
	case "verb", "method":
		if !m.kinds {
			return false, nil
		}
		if name == "verb" {
			c.what, err = aboutVerb, c.readSet(value, verbNames)
			break
		}
		c.what = aboutMethod
		c.globs, c.value, err = patterns(value, name)
	case "actor":
		c.what, err = aboutActor, c.readSet(value, actorNames)
	case "environment":
		c.what = aboutEnvironment
		c.globs, c.value, err = patterns(value, name)
	case "tenant":
		c.what = aboutTenant
		c.globs, c.value, err = patterns(value, name)
	case "servers", "servers_not_in":
		c.what, c.negated = aboutServer, name == "servers_not_in"
		c.globs, c.value, err = patterns(value, name)
	case "risk_tags":
		c.what, err = aboutTags, m.readTags(&c, value)
	case "time":
		c.what, err = aboutTime, c.readWindows(value)
	case "labels":
		return true, m.readLabels(value)
	case "caller":
		if m.caller {
			return false, nil
		}
		return true, m.readCallers(value)
	case "arguments":
		return true, m.readTests(value, name, aboutArguments)
	default:
		return false, nil
	}
	m.add(c)
	return true, err
}

func (m *matcher) add(c condition) {
	m.canonical[c.name] = c.value
	m.conditions = append(m.conditions, c)
}

// The names of verbs and actors, at the bit of their values.
var (
	verbNames  = []string{guard.Discover: "discover", guard.Invoke: "invoke"}
	actorNames = []string{"", string(actors[0]), string(actors[1]), string(actors[2]), string(actors[3])}
	levelNames = []string{
		badge.LevelSelfSigned: "0", badge.LevelRegistered: "1", badge.LevelDomain: "2",
		badge.LevelOrganization: "3", badge.LevelExtended: "4",
	}
)

// readSet reads one name or a list of names.
func (c *condition) readSet(n *yaml.Node, names []string) error {
	err := each(n, c.name, func(n *yaml.Node) error {
		s := n.Value
		if tag := n.ShortTag(); n.Kind != yaml.ScalarNode || tag != "!!str" && tag != "!!int" {
			s = ""
		}
		i := slices.Index(names, s)
		if i < 0 || s == "" {
			return at(n, "%s %q is not one of %s", c.name, n.Value, strings.Join(slices.DeleteFunc(slices.Clone(names), empty), ", "))
		}
		c.set |= 1 << i
		return nil
	})
	var all []any
	for i, name := range names {
		if c.set&(1<<i) != 0 {
			all = append(all, name)
		}
	}
	c.value = single(all)
	return err
}

func empty(s string) bool { return s == "" }

// each calls use for a scalar, or for each entry of a list that has some.
func each(n *yaml.Node, what string, use func(*yaml.Node) error) error {
	if n.Kind != yaml.SequenceNode {
		return use(n)
	}
	if len(n.Content) == 0 || len(n.Content) > maxList {
		return at(n, "%s is a list of %d entries; want 1 to %d", what, len(n.Content), maxList)
	}
	for _, c := range n.Content {
		if err := use(c); err != nil {
			return err
		}
	}
	return nil
}

// single writes a list of one as its entry.
func single(all []any) any {
	if len(all) == 1 {
		return all[0]
	}
	return all
}

// patterns reads a pattern or a list of patterns.
func patterns(n *yaml.Node, what string) (globs []glob, value any, err error) {
	var all []any
	err = each(n, what, func(n *yaml.Node) error {
		s, err := text(n, what)
		if err != nil {
			return err
		}
		g, err := parseGlob(s)
		if err != nil {
			return at(n, "%v", err)
		}
		globs, all = append(globs, g), append(all, s)
		return nil
	})
	return globs, single(all), err
}

// plainText reads a string of 1 to 256 bytes in which everything shows.
func plainText(n *yaml.Node, what string) (string, error) {
	s, err := text(n, what)
	if err != nil {
		return "", err
	}
	if s == "" || len(s) > MaxGlobBytes {
		return "", at(n, "%s has 1 to %d bytes", what, MaxGlobBytes)
	}
	for _, c := range s {
		if !unicode.IsPrint(c) {
			return "", at(n, "%s %q has a control character or one that does not show, %U", what, s, c)
		}
	}
	return s, nil
}
