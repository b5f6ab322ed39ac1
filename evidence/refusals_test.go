package evidence

import (
	"strings"
	"testing"
	"time"
)

// The ledger puts groups in order, replaces what is not plain text, and adds up.
func TestRefusalsAreMadeFit(t *testing.T) {
	d := &Draft{Refusals: &Refusals{From: time.Unix(1, 0), To: time.Unix(1, 0), Count: 99, Groups: []RefusalGroup{
		{Count: 2, Auth: AuthBadge, Reason: "B", Method: "x"},
		{Count: 1, Auth: AuthBadge, Reason: "not a code", Cause: "nor this", Capability: "a tool"},
		{Count: 2, Auth: AuthBadge, Reason: RefusalOther, Method: RefusalAnyMethod},
		{Count: 40, Auth: AuthAnonymous, Reason: "A", Method: "a\x00b"},
	}}}
	r, private, err := d.prepare(true)
	if err != nil {
		t.Fatal(err)
	}
	g := r.Refusals.Groups
	if r.Refusals.Count != 45 || len(g) != 3 || g[2].String() != "3 badge OTHER - - *" || g[0].Auth != AuthAnonymous || !strings.HasPrefix(g[0].Method, hashPrefix) || g[1].Method != "x" {
		t.Errorf("made %+v", r.Refusals)
	}
	if d.Refusals.Count != 99 || d.Refusals.Groups[0].Auth != AuthBadge {
		t.Errorf("the draft was changed: %+v", d.Refusals)
	}
	if *private != (Private{}) {
		t.Error("a private part with something in it")
	}
	r.Header = newTestSigner("server").header(1)
	if err := r.check(); err != nil {
		t.Error(err)
	}
}

func TestRefusalsThatAreNone(t *testing.T) {
	for name, change := range map[string]func(*Refusals){
		"no group":       func(r *Refusals) { r.Groups = nil },
		"too many":       func(r *Refusals) { r.Groups = append(r.Groups, RefusalGroup{1, AuthBadge, "Z", "", "", "z"}) },
		"count of 0":     func(r *Refusals) { r.Groups[0].Count = 0 },
		"count too high": func(r *Refusals) { r.Groups[0].Count = maxNumber + 1 },
		"sum too high":   func(r *Refusals) { r.Groups[0].Count, r.Groups[1].Count = maxNumber, maxNumber },
		"auth":           func(r *Refusals) { r.Groups[0].Auth = "apikey" },
		"from":           func(r *Refusals) { r.From = time.Time{} },
		"to":             func(r *Refusals) { r.To = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) },
		"backwards":      func(r *Refusals) { r.From, r.To = r.To, r.From },
	} {
		t.Run(name, func(t *testing.T) {
			refusals := fullRefusals()
			change(refusals)
			r, _, err := (&Draft{Refusals: refusals}).prepare(false)
			if err != nil {
				t.Fatal(err)
			}
			r.Header = newTestSigner("server").header(1)
			if err := r.check(); CodeOf(err) != CodeRecordInvalid {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestGroupsHaveOneText(t *testing.T) {
	for _, text := range []string{
		"", "1 badge A - -", "01 badge A - - m", "+1 badge A - - m", "1 badge A  - m", "1 badge A -  m",
		"x badge A - - m", "-1 badge A - - m", "18446744073709551616 badge A - - m", " 1 badge A - - m",
		"1 badge A - - " + strings.Repeat("m", maxGroupText),
	} {
		if g, ok := parseGroup(text); ok {
			t.Errorf("%q was read as %+v", text, g)
		}
	}
	want := RefusalGroup{7, AuthBadge, "A", "", "tool", "a method - with spaces "}
	if got, ok := parseGroup(want.String()); !ok || got != want {
		t.Errorf("%q was read as %+v, %v", want.String(), got, ok)
	}
}
