package guard_test

import (
	"context"
	"errors"
	"testing"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/guardtest"
)

// together answers about lists, and about nothing else.
type together struct {
	answer func(ins []*guard.Input) ([]guard.Decision, []error)
	lists  int
}

func (*together) Decide(context.Context, *guard.Input) (guard.Decision, error) {
	return guard.Decision{}, errors.New("asked one by one")
}

func (p *together) DecideAll(_ context.Context, ins []*guard.Input) ([]guard.Decision, []error) {
	p.lists++
	return p.answer(ins)
}

// A policy that answers about lists is asked once. What it leaves open is withheld.
func TestListPolicy(t *testing.T) {
	open := guard.Decision{Kind: guard.Allow, Anonymous: true}
	items := []guard.Item{
		{Capability: guard.Capability{Kind: guard.KindTool, Name: "a"}}, {Capability: guard.Capability{Kind: guard.KindTool, Name: "\xff"}},
		{Capability: guard.Capability{Kind: guard.KindTool, Name: "b"}}, {Capability: guard.Capability{Kind: guard.KindTool, Name: "c"}},
	}
	for name, test := range map[string]struct {
		answer func(ins []*guard.Input) ([]guard.Decision, []error)
		want   []bool
	}{
		"some": {func(ins []*guard.Input) ([]guard.Decision, []error) {
			return []guard.Decision{open, {}, open}, []error{nil, nil, errors.New("x")}
		}, []bool{true, false, false, false}},
		"all": {func([]*guard.Input) ([]guard.Decision, []error) {
			return []guard.Decision{open, open, open}, make([]error, 3)
		}, []bool{true, false, true, true}},
		"fewer": {func([]*guard.Input) ([]guard.Decision, []error) {
			return []guard.Decision{open, open}, make([]error, 2)
		}, make([]bool, 4)},
		"no errors": {func([]*guard.Input) ([]guard.Decision, []error) {
			return []guard.Decision{open, open, open}, nil
		}, make([]bool, 4)},
		"a panic": {func([]*guard.Input) ([]guard.Decision, []error) { panic("x") }, make([]bool, 4)},
	} {
		w := guardtest.New(t)
		p := &together{answer: test.answer}
		g := w.Guard(withPolicy(p))
		l, err := g.List(t.Context(), listRequest(w.Agent(badge.LevelDomain)))
		if err != nil {
			t.Fatal(err)
		}
		visible, _, err := l.Filter(t.Context(), items)
		if err != nil || p.lists != 1 {
			t.Errorf("%s: %v, asked %d times", name, err, p.lists)
		}
		for i, want := range test.want {
			if visible[i] != want {
				t.Errorf("%s: item %d visible: %v", name, i, visible[i])
			}
		}
	}
}
