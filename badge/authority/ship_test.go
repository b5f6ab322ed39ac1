package authority

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/badge/authority/internal/store"
	"github.com/touchmark-dev/touchmark/internal/jcs"
	"github.com/touchmark-dev/touchmark/internal/jwk"
	"github.com/touchmark-dev/touchmark/translog/translogtest"
)

// TestLog has every act in the log, once, in order, in canonical form.
func TestLog(t *testing.T) {
	bedded(t, nil, func(t *testing.T, b *bed) {
		p := b.agent("ada")
		b.level(p, "2", "acme.com")
		out := b.badge1(p)
		b.send("POST", "/v1/badges/"+out.ID+"/revoke", b.issue, map[string]string{"reason": "lost"}).ok(nil)
		b.send("POST", "/v1/badges/"+out.ID+"/revoke", b.issue, nil).ok(nil) // changes nothing, and is no act
		b.send("POST", p.path("/disable"), b.issue, map[string]string{"reason": "r"}).ok(nil)
		b.send("POST", p.path("/badge"), b.issue, `{"mode":"ial0"}`).refused(403, CodeAgentInactive)
		var types []string
		entries := b.entries()
		ids := make(map[string]bool)
		for i, e := range entries {
			types = append(types, e.Type)
			if ids[e.Type+e.ID] || e.Issuer != testIssuer || e.Version != entryVersion || e.By == "" {
				t.Errorf("entry %+v", e)
			}
			ids[e.Type+e.ID] = true
			text, err := b.log.Entry(context.Background(), uint64(i))
			must(t, err)
			canonical, err := jcs.Canonicalize(text)
			must(t, err)
			if string(canonical) != string(text) {
				t.Errorf("entry %s is not canonical", text)
			}
			if _, err := time.Parse(entryTimeFormat, e.Time); err != nil {
				t.Error(err)
			}
		}
		want := "key.published account.added account.key_added account.added account.key_added agent.registered level.granted badge.issued badge.revoked agent.status"
		if got := strings.Join(types, " "); got != want {
			t.Errorf("entries\n%s, want\n%s", got, want)
		}
		issued := entries[7]
		got, err := b.verifier(nil).Verify(context.Background(), out.Badge)
		must(t, err)
		thumbprint, err := jwk.Thumbprint(p.key.Public())
		must(t, err)
		wantEntry := Entry{
			Version: 1, Type: EntryBadgeIssued, ID: out.ID, Issuer: testIssuer, Time: issued.Time, Subject: p.did.String(), Level: "2",
			Assurance: "1", Domain: "acme.com", Key: thumbprint, KeyID: testKeyID, Expires: got.ExpiresAt().Unix(),
			TokenHash: hashText(got.TokenHash()), Account: b.account, By: b.account,
		}
		if issued != wantEntry {
			t.Errorf("entry %+v, want %+v", issued, wantEntry)
		}
		var status struct {
			LogIndex *uint64 `json:"log_index"`
		}
		b.send("GET", "/v1/badges/"+out.ID+"/status", "", nil).ok(&status)
		if status.LogIndex == nil || *status.LogIndex != 7 {
			t.Errorf("log index %v", status.LogIndex)
		}
	})
}

// TestHashedSubjects: no name is in the log, and who knows one finds its entries.
func TestHashedSubjects(t *testing.T) {
	b := lite(t, func(c *Config) { c.HashSubjects = true })
	const name = "unmistakable" // no id and no hash has it by chance
	p := b.agent(name)
	b.level(p, "2", "acme.com")
	b.badge0(p)
	thumbprint, err := jwk.Thumbprint(p.key.Public())
	must(t, err)
	found := 0
	for _, e := range b.entries() {
		text, err := json.Marshal(e)
		must(t, err)
		if strings.Contains(string(text), name) || strings.Contains(string(text), "acme.com") || strings.Contains(string(text), thumbprint) {
			t.Errorf("entry %s", text)
		}
		if e.SubjectHash == SubjectHash(testIssuer, p.did.String()) && e.HostHash == SubjectHash(testIssuer, "registry.example") {
			found++
		}
		if e.Type == EntryBadgeIssued && e.DomainHash != SubjectHash(testIssuer, "acme.com") {
			t.Errorf("entry %s", text)
		}
	}
	if found != 3 {
		t.Errorf("%d entries of the subject", found)
	}
}

// A brittle log fails when it is told to: before it appends, after, or in between.
type brittle struct {
	Log
	mu      sync.Mutex
	partial int // entries that the next failing append leaves
	fail    bool
}

func (l *brittle) Append(ctx context.Context, entries [][]byte) (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.fail {
		return l.Log.Append(ctx, entries)
	}
	if n := min(l.partial, len(entries)); n > 0 {
		if _, err := l.Log.Append(ctx, entries[:n]); err != nil {
			return 0, err
		}
	}
	return 0, errors.New("the log failed")
}

