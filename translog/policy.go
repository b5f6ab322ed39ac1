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
	witnesses map[keyID]string       // names in the policy file
	quorum    *component             // nil only in the zero Policy
}

// Origins returns the names of the logs that the policy trusts, sorted.
func (p *Policy) Origins() []string {
	return slices.Sorted(maps.Keys(p.logs))
}

// keyID is what a signature line says about the key that made it.
type keyID struct {
	name string
	hash uint32
}

// A trustedLog is one origin with all keys that may sign for it.
type trustedLog struct {
	keys      map[keyID]bool
	verifiers note.Verifiers // those keys and all witnesses
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
