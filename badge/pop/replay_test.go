package pop

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/did"
)

// A testClock is moved by hand.
type testClock struct{ now atomic.Int64 }

func (c *testClock) time() time.Time { return time.Unix(c.now.Load(), 0) }

func newTestReplay(maxEntries, maxPerSubject int) (*MemoryReplay, *testClock) {
	c := new(testClock)
	c.now.Store(1000)
	return NewMemoryReplay(&MemoryReplayConfig{MaxEntries: maxEntries, MaxPerSubject: maxPerSubject, Time: c.time}), c
}

func use(s *MemoryReplay, subject, hop string, until int64) error {
	d := did.MustParse("did:web:agents.example:" + subject)
	return s.Use(context.Background(), ReplayKey{KeyThumbprint: "key of " + subject, HopID: hop, Subject: d}, time.Unix(until, 0))
}

func want(t *testing.T, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
}

func TestMemoryReplayRemembersUntilTheEnd(t *testing.T) {
	s, c := newTestReplay(0, 0)
	want(t, use(s, "ada", "1", 1040), nil)
	for _, now := range []int64{1000, 1039, 1040} {
		c.now.Store(now)
		want(t, use(s, "ada", "1", 1040), ErrReplayed)
	}
	want(t, use(s, "bob", "1", 1041), nil)
	c.now.Store(1041)
	want(t, use(s, "cid", "1", 1080), nil)
	if s.Len() != 2 {
		t.Errorf("%d proofs remembered, want those of bob and cid", s.Len())
	}
}

// One caller cannot keep the others out, and when all is full nothing is forgotten to make room.
func TestMemoryReplayIsBounded(t *testing.T) {
	s, c := newTestReplay(10, 4)
	for i := range 4 {
		want(t, use(s, "ada", fmt.Sprint(i), 1040), nil)
	}
	want(t, use(s, "ada", "more", 1040), ErrFull)
	for i := range 3 {
		want(t, use(s, "bob", fmt.Sprint(i), 1040), nil)
		want(t, use(s, "cid", fmt.Sprint(i), 1050), nil)
	}
	want(t, use(s, "dan", "0", 1040), ErrFull)
	for i := range 4 {
		want(t, use(s, "ada", fmt.Sprint(i), 1040), ErrReplayed)
	}
	c.now.Store(1041)
	for i := range 4 {
		want(t, use(s, "dan", fmt.Sprint(i), 1080), nil)
		want(t, use(s, "ada", fmt.Sprint(10+i), 1080), map[bool]error{true: nil, false: ErrFull}[i < 3])
	}
	want(t, use(s, "cid", "0", 1050), ErrReplayed)
}

// What a subject still has in the store counts against it when other proofs of it are forgotten.
func TestMemoryReplayCountsWhatIsLeft(t *testing.T) {
	s, c := newTestReplay(10, 3)
	want(t, use(s, "ada", "0", 1010), nil)
	want(t, use(s, "ada", "1", 1040), nil)
	want(t, use(s, "ada", "2", 1040), nil)
	c.now.Store(1011)
	want(t, use(s, "ada", "3", 1050), nil)
	want(t, use(s, "ada", "4", 1050), ErrFull)
	if s.Len() != 3 || len(s.subjects) != 1 {
		t.Errorf("%d proofs of %d subjects", s.Len(), len(s.subjects))
	}
	c.now.Store(1051)
	want(t, use(s, "bob", "0", 1090), nil)
	if s.Len() != 1 || len(s.subjects) != 1 {
		t.Errorf("%d proofs of %d subjects", s.Len(), len(s.subjects))
	}
}

// When the clock is set back, a proof that was forgotten would be valid again.
func TestMemoryReplayClockSetBack(t *testing.T) {
	s, c := newTestReplay(0, 0)
	want(t, use(s, "ada", "1", 1040), nil)
	c.now.Store(2000)
	want(t, use(s, "ada", "2", 2040), nil)
	c.now.Store(1010)
	want(t, use(s, "ada", "1", 1040), ErrReplayed)
	want(t, use(s, "ada", "3", 1999), ErrReplayed)
	want(t, use(s, "ada", "4", 2040), nil)
}

func TestMemoryReplayOneWinner(t *testing.T) {
	s, _ := newTestReplay(0, 0)
	for hop := range 50 {
		var won atomic.Int32
		var group sync.WaitGroup
		for range 16 {
			group.Go(func() {
				if use(s, "ada", fmt.Sprint(hop), 1040) == nil {
					won.Add(1)
				}
			})
		}
		group.Wait()
		if won.Load() != 1 {
			t.Fatalf("hop %d was used %d times", hop, won.Load())
		}
	}
}

func TestMemoryReplayDefaults(t *testing.T) {
	s := NewMemoryReplay(nil)
	if s.maxEntries != DefaultReplayEntries || s.maxPerSubject != DefaultReplayPerSubject {
		t.Errorf("bounds %d and %d", s.maxEntries, s.maxPerSubject)
	}
	d := did.MustParse("did:web:agents.example")
	if err := s.Use(context.Background(), ReplayKey{"k", "h", d}, time.Now().Add(time.Minute)); err != nil {
		t.Error(err)
	}
}
