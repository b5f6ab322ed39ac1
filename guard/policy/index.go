package policy

import (
	"bytes"
	"slices"
)

// An index finds the patterns that a name may fit, of many, in a walk along the name: each pattern lies below the
// literal that it begins with, or, where that is longer, the literal that it ends with. What is found still has to
// be matched.
type index struct {
	begin, end node
}

// A node of a radix tree. The labels of its children begin with different octets, in first.
type node struct {
	label    string
	entries  []entry
	first    []byte
	children []*node
}

// An entry is one pattern of a rule, or of a capability's declaration.
type entry struct {
	number  int // of the rule or declaration
	pattern *glob
}

func (x *index) add(number int, pattern *glob) {
	e := entry{number, pattern}
	if prefix, suffix := pattern.ends(); len(suffix) > len(prefix) {
		x.end.insert(reversed(suffix), e)
	} else {
		x.begin.insert(prefix, e)
	}
}

func reversed(s string) string {
	b := []byte(s)
	slices.Reverse(b)
	return string(b)
}

func (n *node) insert(key string, e entry) {
	for key != "" {
		i := bytes.IndexByte(n.first, key[0])
		if i < 0 {
			n.first = append(n.first, key[0])
			n.children = append(n.children, &node{label: key, entries: []entry{e}})
			return
		}
		child := n.children[i]
		common := 0
		for common < len(key) && common < len(child.label) && key[common] == child.label[common] {
			common++
		}
		if common < len(child.label) { // part what they share from what they do not
			above := &node{label: child.label[:common], first: []byte{child.label[common]}, children: []*node{child}}
			child.label = child.label[common:]
			n.children[i] = above
			child = above
		}
		n, key = child, key[common:]
	}
	n.entries = append(n.entries, e)
}

// A walk visits the entries that a name may fit.
type walk struct {
	entries []entry // of the present step

	name  string
	at    *node
	end   *node // where the walk from the other end begins; nil when that is the present one
	done  int   // octets of name behind
	begun bool
}

func (x *index) walk(name string) walk { return walk{name: name, at: &x.begin, end: &x.end} }

// next moves on to the next entries, and reports whether there are any.
func (w *walk) next() bool {
	for {
		if !w.begun {
			w.begun = true
		} else if !w.descend() {
			if w.end == nil {
				return false
			}
			w.at, w.end, w.done = w.end, nil, 0
		}
		if len(w.at.entries) > 0 {
			w.entries = w.at.entries
			return true
		}
	}
}

// descend goes one node down, the way that the name goes.
func (w *walk) descend() bool {
	rest := len(w.name) - w.done
	if rest == 0 || len(w.at.first) == 0 {
		return false
	}
	backwards := w.end == nil
	i := bytes.IndexByte(w.at.first, w.octet(0, backwards))
	if i < 0 {
		return false
	}
	child := w.at.children[i]
	if len(child.label) > rest {
		return false
	}
	if backwards {
		for j := 1; j < len(child.label); j++ {
			if child.label[j] != w.octet(j, true) {
				return false
			}
		}
	} else if w.name[w.done:w.done+len(child.label)] != child.label {
		return false
	}
	w.at, w.done = child, w.done+len(child.label)
	return true
}

func (w *walk) octet(i int, backwards bool) byte {
	if backwards {
		return w.name[len(w.name)-1-w.done-i]
	}
	return w.name[w.done+i]
}
