package evidence

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/internal/durable"
	"github.com/touchmark-dev/touchmark/internal/floor"
)

// benchBytes is about what a decision of a badge caller takes in the journal: entry, badge and call proof.
const benchBytes = 3 << 10

// A contest times two ways to do something in turns, so that both meet the same disk and the same neighbours.
type contest struct {
	floor, ours func() error
	turn        int // calls in each turn
}

// run makes b.N calls of each at this concurrency, and reports the time of ours and its ratio to the floor's: medians of
// the turns.
func (c *contest) run(b *testing.B, callers int) {
	b.Helper()
	var turns floor.Turns
	b.ResetTimer()
	for done := 0; done < b.N; done += c.turn {
		n := min(c.turn, b.N-done)
		theirs := spread(b, callers, n, c.floor) / time.Duration(n)
		turns.Add(theirs, spread(b, callers, n, c.ours)/time.Duration(n))
	}
	b.StopTimer()
	b.ReportMetric(0, "ns/op") // both together say nothing
	b.ReportMetric(float64(turns.Ours()), "ours-ns/op")
	b.ReportMetric(float64(turns.Floor()), "floor-ns/op")
	b.ReportMetric(turns.Ratio(), "time-ratio")
	b.ReportMetric(1/turns.Ratio(), "throughput-ratio")
}

// spread makes n calls from a number of goroutines.
func spread(b *testing.B, callers, n int, do func() error) time.Duration {
	b.Helper()
	var wg sync.WaitGroup
	start := time.Now()
	for caller := range callers {
		wg.Go(func() {
			for i := caller; i < n; i += callers {
				if err := do(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	return time.Since(start)
}

// BenchmarkJournal compares the journal with bare group commit of the same bytes.
func BenchmarkJournal(b *testing.B) {
	payload := make([]byte, benchBytes)
	for i := range payload {
		payload[i] = byte(i)
	}
	for _, writers := range []int{1, 256} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			g, err := floor.NewGroupCommit(b.TempDir(), benchBytes)
			if err != nil {
				b.Fatal(err)
			}
			defer g.Close()
			j := mustOpenJournal(b, journalConfig{fs: durable.OS{}, dir: b.TempDir()})
			defer j.close()
			c := &contest{floor: g.Commit, ours: func() error { return appendOne(j, payload) }, turn: 16 * writers}
			c.run(b, writers)
		})
	}
}

func appendOne(j *journal, payload []byte) error {
	space := loneSpace(len(payload))
	for {
		wait, err := j.tryReserve(space, 0)
		if err != nil {
			return err
		}
		if wait == nil {
			break
		}
		<-wait
	}
	c, err := j.append(space, payload)
	if err != nil {
		return err
	}
	<-c.done
	return c.err
}
