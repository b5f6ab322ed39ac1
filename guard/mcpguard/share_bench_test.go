package mcpguard_test

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/pop"
	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/guardtest"
	"github.com/touchmark-dev/touchmark/guard/mcpguard"
	"github.com/touchmark-dev/touchmark/guard/policy"
	"github.com/touchmark-dev/touchmark/guard/telemetry"
	"github.com/touchmark-dev/touchmark/internal/floor"
)

// BenchmarkShare is what a guard adds to a tools/call over HTTP: with a call proof, a policy of 100 rules, records on
// the disk and telemetry that is exported, against the same server without a guard. Its floor is one Ed25519
// verification, one signature and one group commit of as many octets, by as many callers. The three take turns in one
// run; medians are reported, and what was added as a multiple of the floor.
func BenchmarkShare(b *testing.B) {
	for _, version := range []string{withoutSessions, "2025-06-18"} {
		for _, clients := range []int{1, 16} {
			b.Run(fmt.Sprintf("%s/clients=%d", version, clients), func(b *testing.B) { benchmarkShare(b, version, clients) })
		}
	}
}

func benchmarkShare(b *testing.B, version string, clients int) {
	const round = 16 // calls of each client, before it is another's turn
	s := newShare(b, version, clients)
	s.turn(b, 4, s.prove(4*clients)) // connections, caches
	s.measure(b)
	s.plain, s.guarded, s.floored, s.decided = nil, nil, nil, nil
	b.ResetTimer()
	for left := b.N; left > 0; left -= round * clients {
		b.StopTimer()
		calls := s.prove(round * clients)
		b.StartTimer()
		s.turn(b, round, calls)
	}
	b.StopTimer()
	plain, guarded, floored := median(s.plain), median(s.guarded), median(s.floored)
	b.ReportMetric(float64(plain.Microseconds()), "sdk-p50-us")
	b.ReportMetric(float64(guarded.Microseconds()), "guarded-p50-us")
	b.ReportMetric(float64(floored.Microseconds()), "floor-p50-us")
	b.ReportMetric(float64((guarded - plain).Microseconds()), "added-p50-us")
	b.ReportMetric(float64(guarded-plain)/float64(floored), "x-floor")
	b.ReportMetric(float64(quantile(s.decided, 95).Microseconds()), "decision-p95-us")
}

// A share has the three that are compared.
type share struct {
	version    string
	clients    int
	agent      *guardtest.Agent
	with, bare string // URLs
	dir        string
	client     *http.Client

	proof, entry *floor.Ed25519
	disk         *floor.GroupCommit

	mu                               sync.Mutex
	plain, guarded, floored, decided []time.Duration
}

func newShare(b *testing.B, version string, clients int) *share {
	b.Helper()
	w := guardtest.New(b)
	s := &share{version: version, clients: clients, agent: w.Agent(badge.LevelDomain), dir: b.TempDir()}
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) //nolint:errcheck // a collector that forgets
	}))
	told, err := telemetry.New(b.Context(), &telemetry.Config{OTLP: collector.URL})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = told.Close(context.Background()); collector.Close() })
	rules := "version: 1\nrules:\n"
	for i := range 100 {
		rules += fmt.Sprintf("  - {id: r%d, match: {tool: \"tool%d_*\"}, decision: allow, min_level: 1}\n", i, i)
	}
	p, err := policy.Parse([]byte(rules + "  - {id: c, match: {tool: c_level2}, decision: allow, min_level: 2}\n"))
	if err != nil {
		b.Fatal(err)
	}
	opts := &mcp.StreamableHTTPOptions{Stateless: true, JSONResponse: true}
	guarded, plain := newServer(nil), newServer(nil)
	a := mcpguard.Protect(guarded, w.Guard(func(c *guard.Config) {
		c.Policy, c.Evidence, c.Observer = p, openLedger(b, s.dir), &timedObserver{told, s}
	}))
	handler := func(server *mcp.Server) http.Handler {
		return mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, opts)
	}
	one, two := httptest.NewServer(a.Handler(handler(guarded))), httptest.NewServer(handler(plain))
	s.client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 2 * clients}}
	b.Cleanup(func() { s.client.CloseIdleConnections(); one.Close(); two.Close() })
	s.with, s.bare = one.URL, two.URL
	s.proof, s.entry, s.disk = newFloor(b, 600, 2000, 3000)
	return s
}

