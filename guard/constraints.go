package guard

import (
	"fmt"
	"slices"
	"time"
)

// The names of constraints, as in spec/policy.md section 6.
const (
	ConstraintRuntime     = "max_runtime_sec"
	ConstraintResultSize  = "max_result_bytes"
	ConstraintRate        = "rate_per_minute"
	ConstraintConcurrency = "max_concurrent"
	ConstraintRetries     = "max_retries"
	ConstraintNetwork     = "network_allowlist"
	ConstraintIncluded    = "included_within_sec"
	ConstraintCosigned    = "cosigned_within_sec"
)

// ConstraintNames returns all names of constraints, sorted.
func ConstraintNames() []string {
	return []string{
		ConstraintCosigned, ConstraintIncluded, ConstraintConcurrency, ConstraintResultSize, ConstraintRetries, ConstraintRuntime, ConstraintNetwork, ConstraintRate,
	}
}

// Constraints are the conditions under which a [Decision] lets something run (spec/guard.md section 5.2). A zero member
// asks for nothing; a negative one is refused.
type Constraints struct {
	MaxRuntime     time.Duration
	MaxRetries     *int // nil asks for nothing, 0 for no retry
	MaxResultBytes int64
	RatePerMinute  int // of calls by one caller of one capability
	MaxConcurrent  int // of calls by one caller of one capability

	// IncludedWithin and CosignedWithin are how long to wait, before anything runs, until the record of the decision is in
	// a checkpoint that the log has signed, and in one that its witnesses have cosigned.
	IncludedWithin, CosignedWithin time.Duration

	// NetworkAllowlist are the hosts that may be reached. Nil asks for nothing, an empty list for no network.
	NetworkAllowlist []string
}

// Names returns the names of the constraints that c asks for, sorted; none for nil.
func (c *Constraints) Names() []string {
	return c.asked().names()
}

// A Constrainer is a policy that knows which constraints its answers can ask for, by name. [New] refuses one that asks
// for what nothing here enforces: such a policy is refused when it is loaded, and not call by call. A policy that can be
// exchanged while it is in force has to hold the next one to the same names.
type Constrainer interface {
	Constraints() []string
}

