package policy

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/touchmark-dev/touchmark/guard"
)

// readGovernance reads rules on labels, risk tags and server lists.
func (r *importer) readGovernance(root *yaml.Node) error {
	r.ids = make(map[string]bool)
	r.out.WriteString("rules:\n")
	return mapping(root, "the file", func(name string, _, value *yaml.Node) (bool, error) {
		switch name {
		case "version":
			if value.Value != "v1" && value.Value != "1" {
				return true, at(value, "version %q of such a policy is not known; there is v1", value.Value)
			}
			return true, nil
		case "rules":
		default:
			return false, nil
		}
		if value.Kind != yaml.SequenceNode {
			return true, at(value, "rules is not a list")
		}
		for i, n := range value.Content {
			if err := r.importRule(n, i+1); err != nil {
				return true, err
			}
		}
		return true, nil
	})
}

func (r *importer) importRule(n *yaml.Node, number int) error {
	members := make(map[string]*yaml.Node)
	err := mapping(n, "a rule", func(name string, _, value *yaml.Node) (bool, error) {
		members[name] = value
		return true, nil
	})
	if err != nil {
		return err
	}
	if members["decision"] == nil {
		return at(n, "a rule has no decision")
	}
	d := &draft{node: n, match: map[string]any{}, limits: map[string]any{}}
	id := r.ruleID(n, members["id"], number)
	d.what = fmt.Sprintf("rule %q", id)
	d.decision = r.weigh(members["decision"], d.what)
	if err := r.importMembers(d, n, members); err != nil {
		return err
	}
	return r.writeRule(d, id)
}

// importMembers reads match before what can narrow it.
func (r *importer) importMembers(d *draft, n *yaml.Node, members map[string]*yaml.Node) error {
	for _, part := range []struct {
		name string
		read func(*draft, *yaml.Node) error
	}{{"match", r.importMatch}, {"mcp", r.importServers}, {"constraints", r.importConstraints}} {
		if value := members[part.name]; value != nil {
			if err := part.read(d, value); err != nil {
				return err
			}
		}
	}
	return mapping(n, "a rule", func(name string, key, _ *yaml.Node) (bool, error) {
		switch name {
		case "id", "decision", "match", "mcp", "constraints":
		case "description", "name":
			r.note(key, NoteDropped, "%s, which decides nothing", name)
		default:
			r.lose(d, key, "%q is not known", name)
		}
		return true, nil
	})
}

func (r *importer) writeRule(d *draft, id string) error {
	if len(d.match) == 0 {
		d.match["verb"] = []string{"discover", "invoke"} // everything
	}
	switch {
	case d.lost != nil:
		return nil
	case d.decision == guard.AllowWithConstraints && len(d.limits) == 0:
		r.note(d.node, NoteDropped, "%s allows with constraints and has none that is left; it is left out", d.what)
		return nil
	}
	if err := d.fits(); err != nil {
		if d.decision == guard.Deny {
			return at(d.node, "%s cannot be expressed: %v; change it in the source", d.what, err)
		}
		r.note(d.node, NoteDropped, "%s cannot be expressed, and is left out: %v", d.what, err)
		return nil
	}
	common, err := r.common(d)
	if err != nil {
		return err
	}
	r.rules++
	fmt.Fprintf(&r.out, "  - id: %s\n    match: %s\n    %s\n", id, flow(d.match), strings.Join(common, "\n    "))
	return nil
}

// ruleID keeps an id as far as it can be one.
func (r *importer) ruleID(n, id *yaml.Node, number int) string {
	s := fmt.Sprintf("rule-%d", number)
	if id != nil && id.Kind == yaml.ScalarNode {
		n = id
		if _, err := identifier(id); err == nil && !r.ids[id.Value] {
			s = id.Value
		}
	}
	for r.ids[s] {
		s += "-"
	}
	r.ids[s] = true
	if id == nil || s != id.Value {
		r.note(n, NoteChanged, "the rule has no id that can be one, or has that of another; it is %q", s)
	}
	return s
}

// Names that labels have in the source and that this format has members for.
const (
	labelServer = "mcp.server"
	labelTool   = "mcp.tool"
)

func (r *importer) importMatch(d *draft, n *yaml.Node) error {
	var servers *yaml.Node
	err := mapping(n, "match", func(name string, key, value *yaml.Node) (bool, error) {
		switch name {
		case "labels":
			return true, r.importLabels(d, value)
		case "mcp":
			servers = value
		case "risk_tags":
			tags, err := texts(value)
			if err != nil {
				r.lose(d, key, "risk_tags is not a list of strings")
				return true, nil
			}
			d.match[name] = tags
			r.note(value, NoteNeeded, "the file does not say what has the risk tags %s; declare it under capabilities", flow(tags))
		default:
			r.lose(d, key, "a condition on %q is not known", name)
		}
		return true, nil
	})
	if err != nil || servers == nil {
		return err
	}
	return r.importServers(d, servers)
}

func (r *importer) importLabels(d *draft, n *yaml.Node) error {
	labels := map[string]any{}
	err := mapping(n, "labels", func(name string, key, value *yaml.Node) (bool, error) {
		values, err := texts(value)
		switch {
		case err != nil:
			r.lose(d, key, "label %q is not a string or a list of strings", name)
		case name == labelServer:
			d.match["servers"] = values
		case name == labelTool:
			d.match["tool"] = values
		default:
			labels[name] = values
			r.note(value, NoteNeeded, "the file does not say what has the label %s; declare it under capabilities", flow(map[string]any{name: values}))
		}
		return true, nil
	})
	if len(labels) > 0 {
		d.match["labels"] = labels
	}
	return err
}

func (r *importer) importServers(d *draft, n *yaml.Node) error {
	return mapping(n, "mcp", func(name string, key, value *yaml.Node) (bool, error) {
		servers, err := texts(value)
		switch {
		case name != "deny_servers_not_in" || err != nil:
			r.lose(d, key, "%q of mcp is not known, or not a list of strings", name)
		case d.decision == guard.Deny:
			d.match["servers_not_in"] = servers
		case d.match["servers"] != nil:
			r.lose(d, key, "%s in %s, which does not deny and names servers", name, d.what)
		default:
			d.match["servers"] = servers
			r.note(key, NoteChanged, "%s does not deny: it is about these servers alone, and nothing else denies the others", d.what)
		}
		return true, nil
	})
}

func (r *importer) importConstraints(d *draft, n *yaml.Node) error {
	if d.decision == guard.Deny {
		r.note(n, NoteDropped, "%s denies, so constraints mean nothing", d.what)
		return nil
	}
	if d.decision == guard.Allow {
		d.decision = guard.AllowWithConstraints
		r.note(n, NoteChanged, "%s has constraints: it allows with them", d.what)
	}
	return mapping(n, "constraints", func(name string, key, value *yaml.Node) (bool, error) {
		switch {
		case !slices.Contains(constraintNames[:], name):
			r.lose(d, key, "nothing here knows the constraint %s", name)
		case name == "network_allowlist":
			hosts, err := readHosts(value)
			if err != nil {
				r.lose(d, key, "%v", reason(err))
				return true, nil
			}
			d.limits[name] = hosts
			r.note(key, NoteNeeded, "%s is accepted only where something enforces it; remove it where nothing does", name)
		default:
			count, err := readCount(value, name)
			if err != nil {
				r.lose(d, key, "%s is not a number", name)
				return true, nil
			}
			d.limits[name] = count
			r.note(key, NoteNeeded, "%s is accepted only where something enforces it; remove it where nothing does", name)
		}
		return true, nil
	})
}
