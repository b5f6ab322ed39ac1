package authority

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/badge/pop"
	"github.com/touchmark-dev/touchmark/internal/jwk"
	"github.com/touchmark-dev/touchmark/internal/jws"
	"github.com/touchmark-dev/touchmark/internal/sqlstore/sqltest"
)

// soak reports whether tests run with the full counts of `make soak`.
func soak() bool { return os.Getenv("TOUCHMARK_SOAK") == "1" }

// A cluster is processes of one authority on one database, the first of which ships to the log.
type cluster struct {
	*bed   // one more node, in this process
	dir    string
	url    string
	nodes  []*node
	agents []*party
	client *http.Client
}

func newCluster(t *testing.T, url string, nodes int) *cluster {
	t.Helper()
	c := &cluster{dir: t.TempDir(), url: url, client: &http.Client{
		Transport: &http.Transport{MaxIdleConnsPerHost: 1 << 10}, Timeout: time.Minute,
	}}
	c.bed = newBed(t, url, func(c *Config) {
		unlimited(c)
		c.Log, c.LogElsewhere = nil, true
	})
	text, err := jwk.MarshalPrivate(&jwk.Private{Key: c.signers.keys[testKeyID], KeyID: testKeyID})
	must(t, err)
	must(t, os.WriteFile(filepath.Join(c.dir, "ca-key"), text, 0o600))
	for n := range 8 {
		c.agents = append(c.agents, c.agent(fmt.Sprint("a", n)))
	}
	for n := range nodes {
		c.nodes = append(c.nodes, &node{t: t, nodeConfig: nodeConfig{Database: url, Dir: c.dir, Ships: n == 0}})
	}
	var starting sync.WaitGroup
	for _, n := range c.nodes {
		starting.Go(n.start)
	}
	starting.Wait()
	t.Cleanup(func() {
		for _, n := range c.nodes {
			if n.cmd != nil && n.cmd.ProcessState == nil {
				_ = errors.Join(n.cmd.Process.Kill(), n.cmd.Wait())
			}
		}
	})
	return c
}

// post sends a request to a node; the error is that of a node that was killed.
func (c *cluster) post(n *node, path, key string, body any) (int, []byte, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return 0, nil, err
	}
	r, err := http.NewRequest(http.MethodPost, n.address()+path, bytes.NewReader(text))
	if err != nil {
		return 0, nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set(headerAccountKey, key)
	w, err := c.client.Do(r)
	if err != nil {
		return 0, nil, err
	}
	answer, err := io.ReadAll(w.Body)
	return w.StatusCode, answer, errors.Join(err, w.Body.Close())
}

// ask gets a challenge and signs it; nil when the node was killed meanwhile.
func (c *cluster) ask(n *node, p *party) (map[string]string, error) {
	status, answer, err := c.post(n, p.path("/badge/challenge"), c.issue, map[string]any{})
	if err != nil {
		return nil, nil //nolint:nilerr // it was killed
	}
	if status != http.StatusOK {
		return nil, fmt.Errorf("challenge: status %d: %s", status, answer)
	}
	challenge, err := pop.ParseChallenge(answer, testIssuer, p.did)
	if err != nil {
		return nil, err
	}
	proof, err := pop.SignIssuance(p.key, p.keyID, challenge, time.Now())
	return map[string]string{"mode": "ial1", "challenge_id": challenge.ID, "proof_jws": proof}, err
}

// redeem sends a proof, and returns the badge that it got; nil when the challenge was used before, or the node killed.
func (c *cluster) redeem(n *node, p *party, proof map[string]string) (*badgeAnswer, error) {
	status, answer, err := c.post(n, p.path("/badge"), "", proof)
	switch {
	case err != nil:
		return nil, nil //nolint:nilerr // it was killed
	case status == http.StatusForbidden && strings.Contains(string(answer), string(CodeChallengeUsed)):
		return nil, nil
	case status != http.StatusOK:
		return nil, fmt.Errorf("proof: status %d: %s", status, answer)
	}
	got := new(badgeAnswer)
	return got, json.Unmarshal(answer, got)
}

// TestNodesRedeemOnce has four processes redeem one challenge 200 times at once: there is one badge.
func TestNodesRedeemOnce(t *testing.T) {
	c := newCluster(t, sqltest.PostgreSQL(t), 4)
	p := c.agents[0]
	proof, err := c.ask(c.nodes[0], p)
	must(t, err)
	var got atomic.Int32
	var group sync.WaitGroup
	for n := range 200 {
		group.Go(func() {
			badge, err := c.redeem(c.nodes[n%4], p, proof)
			if err != nil {
				t.Error(err)
			}
			if badge != nil {
				got.Add(1)
			}
		})
	}
	group.Wait()
	if got.Load() != 1 {
		t.Errorf("%d badges for one challenge", got.Load())
	}
	c.settle(nil)
}

// TestNodesKilled kills the processes of an authority in turn, without warning and under load, and starts them again:
// four of them on PostgreSQL, one on SQLite. TOUCHMARK_SOAK=1 does so 60 times on each.
func TestNodesKilled(t *testing.T) {
	for _, test := range []struct {
		engine string
		open   func(testing.TB) string
		nodes  int
	}{{"sqlite", sqltest.SQLite, 1}, {"postgres", sqltest.PostgreSQL, 4}} {
		t.Run(test.engine, func(t *testing.T) {
			c := newCluster(t, test.open(t), test.nodes)
			kills := 4
			if soak() {
				kills = 60
			}
			got := c.killUnderLoad(kills)
			c.settle(got)
			t.Logf("%d kills, %d badges received", kills, len(got))
		})
	}
}

