package authority

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/client"
	"github.com/touchmark-dev/touchmark/internal/jwk"
	"github.com/touchmark-dev/touchmark/internal/safehttp/safehttptest"
	"github.com/touchmark-dev/touchmark/internal/sqlstore/sqltest"
)

// TestRotation follows a key from before it signs until its last badge is over.
func TestRotation(t *testing.T) {
	bedded(t, nil, func(t *testing.T, b *bed) {
		ctx := context.Background()
		p := b.agent("ada")
		signedBy := func() string {
			got, err := b.verifier(b.list()).Verify(ctx, b.badge0(p).Badge)
			must(t, err)
			return got.IssuerKeyID()
		}
		published := func() (ids string) {
			for _, k := range b.keys() {
				ids += " " + k.ID
			}
			return ids
		}
		expect := func(step, signs, keys string) {
			t.Helper()
			if got := published(); got != keys {
				t.Errorf("%s: published%s, want%s", step, got, keys)
			}
			if got := signedBy(); got != signs {
				t.Errorf("%s: signed by %s, want %s", step, got, signs)
			}
		}
		expect("one key", testKeyID, " "+testKeyID)
		b.signers.add(t, "ca-2")
		must(t, b.AddKey(ctx, "ca-2", false))
		expect("published", testKeyID, " "+testKeyID+" ca-2")
		b.pass(DefaultKeyLead - time.Second)
		expect("before it signs", testKeyID, " "+testKeyID+" ca-2")
		old := b.badge0(p)
		b.pass(time.Second)
		expect("signs", "ca-2", " "+testKeyID+" ca-2")
		must(t, b.RetireKeys(ctx))
		b.pass(retireAfter + time.Second)
		must(t, b.RetireKeys(ctx))
		states, err := b.Keys(ctx)
		must(t, err)
		for _, k := range states {
			if old := k.ID == testKeyID; old == k.RetiredAt.IsZero() || old == k.Signs || !k.Published {
				t.Errorf("key %+v", k)
			}
		}
		b.pass(3 * time.Minute)
		if _, err := b.verifier(b.list()).Verify(ctx, old.Badge); err != nil {
			t.Error(err)
		}
		expect("old badge is about", "ca-2", " "+testKeyID+" ca-2")
		b.pass(10 * time.Minute)
		expect("old key gone", "ca-2", " ca-2")
		if err := b.AddKey(ctx, "ca-2", true); err == nil {
			t.Error("a key was added twice")
		}
		if err := b.AddKey(ctx, "ca-3", true); err == nil {
			t.Error("a key was added that there is no signer for")
		}
	})
}

// Verifiers read key sets of a certain size: one key more, and every badge would be refused.
func TestTooManyKeys(t *testing.T) {
	b := lite(t, nil)
	added := 1
	for ; added <= jwk.MaxKeys; added++ {
		id := fmt.Sprintf("ca-many-%d", added)
		b.signers.add(t, id)
		if err := b.AddKey(t.Context(), id, false); err != nil {
			break
		}
	}
	if added != jwk.MaxKeys {
		t.Errorf("%d keys were added", added)
	}
	if keys, err := jwk.ParseSet(b.send("GET", "/.well-known/jwks.json", "", nil).body); err != nil || len(keys) != jwk.MaxKeys {
		t.Errorf("%d keys are published, %v", len(keys), err)
	}
}

// A served authority is reached by TLS.
func served(t *testing.T, url string, change func(*Config)) (*bed, *client.Client) {
	t.Helper()
	var handler atomic.Pointer[http.Handler]
	server := safehttptest.NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		(*handler.Load()).ServeHTTP(w, r)
	}))
	origin := server.URL("")
	b := newBed(t, url, func(c *Config) {
		c.Issuer, c.Time = origin, time.Now
		if change != nil {
			change(c)
		}
	})
	handler.Store(&b.handler)
	c, err := client.New(&client.Config{
		Issuers: []string{origin}, UnsafeAllowLoopback: true, RootCAs: server.Roots, MinInterval: time.Second, Timeout: time.Minute,
	})
	must(t, err)
	t.Cleanup(c.Close)
	b.clock.now = time.Now()
	return b, c
}

