// Package policy reads the rules by which a guard decides from a file.
//
// Use [Parse], and give the [Policy] to a guard as its Policy:
//
//	version: 1
//	rules:
//	  - id: readers
//	    match: {tool: "read_*"}
//	    min_level: 2
//	    decision: allow
//	  - id: health
//	    match: {tool: ping}
//	    anonymous: true
//	    decision: allow
//
// A file is read strictly: what it does not define is refused, with line and column. Of the rules that match,
// deny goes before require_approval, that before allow_with_constraints, and that before allow; what no rule matches
// is denied; what is not known of a call never allows it. The format is in spec/policy.md.
//
// A [Config] reads a file for a server that enforces constraints, or knows its name and environment.
// [Policy.Explain], [Policy.Test], [Policy.Findings] and [Policy.Replay] are for authors of policies; a rule with
// "shadow: true" is tried without an effect.
package policy
