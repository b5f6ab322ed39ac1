package guard_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/guardtest"
)

// A tallied recorder knows how many refused attempts each record stands for.
type tallied struct {
	*guardtest.Recorder

	mu    sync.Mutex
	ids   map[string]uint64
	total uint64
}

func (r *tallied) Record(ctx context.Context, d *evidence.Draft) (*evidence.Ack, error) {
	ack, err := r.Recorder.Record(ctx, d)
	if err != nil {
		return nil, err
	}
	var n uint64
	if d.Decision != nil && !d.Decision.Kind.Allows() {
		n = 1
	}
	if d.Refusals != nil {
		for _, g := range d.Refusals.Groups {
			n += g.Count
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ids[ack.ID], r.total = n, r.total+n
	return ack, nil
}

// newTallied makes a guard with a budget of one record, and a clock that stands still for the budget.
func newTallied(t *testing.T, w *guardtest.World, edits ...func(*guard.Config)) (*guard.Guard, *tallied) {
	r := &tallied{Recorder: guardtest.NewRecorder(), ids: make(map[string]uint64)}
	now := time.Unix(1790000000, 0)
	return w.Guard(append([]func(*guard.Config){func(c *guard.Config) {
		c.Policy, c.Evidence, c.Time = levels, r, func() time.Time { return now }
		c.Refusals = guard.Refusals{PerSecond: 1, Burst: 1, Interval: time.Millisecond}
	}}, edits...)...), r
}

// counted are the records of the kind refusals.
func (r *tallied) counted() (all []*evidence.Refusals) {
	for _, d := range r.Drafts() {
		if d.Refusals != nil {
			all = append(all, d.Refusals)
		}
	}
	return all
}

func TestRefusalsAreNotBelowZero(t *testing.T) {
	for _, c := range []guard.Refusals{{PerSecond: -1}, {Burst: -1}, {Interval: -1}, {MaxWaiting: -1}} {
		_, err := guard.New(&guard.Config{Policy: levels, Evidence: guardtest.NewRecorder(), Refusals: c})
		if err == nil {
			t.Errorf("%+v was accepted", c)
		}
	}
}

// TestRefusalsAreCounted: beyond the budget each refused caller is told the id of a durable record that counts it,
// whatever it was refused for, and those who are granted something notice nothing.
func TestRefusalsAreCounted(t *testing.T) {
	w := guardtest.New(t)
	g, recorder := newTallied(t, w)
	const callers, each = 16, 40
	told := make(chan string, callers*each)
	var group sync.WaitGroup
	for n := range callers {
		group.Go(func() {
			for range each {
				var err error
				switch r := guardtest.Call("need2", "{}"); n % 4 {
				case 0:
					_, err = g.Check(t.Context(), r)
				case 1:
					err = g.Refuse(t.Context(), r, guard.CodeRequestRejected, "HTTP_400")
				case 2:
					r.Badge = "e30.e30.e30"
					_, err = g.List(t.Context(), r)
				case 3:
					_, err = g.Check(t.Context(), w.Agent(badge.LevelSelfSigned).Call("need2", "{}"))
				}
				told <- guard.RefusalOf(err).EvidenceID
			}
		})
	}
	for range 10 {
		grant, err := g.Check(t.Context(), w.Agent(badge.LevelDomain).Call("need2", "{}"))
		if err != nil {
			t.Fatal(err)
		}
		if err := grant.Finish(t.Context(), guard.Outcome{}); err != nil {
			t.Fatal(err)
		}
	}
	group.Wait()
	close(told)
	perID := map[string]uint64{}
	for id := range told {
		perID[id]++
	}
	if recorder.total != callers*each {
		t.Errorf("%d attempts were refused, %d are in the records", callers*each, recorder.total)
	}
	for id, n := range perID {
		if recorder.ids[id] != n {
			t.Errorf("%d callers were told the record %q, which counts %d", n, id, recorder.ids[id])
		}
	}
	singles := 0
	for _, d := range recorder.Decisions() {
		if !d.Kind.Allows() {
			singles++
		}
	}
	if singles != 2 { // one of an anonymous caller, one of a verified badge
		t.Errorf("%d refused attempts have a record of their own", singles)
	}
}

// TestRefusalsOfBadgesHaveTheirBudget: callers without a badge cannot make those with one anonymous.
func TestRefusalsOfBadgesHaveTheirBudget(t *testing.T) {
	w := guardtest.New(t)
	g, recorder := newTallied(t, w, func(c *guard.Config) { c.Refusals.Burst = 3 })
	for range 50 {
		if _, err := g.Check(t.Context(), guardtest.Call("need2", "{}")); err == nil {
			t.Fatal("allowed")
		}
	}
	for n := range 4 {
		_, err := g.Check(t.Context(), w.Agent(badge.LevelSelfSigned).Call("need2", "{}"))
		if r := refusal(t, err); !r.Hidden || r.Code != guard.CodeTrustInsufficient {
			t.Errorf("%d: %+v", n, r)
		}
		d := last(t, recorder.Drafts())
		if (d.Decision != nil && d.Decision.Caller.Auth == evidence.AuthBadge) != (n < 3) {
			t.Errorf("%d: recorded %+v", n, d)
		}
	}
}

// TestLargeRefusalsCostMore: what a caller presents to be refused is kept, so it counts for its size.
func TestLargeRefusalsCostMore(t *testing.T) {
	w := guardtest.New(t)
	g, recorder := newTallied(t, w, func(c *guard.Config) { c.Refusals.Burst = 10 })
	for range 5 {
		r := guardtest.Call("need2", "{}")
		r.Badge = strings.Repeat("x", evidence.MaxTokenBytes)
		if _, err := g.Check(t.Context(), r); err == nil {
			t.Fatal("allowed")
		}
	}
	if n := len(recorder.Decisions()); n != 2 { // of five units each
		t.Errorf("%d records of 16 KiB", n)
	}
}

// TestShadowIsNotCounted: what was refused and ran all the same has a record of its own, whatever it costs.
func TestShadowIsNotCounted(t *testing.T) {
	g, recorder := newTallied(t, guardtest.New(t), func(c *guard.Config) { c.UnsafeShadow = true })
	for range 5 {
		grant, err := g.Check(t.Context(), guardtest.Call("need2", "{}"))
		if err != nil {
			t.Fatal(err)
		}
		if err := grant.Finish(t.Context(), guard.Outcome{}); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(recorder.Decisions()); n != 5 || len(recorder.counted()) != 0 {
		t.Errorf("%d decisions, %d numbers", n, len(recorder.counted()))
	}
}

// TestRefusedCallersWait: a caller waits for the record that counts it, no longer than it likes to, and no more than so
// many of them do. All are counted.
func TestRefusedCallersWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, recorder := newTallied(t, guardtest.New(t), func(c *guard.Config) { c.Refusals.MaxWaiting = 3 })
		refuse := func(ctx context.Context) guard.Refusal {
			_, err := g.Check(ctx, guardtest.Call("need2", "{}"))
			return refusal(t, err)
		}
		refuse(t.Context()) // the budget
		free := make(chan struct{})
		recorder.Hook(func(*evidence.Draft) error { <-free; return nil })
		answers := make(chan guard.Refusal, 3)
		impatient, cancel := context.WithCancel(t.Context())
		go func() { answers <- refuse(impatient) }()
		synctest.Wait() // it is being written
		for range 2 {
			go func() { answers <- refuse(t.Context()) }()
		}
		synctest.Wait()
		if r := refuse(t.Context()); r.Code != guard.CodeEvidenceUnavailable || r.EvidenceID != "" {
			t.Errorf("the fourth: %+v", r)
		}
		cancel()
		if r := <-answers; r.Code != guard.CodeEvidenceUnavailable {
			t.Errorf("the impatient one: %+v", r)
		}
		hurried, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := g.Flush(hurried); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("flushed: %v", err)
		}
		close(free)
		if err := g.Flush(t.Context()); err != nil {
			t.Error(err)
		}
		for range 2 {
			if r := <-answers; recorder.ids[r.EvidenceID] != 3 {
				t.Errorf("a patient one: %+v", r)
			}
		}
		if recorder.total != 5 {
			t.Errorf("counted %d of 5", recorder.total)
		}
	})
}

