package authority

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/sqlstore/sqltest"
	"github.com/touchmark-dev/touchmark/translog/tesseralog"
)

// TestMixedLoad does everything that an authority is asked for at the same time, over loopback and with a log on disk,
// for two seconds on each engine, or with TOUCHMARK_SOAK=1 for ten minutes: no request fails, and memory does not grow.
func TestMixedLoad(t *testing.T) {
	sqltest.Each(t, func(t *testing.T, url string) {
		log, err := openNodeLog(context.Background(), t.TempDir())
		must(t, err)
		t.Cleanup(func() { must(t, log.Close(context.Background())) })
		m := &mixed{log: log, length: 2 * time.Second, pause: time.Second / 2}
		if soak() {
			m.length, m.pause = 10*time.Minute, 20*time.Second
		}
		m.bed = newBed(t, url, func(c *Config) {
			unlimited(c)
			c.Log, c.KeyLead = log, time.Second
		})
		m.listen()
		m.run()
	})
}

// mixed is a mixed load.
type mixed struct {
	*bed
	log           *tesseralog.Log
	length, pause time.Duration // of all, and between two changes of keys
	agents        []*party
	changing      *party // whose keys and status change
	verify        *badge.Verifier
	accountKey    string // which takes another's place now and then

	mu     sync.Mutex
	recent []badgeAnswer // some of those issued last
	counts sync.Map      // from what was done to how often
}

const (
	recentBadges = 512
	samples      = 10 // of what the process takes
)

func (m *mixed) run() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for n := range 32 {
		m.agents = append(m.agents, m.agent(fmt.Sprint("a", n)))
	}
	m.changing = m.agent("changing")
	secret, err := m.AddAccountKey(ctx, m.account)
	must(m.t, err)
	m.verify, err = badge.NewVerifier(&badge.Config{
		Issuers: []string{testIssuer}, Keys: own{m.Authority}, Resolver: &hosting{m.Authority, m.docs}, UnsafeNoStatus: true,
	})
	must(m.t, err)
	m.accountKey = secret.Reveal()
	m.server.Client().CloseIdleConnections()
	before := runtime.NumGoroutine()
	var running, workers sync.WaitGroup
	running.Go(func() {
		if err := m.Run(ctx); err != nil {
			m.t.Error(err)
		}
	})
	end := time.Now().Add(m.length)
	for _, w := range []struct {
		what   string
		number int
		pause  time.Duration
		do     func()
	}{
		{"issue, assurance 1", 4, 10 * time.Millisecond, m.issueOne},
		{"issue, assurance 0", 2, 10 * time.Millisecond, func() { m.keep(m.badge0(m.any())) }},
		{"status", 2, 5 * time.Millisecond, m.status},
		{"lists", 1, 100 * time.Millisecond, m.lists},
		{"revoke", 1, 20 * time.Millisecond, m.revokeOne},
		{"read the log", 1, 20 * time.Millisecond, m.readLog},
		{"change keys", 1, m.pause, m.changeKeys},
	} {
		for range w.number {
			workers.Go(func() {
				for time.Now().Before(end) && !m.t.Failed() {
					w.do()
					m.count(w.what)
					time.Sleep(w.pause)
				}
			})
		}
	}
	var prints []footprint
	for range samples - 1 {
		if !m.t.Failed() {
			time.Sleep(m.length / samples)
		}
		prints = append(prints, measure())
	}
	workers.Wait()
	prints = append(prints, measure())
	cancel()
	running.Wait()
	m.report(prints)
	m.ends(before)
}

// ends waits until no goroutines are left that were not there before the load: connections end with the client's.
func (m *mixed) ends(before int) {
	for began := time.Now(); runtime.NumGoroutine() > before; time.Sleep(10 * time.Millisecond) {
		if m.server.Client().CloseIdleConnections(); time.Since(began) > time.Minute {
			stacks := make([]byte, 1<<20)
			m.t.Fatalf("%d goroutines, before the load %d: %s", runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
		}
	}
}

func (m *mixed) count(what string) {
	n, _ := m.counts.LoadOrStore(what, new(atomic.Int64))
	n.(*atomic.Int64).Add(1)
}

func (m *mixed) any() *party { return m.agents[rand.IntN(len(m.agents))] } //nolint:gosec // any

func (m *mixed) keep(b *badgeAnswer) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.recent) < recentBadges {
		m.recent = append(m.recent, *b)
		return
	}
	m.recent[rand.IntN(recentBadges)] = *b //nolint:gosec // any
}

// some returns a badge that was issued, once there is one.
func (m *mixed) some() *badgeAnswer {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.recent) == 0 {
		return nil
	}
	b := m.recent[rand.IntN(len(m.recent))] //nolint:gosec // any
	return &b
}

