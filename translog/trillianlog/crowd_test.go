package trillianlog_test

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/monitor"
	"github.com/touchmark-dev/touchmark/translog/tlogclient"
	"github.com/touchmark-dev/touchmark/translog/trillianlog"
	"github.com/touchmark-dev/touchmark/translog/trillianlog/trilliantest"
)

// A writerArgs describes a process of several servers, each with its ledger and journal.
type writerArgs struct {
	Server, Policy string
	Tiles          []string // directories of the publishers: the n-th server reads the n-th, in turn
	Tree           int64
	First, Servers int
	Journals       string        // the directory of their directories
	Pause          time.Duration // between two records of a server
	Drain          bool          // end when everything is in the log, and record nothing
}

// A member is one server of the crowd.
type member struct {
	did did.DID
	key ed25519.PrivateKey
}

func memberOf(n int) member {
	seed := sha256.Sum256(fmt.Appendf(nil, "member %d", n))
	key := ed25519.NewKeyFromSeed(seed[:])
	return member{did: did.FromKey(key.Public().(ed25519.PublicKey)), key: key}
}

func journalOf(dir string, n int) string { return filepath.Join(dir, fmt.Sprint(n)) }

// writerProcess records until it is killed, and writes a line for each record that was acknowledged: its leaf hash.
func writerProcess(args string) error {
	endWithInput()
	var a writerArgs
	if err := json.Unmarshal([]byte(args), &a); err != nil {
		return err
	}
	policy, err := translog.ParsePolicy([]byte(a.Policy))
	if err != nil {
		return err
	}
	var all sync.WaitGroup
	errs := make([]error, a.Servers)
	for i := range a.Servers {
		all.Go(func() { errs[i] = a.write(a.First+i, policy) })
	}
	all.Wait()
	return errors.Join(errs...)
}

func (a *writerArgs) write(n int, policy *translog.Policy) error {
	ctx := context.Background()
	var log *trillianlog.Shared
	var err error
	for log == nil { // the server may be the one that was killed
		log, err = trillianlog.OpenShared(ctx, &trillianlog.SharedConfig{
			Server: a.Server, Tree: a.Tree, Source: tlogclient.Dir(a.Tiles[n%len(a.Tiles)]), Policy: policy, Timeout: 5 * time.Second,
		})
		var kind *trillianlog.KindError
		if errors.As(err, &kind) {
			return err
		}
	}
	m := memberOf(n)
	l, err := evidence.Open(ctx, &evidence.LedgerConfig{
		Dir: journalOf(a.Journals, n), Server: m.did, Key: m.key, KeyID: m.did.KeyURL(), Shared: log, Promise: true,
		Backlog: 100, SegmentBytes: 2 << 20,
	})
	if err != nil {
		return err
	}
	if a.Drain {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
		defer cancel()
		return errors.Join(l.Flush(ctx), l.Close(ctx))
	}
	for {
		ack, err := l.Record(ctx, &evidence.Draft{Decision: &evidence.Decision{
			Caller: evidence.Caller{Auth: evidence.AuthAnonymous}, Method: "tools/call", Capability: "tool", Target: "write",
			Kind: evidence.Deny, DenyReason: "TOOL_POLICY_DENIED", PolicyVersion: "v1",
		}, Arguments: []byte(`{"path":"/a"}`)})
		switch {
		case err == nil:
			fmt.Printf("%x\n", ack.LeafHash[:])
		case evidence.CodeOf(err) != evidence.CodeBacklogFull:
			return err
		}
		time.Sleep(a.Pause)
	}
}