// TestShipAgain: whatever becomes of an append, each entry is in the log once and in order. A crash between claim and
// append is one that appends nothing.
func TestShipAgain(t *testing.T) {
	log := new(brittle)
	bedded(t, func(c *Config) { log.Log, log.fail = c.Log, false; c.Log = log }, func(t *testing.T, b *bed) {
		ctx := context.Background()
		p := b.agent("ada")
		var want []string
		for i, partial := range []int{0, 1, 2, 100} {
			for range 3 {
				want = append(want, b.badge0(p).ID)
			}
			log.partial, log.fail = partial, true
			if _, err := b.Ship(ctx); err == nil {
				t.Error("shipped by a log that failed")
			}
			want = append(want, b.badge0(p).ID) // between the claim and the next try
			log.fail = false
			b.clock.add(time.Duration(i) * time.Second)
		}
		var got []string
		for _, e := range b.entries() {
			if e.Type == EntryBadgeIssued {
				got = append(got, e.ID)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("log has %v, want %v", got, want)
		}
	})
}

// TestLogBehind: nothing is issued that nobody could see for long, at any node, until the log has caught up.
func TestLogBehind(t *testing.T) {
	bedded(t, func(c *Config) { c.MaxLogDelay = time.Minute }, func(t *testing.T, b *bed) {
		p := b.agent("ada")
		second := b.node(nil)
		b.clock.add(time.Minute)
		b.badge0(p)
		b.clock.add(time.Second)
		for _, node := range []*bed{b, second} {
			r := node.send("POST", p.path("/badge"), b.issue, `{"mode":"ial0"}`).refused(503, CodeUnavailable)
			if r.header.Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
			node.send("GET", "/readyz", "", nil).refused(503, CodeUnavailable)
		}
		b.pass(lateFresh)
		b.badge0(p)
		second.badge0(p)
	})
}

// TestRun ships by itself, and ends when it must: with its context, or when another history would begin.
func TestRun(t *testing.T) {
	b := lite(t, nil)
	p := b.agent("ada")
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	out := b.badge0(p)
	for {
		row, err := b.store.Badge(ctx, out.ID)
		must(t, err)
		if size, _ := b.log.Size(ctx); row.LogPosition != nil && size > *row.LogPosition {
			break
		}
		time.Sleep(time.Millisecond)
	}
	cancel()
	must(t, <-done)
	if _, err := b.log.Append(context.Background(), [][]byte{[]byte("of another writer")}); err != nil {
		t.Fatal(err)
	}
	if err := b.Run(context.Background()); !errors.Is(err, store.ErrConflict) {
		t.Errorf("a log that is longer than the database: %v", err)
	}
}

// TestShipToOtherLog: an older copy of the database that has grown since, so that nothing is told by numbers, is refused
// by what the log ends with, and the log stays as it is.
func TestShipToOtherLog(t *testing.T) {
	bedded(t, nil, func(t *testing.T, b *bed) {
		ctx := context.Background()
		b.badge0(b.agent("ada"))
		size := len(b.entries())
		other := translogtest.NewLog("registry.example/log")
		for range size {
			_, err := other.Append(ctx, [][]byte{[]byte("of the later database")})
			must(t, err)
		}
		b.cfg.Log = other
		b.agent("eve")
		if err := b.Run(ctx); !errors.Is(err, store.ErrConflict) || !strings.Contains(err.Error(), "older copy") {
			t.Errorf("got %v", err)
		}
		if now, err := other.Size(ctx); err != nil || now != uint64(size) { //nolint:gosec // small
			t.Errorf("%d entries, %v", now, err)
		}
		b.cfg.Log = b.log
		if got := len(b.entries()); got != size+1 {
			t.Errorf("%d entries in its own log, want %d", got, size+1)
		}
	})
}

// TestTwoNodesIssue has two nodes issue at once: all that was handed out is in the log.
func TestTwoNodesIssue(t *testing.T) {
	bedded(t, nil, func(t *testing.T, b *bed) {
		second := b.node(nil)
		agents := make([]*party, 8)
		for i := range agents {
			agents[i] = b.agent(fmt.Sprintf("a%d", i))
		}
		var wg sync.WaitGroup
		ids := make(chan string, 1000)
		for i, p := range agents {
			node := []*bed{b, second}[i%2]
			wg.Go(func() {
				for range 5 {
					ids <- node.badge1(p).ID
				}
			})
		}
		wg.Wait()
		close(ids)
		logged := make(map[string]int)
		for _, e := range b.entries() {
			if e.Type == EntryBadgeIssued {
				logged[e.ID]++
			}
		}
		handed := 0
		for id := range ids {
			handed++
			if logged[id] != 1 {
				t.Errorf("badge %s is in the log %d times", id, logged[id])
			}
		}
		if handed != 40 || len(logged) != handed {
			t.Errorf("%d badges, %d in the log", handed, len(logged))
		}
	})
}

// TestNoLog issues without a log when that is allowed, and forgets what is long over.
func TestNoLog(t *testing.T) {
	b := lite(t, func(c *Config) { c.Log, c.AllowNoLog = nil, true })
	p := b.agent("ada")
	b.clock.add(24 * time.Hour)
	out := b.badge0(p)
	ctx := context.Background()
	b.clock.add(badgeMemory + time.Hour)
	must(t, b.prune(ctx, b.now()))
	if _, err := b.store.Badge(ctx, out.ID); !IsNotFound(err) {
		t.Errorf("a badge that is long over: %v", err)
	}
	if _, err := b.verifier(nil).Verify(ctx, b.badge0(p).Badge); err != nil {
		t.Error(err)
	}
}
