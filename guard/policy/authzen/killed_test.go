package authzen_test

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/guardtest"
	"github.com/touchmark-dev/touchmark/guard/policy/authzen"
)

// A service goes away under load: no call that begins after is allowed, every call is recorded, and nothing is left.
func TestServiceKilledMidRun(t *testing.T) {
	before := runtime.NumGoroutine()
	w := guardtest.New(t)
	s := newService(t, answers(yes))
	c := client(t, s.URL)
	g := w.Guard(func(cfg *guard.Config) {
		cfg.Policy = authzen.All(local(t, readers), c)
		cfg.Refusals = guard.Refusals{PerSecond: 1e9, Burst: 1e9} // each is counted below
	})
	agent := w.Agent(badge.LevelDomain)
	var killed atomic.Bool
	var allow, deny, late atomic.Int32
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for late.Load() < 20 {
				after := killed.Load()
				_, err := g.Check(t.Context(), agent.Call("read_file", `{}`))
				switch {
				case err == nil && after:
					t.Error("allowed, and the service is gone")
				case err == nil:
					allow.Add(1)
				default:
					deny.Add(1)
				}
				if after {
					late.Add(1)
				}
			}
		})
	}
	for end := time.Now().Add(30 * time.Second); allow.Load() < 20 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	s.CloseClientConnections()
	s.Close()
	killed.Store(true)
	wg.Wait()
	if a, d := recorded(w.Recorder); a != int(allow.Load()) || d != int(deny.Load()) || a < 20 || d < 20 {
		t.Errorf("recorded %d that allow and %d that deny, of %d and %d", a, d, allow.Load(), deny.Load())
	}
	c.Close()
	settle(t, before)
}