// killUnderLoad returns the badges that clients received, by their challenges.
func (c *cluster) killUnderLoad(kills int) map[string]*badgeAnswer {
	c.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var mu sync.Mutex
	received := make(map[string]*badgeAnswer)
	keep := func(challenge string, got *badgeAnswer) {
		mu.Lock()
		defer mu.Unlock()
		if received[challenge] != nil {
			c.t.Errorf("challenge %q was redeemed twice", challenge)
		}
		received[challenge] = got
	}
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			for ctx.Err() == nil && !c.t.Failed() {
				if err := c.getOne(keep); err != nil {
					c.t.Error(err)
				}
			}
		})
	}
	number := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(received)
	}
	for i := range kills {
		for before := number(); number() < before+8 && !c.t.Failed(); { // all are at work
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Duration(rand.IntN(200)) * time.Millisecond) //nolint:gosec // a moment
		n := c.nodes[i%len(c.nodes)]
		n.kill()
		n.start()
	}
	cancel()
	clients.Wait()
	return received
}

// getOne asks for a badge as an impatient client does: two nodes at once are sent the proof, and again after a failure.
func (c *cluster) getOne(keep func(string, *badgeAnswer)) error {
	p := c.agents[rand.IntN(len(c.agents))]                             //nolint:gosec // any
	someone := func() *node { return c.nodes[rand.IntN(len(c.nodes))] } //nolint:gosec // the same
	proof, err := c.ask(someone(), p)
	if proof == nil || err != nil {
		time.Sleep(time.Millisecond) // until it is back
		return err
	}
	errs := make([]error, 2)
	var both sync.WaitGroup
	for i := range errs {
		both.Go(func() {
			for range 2 {
				got, err := c.redeem(someone(), p, proof)
				if got != nil {
					keep(proof["challenge_id"], got)
				}
				errs[i] = errors.Join(errs[i], err)
			}
		})
	}
	both.Wait()
	return errors.Join(errs...)
}

// settle kills all nodes, ships what is left, and compares the badges that were received, the database and the log.
func (c *cluster) settle(received map[string]*badgeAnswer) {
	c.t.Helper()
	ctx := context.Background()
	for _, n := range c.nodes {
		n.kill()
	}
	a, log, err := (&nodeConfig{Database: c.url, Dir: c.dir, Ships: true}).open(ctx)
	must(c.t, err)
	defer func() { must(c.t, errors.Join(a.Close(), log.Close(ctx))) }()
	for n := 1; n > 0; {
		n, err = a.Ship(ctx)
		must(c.t, err)
	}
	stored := c.stored()
	size, err := log.Size(ctx)
	must(c.t, err)
	if int(size) != len(stored.entries) { //nolint:gosec // small
		c.t.Errorf("the log has %d entries, the outbox %d", size, len(stored.entries))
	}
	logged := make(map[string]*Entry)
	for i, want := range stored.entries {
		text, err := log.Entry(ctx, uint64(i)) //nolint:gosec // an index
		must(c.t, err)
		var e Entry
		must(c.t, json.Unmarshal(text, &e))
		switch {
		case !bytes.Equal(text, want):
			c.t.Errorf("entry %d of the log is not that of the outbox", i)
		case logged[e.Type+e.ID] != nil:
			c.t.Errorf("entry %d: %s %s is in the log twice", i, e.Type, e.ID)
		}
		logged[e.Type+e.ID] = &e
	}
	for challenge, got := range received {
		e := logged[EntryBadgeIssued+got.ID]
		if e == nil || e.TokenHash != hashText(jws.TokenHash(got.Badge)) {
			c.t.Errorf("badge %q, for challenge %q, is not in the log: %+v", got.ID, challenge, e)
		}
	}
	if stored.badges != stored.challenges || stored.badges != stored.used || stored.badges < len(received) {
		c.t.Errorf("%+v, and %d received", stored, len(received))
	}
}

// stored is what a database holds: badges, their challenges, those marked as used, and entries in order of the log.
type storedRows struct {
	badges, challenges, used int
	entries                  [][]byte
}

// stored reads the database by itself.
func (c *cluster) stored() *storedRows {
	c.t.Helper()
	driver, source := "pgx", strings.Replace(c.url, "unsafe_no_fsync", "touchmark.unsafe_no_fsync", 1)
	if path, ok := strings.CutPrefix(c.url, "sqlite:"); ok {
		driver, source = "sqlite", path
	}
	db, err := sql.Open(driver, source)
	must(c.t, err)
	defer db.Close()
	out := new(storedRows)
	must(c.t, db.QueryRow(`SELECT (SELECT count(*) FROM badges), (SELECT count(DISTINCT challenge_id) FROM badges),
		(SELECT count(*) FROM challenges WHERE used_at IS NOT NULL)`).Scan(&out.badges, &out.challenges, &out.used))
	rows, err := db.Query(`SELECT position, entry FROM outbox ORDER BY position`)
	must(c.t, err)
	defer rows.Close()
	for rows.Next() {
		var position int
		var entry []byte
		must(c.t, rows.Scan(&position, &entry))
		if position != len(out.entries) {
			c.t.Errorf("position %d where %d is due", position, len(out.entries))
		}
		out.entries = append(out.entries, entry)
	}
	must(c.t, rows.Err())
	return out
}
