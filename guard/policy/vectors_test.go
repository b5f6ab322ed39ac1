package policy

import (
	"errors"
	"strings"
	"testing"

	vectors "github.com/touchmark-dev/touchmark/internal/vectorgen/policy"
	"github.com/touchmark-dev/touchmark/internal/vectorgen/vectortest"
)

func TestVectors(t *testing.T) {
	var judged []vectortest.Judged
	for _, v := range vectortest.Read(t, "policy", 80, func(v *vectors.Vector) string { return v.Name }) {
		t.Run(v.Name, func(t *testing.T) {
			p, err := (&Config{Enforces: v.Enforces}).Parse([]byte(v.Policy))
			j := vectortest.Judged{Name: v.Name, Defect: v.Defect, Accepted: err == nil}
			if v.Expect.Result == vectors.Refused {
				var refused *Error
				if !errors.As(err, &refused) || refused.Line != v.Expect.Line || refused.Column != v.Expect.Column ||
					!strings.Contains(refused.Reason, v.Expect.Reason) {
					t.Errorf("got %v, want line %d, column %d: %s", err, v.Expect.Line, v.Expect.Column, v.Expect.Reason)
				}
				j.Branch = v.Expect.Reason
				judged = append(judged, j)
				return
			}
			judged = append(judged, j)
			if err != nil {
				t.Fatal(err)
			}
			checkVector(t, p, v)
		})
	}
	vectortest.CheckDistinct(t, judged, nil, 20)
}

func checkVector(t *testing.T, p *Policy, v *vectors.Vector) {
	if e := v.Expect; e.Compiled != "" && (string(p.Canonical()) != e.Compiled || p.Version() != e.Version) {
		t.Errorf("got  %s %s\nwant %s %s", p.Version(), p.Canonical(), e.Version, e.Compiled)
	}
	if v.Call == nil {
		return
	}
	c, err := ParseCall(v.Call)
	if err != nil {
		t.Fatal(err)
	}
	x := p.Explain(c)
	if x.Answer != v.Expect.Answer || x.Decision.Rule != v.Expect.Rule {
		t.Errorf("got %s by %q, want %s by %q", x.Answer, x.Decision.Rule, v.Expect.Answer, v.Expect.Rule)
	}
	inShadow := ""
	if s := x.Decision.Shadow; s != nil {
		inShadow = DecisionName(s.Kind) + " by " + s.Rule
	}
	if inShadow != v.Expect.InShadow || x.Decision.Final != v.Expect.Final {
		t.Errorf("in shadow %q, final %v, want %q, %v", inShadow, x.Decision.Final, v.Expect.InShadow, v.Expect.Final)
	}
	if strings.HasPrefix(v.Name, "actor-") && (string(x.Actor) != v.Expect.Actor || x.Decision.Actor != x.Actor) {
		t.Errorf("of the class %q, decided for %q, want %q", x.Actor, x.Decision.Actor, v.Expect.Actor)
	}
}