// measure makes the floor of as many octets as a decision has.
func (s *share) measure(b *testing.B) {
	b.Helper()
	for stored, err := range evidence.ReadJournal(s.dir, 1) {
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
		s.proof, s.entry, s.disk = newFloor(b, len(opened.Proof), len(stored.Entry), len(stored.Entry)+len(private))
		return
	}
	b.Fatal("the journal is empty")
}

func newFloor(b *testing.B, proof, entry, record int) (*floor.Ed25519, *floor.Ed25519, *floor.GroupCommit) {
	b.Helper()
	p, err1 := floor.NewEd25519(proof)
	e, err2 := floor.NewEd25519(entry)
	disk, err3 := floor.NewGroupCommit(b.TempDir(), record)
	if err := errors.Join(err1, err2, err3); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { disk.Close() })
	return p, e, disk
}

func openLedger(b *testing.B, dir string) *evidence.Ledger {
	b.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		b.Fatal(err)
	}
	self := did.FromKey(key.Public().(ed25519.PublicKey))
	l, err := evidence.Open(b.Context(), &evidence.LedgerConfig{Dir: dir, Server: self, Key: key, KeyID: self.KeyURL(), AllowNoLog: true})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = l.Close(context.Background()) })
	return l
}

const shareArguments = `{"text":"/srv/data/reports/2026/november.txt"}`

// prove signs calls, which is the client's work.
func (s *share) prove(n int) []http.Header {
	all := make([]http.Header, n)
	for i := range all {
		proof, txn := s.agent.Prove(&pop.Call{Method: "tools/call", Target: "c_level2", Arguments: json.RawMessage(shareArguments)})
		all[i] = http.Header{
			"X-Capiscio-Badge": {s.agent.Badge}, "X-Capiscio-Hop": {proof}, "X-Capiscio-Txn": {txn},
			"Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"},
			"Mcp-Protocol-Version": {s.version}, "Mcp-Method": {"tools/call"}, "Mcp-Name": {"c_level2"},
			"Traceparent": {"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"},
		}
	}
	return all
}

// turn has each client make n calls of each.
func (s *share) turn(b *testing.B, n int, calls []http.Header) {
	body := `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"c_level2","arguments":` + shareArguments +
		`,"_meta":{"io.modelcontextprotocol/protocolVersion":"` + s.version + `","io.modelcontextprotocol/clientCapabilities":{}}}}`
	s.spread(b, &s.plain, n, func(i int) error { return s.post(s.bare, body, calls[i]) })
	s.spread(b, &s.guarded, n, func(i int) error { return s.post(s.with, body, calls[i]) })
	s.spread(b, &s.floored, n, func(int) error {
		err := s.proof.Verify()
		s.entry.Sign()
		return errors.Join(err, s.disk.Commit())
	})
}

func (s *share) post(url, body string, h http.Header) error {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header = h.Clone()
	resp, err := s.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && !strings.Contains(string(text), "c_level2 /srv") {
		err = fmt.Errorf("status %d: %s", resp.StatusCode, text)
	}
	return err
}

// spread does something n times in each client, and notes how long each took.
func (s *share) spread(b *testing.B, took *[]time.Duration, n int, do func(i int) error) {
	var wg sync.WaitGroup
	for c := range s.clients {
		wg.Go(func() {
			for i := range n {
				start := time.Now()
				if err := do(c*n + i); err != nil {
					b.Error(err)
					return
				}
				s.note(took, time.Since(start))
			}
		})
	}
	wg.Wait()
}

func (s *share) note(to *[]time.Duration, d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	*to = append(*to, d)
}

func median(all []time.Duration) time.Duration { return quantile(all, 50) }

func quantile(all []time.Duration, percent int) time.Duration {
	if len(all) == 0 {
		return 0
	}
	slices.SortFunc(all, cmp.Compare[time.Duration])
	return all[(len(all)-1)*percent/100]
}

// timedObserver notes what the whole decision took, with its record.
type timedObserver struct {
	*telemetry.Telemetry
	s *share
}

type timedObservation struct {
	guard.Observation
	s *share
}

func (o *timedObserver) Begin(ctx context.Context, r *guard.Request) guard.Observation {
	return &timedObservation{o.Telemetry.Begin(ctx, r), o.s}
}

func (o *timedObservation) Decided(d *guard.Decided) {
	o.s.note(&o.s.decided, d.DecisionTook+d.RecordTook)
	o.Observation.Decided(d)
}
