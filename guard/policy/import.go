package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/guard"
)

// An Import says what a foreign policy does not. The zero Import is refused, unless all that the policy does is deny.
type Import struct {
	// MinLevel is what badges need for whatever the policy does not deny.
	MinLevel badge.Level

	// Members are patterns of the DIDs that have a role, by its name. A role without any has no members.
	Members map[string][]string
}

// An Imported policy is a file in the format of this package, and what became of the source.
type Imported struct {
	File  []byte // nil if no rule is left
	Notes []Note // in the order of their lines
}

// A Note is about something that is not carried over as it stood.
type Note struct {
	Line int
	Kind NoteKind
	Text string
}

// A NoteKind says what became of something.
type NoteKind string

// What becomes of something.
const (
	NoteChanged NoteKind = "changed" // it says something else, which allows no more
	NoteDropped NoteKind = "dropped" // it is not there
	NoteNeeded  NoteKind = "needed"  // it does nothing until something is added
)

// Read turns a published shape of policy into this package's (spec/policy.md section 10). The error is an *[Error],
// for a source that is neither shape, or has parts that this package does not know and that could deny.
func (im *Import) Read(data []byte) (*Imported, error) {
	root, err := parseYAML(data)
	if err != nil {
		return nil, err
	}
	r := &importer{config: im}
	sections := make(map[string]*yaml.Node)
	if err := mapping(root, "the file", func(name string, _, value *yaml.Node) (bool, error) {
		sections[name] = value
		return true, nil
	}); err != nil {
		return nil, err
	}
	switch {
	case sections["roles"] != nil || sections["_methods"] != nil:
		err = r.readProfile(root)
	case sections["rules"] != nil:
		err = r.readGovernance(root)
	default:
		err = at(root, "neither of the shapes that can be imported: no roles, and no rules")
	}
	if err != nil {
		return nil, err
	}
	return r.finish()
}

type importer struct {
	config *Import
	out    strings.Builder // of the sections before the rules and roles
	notes  []Note
	rules  int
	ids    map[string]bool
}

func (r *importer) note(n *yaml.Node, kind NoteKind, format string, args ...any) {
	r.notes = append(r.notes, Note{n.Line, kind, fmt.Sprintf(format, args...)})
}

// finish proves that what was made is a policy.
func (r *importer) finish() (*Imported, error) {
	slices.SortStableFunc(r.notes, func(a, b Note) int { return a.Line - b.Line })
	done := &Imported{Notes: r.notes}
	if r.rules == 0 {
		return done, nil
	}
	done.File = []byte("version: 1\n" + r.out.String())
	if _, err := (&Config{Enforces: constraintNames[:]}).Parse(done.File); err != nil {
		return nil, &Error{Reason: "what was made of the file is no policy: " + err.Error()}
	}
	return done, nil
}

// A draft is a rule or a grant that is being imported.
type draft struct {
	node     *yaml.Node
	what     string // for notes
	decision guard.Answer
	match    map[string]any
	limits   map[string]any
	lost     error // why it cannot be carried over
}

// lose is for what cannot be expressed. A draft that denies does so without it, and of any other nothing is left.
func (r *importer) lose(d *draft, n *yaml.Node, format string, args ...any) {
	reason := fmt.Sprintf(format, args...)
	if d.decision == guard.Deny {
		r.note(n, NoteDropped, "%s; %s denies without regard to it", reason, d.what)
		return
	}
	r.note(n, NoteDropped, "%s; without it %s would allow more, so it is left out", reason, d.what)
	d.lost = errors.New(reason)
}

// weigh reads a decision, in any case.
func (r *importer) weigh(n *yaml.Node, what string) guard.Answer {
	s := strings.ToLower(n.Value)
	for _, a := range []guard.Answer{guard.Allow, guard.AllowWithConstraints, guard.RequireApproval} {
		if s == DecisionName(a) {
			return a
		}
	}
	if s != DecisionName(guard.Deny) {
		r.note(n, NoteChanged, "decision %q is not known; %s denies", n.Value, what)
	}
	return guard.Deny
}

// common are the members that rules and grants share, as they are written.
func (r *importer) common(d *draft) ([]string, error) {
	members := []string{"decision: " + DecisionName(d.decision)}
	if d.decision != guard.Deny {
		if r.config.MinLevel == badge.LevelNone {
			return nil, at(d.node, "%s does not deny, and the file does not say which badges are good enough; give a minimum level", d.what)
		}
		members = append([]string{"min_level: " + r.config.MinLevel.String()}, members...)
	}
	if len(d.limits) > 0 {
		members = append(members, "constraints: "+flow(d.limits))
	}
	return members, nil
}

// fits tries a rule of the draft by itself.
func (d *draft) fits() error {
	rule := map[string]any{"id": "a", "match": d.match, "decision": DecisionName(d.decision)}
	if d.decision != guard.Deny {
		rule["min_level"] = "1"
	}
	if len(d.limits) > 0 {
		rule["constraints"] = d.limits
	}
	text, err := json.Marshal(map[string]any{"version": 1, "rules": []any{rule}})
	if err != nil {
		return err
	}
	_, err = (&Config{Enforces: constraintNames[:]}).Parse(text)
	return reason(err)
}

// reason is an error of this package without its place, which is one in a text that nobody sees.
func reason(err error) error {
	var refused *Error
	if errors.As(err, &refused) {
		return errors.New(refused.Reason)
	}
	return err
}

// flow writes a value on one line of YAML.
func flow(v any) string {
	var parts []string
	switch v := v.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			key := name
			if strings.Trim(name, "abcdefghijklmnopqrstuvwxyz_") != "" {
				key = quoteJSON(name)
			}
			parts = append(parts, key+": "+flow(v[name]))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case []string:
		for _, s := range v {
			parts = append(parts, quoteJSON(s))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case string:
		return quoteJSON(v)
	}
	return fmt.Sprint(v)
}

// texts reads a string or a list of strings.
func texts(n *yaml.Node) ([]string, error) {
	var all []string
	return all, each(n, "this", func(n *yaml.Node) error {
		s, err := text(n, "this")
		all = append(all, s)
		return err
	})
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
