package policy

import (
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// readCallers reads the conditions on the caller, or a list of alternatives. An empty list is nobody.
func (m *matcher) readCallers(n *yaml.Node) error {
	if n.Kind == yaml.MappingNode {
		conditions, value, err := m.readCaller(n)
		m.conditions, m.canonical["caller"] = append(m.conditions, conditions...), value
		return err
	}
	if n.Kind != yaml.SequenceNode || len(n.Content) > maxList {
		return at(n, "caller is not a mapping, nor a list of at most %d", maxList)
	}
	c := condition{name: "caller", line: n.Line, what: aboutCaller}
	all := []any{}
	for _, alternative := range n.Content {
		conditions, value, err := m.readCaller(alternative)
		if err != nil {
			return err
		}
		if len(n.Content) == 1 {
			m.conditions, m.canonical["caller"] = append(m.conditions, conditions...), value
			return nil
		}
		c.callers, all = append(c.callers, conditions), append(all, value)
	}
	c.value = all
	m.add(c)
	return nil
}

// callerTexts are the conditions on a caller that are patterns.
var callerTexts = map[string]attribute{
	"did": aboutDID, "issuer": aboutIssuer, "assurance": aboutAssurance, "spiffe_id": aboutSPIFFE,
}

func (m *matcher) readCaller(n *yaml.Node) (conditions []condition, value map[string]any, err error) {
	sub := matcher{file: m.file, deny: m.deny, canonical: make(map[string]any)}
	var vouched *yaml.Node
	err = mapping(n, "caller", func(name string, key, value *yaml.Node) (known bool, err error) {
		c := condition{name: "caller." + name, line: value.Line}
		switch what, isText := callerTexts[name]; {
		case isText:
			c.what = what
			c.globs, c.value, err = patterns(value, name)
		case name == "anonymous":
			var want bool
			want, err = boolean(value, name)
			c.what, c.negated, c.value = aboutAnonymous, !want, want
		case name == "level":
			c.what, err = aboutLevel, c.readSet(value, levelNames)
		case name == "badge_actor":
			vouched = key
			c.what, err = aboutBadgeActor, c.readSet(value, actorNames)
		case name == "uid":
			c.what, err = aboutUID, c.readUIDs(value)
		case name == "claims":
			return true, sub.readTests(value, name, aboutClaims)
		default:
			return false, nil
		}
		sub.conditions = append(sub.conditions, c)
		sub.canonical[name] = c.value
		return true, err
	})
	switch {
	case err != nil:
	case len(sub.canonical) == 0:
		err = at(n, "caller names nothing")
	case vouched != nil && sub.canonical["issuer"] == nil:
		err = at(vouched, "caller has badge_actor and no issuer; write whose word is taken for it")
	}
	return sub.conditions, sub.canonical, err
}

func (c *condition) readUIDs(n *yaml.Node) error {
	var all []any
	err := each(n, "uid", func(n *yaml.Node) error {
		uid, err := strconv.ParseUint(n.Value, 10, 32)
		if err != nil || n.Kind != yaml.ScalarNode || n.ShortTag() != "!!int" || strconv.FormatUint(uid, 10) != n.Value {
			return at(n, "uid %q is not a number of a user", n.Value)
		}
		c.uids, all = append(c.uids, uint32(uid)), append(all, uid)
		return nil
	})
	c.value = single(all)
	return err
}

var dayNames = [...]string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

const everyDay, minutesADay = 1<<7 - 1, 24 * 60

// readWindows reads a window or a list of alternatives.
func (c *condition) readWindows(n *yaml.Node) error {
	var all []any
	err := each(n, "time", func(n *yaml.Node) error {
		w, value := window{days: everyDay, to: minutesADay}, map[string]any{}
		err := mapping(n, "time", func(name string, _, v *yaml.Node) (known bool, err error) {
			switch name {
			case "days":
				days := condition{name: name}
				err = days.readSet(v, dayNames[:])
				w.days, value[name] = uint8(days.set), days.value
			case "hours":
				value[name], err = w.readHours(v)
			default:
				return false, nil
			}
			return true, err
		})
		if err == nil && len(value) == 0 {
			err = at(n, "time names nothing; write days or hours")
		}
		c.windows, all = append(c.windows, w), append(all, value)
		return err
	})
	c.value = single(all)
	return err
}

// readHours reads "HH:MM-HH:MM", of which the second may be 24:00.
func (w *window) readHours(n *yaml.Node) (string, error) {
	s, err := text(n, "hours")
	if err != nil {
		return "", err
	}
	from, to, _ := strings.Cut(s, "-")
	var ok1, ok2 bool
	w.from, ok1 = minuteOf(from)
	if w.to, ok2 = minuteOf(to); to == "24:00" {
		w.to, ok2 = minutesADay, true
	}
	if !ok1 || !ok2 || w.from >= w.to {
		return "", at(n, "hours %q is not a time of the day, a hyphen and a later one, as in \"08:00-18:30\", in UTC", s)
	}
	return s, nil
}

func minuteOf(s string) (int, bool) {
	t, err := time.Parse("15:04", s)
	return t.Hour()*60 + t.Minute(), err == nil && t.Format("15:04") == s
}
