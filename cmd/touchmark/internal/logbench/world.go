package logbench

import (
	"context"
	"crypto/ed25519"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/pop"
	"github.com/touchmark-dev/touchmark/cmd/touchmark/internal/logs"
	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/policy"
)

const rules = `version: 1
rules:
  - {id: never, match: {tool: "*_root"}, decision: deny}
  - {id: read, match: {tool: "read_*"}, min_level: 0, decision: allow}
`

// What every call asks for, and is answered.
const (
	tool      = "read_file"
	arguments = `{"path":"/srv/data/reports/2026/november.txt","encoding":"utf-8","offset":0,"limit":4096,"follow":false}`
	answer    = `{"content":[{"type":"text","text":"The quarter ended as the one before it, and nobody was surprised."}]}`
)

// callRecords is how many records one call makes: a decision and an outcome.
const callRecords = 2

// renewal is when callers get a new badge.
const renewal = badge.MaxTTL / 2

// A world is a server with a guard, its callers, and who keeps the time.
type world struct {
	cfg     *Config
	log     logs.Log
	ledger  *evidence.Ledger
	guard   *guard.Guard
	server  did.DID
	callers []*caller
	meter   *meter
	records uint64 // in the journal
}

func newWorld(ctx context.Context, cfg *Config, log logs.Log) (_ *world, err error) {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, err
	}
	w := &world{cfg: cfg, log: log, server: did.FromKey(key.Public().(ed25519.PublicKey)), records: 1} // the genesis record
	for range cfg.Writers {
		c, err := newCaller()
		if err != nil {
			return nil, err
		}
		w.callers = append(w.callers, c)
	}
	w.ledger, err = evidence.Open(ctx, &evidence.LedgerConfig{
		Dir: cfg.Journal, Server: w.server, Key: key, KeyID: w.server.KeyURL(), Log: log, Promise: cfg.Promise,
	})
	if err != nil {
		return nil, err
	}
	w.meter = newMeter(ctx, cfg.Ahead, log)
	if w.guard, err = w.newGuard(); err != nil {
		return nil, errors.Join(err, closed(ctx, w.close))
	}
	return w, nil
}

func (w *world) close(ctx context.Context) error {
	w.meter.stop()
	return w.ledger.Close(ctx)
}

// newGuard makes a guard that knows every caller, each by its own word.
func (w *world) newGuard() (*guard.Guard, error) {
	known := make([]did.DID, len(w.callers))
	for i, c := range w.callers {
		known[i] = c.id
	}
	badges, err := badge.NewVerifier(&badge.Config{SelfSigned: known})
	if err != nil {
		return nil, err
	}
	proofs, err := pop.NewVerifier(&pop.Config{Server: w.server, Replay: pop.NewMemoryReplay(&pop.MemoryReplayConfig{
		MaxPerSubject: pop.DefaultReplayEntries,
	})})
	if err != nil {
		return nil, err
	}
	allowed, err := policy.Parse([]byte(rules))
	if err != nil {
		return nil, err
	}
	return guard.New(&guard.Config{
		Server: w.server, Badges: badges, Proofs: proofs, Policy: allowed, Evidence: &recorder{w.ledger, w.meter},
	})
}

// A recorder is the ledger, with a watch in its hand.
type recorder struct {
	*evidence.Ledger
	meter *meter
}

func (r *recorder) Record(ctx context.Context, d *evidence.Draft) (*evidence.Ack, error) {
	began := time.Now()
	ack, err := r.Ledger.Record(ctx, d)
	if err == nil {
		r.meter.acknowledged(ack.Sequence, began, time.Now())
	}
	return ack, err
}

// load has all callers call until the journal has so many records, or a little more.
func (w *world) load(ctx context.Context, size uint64) error {
	if size <= w.records {
		return nil
	}
	calls := int64(size-w.records+callRecords-1) / callRecords //nolint:gosec // bounded by MaxRecords
	left := atomic.Int64{}
	left.Store(calls)
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	var callers sync.WaitGroup
	for _, c := range w.callers {
		callers.Go(func() {
			for left.Add(-1) >= 0 && ctx.Err() == nil {
				if err := w.call(ctx, c); err != nil {
					fail(err)
				}
			}
		})
	}
	callers.Wait()
	if err := context.Cause(ctx); err != nil {
		return err
	}
	w.records += callRecords * uint64(calls)
	return nil
}

// call is one call from end to end, but for the wire between caller and server.
func (w *world) call(ctx context.Context, c *caller) error {
	if err := w.meter.admit(ctx); err != nil {
		return err
	}
	r, err := c.request(w.server)
	if err != nil {
		return err
	}
	grant, err := w.guard.Check(ctx, r)
	if err != nil {
		return err
	}
	return grant.Finish(ctx, guard.Outcome{Result: []byte(answer)})
}

// A caller is an agent with a key, and a badge that it signed itself.
type caller struct {
	key     ed25519.PrivateKey
	id      did.DID
	badge   string
	badgeID string
	issued  time.Time
}

func newCaller() (*caller, error) {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, err
	}
	return &caller{key: key, id: did.FromKey(key.Public().(ed25519.PublicKey))}, nil
}

func (c *caller) request(server did.DID) (*guard.Request, error) {
	if time.Since(c.issued) > renewal {
		if err := c.renew(); err != nil {
			return nil, err
		}
	}
	r := &guard.Request{
		Verb: guard.Invoke, Method: "tools/call", Capability: guard.Capability{Kind: guard.KindTool, Name: tool},
		Arguments: []byte(arguments), Badge: c.badge, TxnID: pop.NewTxnID(),
	}
	var err error
	r.Proof, err = pop.Sign(c.key, &pop.Statement{
		Call:    &pop.Call{Method: r.Method, Target: tool, Arguments: r.Arguments},
		Subject: c.id, BadgeID: c.badgeID, Server: server, TxnID: r.TxnID,
	})
	return r, err
}

func (c *caller) renew() error {
	token, err := badge.SelfSign(c.key, &badge.Template{TTL: badge.MaxTTL})
	if err != nil {
		return err
	}
	b, err := badge.Inspect(token)
	if err != nil {
		return err
	}
	c.badge, c.badgeID, c.issued = token, b.BadgeID, time.Now()
	return nil
}
