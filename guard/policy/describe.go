package policy

import (
	"maps"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/touchmark-dev/touchmark/guard"
)

// maxDescriptions bounds the descriptions that are kept: who calls chooses names, and names choose which declarations
// come together.
const maxDescriptions = 1024

// descriptions are made once for each set of labels and risk tags, and shared.
type descriptions struct {
	bySet atomic.Pointer[map[bitset]*guard.Description]
}

// about returns the description of what the file says about the capability, nil if it says nothing.
func (p *Policy) about(q *question) *guard.Description {
	if !q.declared {
		return nil
	}
	known := p.descriptions.bySet.Load()
	if known != nil {
		if d := (*known)[q.labels]; d != nil {
			return d
		}
	}
	d := p.labels.describe(q.labels)
	if known == nil || len(*known) < maxDescriptions {
		next := map[bitset]*guard.Description{q.labels: d}
		if known != nil {
			maps.Copy(next, *known)
		}
		p.descriptions.bySet.CompareAndSwap(known, &next) // who loses makes it again
	}
	return d
}

// describe writes a set out. Of a label with several values it has all, sorted, with commas between.
func (l *labels) describe(set bitset) *guard.Description {
	d := &guard.Description{}
	values := map[string][]string{}
	for v, i := range l.numbers {
		switch {
		case !set.has(i):
		case v.name == "":
			d.RiskTags = append(d.RiskTags, v.value)
		default:
			values[v.name] = append(values[v.name], v.value)
		}
	}
	slices.Sort(d.RiskTags)
	if len(values) > 0 {
		d.Labels = make(map[string]string, len(values))
	}
	for name, all := range values {
		slices.Sort(all)
		d.Labels[name] = strings.Join(all, ",")
	}
	return d
}
