package policy

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/touchmark-dev/touchmark/guard"
)

// readProfile reads roles with grants, and _methods.
func (r *importer) readProfile(root *yaml.Node) error {
	var roles *yaml.Node
	err := mapping(root, "the file", func(name string, _, value *yaml.Node) (bool, error) {
		switch name {
		case "version":
			if value.Value != "1" {
				return true, at(value, "version %q of such a policy is not known; there is 1", value.Value)
			}
		case "roles":
			roles = value
		case "_methods":
			return true, r.importMethods(value)
		case "_settings", "defaults":
			return true, r.importSettings(value)
		default:
			return false, nil
		}
		return true, nil
	})
	if err != nil || roles == nil {
		return err
	}
	r.out.WriteString("roles:\n")
	return mapping(roles, "roles", func(name string, key, value *yaml.Node) (bool, error) {
		if _, err := identifier(key); err != nil {
			return true, err
		}
		return true, r.importRole(name, key, value)
	})
}

// settings are the values that always hold here.
var settings = map[string]string{
	"default_decision": "deny", "missing_policy": "deny", "policy_error": "deny", "unknown_capability": "deny",
	"client_claims_authoritative": "false",
}

func (r *importer) importSettings(n *yaml.Node) error {
	return mapping(n, "settings", func(name string, key, value *yaml.Node) (bool, error) {
		switch want, ok := settings[name]; {
		case !ok:
			r.note(key, NoteDropped, "the setting %s is not known", name)
		case value.Value != want:
			r.note(key, NoteChanged, "%s: %s cannot be had; it is always %s", name, value.Value, want)
		}
		return true, nil
	})
}

func (r *importer) importMethods(n *yaml.Node) error {
	methods := map[string]string{}
	err := mapping(n, "_methods", func(name string, key, value *yaml.Node) (bool, error) {
		use, class := "evaluate", guard.MethodNamed(name).Class
		if class == guard.ListMethod {
			use = "filter"
		}
		switch {
		case class == guard.OpenMethod:
			r.note(key, NoteDropped, "%s is open to everybody here", name)
			return true, nil
		case value.Value == "deny" || value.Value == use:
			use = value.Value
		case slices.Contains([]string{"allow", "evaluate", "filter"}, value.Value):
			r.note(value, NoteChanged, "%s: %s is %s here", name, value.Value, use)
		default:
			r.note(value, NoteChanged, "%s: %q is not known; it is denied", name, value.Value)
			use = "deny"
		}
		if name == otherMethods && value.Value != "deny" {
			r.note(value, NoteChanged, "methods that the table does not name are denied")
		} else if name != otherMethods {
			methods[name] = use
		}
		return true, nil
	})
	if err != nil {
		return err
	}
	r.out.WriteString("_methods:\n")
	for _, name := range sortedKeys(methods) {
		fmt.Fprintf(&r.out, "  %s: %s\n", quoteJSON(name), methods[name])
	}
	r.out.WriteString("  _other: deny\n")
	return nil
}

func (r *importer) importRole(role string, key, n *yaml.Node) error {
	var grants *yaml.Node
	description := ""
	err := mapping(n, "a role", func(name string, _, value *yaml.Node) (known bool, err error) {
		switch name {
		case "description":
			description, err = text(value, name)
		case "grants":
			grants = value
		default:
			return false, nil
		}
		return true, err
	})
	if err != nil {
		return err
	}
	if grants == nil || grants.Kind != yaml.SequenceNode {
		return at(n, "role %q has no list of grants", role)
	}
	var all []string
	for i, g := range grants.Content {
		text, err := r.importGrant(g, fmt.Sprintf("grant %d of role %q", i+1, role))
		if err != nil {
			return err
		}
		all = append(all, text...)
	}
	if len(all) == 0 {
		r.note(key, NoteDropped, "nothing is left of role %q", role)
		return nil
	}
	fmt.Fprintf(&r.out, "  %s:\n", role)
	if description != "" {
		fmt.Fprintf(&r.out, "    description: %s\n", quoteJSON(description))
	}
	var members []string
	for _, did := range r.config.Members[role] {
		members = append(members, flow(map[string]any{"did": did}))
	}
	if len(members) == 0 {
		r.note(key, NoteNeeded, "the file does not say who has role %q; until it has members it grants nothing, and denies nobody", role)
	}
	fmt.Fprintf(&r.out, "    members: [%s]\n    grants:\n%s", strings.Join(members, ", "), strings.Join(all, ""))
	return nil
}

