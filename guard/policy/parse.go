package policy

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/touchmark-dev/touchmark/guard"
)

// Limits of a policy file.
const (
	MaxBytes = 4 << 20
	MaxRules = 16384 // also of grants, and of both together
	maxID    = 64
	maxList  = 256 // entries of any other list
)

// An Error says where a policy file is not what it should be. Line and Column count from 1; they are 0 where
// the place is not known.
type Error struct {
	Line, Column int
	Reason       string
}

func (e *Error) Error() string {
	switch {
	case e.Line == 0:
		return "policy: " + e.Reason
	case e.Column == 0:
		return fmt.Sprintf("policy: line %d: %s", e.Line, e.Reason)
	}
	return fmt.Sprintf("policy: line %d, column %d: %s", e.Line, e.Column, e.Reason)
}

func at(n *yaml.Node, format string, args ...any) *Error {
	return &Error{Line: n.Line, Column: n.Column, Reason: fmt.Sprintf(format, args...)}
}

// A Config says what the server around a policy does. The zero Config is that of one that enforces no constraint,
// and does not know what it is called nor where it runs.
type Config struct {
	// Enforces are the names of constraints that whoever uses the policy will enforce, as in the file. A file with
	// any other is refused: see [ConstraintNames].
	Enforces []string

	// PlainHash says that records get the unsalted hash of the arguments ([evidence.LedgerConfig.PlainHash]). A file
	// with "privacy: strict" is refused then.
	PlainHash bool

	// Server and Environment are these facts about calls whose [guard.Facts] do not say.
	Server, Environment string

	// Time is the clock of conditions on the time. Nil means time.Now.
	Time func() time.Time
}

// Parse reads a policy file for a server that enforces no constraints. The error is an *[Error].
func Parse(data []byte) (*Policy, error) { return (&Config{}).Parse(data) }

// Parse reads a policy file. The error is an *[Error].
func (cfg *Config) Parse(data []byte) (*Policy, error) {
	for _, name := range cfg.Enforces {
		if !slices.Contains(constraintNames[:], name) {
			return nil, &Error{Reason: fmt.Sprintf("Config.Enforces has %q, which is no constraint", name)}
		}
	}
	root, err := parseYAML(data)
	if err != nil {
		return nil, err
	}
	f := &file{policy: &Policy{
		server: cfg.Server, environment: cfg.Environment, clock: cfg.Time,
	}, enforces: cfg.Enforces, plainHash: cfg.PlainHash, canonical: map[string]any{"version": FormatVersion}}
	if f.policy.clock == nil {
		f.policy.clock = time.Now
	}
	if err := f.read(root); err != nil {
		return nil, err
	}
	if err := f.policy.compile(f.canonical); err != nil {
		return nil, &Error{Reason: err.Error()}
	}
	return f.policy, nil
}

// A file is a policy that is being read.
type file struct {
	policy    *Policy
	enforces  []string
	plainHash bool
	canonical map[string]any
	ids       map[string]int // of rules, with their lines
	shadow    *yaml.Node     // that says that all rules are in shadow; nil if none does
}

func (f *file) read(root *yaml.Node) error {
	sections := make(map[string]*yaml.Node)
	err := mapping(root, "the file", func(name string, _, value *yaml.Node) (known bool, err error) {
		switch name {
		case "version", "capabilities", "_methods", "roles", "rules", "actors", "final_levels":
			sections[name] = value
		case "require_discovery_proof":
			f.policy.discoveryProof, err = boolean(value, name)
		case "privacy":
			err = f.readPrivacy(value)
		case "shadow":
			var all bool
			if all, err = boolean(value, name); all {
				f.shadow = value
			}
		default:
			return false, nil
		}
		return true, err
	})
	if err != nil {
		return err
	}
	version := sections["version"]
	switch {
	case version == nil:
		return at(root, "the file has no version; write \"version: %d\"", FormatVersion)
	case version.Kind != yaml.ScalarNode || version.ShortTag() != "!!int" || version.Value != strconv.Itoa(FormatVersion):
		return at(version, "version is not %d", FormatVersion)
	case sections["rules"] == nil && sections["roles"] == nil:
		return at(root, "the file has no rules")
	}
	if f.policy.discoveryProof {
		f.canonical["require_discovery_proof"] = true
	}
	f.ids = make(map[string]int)
	for _, section := range []struct {
		name string
		read func(*yaml.Node) error
	}{
		{"final_levels", f.readFinal}, {"_methods", f.readMethods}, {"capabilities", f.readCapabilities},
		{"actors", f.readActors}, {"rules", f.readRules}, {"roles", f.readRoles},
	} {
		if n := sections[section.name]; n != nil {
			if err := section.read(n); err != nil {
				return err
			}
		}
	}
	if len(f.policy.rules) == 0 {
		return at(root, "no role grants anything: a policy that decides nothing; to deny everything write a rule that does")
	}
	return f.checkShadow()
}

func (f *file) readRules(n *yaml.Node) error {
	switch {
	case n.Kind != yaml.SequenceNode:
		return at(n, "rules is not a list")
	case len(n.Content) == 0:
		return at(n, "rules is empty: a policy that decides nothing; to deny everything write a rule that does")
	case len(n.Content) > MaxRules:
		return at(n, "more than %d rules", MaxRules)
	}
	for _, c := range n.Content {
		r, err := f.readRule(c)
		if err != nil {
			return err
		}
		if err := f.add(c, r); err != nil {
			return err
		}
	}
	return nil
}

func (f *file) add(n *yaml.Node, r rule) error {
	if line := f.ids[r.id]; line != 0 {
		return at(n, "two rules have the id %q; the other is in line %d", r.id, line)
	}
	if len(f.policy.rules) == MaxRules {
		return at(n, "more than %d rules and grants together", MaxRules)
	}
	f.ids[r.id] = n.Line
	r.line = n.Line
	r.finish()
	f.policy.rules = append(f.policy.rules, r)
	return nil
}

func (f *file) readRule(n *yaml.Node) (rule, error) {
	r := rule{canonical: map[string]any{}}
	have := make(map[string]*yaml.Node, 6)
	err := mapping(n, "a rule", func(name string, _, value *yaml.Node) (known bool, err error) {
		have[name] = value
		switch name {
		case "id":
			r.id, err = identifier(value)
		case "match", "constraints", "shadow": // need the decision, or the id
		default:
			return r.readCommon(name, value)
		}
		return true, err
	})
	if err != nil {
		return rule{}, err
	}
	for _, name := range []string{"id", "match", "decision"} {
		if have[name] == nil {
			return rule{}, at(n, "a rule has no %s", name)
		}
	}
	m := &matcher{file: f, deny: r.decision == guard.Deny, kinds: true}
	if err := m.read(have["match"], "match"); err != nil {
		return rule{}, err
	}
	r.take(m)
	return r, f.complete(&r, n, have)
}
