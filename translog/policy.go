package translog

import (
	"maps"
	"slices"

	"golang.org/x/mod/sumdb/note"
)

// A Policy names whom to trust: logs by their keys, witnesses by theirs, and
// the quorum of witnesses without which a checkpoint counts for nothing. Make
// one with [ParsePolicy]; the zero Policy trusts nobody. It is safe for
// concurrent use.
type Policy struct {
	logs      map[string]*trustedLog // by origin
	listed    []Witness              // in the order of the file
	witnesses map[keyID]string       // names in the policy file
	quorum    *component             // nil only in the zero Policy
}

// Origins returns the names of the logs that the policy trusts, sorted.
func (p *Policy) Origins() []string {
	return slices.Sorted(maps.Keys(p.logs))
}

// A Witness is one of a policy's witnesses.
type Witness struct {
	Name string // in the policy file
	Key  string // its verifier key, of type cosignature/v1
	URL  string // where checkpoints are submitted to it, "" when the file has none
}

// Witnesses returns the witnesses of the policy in the order of its file.
func (p *Policy) Witnesses() []Witness { return slices.Clone(p.listed) }

// NeedsWitnesses reports whether the policy accepts no checkpoint that only its
// log has signed.
func (p *Policy) NeedsWitnesses() bool { return !p.quorum.met(nil) }

// Quorum reports whether the witnesses with these names, in the policy file,
// are enough.
func (p *Policy) Quorum(names []string) bool {
	seen := make(map[string]bool, len(names))
	for _, name := range names {
		seen[name] = true
	}
	return p.quorum.met(seen)
}

// LogsOnly returns the policy of the same logs that asks for no witness and
// looks at no cosignature. It is for those who have a checkpoint cosigned, or
// cosign it; who relies on a checkpoint wants the policy itself.
func (p *Policy) LogsOnly() *Policy {
	q := &Policy{logs: make(map[string]*trustedLog, len(p.logs)), quorum: &component{}}
	for origin, l := range p.logs {
		q.logs[origin] = &trustedLog{keys: l.keys, own: l.own, verifiers: note.VerifierList(l.own...)}
	}
	return q
}

// keyID is what a signature line says about the key that made it.
type keyID struct {
	name string
	hash uint32
}

// A trustedLog is one origin with all keys that may sign for it.
type trustedLog struct {
	keys      map[keyID]bool
	own       []note.Verifier // of those keys
	verifiers note.Verifiers  // those keys and all witnesses
}

// A component is a witness, or a group of components of which threshold must
// have witnessed. formats/witness has the same tree, but its parser is laxer
// than tlog-policy and its groups verify every cosignature a second time.
type component struct {
	witness   string
	threshold int
	members   []*component
}

// met reports whether the witnesses named in seen suffice.
func (c *component) met(seen map[string]bool) bool {
	if c == nil {
		return false
	}
	if c.witness != "" {
		return seen[c.witness]
	}
	n := 0
	for _, m := range c.members {
		if m.met(seen) {
			n++
		}
	}
	return n >= c.threshold
}