func (m *mixed) issueOne() {
	b := m.badge1(m.any())
	if _, err := m.verify.Verify(context.Background(), b.Badge); err != nil {
		m.t.Error(err)
	}
	m.keep(b)
}

func (m *mixed) status() {
	if b := m.some(); b != nil {
		m.send("GET", "/v1/badges/"+b.ID+"/status", "", nil).ok(nil)
		m.send("GET", (&party{did: did.MustParse(b.Subject)}).path("/status"), "", nil).ok(nil)
	}
}

func (m *mixed) lists() {
	m.list()
	m.send("GET", "/v1/revocations?limit=1000", "", nil).ok(nil)
}

func (m *mixed) revokeOne() {
	if b := m.some(); b != nil {
		m.send("POST", "/v1/badges/"+b.ID+"/revoke", m.issue, map[string]string{"reason": "load"}).ok(nil)
	}
}

// readLog finds a badge in the log, if it is there yet, and proves it.
func (m *mixed) readLog() {
	b := m.some()
	if b == nil {
		return
	}
	var status struct {
		LogIndex *uint64 `json:"log_index"`
	}
	m.send("GET", "/v1/badges/"+b.ID+"/status", "", nil).ok(&status)
	ctx := context.Background()
	cp, err := m.log.Checkpoint(ctx)
	if err != nil || status.LogIndex == nil || *status.LogIndex >= cp.Size() {
		return // Checkpoint fails until there is one
	}
	entry, err := m.log.Entry(ctx, *status.LogIndex)
	must(m.t, err)
	proof, err := m.log.Prove(ctx, cp, *status.LogIndex)
	must(m.t, err)
	var e Entry
	must(m.t, json.Unmarshal(entry, &e))
	if _, err := m.log.Policy().Verify(entry, proof); err != nil || e.ID != b.ID {
		m.t.Errorf("entry %d is of badge %q, not %q: %v", *status.LogIndex, e.ID, b.ID, err)
	}
	m.count("proofs")
}

// changeKeys gives the authority, an account and an agent new keys, and stops the agent for a moment.
func (m *mixed) changeKeys() {
	ctx := context.Background()
	states, err := m.Keys(ctx)
	must(m.t, err)
	id := fmt.Sprint("ca-", len(states)+1)
	m.signers.add(m.t, id)
	must(m.t, m.AddKey(ctx, id, false))
	var next struct{ Key string }
	m.send("POST", "/v1/account/keys/rotate", m.accountKey, map[string]int{"overlap_seconds": 0}).ok(&next)
	m.accountKey = next.Key
	p, old := m.changing, m.changing.keyID
	p.key = newKey(m.t)
	var added struct {
		KeyID string `json:"key_id"`
	}
	m.send("POST", p.path("/keys"), m.accountKey, map[string]any{"public_key_jwk": publicJWK(m.t, p.key)}).ok(&added)
	p.keyID = added.KeyID
	m.send("POST", p.path("/keys/use"), m.accountKey, map[string]string{"key_id": p.keyID}).ok(nil)
	m.send("POST", p.path("/keys/remove"), m.accountKey, map[string]string{"key_id": old}).ok(nil)
	m.badge1(p)
	m.send("POST", p.path("/suspend"), m.admin, map[string]string{"reason": "load"}).ok(nil)
	m.send("POST", p.path("/enable"), m.admin, nil).ok(nil)
}

// A footprint is what the process takes.
type footprint struct {
	heap       uint64 // bytes in use after a collection
	resident   string // as the system says, "" where it does not; SQLite's memory is part of it
	goroutines int
}

func measure() footprint {
	runtime.GC()
	runtime.GC() // of what finalizers let go
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	f := footprint{heap: stats.HeapAlloc, goroutines: runtime.NumGoroutine()}
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return f
	}
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	f.resident, _, _ = strings.Cut(strings.TrimSpace(rest), "\n")
	return f
}

// report fails when memory has grown since half of the time had passed, when caches had become full, by more than chance.
func (m *mixed) report(prints []footprint) {
	m.counts.Range(func(what, n any) bool {
		m.t.Logf("%s: %d", what, n.(*atomic.Int64).Load())
		return true
	})
	for i, p := range prints {
		m.t.Logf("after %d/%d: heap %d KiB, resident %s, %d goroutines", i+1, samples, p.heap>>10, p.resident, p.goroutines)
	}
	half, end := prints[samples/2-1], prints[samples-1]
	if end.heap > half.heap+half.heap/2+4<<20 {
		m.t.Error("the heap has grown")
	}
}
