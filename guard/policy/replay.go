package policy

import (
	"cmp"
	"errors"
	"iter"
	"slices"
	"strings"

	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/guard"
)

// A ReplayConfig says what a replay may know beside the records. The zero ReplayConfig knows nothing.
type ReplayConfig struct {
	// Before is the policy that was in force, if it is at hand: without it, of which class a caller was by other
	// sources than a policy is often not known.
	Before *Policy

	// Annotations says that capabilities have minimum levels beside them. They are not in the records, except where one
	// was the rule.
	Annotations bool
}

// A Replay is what a policy would have made of recorded decisions (spec/policy.md section 9.1).
type Replay struct {
	Records   int // all that were read
	Decisions int // those by rules, or for the lack of one: Same, Stricter, Looser, OtherRule and Untold together

	Same      int // the same answer by the same rule
	Stricter  int // another answer, which gives less
	Looser    int // another answer, which gives more
	OtherRule int // the same answer by another rule, or by one that cannot be told
	Untold    int // the answer cannot be told

	Elsewhere int    // decisions that rules have no part in, such as about a badge that is not valid
	Lists     int    // records of lists: which entries there were is not recorded
	Counted   uint64 // refused attempts that are recorded by their number alone

	Changes []ReplayChange // Stricter, Looser and OtherRule by what changed, the most first
	Missing []ReplayCount  // what would have to be known of those that are Untold, the most first
	Before  []ReplayCount  // the digests of the policies that decided, the most first
}

// A ReplayChange is one way in which decisions change.
type ReplayChange struct {
	From, To         string // answers, see [DecisionName]
	FromRule, ToRule string // empty for none; UntoldRule
	Count            int
	First            uint64 // sequence number of the first
	FirstID          string // and its id
}

// UntoldRule takes the place of the id of a rule where several could have decided.
const UntoldRule = "?"

// A ReplayCount counts decisions that have something in common.
type ReplayCount struct {
	What  string
	Count int
}

// Replay reads records, in any order, and says what p would have made of them. Records hold no arguments and no claims
// of tokens, but hashes: what depends on them is not guessed. An error of records ends it.
func (p *Policy) Replay(records iter.Seq2[*evidence.Record, error], cfg *ReplayConfig) (*Replay, error) {
	if cfg == nil {
		cfg = &ReplayConfig{}
	}
	r := &replayer{policy: p, config: cfg, changes: map[ReplayChange]*ReplayChange{}, missing: map[string]int{}, before: map[string]int{}}
	for record, err := range records {
		if err != nil {
			return nil, err
		}
		if record == nil {
			return nil, errors.New("policy: a record is nil")
		}
		r.out.Records++
		switch {
		case record.Refusals != nil:
			r.out.Counted += record.Refusals.Count
		case record.Decision != nil:
			r.decision(record)
		}
	}
	return r.finish(), nil
}

type replayer struct {
	policy  *Policy
	config  *ReplayConfig
	out     Replay
	changes map[ReplayChange]*ReplayChange
	missing map[string]int
	before  map[string]int
}

func (r *replayer) decision(record *evidence.Record) {
	d := record.Decision
	switch {
	case d.Shown != nil || guard.MethodNamed(d.Method).Class == guard.ListMethod:
		r.out.Lists++
		return
	case !byRules(d):
		r.out.Elsewhere++
		return
	}
	r.out.Decisions++
	r.before[cmp.Or(d.PolicyVersion, "none")]++
	t := r.tell(record)
	if t.answer == "" {
		r.out.Untold++
		for _, what := range t.missing {
			r.missing[what]++
		}
		return
	}
	r.compare(record, t)
}

// compare counts a decision of which the answer is known.
func (r *replayer) compare(record *evidence.Record, t told) {
	d := record.Decision
	c := ReplayChange{From: string(d.Kind), To: t.answer, FromRule: d.Rule, ToRule: t.rule}
	switch by := strictness(c.To) - strictness(c.From); {
	case by < 0:
		r.out.Stricter++
	case by > 0:
		r.out.Looser++
	case c.FromRule == c.ToRule:
		r.out.Same++
		return
	default:
		r.out.OtherRule++
	}
	known := r.changes[c]
	if known == nil {
		known = &ReplayChange{From: c.From, To: c.To, FromRule: c.FromRule, ToRule: c.ToRule, First: record.Sequence, FirstID: record.ID}
		r.changes[c] = known
	}
	known.Count++
}

// strictness grows with what an answer gives.
func strictness(answer string) int {
	return slices.Index([]string{"deny", "require_approval", "allow_with_constraints", "allow"}, answer)
}

// byRules reports whether rules decided, or would have if there had been one.
func byRules(d *evidence.Decision) bool {
	if d.Kind != evidence.Deny {
		return true
	}
	switch d.DenyCause {
	case guard.CauseNoRule, guard.CauseRuleDenies, guard.CauseLevelTooLow, guard.CauseNoMinimum, guard.CauseConstraintsUnsupported:
		return true
	}
	return overLimit(d)
}

// overLimit reports whether a call was allowed with constraints, and would have gone beyond one, or nobody could tell.
func overLimit(d *evidence.Decision) bool {
	return d.DenyReason == string(guard.CodeConstraintExceeded) || d.DenyReason == string(guard.CodeConstraintIndeterminate)
}

func (r *replayer) finish() *Replay {
	for _, c := range r.changes {
		r.out.Changes = append(r.out.Changes, *c)
	}
	slices.SortFunc(r.out.Changes, func(a, b ReplayChange) int {
		return cmp.Or(b.Count-a.Count, cmp.Compare(a.First, b.First), strings.Compare(a.FirstID, b.FirstID))
	})
	r.out.Missing, r.out.Before = counts(r.missing), counts(r.before)
	return &r.out
}

func counts(of map[string]int) []ReplayCount {
	all := make([]ReplayCount, 0, len(of))
	for what, n := range of {
		all = append(all, ReplayCount{what, n})
	}
	slices.SortFunc(all, func(a, b ReplayCount) int { return cmp.Or(b.Count-a.Count, strings.Compare(a.What, b.What)) })
	return all
}