// TestRotationUnderLoad issues and verifies, by the client of other programs, while keys take turns: no verification
// fails.
func TestRotationUnderLoad(t *testing.T) {
	b, c := served(t, sqltest.SQLite(t), func(c *Config) {
		c.BadgesPerAgent, c.KeyLead = 1<<20, 1500*time.Millisecond // the client fetches once a second at most
	})
	ctx, stop := context.WithTimeout(context.Background(), 5*time.Minute)
	defer stop()
	v, err := badge.NewVerifier(&badge.Config{Issuers: []string{b.cfg.Issuer}, Keys: c, Status: c, Resolver: b.docs})
	must(t, err)
	p := b.agent("ada")
	// The first key set is fetched before the rotations, or it could be one that is neither old nor a second ago.
	_, err = v.Verify(ctx, b.badge0(p).Badge)
	must(t, err)
	var wg sync.WaitGroup
	done, seen := make(chan struct{}), sync.Map{}
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				got, err := v.Verify(ctx, b.badge0(p).Badge)
				if err != nil {
					t.Errorf("a badge was refused across a rotation: %v", err)
					return
				}
				seen.Store(got.IssuerKeyID(), true)
			}
		})
	}
	for _, id := range []string{"ca-2", "ca-3"} {
		b.signers.add(t, id)
		must(t, b.AddKey(ctx, id, false))
		for !t.Failed() && ctx.Err() == nil {
			if _, ok := seen.Load(id); ok {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		must(t, b.retireNow(ctx, id))
	}
	close(done)
	wg.Wait()
}

// retireNow retires all keys but one, without waiting for the clocks of other nodes.
func (b *bed) retireNow(ctx context.Context, but string) error {
	states, err := b.Keys(ctx)
	for _, k := range states {
		if k.ID == but || !k.RetiredAt.IsZero() {
			continue
		}
		act, err := b.act(b.now(), byOperator, &Entry{Type: EntryKeyRetired, KeyID: k.ID})
		if err != nil {
			return err
		}
		if err := b.store.RetireCAKey(ctx, k.ID, act); err != nil {
			return err
		}
	}
	return err
}

// TestWithdrawal: after an emergency every badge of the key is refused, online and by the next signed list.
func TestWithdrawal(t *testing.T) {
	bedded(t, nil, func(t *testing.T, b *bed) {
		ctx := context.Background()
		p := b.agent("ada")
		online, before := b.verifier(own{b.Authority}), b.list()
		tokens := []string{b.badge0(p).Badge, b.badge1(p).Badge}
		second := b.node(nil)
		second.badge0(p)
		for _, token := range tokens {
			if _, err := online.Verify(ctx, token); err != nil {
				t.Fatal(err)
			}
		}
		must(t, b.WithdrawKey(ctx, testKeyID, "stolen"))
		b.send("POST", p.path("/badge"), b.issue, `{"mode":"ial0"}`).refused(503, CodeUnavailable)
		second.send("POST", p.path("/badge"), b.issue, `{"mode":"ial0"}`).refused(503, CodeUnavailable)
		b.signers.add(t, "ca-2")
		must(t, b.AddKey(ctx, "ca-2", false))
		next := b.badge0(p)
		b.pass(listFresh + keysFresh)
		list := b.list()
		must(t, list.Follows(before))
		for _, token := range tokens {
			for name, v := range map[string]*badge.Verifier{"online": online, "list": b.verifier(list), "key set": b.verifier(nil)} {
				_, err := v.Verify(ctx, token)
				if _, ok := errors.AsType[*badge.RejectedError](err); !ok {
					t.Errorf("%s: a badge of the withdrawn key: %v", name, err)
				}
			}
		}
		keep := map[string]bool{}
		var status struct {
			Revoked bool
			Reason  string
		}
		for _, id := range b.issued(p) {
			b.send("GET", "/v1/badges/"+id+"/status", "", nil).ok(&status)
			keep[id] = !status.Revoked
		}
		if len(keep) != 4 || !keep[next.ID] {
			t.Errorf("badges that are still good: %v", keep)
		}
		if _, err := b.verifier(list).Verify(ctx, next.Badge); err != nil {
			t.Error(err)
		}
		if err := b.WithdrawKey(ctx, testKeyID, "again"); err == nil {
			t.Error("a key was withdrawn twice")
		}
	})
}

// issued returns the ids of the badges of an agent.
func (b *bed) issued(p *party) (ids []string) {
	b.t.Helper()
	rows, err := b.store.BadgesOf(context.Background(), p.did.String(), 1000)
	must(b.t, err)
	for i := range rows {
		ids = append(ids, rows[i].ID)
	}
	return ids
}

// TestKnownFault09UnreachableStatusIsUndetermined asks an authority by the client of other programs: what it says
// counts; when it says nothing, there is no verdict.
func TestKnownFault09UnreachableStatusIsUndetermined(t *testing.T) {
	b, c := served(t, sqltest.SQLite(t), nil)
	ctx := context.Background()
	v, err := badge.NewVerifier(&badge.Config{Issuers: []string{b.cfg.Issuer}, Keys: c, Status: c, Resolver: b.docs})
	must(t, err)
	p := b.agent("ada")
	good, bad := b.badge0(p), b.badge0(p)
	b.send("POST", "/v1/badges/"+bad.ID+"/revoke", b.issue, nil).ok(nil)
	if _, err := v.Verify(ctx, good.Badge); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Verify(ctx, bad.Badge); badge.CodeOf(err) != badge.CodeRevoked {
		t.Errorf("a revoked badge: %v", err)
	}
	must(t, b.Close()) // the database is gone, the keys are known
	for _, token := range []string{good.Badge, bad.Badge} {
		_, err := v.Verify(ctx, token)
		if _, ok := errors.AsType[*badge.UndeterminedError](err); !ok || badge.CodeOf(err) != badge.CodeRevocationCheckFailed {
			t.Errorf("without an answer: %v", err)
		}
	}
}