// TestRefusalsSurviveTheRecorder: a recorder that fails, panics or ends the goroutine tells those who wait that there
// is no evidence, and nobody else.
func TestRefusalsSurviveTheRecorder(t *testing.T) {
	g, recorder := newTallied(t, guardtest.New(t))
	refuse := func() guard.Refusal {
		_, err := g.Check(t.Context(), guardtest.Call("need2", "{}"))
		return refusal(t, err)
	}
	refuse()
	for name, hook := range map[string]func(*evidence.Draft) error{
		"fails":              func(*evidence.Draft) error { return errors.New("disk") },
		"panics":             func(*evidence.Draft) error { panic("disk") },
		"ends the goroutine": func(*evidence.Draft) error { runtime.Goexit(); return nil },
	} {
		recorder.Hook(hook)
		if r := refuse(); r.Code != guard.CodeEvidenceUnavailable || r.EvidenceID != "" {
			t.Errorf("%s: %+v", name, r)
		}
		recorder.Hook(nil)
		if r := refuse(); r.Code != guard.CodeAuthMissing || recorder.ids[r.EvidenceID] != 1 {
			t.Errorf("after it %s: %+v", name, r)
		}
	}
}

// TestGroupsAreBounded: a caller that makes up methods, or has itself refused in every way there is, makes the groups
// coarser and the record no larger, and every attempt is counted.
func TestGroupsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, recorder := newTallied(t, guardtest.New(t))
		refuse := func(method, cause string) {
			r := &guard.Request{Verb: guard.Invoke, Method: method, Capability: guard.Capability{Kind: guard.KindMethod, Name: method}}
			if guard.RefusalOf(g.Refuse(t.Context(), r, guard.CodeRequestRejected, cause)).EvidenceID == "" {
				t.Error("no record")
			}
		}
		refuse("", "") // the budget
		free := make(chan struct{})
		recorder.Hook(func(*evidence.Draft) error { <-free; return nil })
		go refuse("first", "A")
		synctest.Wait()
		var want uint64 = 1
		for _, batch := range []struct{ methods, causes int }{{100, 1}, {10, 100}} {
			for m := range batch.methods {
				for c := range batch.causes {
					go refuse(fmt.Sprintf("%d%s", m, strings.Repeat("x", 10*(m%9))), fmt.Sprintf("C%d", c))
					want++
				}
			}
			synctest.Wait()
		}
		close(free)
		synctest.Wait()
		if err := g.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if recorder.total != want+1 {
			t.Errorf("counted %d of %d", recorder.total, want+1)
		}
		all := recorder.counted()
		groups := all[len(all)-1].Groups
		byReason := map[string]int{}
		for _, group := range groups {
			byReason[group.Reason]++
			if len(group.Method) > 64 {
				t.Errorf("a method of %d bytes", len(group.Method))
			}
		}
		if len(groups) > evidence.MaxRefusalGroups || byReason[evidence.RefusalOther] != 1 || byReason[string(guard.CodeRequestRejected)] < 10 {
			t.Errorf("%d groups: %v", len(groups), groups)
		}
	})
}
