package guard_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/guardtest"
)

// TestShadowNames: a name that no rule can be about is no way past rules that are final.
func TestShadowNames(t *testing.T) {
	w := guardtest.New(t)
	g := w.Guard(withPolicy(finals), inShadow)
	for _, name := range []string{"final" + strings.Repeat("/.", guard.MaxNameBytes), "final\xff"} {
		for _, badge := range []string{"", "x"} { // no badge, and one that is none
			_, err := g.Check(t.Context(), &guard.Request{
				Verb: guard.Invoke, Method: "m", Capability: guard.Capability{Kind: guard.KindResource, Name: name}, Badge: badge,
			})
			if err == nil {
				t.Errorf("a name of %d bytes, badge %q: it runs", len(name), badge)
			}
		}
		l, err := g.List(t.Context(), listRequest(nil))
		if err != nil {
			t.Fatal(err)
		}
		visible, _, err := l.Filter(t.Context(), []guard.Item{item(name)})
		if err != nil || visible[0] {
			t.Errorf("a name of %d bytes is listed, %v", len(name), err)
		}
	}
}

// TestShadowMixed: what is final keeps its constraints, also beside what shadow mode would let run without any.
func TestShadowMixed(t *testing.T) {
	w := guardtest.New(t)
	g := w.Guard(inShadow, withPolicy(policyFunc(func(in *guard.Input) (guard.Decision, error) {
		switch in.Capability.Name {
		case "bound":
			return guard.Decision{
				Kind: guard.AllowWithConstraints, Anonymous: true, Final: true, Constraints: &guard.Constraints{MaxResultBytes: 1},
			}, nil
		case "open":
			return guard.Decision{Kind: guard.Allow, Anonymous: true, Final: true}, nil
		}
		return guard.Decision{}, nil
	})))
	for _, test := range []struct {
		names []string
		runs  bool
	}{
		{[]string{"denied"}, true}, {[]string{"bound"}, true}, {[]string{"bound", "open"}, true}, {[]string{"open", "denied"}, true},
		{[]string{"bound", "denied"}, false}, {[]string{"denied", "bound"}, false}, {[]string{"open", "denied", "bound"}, false},
	} {
		r := guardtest.Call(test.names[0], "{}")
		for _, name := range test.names[1:] {
			r.Further = append(r.Further, item(name))
		}
		grant, err := g.Check(t.Context(), r)
		if (err == nil) != test.runs {
			t.Errorf("%v: %v", test.names, err)
			continue
		}
		if err != nil {
			continue
		}
		var exceeded *guard.ExceededError
		bound := test.names[0] == "bound"
		if err := grant.Finish(t.Context(), guard.Outcome{Result: []byte("12")}); errors.As(err, &exceeded) != bound {
			t.Errorf("%v: %v", test.names, err)
		}
	}
}
