package index

import (
	"crypto/sha256"
	"strings"
	"time"

	"github.com/touchmark-dev/touchmark/evidence"
)

// Anonymous as [Filter.Caller] stands for callers without a verified badge.
const Anonymous = string(evidence.AuthAnonymous)

// A Filter says which records are wanted: those for which all of its members hold. The zero Filter wants all. Texts
// are as the caller sent them, or the hash that a record has in their place.
//
// Caller, Target, Capability, Decision, Reason, Rule and Tenant are about decisions. With any of them, the records are
// the decisions for which they hold, unless Kind or Outcomes ask for the outcomes of such decisions.
type Filter struct {
	Since, Until time.Time // the record's own time, from Since to before Until; zero for no bound
	Kind         evidence.Kind
	ID           string

	Caller     string // DID of the badge, subject of the channel, or Anonymous
	Target     string
	Capability string
	Decision   evidence.DecisionKind
	Reason     string // code: the reason of a denial, or its cause
	Rule       string
	Tenant     string

	Outcomes bool // of the decisions, too
}

// ofDecisions reports whether the filter is about decisions.
func (f *Filter) ofDecisions() bool {
	return f.Caller != "" || f.Target != "" || f.Capability != "" || f.Decision != "" || f.Reason != "" || f.Rule != "" || f.Tenant != ""
}

// kinds returns the kinds of record that are wanted, nil for all.
func (f *Filter) kinds() []evidence.Kind {
	switch {
	case f.Kind != "":
		return []evidence.Kind{f.Kind}
	case f.ofDecisions() && f.Outcomes:
		return []evidence.Kind{evidence.KindDecision, evidence.KindOutcome}
	case f.ofDecisions():
		return []evidence.Kind{evidence.KindDecision}
	}
	return nil
}

// Match reports whether the filter wants a record. Of is the record of the decision that r is the outcome of, nil where it
// is not known or r is no outcome: an outcome of an unknown decision is of no caller and no tenant.
func (f *Filter) Match(r, of *evidence.Record) bool {
	if !f.inTime(r.Time) || f.ID != "" && r.ID != f.ID {
		return false
	}
	if kinds := f.kinds(); kinds != nil {
		found := false
		for _, k := range kinds {
			found = found || r.Kind() == k
		}
		if !found {
			return false
		}
	}
	if !f.ofDecisions() {
		return true
	}
	d := r.Decision
	if o := r.Outcome; o != nil && of != nil && of.ID == o.DecisionID && of.Stream == r.Stream && opens(of.Decision) {
		d = of.Decision
	}
	return d != nil && f.matchDecision(d)
}

// opens reports whether a decision has an outcome (spec/evidence.md section 2.3).
func opens(d *evidence.Decision) bool {
	return d != nil && (d.Kind.Allows() || d.Shadow) && d.Shown == nil
}

func (f *Filter) inTime(t time.Time) bool {
	return (f.Since.IsZero() || !t.Before(f.Since)) && (f.Until.IsZero() || t.Before(f.Until))
}

func (f *Filter) matchDecision(d *evidence.Decision) bool {
	return matchCaller(f.Caller, d) && matchText(f.Target, d.Target) && matchText(f.Capability, d.Capability) &&
		matchText(string(f.Decision), string(d.Kind)) && matchText(f.Rule, d.Rule) && matchText(f.Tenant, d.Tenant) &&
		(f.Reason == "" || f.Reason == d.DenyReason || f.Reason == d.DenyCause)
}

func matchCaller(want string, d *evidence.Decision) bool {
	if want == "" || want == Anonymous {
		return want == "" || d.Caller.Auth == evidence.AuthAnonymous
	}
	if !d.Caller.DID.IsZero() && want == d.Caller.DID.String() {
		return true
	}
	return d.Channel.Subject != "" && matchText(want, d.Channel.Subject)
}

// matchText reports whether a record that has the text is about want.
func matchText(want, text string) bool {
	return want == "" || want == text || strings.HasPrefix(text, "sha256:") && text == hashed(want)
}

// hashed is what a record has in place of a text that is not plain (spec/evidence.md section 2.4).
func hashed(text string) string { return evidence.Hash(sha256.Sum256([]byte(text))).String() }

// A key names what records are listed by: a letter for the member, and its text.
type key []byte

// The letters of keys.
const (
	byKind       = 'k'
	byCaller     = 'c'
	byTarget     = 't'
	byCapability = 'p'
	byDecision   = 'd'
	byReason     = 'r'
	byRule       = 'u'
	byTenant     = 'n'
)

// maxKeys is how many keys a record has at most: those of a decision, and its kind.
const maxKeys = 10

// eachKey calls use with each key of a decision that is not empty. The key is valid during the call.
func eachKey(d *evidence.Decision, use func(key)) {
	var room [128]byte
	put := func(letter byte, text string) {
		if text != "" {
			use(append(append(room[:0], letter), text...))
		}
	}
	if d.Caller.Auth == evidence.AuthAnonymous {
		put(byCaller, Anonymous)
	} else {
		put(byCaller, d.Caller.DID.String())
	}
	put(byCaller, d.Channel.Subject)
	put(byTarget, d.Target)
	put(byCapability, d.Capability)
	put(byDecision, string(d.Kind))
	put(byReason, d.DenyReason)
	put(byReason, d.DenyCause)
	put(byRule, d.Rule)
	put(byTenant, d.Tenant)
}

func kindKey(k evidence.Kind) key { return append(key{byKind}, k...) }

// terms returns what the index is asked: of each term, one key must list the record.
func (f *Filter) terms() (terms [][]key) {
	if kinds := f.kinds(); kinds != nil {
		var term []key
		for _, k := range kinds {
			term = append(term, kindKey(k))
		}
		terms = append(terms, term)
	}
	for _, t := range []struct {
		letter byte
		text   string
	}{
		{byTenant, f.Tenant}, {byCaller, f.Caller}, {byTarget, f.Target}, {byRule, f.Rule}, {byReason, f.Reason},
		{byCapability, f.Capability}, {byDecision, string(f.Decision)},
	} {
		if t.text != "" {
			terms = append(terms, []key{
				append(key{t.letter}, t.text...), append(key{t.letter}, hashed(t.text)...),
			})
		}
	}
	return terms
}
