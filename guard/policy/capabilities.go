package policy

import (
	"go.yaml.in/yaml/v3"

	"github.com/touchmark-dev/touchmark/guard"
)

// A declaration says what capabilities are: their labels and risk tags.
type declaration struct {
	line   int
	kind   guard.Kind
	names  []glob
	labels bitset
}

// labels are the different labels and risk tags of a file, numbered.
type labels struct {
	count   int
	numbers map[labelValue]int
	keys    map[string]bitset
}

// A labelValue is a label with its value, or, without a name, a risk tag.
type labelValue struct{ name, value string }

func (l *labels) number(v labelValue) (int, bool) {
	i, ok := l.numbers[v]
	if !ok {
		if l.count == maxLabels {
			return 0, false
		}
		i = l.count
		l.count++
		l.numbers[v] = i
		set := l.keys[v.name]
		set.add(i)
		l.keys[v.name] = set
	}
	return i, true
}

func (f *file) readCapabilities(n *yaml.Node) error {
	if n.Kind != yaml.SequenceNode || len(n.Content) == 0 || len(n.Content) > MaxRules {
		return at(n, "capabilities is not a list of 1 to %d declarations", MaxRules)
	}
	f.policy.labels = &labels{numbers: map[labelValue]int{}, keys: map[string]bitset{}}
	var all []any
	for _, c := range n.Content {
		value, err := f.readDeclaration(c)
		if err != nil {
			return err
		}
		all = append(all, value)
	}
	f.canonical["capabilities"] = all
	return nil
}

func (f *file) readDeclaration(n *yaml.Node) (value map[string]any, err error) {
	d := declaration{line: n.Line}
	m := matcher{kinds: true, canonical: map[string]any{}}
	err = mapping(n, "a capability", func(name string, key, v *yaml.Node) (bool, error) {
		if kind, ok := kindNames[name]; ok {
			return true, m.readNames(kind, name, key, v)
		}
		switch name {
		case "labels":
			m.canonical[name], err = f.declareLabels(&d, v)
		case "risk_tags":
			m.canonical[name], err = f.declareTags(&d, v)
		default:
			return false, nil
		}
		return true, err
	})
	if err == nil && m.kind == "" {
		err = at(n, "a capability has no name; write {tool: PATTERN, labels: ...}")
	}
	d.kind, d.names = m.kind, m.names
	f.policy.capabilities = append(f.policy.capabilities, d)
	return m.canonical, err
}

func (f *file) declare(d *declaration, n *yaml.Node, v labelValue) error {
	i, ok := f.policy.labels.number(v)
	if !ok {
		return at(n, "more than %d different labels and risk tags", maxLabels)
	}
	d.labels.add(i)
	return nil
}

func (f *file) declareLabels(d *declaration, n *yaml.Node) (any, error) {
	value := map[string]any{}
	return value, mapping(n, "labels", func(name string, key, v *yaml.Node) (bool, error) {
		if _, err := plainText(key, "the name of a label"); err != nil {
			return true, err
		}
		s, err := plainText(v, "label "+name)
		if err != nil {
			return true, err
		}
		value[name] = s
		return true, f.declare(d, v, labelValue{name, s})
	})
}

func (f *file) declareTags(d *declaration, n *yaml.Node) (any, error) {
	return tags(n, func(n *yaml.Node, tag string) error { return f.declare(d, n, labelValue{"", tag}) })
}

func tags(n *yaml.Node, use func(n *yaml.Node, tag string) error) (any, error) {
	var all []any
	err := each(n, "risk_tags", func(n *yaml.Node) error {
		s, err := plainText(n, "a risk tag")
		if err != nil {
			return err
		}
		all = append(all, s)
		return use(n, s)
	})
	return single(all), err
}

// readLabels reads conditions on labels. That a capability has a label is only known where the file gives that
// label to something.
func (m *matcher) readLabels(n *yaml.Node) error {
	value := map[string]any{}
	err := mapping(n, "labels", func(name string, key, v *yaml.Node) (bool, error) {
		if _, err := plainText(key, "the name of a label"); err != nil {
			return true, err
		}
		c := condition{name: "labels." + name, line: v.Line, what: aboutLabel}
		var err error
		if c.globs, c.value, err = patterns(v, "label "+name); err != nil {
			return true, err
		}
		if l := m.file.policy.labels; l != nil {
			c.keys = l.keys[name]
			for label, i := range l.numbers {
				if label.name == name && anyOf(c.globs, label.value) {
					c.want.add(i)
				}
			}
		}
		value[name] = c.value
		m.conditions = append(m.conditions, c)
		return true, nil
	})
	if err == nil && len(value) == 0 {
		err = at(n, "labels names none")
	}
	m.canonical["labels"] = value
	return err
}

func (m *matcher) readTags(c *condition, n *yaml.Node) (err error) {
	known := true
	c.value, err = tags(n, func(_ *yaml.Node, tag string) error {
		if l := m.file.policy.labels; l != nil {
			if i, ok := l.numbers[labelValue{"", tag}]; ok {
				c.want.add(i)
				return nil
			}
		}
		known = false
		return nil
	})
	if known {
		c.keys = c.want
	}
	return err
}

// A bitset holds numbers of labels and risk tags.
type bitset [maxLabels / 64]uint64

// maxLabels bounds the different labels and risk tags of a file.
const maxLabels = 256

func (b *bitset) add(i int) { b[i/64] |= 1 << (i % 64) }

func (b *bitset) has(i int) bool { return b[i/64]&(1<<(i%64)) != 0 }

func (b bitset) and(other bitset) bitset {
	for i := range b {
		b[i] &= other[i]
	}
	return b
}

func (b *bitset) merge(other *bitset) {
	for i := range b {
		b[i] |= other[i]
	}
}

func (b bitset) empty() bool { return b == bitset{} }