// Sixteen servers in four processes append to one tree, while writers, the publisher that signs, the log server and
// the signer are killed in turn. Every record that was acknowledged is in the log, and none is twice; nothing that was
// ever shown is a fork; the monitor finds nothing.
func TestCrowd(t *testing.T) {
	const processes, each = 4, 4
	r := trilliantest.Start(t, trilliantest.PostgreSQL(t))
	c := newCluster(t, r, 2)
	a := writerArgs{
		Server: r.Address, Tree: c.args[0].Tree, Policy: fmt.Sprintf("log %s\nquorum none\n", c.config(0).Signer.VerifierKey()),
		Tiles: []string{c.args[0].Dir, c.args[1].Dir}, Servers: each, Journals: t.TempDir(), Pause: 50 * time.Millisecond,
	}
	crowd := &crowd{cluster: c, args: a, acked: make(map[string]bool), writers: make([]*process, processes)}
	c.leader(-1)
	for i := range crowd.writers {
		crowd.start(i)
	}
	kills, between := 8, 60
	if os.Getenv("TOUCHMARK_SOAK") != "" {
		kills, between = 200, 200
	}
	for k := range kills {
		crowd.await(between)
		switch k % 4 {
		case 0:
			i := k / 4 % processes
			crowd.writers[i].kill()
			crowd.start(i)
		case 1:
			i := c.leader(-1)
			c.run[i].kill()
			c.run[i] = startProcess(t, "publisher", c.args[i])
		case 2:
			r.Kill(r.Server())
			r.Run(r.Server())
		case 3:
			r.Kill(r.Signer())
			r.Run(r.Signer())
		}
	}
	crowd.await(60)
	for _, w := range crowd.writers {
		w.kill()
	}
	crowd.drain(processes * each)
	for i := range c.args {
		crowd.check(i, processes*each)
	}
}

// A crowd is a cluster, and those who append to its log.
type crowd struct {
	*cluster
	args    writerArgs
	writers []*process

	mu    sync.Mutex
	acked map[string]bool // leaf hashes
}

func (c *crowd) start(i int) {
	a := c.args
	a.First = i * a.Servers
	c.writers[i] = startTelling(c.t, "writer", a, func(line string) {
		if leaf, err := hex.DecodeString(line); err == nil && len(leaf) == sha256.Size {
			c.mu.Lock()
			c.acked[string(leaf)] = true
			c.mu.Unlock()
		}
	})
}

// await waits for so many acknowledgements.
func (c *crowd) await(n int) {
	c.t.Helper()
	count := func() int {
		c.mu.Lock()
		defer c.mu.Unlock()
		return len(c.acked)
	}
	before := count()
	for began := time.Now(); count() < before+n; time.Sleep(10 * time.Millisecond) {
		if time.Since(began) > patience {
			c.t.Fatal("nothing is acknowledged any more")
		}
	}
}

// drain has every server bring what is left of its journal into the log.
func (c *crowd) drain(servers int) {
	c.t.Helper()
	a := c.args
	a.First, a.Servers, a.Drain = 0, servers, true
	p := startProcess(c.t, "writer", a)
	<-p.read
	if err := p.cmd.Wait(); err != nil {
		c.t.Fatalf("not everything came into the log: %v", err)
	}
}

// check reads what a candidate shows.
func (c *crowd) check(i, servers int) {
	t := c.t
	t.Helper()
	cfg := c.config(i)
	keys, journal := make(evidence.Keys), make(map[string]bool)
	for n := range servers {
		m := memberOf(n)
		keys[m.did.KeyURL()] = m.key.Public().(ed25519.PublicKey)
		for record, err := range evidence.ReadJournal(journalOf(c.args.Journals, n), 0) {
			if err != nil {
				t.Fatal(err)
			}
			journal[string(record.Entry)] = true
			leaf := translog.LeafHash(record.Entry)
			delete(c.acked, string(leaf[:])) // what is left is not in any journal
		}
	}
	if i == 0 && len(c.acked) > 0 {
		t.Errorf("%d records were acknowledged and are in no journal", len(c.acked))
	}
	awaitShown(t, cfg, len(journal))
	once(t, cfg, journal)
	c.unforked(i)
	m, err := monitor.Open(&monitor.Config{
		Log: tlogclient.Dir(cfg.Dir), Policy: policyOf(t, cfg), Keys: keys, Dir: t.TempDir(),
		Views:   []monitor.View{{Name: "other", Source: tlogclient.Dir(c.config(1 - i).Dir)}},
		Journal: journalOf(c.args.Journals, i),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	report, err := m.Look(t.Context())
	if err != nil || len(report.Faults) > 0 || report.Size != uint64(len(journal)) || report.Streams != servers {
		t.Errorf("the monitor read %d entries of %d streams: %v", report.Size, report.Streams, err)
	}
	for _, f := range report.Faults {
		t.Errorf("%s: %s", f.Code, f.Reason)
	}
	othersRead(t, cfg, report.Size)
	t.Logf("candidate %d: %d entries", i, report.Size)
}
