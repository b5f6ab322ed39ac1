package policy

import (
	"crypto/sha256"
	"encoding/base64"
	"unicode/utf8"

	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/internal/jcs"
)

// kindsOf are the kinds of capability that a rule is about. One that names none is about all that have a method of
// the standard; if it denies, about methods that are not of the standard too.
func (r *rule) kindsOf() []guard.Kind {
	kinds := []guard.Kind{guard.KindTool, guard.KindPrompt, guard.KindResource, guard.KindTemplate}
	switch {
	case r.kind != "":
		return []guard.Kind{r.kind}
	case r.decision == guard.Deny:
		return append(kinds, guard.KindMethod)
	}
	return kinds
}

// everyName is the pattern of rules that name no capability.
var everyName = []glob{{text: "*", shape: shapeOneStar}}

func (r *rule) patterns() []glob {
	if r.names == nil {
		return everyName
	}
	return r.names
}

// compile makes the indexes, the compiled form and its digest.
func (p *Policy) compile(canonical map[string]any) error {
	p.kinds = make(map[guard.Kind]*kindIndex)
	of := func(k guard.Kind) *kindIndex {
		if p.kinds[k] == nil {
			p.kinds[k] = &kindIndex{}
		}
		return p.kinds[k]
	}
	for i := range p.capabilities {
		d := &p.capabilities[i]
		for j := range d.names {
			of(d.kind).declarations.add(i, &d.names[j])
		}
	}
	rules := make([]any, len(p.rules))
	for i := range p.rules {
		r := &p.rules[i]
		rules[i] = r.canonical
		p.tries = p.tries || r.shadow
		for _, kind := range r.kindsOf() {
			names := r.patterns()
			for j := range names {
				of(kind).rules.add(i, &names[j])
				if p.isFinal(r.minLevel) {
					of(kind).finals.add(i, &names[j])
				}
			}
		}
	}
	canonical["rules"] = rules
	var err error
	if p.canonical, err = jcs.Marshal(canonical); err != nil {
		return err
	}
	sum := sha256.Sum256(p.canonical)
	p.version = "sha256:" + base64.RawURLEncoding.EncodeToString(sum[:])
	return nil
}

func validName(name string) bool { return utf8.ValidString(name) }
