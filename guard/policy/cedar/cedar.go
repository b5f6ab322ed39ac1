package cedar

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/cedar-policy/cedar-go"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/policy"
	"github.com/touchmark-dev/touchmark/internal/jcs"
)

// Limits of a file of policies.
const (
	MaxBytes          = 1 << 20
	MaxPolicies       = 4096
	MaxStatementBytes = 64 << 10 // of one policy
	maxNesting        = 64       // of brackets in one policy
)

// An Error says where a file is not what it should be. Line and Column count from 1; they are 0 where the place is
// not known.
type Error struct {
	Line, Column int
	Reason       string
}

func (e *Error) Error() string {
	if e.Line == 0 {
		return "cedar: " + e.Reason
	}
	return fmt.Sprintf("cedar: line %d, column %d: %s", e.Line, e.Column, e.Reason)
}

// A Config says what the server around a policy does. The zero Config is that of one that enforces no constraint,
// knows nothing of its capabilities, and not what it is called nor where it runs.
type Config struct {
	// Capabilities says what capabilities are: the attributes labels and risk_tags of resources. Nil says nothing.
	Capabilities *policy.Capabilities

	// Enforces are the names of constraints that whoever uses the policy will enforce. A policy with an annotation
	// of any other is refused.
	Enforces []string

	// Server and Environment are these facts about calls whose [guard.Facts] do not say.
	Server, Environment string

	// Time is the clock of context.time. Nil means time.Now.
	Time func() time.Time
}

// A Policy is a set of Cedar policies, compiled. It is immutable; make it with [Parse] or [Config.Parse]. It
// implements [guard.Policy], [guard.Versioned], [guard.Constrainer] and [policy.Engine].
type Policy struct {
	cfg     Config
	rules   []rule
	index   map[cedar.PolicyID]int
	asks    mentions
	asked   []string // constraints
	version string
}

var (
	_ guard.Policy      = (*Policy)(nil)
	_ guard.Versioned   = (*Policy)(nil)
	_ guard.Constrainer = (*Policy)(nil)
	_ policy.Engine     = (*Policy)(nil)
)

// A rule is one policy with what its annotations say.
type rule struct {
	id           string
	policy       *cedar.Policy
	key          cedar.PolicyID
	forbids      bool
	namesMethods bool // the resource can only be a custom method
	decision     guard.Answer
	minLevel     badge.Level // LevelNone for forbid, and for rules that are open to anonymous callers
	anonymous    bool
	constraints  *guard.Constraints
}

// Parse reads policies for a server that enforces no constraints. The error is an *[Error].
func Parse(data []byte) (*Policy, error) { return (&Config{}).Parse(data) }

// Parse reads policies. The error is an *[Error].
func (cfg *Config) Parse(data []byte) (*Policy, error) {
	known := guard.ConstraintNames()
	for _, name := range cfg.Enforces {
		if !slices.Contains(known, name) {
			return nil, &Error{Reason: fmt.Sprintf("Config.Enforces has %q, which is no constraint", name)}
		}
	}
	if err := scan(data); err != nil {
		return nil, err
	}
	list, err := parse(data)
	if err != nil {
		return nil, err
	}
	p := &Policy{cfg: *cfg, index: make(map[cedar.PolicyID]int), asks: newMentions()}
	if p.cfg.Time == nil {
		p.cfg.Time = time.Now
	}
	for _, one := range list {
		if err := p.add(one); err != nil {
			return nil, err
		}
	}
	slices.Sort(p.asked)
	p.asked = slices.Compact(p.asked)
	return p, p.digest()
}

func (p *Policy) add(one *cedar.Policy) error {
	r, err := readRule(one, p.cfg.Enforces)
	if err != nil {
		return err
	}
	if _, ok := p.index[r.key]; ok {
		return at(one, "a second policy has @id(%q)", r.id)
	}
	p.asks.read(one, &r)
	p.index[r.key] = len(p.rules)
	p.rules = append(p.rules, r)
	p.asked = append(p.asked, r.constraints.Names()...)
	return nil
}

// digest makes the version of the canonical text: layout and comments do not change it.
func (p *Policy) digest() error {
	texts := make([]any, len(p.rules))
	for i := range p.rules {
		texts[i] = string(p.rules[i].policy.MarshalCedar())
	}
	whole := map[string]any{"language": "cedar", "policies": texts}
	if p.cfg.Capabilities != nil {
		whole["capabilities"] = string(p.cfg.Capabilities.Canonical())
	}
	canonical, err := jcs.Marshal(whole)
	if err != nil {
		return &Error{Reason: err.Error()}
	}
	sum := sha256.Sum256(canonical)
	p.version = "sha256:" + base64.RawURLEncoding.EncodeToString(sum[:])
	return nil
}

// Version returns the digest of the policies, and of what the Config says of capabilities.
func (p *Policy) Version() string { return p.version }

// Len returns the number of policies.
func (p *Policy) Len() int { return len(p.rules) }

// RuleIDs returns the ids of the policies, in the order of the file.
func (p *Policy) RuleIDs() []string {
	ids := make([]string, len(p.rules))
	for i := range p.rules {
		ids[i] = p.rules[i].id
	}
	return ids
}

// Constraints returns the names of the constraints that the policies can ask for.
func (p *Policy) Constraints() []string { return slices.Clone(p.asked) }

// all walks the policies that are about resources of a kind, in the order of the file. What permits everything does
// not permit custom methods: they have to be named.
type all struct {
	policy  *Policy
	methods bool
}

func (a all) All() iter.Seq2[cedar.PolicyID, *cedar.Policy] {
	return func(yield func(cedar.PolicyID, *cedar.Policy) bool) {
		for i := range a.policy.rules {
			r := &a.policy.rules[i]
			if a.methods && !r.forbids && !r.namesMethods {
				continue
			}
			if !yield(r.key, r.policy) {
				return
			}
		}
	}
}

// Decide implements [guard.Policy]. An error says that some policy could not be evaluated.
func (p *Policy) Decide(ctx context.Context, in *guard.Input) (guard.Decision, error) {
	return p.decide(ctx, policy.CallOf(in))
}

// Try decides about a call as it is.
func (p *Policy) Try(c *policy.Call) (guard.Decision, error) {
	return p.decide(context.Background(), c)
}
