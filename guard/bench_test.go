package guard_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/guardtest"
	"github.com/touchmark-dev/touchmark/guard/policy"
	"github.com/touchmark-dev/touchmark/internal/floor"
)

const benchPolicy = `version: 1
rules:
  - {id: never, match: {tool: "*_root"}, decision: deny}
  - {id: read, match: {tool: "read_*"}, min_level: 2, decision: allow}
`

const benchArguments = `{"path":"/srv/data/reports/2026/november.txt","encoding":"utf-8","limit":4096}`

func benchRules(b *testing.B) func(*guard.Config) {
	b.Helper()
	p, err := policy.Parse([]byte(benchPolicy))
	if err != nil {
		b.Fatal(err)
	}
	return withPolicy(p)
}

// discard acknowledges and keeps nothing.
type discard struct{ ack evidence.Ack }

func (d *discard) Record(context.Context, *evidence.Draft) (*evidence.Ack, error) { return &d.ack, nil }

// BenchmarkCheck is a decision by itself: a badge that was seen before, no call proof, nothing kept.
func BenchmarkCheck(b *testing.B) {
	w := guardtest.New(b)
	g := w.Guard(benchRules(b), func(c *guard.Config) {
		c.AllowBearerUnsafe = true
		c.Evidence = &discard{evidence.Ack{ID: "3dba37bb-0871-4def-b95b-6655128dbe19"}}
	})
	r := guardtest.Call("read_file", benchArguments)
	r.Badge = w.Agent(badge.LevelDomain).Badge
	b.ReportAllocs()
	for b.Loop() {
		if _, err := g.Check(b.Context(), r); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCheckDurable is a decision with a call proof and a ledger on a disk, against its floor: one Ed25519
// verification, one signature, and bare group commit of the same bytes, at the same concurrency and in the
// same run. It reports the ratio of the times, and for 256 callers that of the rates.
func BenchmarkCheckDurable(b *testing.B) {
	for _, callers := range []int{1, 256} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) { benchmarkDurable(b, callers) })
	}
}

// round is how many calls of each caller are measured before it is the floor's turn, and the other way round.
const round = 32

func benchmarkDurable(b *testing.B, callers int) {
	w := guardtest.New(b)
	dir := b.TempDir()
	g := w.Guard(benchRules(b), func(c *guard.Config) { c.Evidence = openBenchLedger(b, dir) })
	agent := w.Agent(badge.LevelDomain)
	warm(b, g, agent)
	bare := newBareFloor(b, measure(b, dir))
	var guarded, floored time.Duration
	b.ResetTimer()
	b.StopTimer()
	for left := b.N; left > 0; left -= round * callers {
		n := min(left, round*callers)
		requests := make([]*guard.Request, n)
		for i := range requests {
			requests[i] = agent.Call("read_file", benchArguments)
		}
		floored += spread(b, callers, n, func(int) error { return bare.once() })
		b.StartTimer()
		guarded += spread(b, callers, n, func(i int) error {
			_, err := g.Check(context.Background(), requests[i])
			return err
		})
		b.StopTimer()
	}
	b.ReportMetric(float64(floored.Nanoseconds())/float64(b.N), "floor-ns/op")
	b.ReportMetric(float64(guarded)/float64(floored), "x-latency")
	b.ReportMetric(float64(floored)/float64(guarded), "x-throughput")
}

func openBenchLedger(b *testing.B, dir string) *evidence.Ledger {
	b.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		b.Fatal(err)
	}
	self := did.FromKey(key.Public().(ed25519.PublicKey))
	l, err := evidence.Open(b.Context(), &evidence.LedgerConfig{
		Dir: dir, Server: self, Key: key, KeyID: self.KeyURL(), AllowNoLog: true, OpenCalls: 1 << 30,
	})
	if err != nil {
		b.Fatal(err)
	}
	return l
}

// warm has the badge in its cache, and one decision in the journal.
func warm(b *testing.B, g *guard.Guard, agent *guardtest.Agent) {
	b.Helper()
	if _, err := g.Check(b.Context(), agent.Call("read_file", benchArguments)); err != nil {
		b.Fatal(err)
	}
}

// sizes are how many octets a decision verifies, signs and makes durable.
type sizes struct{ proof, entry, record int }

func measure(b *testing.B, dir string) sizes {
	b.Helper()
	for stored, err := range evidence.ReadJournal(dir, 1) {
		if err != nil {
			b.Fatal(err)
		}
		opened, err := stored.OpenPrivate(nil)
		if err != nil {
			b.Fatal(err)
		}
		private, err := opened.MarshalBinary()
		if err != nil {
			b.Fatal(err)
		}
		return sizes{len(opened.Proof), len(stored.Entry), len(stored.Entry) + len(private)}
	}
	b.Fatal("the journal is empty")
	return sizes{}
}

type bareFloor struct {
	proof, entry *floor.Ed25519
	disk         *floor.GroupCommit
}

func newBareFloor(b *testing.B, n sizes) *bareFloor {
	b.Helper()
	proof, err1 := floor.NewEd25519(n.proof)
	entry, err2 := floor.NewEd25519(n.entry)
	disk, err3 := floor.NewGroupCommit(b.TempDir(), n.record)
	if err := errors.Join(err1, err2, err3); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { disk.Close() })
	return &bareFloor{proof, entry, disk}
}

func (f *bareFloor) once() error {
	if err := f.proof.Verify(); err != nil {
		return err
	}
	f.entry.Sign()
	return f.disk.Commit()
}

// spread does n things with so many callers at once, and returns how long that took.
func spread(b *testing.B, callers, n int, do func(i int) error) time.Duration {
	b.Helper()
	var wg sync.WaitGroup
	start := time.Now()
	for c := range min(callers, n) {
		wg.Go(func() {
			for i := c; i < n; i += callers {
				if err := do(i); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	return time.Since(start)
}
