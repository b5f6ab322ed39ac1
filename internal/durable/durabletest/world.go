package durabletest

import (
	"maps"
	"path/filepath"
	"slices"
)

// A node is a file whatever its name.
type node struct {
	view    []byte // what a reader sees
	synced  []byte // what a power failure leaves at least
	pending []Op   // writes and truncates since the last sync
	limbo   []Op   // those that a failed sync has given up
}

// A world is the state of a disk.
type world struct {
	names map[string]*node
	dirs  map[string]bool

	durableNames map[string]*node
	durableDirs  map[string]bool
	pending      []Op // changes of directories since their last sync
}

func newWorld() *world {
	return &world{
		names: map[string]*node{}, dirs: map[string]bool{},
		durableNames: map[string]*node{}, durableDirs: map[string]bool{},
	}
}

// clone copies a world; nodes says which node became which.
func (w *world) clone() (out *world, nodes map[*node]*node) {
	nodes = map[*node]*node{}
	copied := func(n *node) *node {
		if nodes[n] == nil {
			nodes[n] = &node{view: slices.Clone(n.view), synced: slices.Clone(n.synced),
				pending: slices.Clone(n.pending), limbo: slices.Clone(n.limbo)}
		}
		return nodes[n]
	}
	out = newWorld()
	for name, n := range w.names {
		out.names[name] = copied(n)
	}
	for name, n := range w.durableNames {
		out.durableNames[name] = copied(n)
	}
	for _, op := range w.pending {
		if op.node != nil {
			op.node = copied(op.node)
		}
		out.pending = append(out.pending, op)
	}
	maps.Copy(out.dirs, w.dirs)
	maps.Copy(out.durableDirs, w.durableDirs)
	return out, nodes
}

// apply does an operation. It sets op.node where the operation made the file.
func (w *world) apply(op *Op) error {
	switch op.Kind {
	case OpCreate:
		op.node = &node{}
		w.names[op.Name] = op.node
		w.pending = append(w.pending, *op)
	case OpMkdir:
		w.dirs[op.Name] = true
		w.pending = append(w.pending, *op)
	case OpRename:
		op.node = w.names[op.Name]
		rename(w.names, op)
		w.pending = append(w.pending, *op)
	case OpRemove:
		delete(w.names, op.Name)
		w.pending = append(w.pending, *op)
	case OpSyncDir:
		w.syncDir(op.Name)
	case OpWrite, OpTruncate:
		op.node.view = change(op.node.view, op)
		op.node.pending = append(op.node.pending, *op)
	case OpSync:
		op.node.sync(op.failed)
	}
	return nil
}

func rename(names map[string]*node, op *Op) {
	if names[op.Name] == op.node {
		delete(names, op.Name)
	}
	names[op.Target] = op.node
}

// sync makes what is pending durable, or, when it failed, gives it up.
func (n *node) sync(failed bool) {
	if failed {
		n.limbo = append(n.limbo, n.pending...)
	} else {
		for i := range n.pending {
			n.synced = change(n.synced, &n.pending[i])
		}
	}
	n.pending = nil
}

// change returns the content of a file after a write or a truncate.
func change(content []byte, op *Op) []byte {
	size := op.Off
	if op.Kind == OpWrite {
		size = max(op.Off+int64(len(op.Data)), int64(len(content)))
	}
	if int64(len(content)) > size {
		content = content[:size]
	} else if n := size - int64(len(content)); n > 0 {
		content = append(content, make([]byte, n)...)
	}
	if op.Kind == OpWrite {
		copy(content[op.Off:], op.Data)
	}
	return content
}

// syncDir makes pending changes of a directory durable.
func (w *world) syncDir(dir string) {
	var rest []Op
	for _, op := range w.pending {
		if filepath.Dir(op.Name) != dir {
			rest = append(rest, op)
			continue
		}
		w.persist(&op)
	}
	w.pending = rest
}

// persist does a change of a directory to what is durable.
func (w *world) persist(op *Op) {
	switch op.Kind {
	case OpCreate:
		w.durableNames[op.Name] = op.node
	case OpMkdir:
		w.durableDirs[op.Name] = true
	case OpRename:
		rename(w.durableNames, op)
	case OpRemove:
		delete(w.durableNames, op.Name)
	}
}

// list returns the sorted base names in a directory.
func (w *world) list(dir string) []string {
	var out []string
	for name := range w.names {
		if filepath.Dir(name) == dir {
			out = append(out, filepath.Base(name))
		}
	}
	for name := range w.dirs {
		if filepath.Dir(name) == dir && name != dir {
			out = append(out, filepath.Base(name))
		}
	}
	slices.Sort(out)
	return out
}
