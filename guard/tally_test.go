package guard

import (
	"testing"
	"time"
)

func TestBudget(t *testing.T) {
	c := &Refusals{PerSecond: 10, Burst: 20}
	b := budget{left: 20}
	now := time.Unix(1790000000, 0)
	take := func(want int) {
		t.Helper()
		got := 0
		for b.take(1, now, c) {
			got++
		}
		if got != want {
			t.Errorf("%d, want %d", got, want)
		}
	}
	take(20)
	now = now.Add(500 * time.Millisecond)
	take(5)
	now = now.Add(-time.Hour) // a clock that goes back gives nothing, and takes nothing for good
	take(0)
	now = now.Add(time.Second)
	take(10)
	now = now.Add(time.Hour)
	if b.take(21, now, c) {
		t.Error("more than all at once")
	}
	take(20)
}