// EnforcedConstraints returns the names of the constraints that a guard with this Config enforces, sorted: those of
// [Config.Enforces]; with a Limiter those that count calls; with Included and Cosigned those that wait for the log; and always [ConstraintRuntime] and [ConstraintResultSize].
// It is what to hand to policy.Config as its Enforces.
func (cfg *Config) EnforcedConstraints() []string {
	names := append([]string{ConstraintRuntime, ConstraintResultSize}, cfg.Enforces...)
	if cfg.Limiter != nil {
		names = append(names, ConstraintRate, ConstraintConcurrency, ConstraintRetries)
	}
	if cfg.Included != nil {
		names = append(names, ConstraintIncluded)
	}
	if cfg.Cosigned != nil {
		names = append(names, ConstraintCosigned)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// checkConstraints refuses names that are none, and a policy that asks for what nothing enforces.
func (cfg *Config) checkConstraints() error {
	for _, name := range cfg.Enforces {
		if setOf(name) == 0 {
			return fmt.Errorf("guard: Config.Enforces has %q, which is no constraint", name)
		}
		if setOf(name)&confirmed != 0 {
			return fmt.Errorf("guard: Config.Enforces has %q, which nothing but the guard can enforce", name)
		}
	}
	c, ok := cfg.Policy.(Constrainer)
	if !ok {
		return nil
	}
	enforced := cfg.EnforcedConstraints()
	for _, name := range c.Constraints() {
		if !slices.Contains(enforced, name) {
			return fmt.Errorf("guard: the policy asks for %q, which nothing here enforces", name)
		}
	}
	return nil
}

// A constraintSet is a set of names of constraints.
type constraintSet uint8

// counted are those that a Limiter enforces.
const counted = setRate | setConcurrency | setRetries

const (
	setRuntime constraintSet = 1 << iota
	setResultSize
	setRate
	setConcurrency
	setRetries
	setNetwork
	setIncluded
	setCosigned
)

// confirmed are those for which the log is waited.
const confirmed = setIncluded | setCosigned

// setOf returns the set of the names. What is no constraint is in no set.
func setOf(names ...string) (s constraintSet) {
	for _, name := range names {
		switch name {
		case ConstraintRuntime:
			s |= setRuntime
		case ConstraintResultSize:
			s |= setResultSize
		case ConstraintRate:
			s |= setRate
		case ConstraintConcurrency:
			s |= setConcurrency
		case ConstraintRetries:
			s |= setRetries
		case ConstraintNetwork:
			s |= setNetwork
		case ConstraintIncluded:
			s |= setIncluded
		case ConstraintCosigned:
			s |= setCosigned
		}
	}
	return s
}

// names returns the names in s, sorted.
func (s constraintSet) names() []string {
	var names []string
	for _, name := range ConstraintNames() {
		if s&setOf(name) != 0 {
			names = append(names, name)
		}
	}
	return names
}

// asked returns which constraints c asks for.
func (c *Constraints) asked() (s constraintSet) {
	if c == nil {
		return 0
	}
	for _, one := range [...]struct {
		set constraintSet
		is  bool
	}{
		{setRuntime, c.MaxRuntime != 0}, {setResultSize, c.MaxResultBytes != 0}, {setRate, c.RatePerMinute != 0},
		{setConcurrency, c.MaxConcurrent != 0}, {setRetries, c.MaxRetries != nil}, {setNetwork, c.NetworkAllowlist != nil},
		{setIncluded, c.IncludedWithin != 0}, {setCosigned, c.CosignedWithin != 0},
	} {
		if one.is {
			s |= one.set
		}
	}
	return s
}

// sound reports whether c asks for something, and for nothing that cannot be.
func (c *Constraints) sound() bool {
	return c.asked() != 0 && c.MaxRuntime >= 0 && c.MaxResultBytes >= 0 && c.RatePerMinute >= 0 && c.MaxConcurrent >= 0 &&
		c.IncludedWithin >= 0 && c.CosignedWithin >= 0 && (c.MaxRetries == nil || *c.MaxRetries >= 0)
}

// Tighter returns constraints that meet both. Nil asks for nothing. Neither a nor b is changed.
func Tighter(a, b *Constraints) *Constraints {
	switch {
	case a == nil || a == b:
		return b
	case b == nil:
		return a
	}
	c := Constraints{
		MaxRuntime: least(a.MaxRuntime, b.MaxRuntime), MaxRetries: a.MaxRetries,
		MaxResultBytes: least(a.MaxResultBytes, b.MaxResultBytes),
		RatePerMinute:  least(a.RatePerMinute, b.RatePerMinute), MaxConcurrent: least(a.MaxConcurrent, b.MaxConcurrent),
		IncludedWithin: least(a.IncludedWithin, b.IncludedWithin), CosignedWithin: least(a.CosignedWithin, b.CosignedWithin),
		NetworkAllowlist: a.NetworkAllowlist,
	}
	if a.MaxRetries == nil || b.MaxRetries != nil && *b.MaxRetries < *a.MaxRetries {
		c.MaxRetries = b.MaxRetries
	}
	switch {
	case a.NetworkAllowlist == nil:
		c.NetworkAllowlist = b.NetworkAllowlist
	case b.NetworkAllowlist != nil:
		c.NetworkAllowlist = slices.DeleteFunc(slices.Clone(a.NetworkAllowlist), func(host string) bool {
			return !slices.Contains(b.NetworkAllowlist, host)
		})
	}
	return &c
}

// least is the smaller of two numbers of which 0 asks for nothing.
func least[N ~int | ~int64](a, b N) N {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}