func (r *importer) importGrant(n *yaml.Node, what string) ([]string, error) {
	members := make(map[string]*yaml.Node)
	d := &draft{node: n, what: what, match: map[string]any{}}
	err := mapping(n, "a grant", func(name string, _, value *yaml.Node) (bool, error) {
		members[name] = value
		return true, nil
	})
	switch {
	case err != nil:
		return nil, err
	case members["decision"] == nil || members["capability"] == nil:
		return nil, at(n, "a grant has no capability, or no decision")
	}
	d.decision = r.weigh(members["decision"], what)
	var acts []string
	err = mapping(n, "a grant", func(name string, key, value *yaml.Node) (bool, error) {
		switch name {
		case "capability", "decision":
		case "description":
			r.note(key, NoteDropped, "%s, which decides nothing", name)
		case "actions":
			acts = r.importActions(d, members["capability"], value)
		case "constraints":
			return true, r.importGrantConstraints(d, value)
		default:
			r.lose(d, key, "%q is not known", name)
		}
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	return r.writeGrant(d, members["capability"], acts)
}

func (r *importer) writeGrant(d *draft, capability *yaml.Node, acts []string) ([]string, error) {
	kind, name, _ := strings.Cut(capability.Value, ":")
	if actions[guard.Kind(kind)] == nil {
		r.note(capability, NoteDropped, "%s is about %q, and there are no such capabilities here; it is left out", d.what, capability.Value)
		return nil, nil
	}
	if clean := strings.NewReplacer("[", "?", "]", "?", "{", "?", "}", "?", `\`, "?").Replace(name); clean != name {
		r.lose(d, capability, "%q has characters that are reserved in patterns", name)
		name = clean
	}
	switch {
	case d.lost != nil:
		return nil, nil
	case d.decision == guard.AllowWithConstraints:
		r.note(d.node, NoteDropped, "%s allows with constraints that are none here; it is left out", d.what)
		return nil, nil
	}
	common, err := r.common(d)
	if err != nil {
		return nil, err
	}
	conditions := d.match
	d.match = map[string]any{kind: name}
	for k, v := range conditions {
		d.match[k] = v
	}
	if err := d.fits(); err != nil {
		return nil, at(d.node, "%s cannot be expressed: %v; change it in the source", d.what, err)
	}
	r.rules++
	grant := "      - capability: " + quoteJSON(kind+":"+name) + "\n"
	if len(acts) > 0 {
		grant += "        actions: " + flow(acts) + "\n"
	}
	if len(conditions) > 0 {
		grant += "        conditions: " + flow(conditions) + "\n"
	}
	return []string{grant + "        " + strings.Join(common, "\n        ") + "\n"}, nil
}

// importActions carries over the actions that there are. One that denies another thing denies all.
func (r *importer) importActions(d *draft, capability, n *yaml.Node) []string {
	kind, _, _ := strings.Cut(capability.Value, ":")
	all, err := texts(n)
	var known []string
	for _, action := range all {
		if actions[guard.Kind(kind)][action] != nil {
			known = append(known, action)
		}
	}
	switch {
	case err == nil && len(known) == len(all):
	case d.decision == guard.Deny:
		r.note(n, NoteChanged, "actions that a %s does not have; %s denies all", kind, d.what)
		return nil
	case len(known) == 0:
		r.lose(d, n, "no action that a %s has", kind)
	default:
		r.note(n, NoteDropped, "actions that a %s does not have; there is left %s", kind, flow(known))
	}
	return known
}

func (r *importer) importGrantConstraints(d *draft, n *yaml.Node) error {
	return mapping(n, "constraints", func(name string, key, value *yaml.Node) (bool, error) {
		values, err := texts(value)
		switch name {
		case "actor_required":
			if err == nil && !slices.ContainsFunc(values, func(s string) bool { return s == "" || !slices.Contains(actorNames, s) }) {
				d.match["actor"] = values
				return true, nil
			}
		case "environment", "tenant":
			if err == nil {
				d.match[name] = values
				return true, nil
			}
		case "approval_required":
			r.importApproval(d, key, value)
			return true, nil
		case "approval_via", "require_approval_via":
			r.note(key, NoteDropped, "%s: how an approval is asked for is not a matter of the policy here", name)
			return true, nil
		}
		r.lose(d, key, "nothing here knows the constraint %s, or its value", name)
		return true, nil
	})
}

func (r *importer) importApproval(d *draft, key, value *yaml.Node) {
	switch {
	case value.Value == "false" && d.decision == guard.RequireApproval:
		r.note(key, NoteChanged, "%s requires an approval, and says that none is required; it requires one", d.what)
	case value.Value != "false" && d.decision == guard.Allow:
		d.decision = guard.RequireApproval
		r.note(key, NoteChanged, "%s allows, and says that an approval is required; it requires one", d.what)
	case value.Value != "false" && d.decision == guard.Deny:
		r.note(key, NoteDropped, "%s denies, so an approval means nothing", d.what)
	}
}
