package authority

import (
	"context"
	"testing"
	"time"
)

type keyList struct {
	Account string
	Keys    []accountKeyAnswer
}

// TestKeysOfAnAccount: keys are listed, replaced and ended, each by who may, and each with its entry.
func TestKeysOfAnAccount(t *testing.T) {
	bedded(t, nil, func(t *testing.T, b *bed) {
		var next struct {
			Key     string
			KeyID   string `json:"key_id"`
			OldEnds string `json:"old_key_ends_at"`
		}
		first := idOf(b.issue)
		b.send("POST", "/v1/account/keys/rotate", b.issue, map[string]int{"overlap_seconds": 60}).ok(&next)
		if want := b.clock.Now().Add(time.Minute).Format(time.RFC3339); next.OldEnds != want || next.KeyID != idOf(next.Key) {
			t.Errorf("answer %+v", next)
		}
		var own, all keyList
		b.send("GET", "/v1/account/keys", next.Key, nil).ok(&own)
		b.send("GET", "/v1/account/keys?account="+b.account, b.admin, nil).ok(&all)
		for _, list := range []keyList{own, all} {
			if list.Account != b.account || len(list.Keys) != 2 || list.Keys[0].RevokedAt != "" {
				t.Errorf("keys %+v", list)
			}
		}
		var admins keyList
		b.send("GET", "/v1/account/keys", b.admin, nil).ok(&admins)
		b.send("GET", "/v1/account/keys?account="+admins.Account, next.Key, nil).refused(403, CodeForbidden)
		b.send("GET", "/v1/account/keys", "", nil).refused(401, CodeUnauthorized)

		revoke := func(key, id string) *reply { return b.send("POST", "/v1/account/keys/"+id+"/revoke", key, nil) }
		revoke(next.Key, idOf(b.admin)).refused(404, CodeNotFound) // another account's
		revoke(next.Key, "none").refused(404, CodeNotFound)
		revoke("", first).refused(401, CodeUnauthorized)
		boss, err := b.AddAccountKey(context.Background(), b.account, ScopeAdmin)
		must(t, err)
		revoke(next.Key, boss.ID()).refused(403, CodeForbidden)
		revoke(next.Key, first).ok(nil)
		b.send("GET", "/v1/agents", b.issue, nil).refused(401, CodeUnauthorized)
		revoke(next.Key, first).refused(409, CodeConflict)
		revoke(b.admin, next.KeyID).ok(nil)
		b.send("GET", "/v1/agents", next.Key, nil).refused(401, CodeUnauthorized)
		revoke(boss.Reveal(), boss.ID()).ok(nil) // its own
		b.send("GET", "/v1/agents", boss.Reveal(), nil).refused(401, CodeUnauthorized)

		b.logged(EntryAccountKeyAdded, Entry{
			Account: b.account, AccountKey: next.KeyID, Replaces: first, By: first, Expires: b.clock.Now().Add(time.Minute).Unix(),
		})
		b.logged(EntryAccountKeyEnded, Entry{Account: b.account, AccountKey: first, By: next.KeyID})
		b.logged(EntryAccountKeyEnded, Entry{Account: b.account, AccountKey: next.KeyID, By: idOf(b.admin)})
	})
}

func idOf(key string) string { return Secret{key}.ID() }

// logged requires one entry of a type with these members, and no others but those that all entries have.
func (b *bed) logged(kind string, want Entry) {
	b.t.Helper()
	found := 0
	for _, e := range b.entries() {
		want.Version, want.Type, want.Issuer, want.ID, want.Time = e.Version, kind, e.Issuer, e.ID, e.Time
		if e == want {
			found++
		}
	}
	if found != 1 {
		b.t.Errorf("the log has %d entries %s like %+v", found, kind, want)
	}
}

// TestAccountStops: nothing of a disabled account is accepted or issued, and all of it again afterwards.
func TestAccountStops(t *testing.T) {
	bedded(t, nil, func(t *testing.T, b *bed) {
		p := b.agent("ada")
		c := b.challenge(p, nil)
		path := "/v1/accounts/" + b.account
		for _, verb := range []string{"/disable", "/enable"} {
			b.send("POST", path+verb, b.issue, nil).refused(403, CodeForbidden)
			b.send("POST", "/v1/accounts/none"+verb, b.admin, nil).refused(404, CodeNotFound)
		}
		b.send("POST", path+"/enable", b.admin, nil).refused(409, CodeConflict)
		b.send("POST", path+"/disable", b.admin, nil).ok(nil)
		b.send("POST", path+"/disable", b.admin, nil).refused(409, CodeConflict)
		b.send("POST", p.path("/badge"), b.issue, `{"mode":"ial0"}`).refused(401, CodeUnauthorized)
		b.send("POST", p.path("/badge"), b.admin, `{"mode":"ial0"}`).refused(403, CodeAgentInactive)
		b.prove(p, c).refused(403, CodeAgentInactive)
		b.send("POST", path+"/enable", b.admin, nil).ok(nil)
		b.prove(p, c).ok(nil)
		b.badge0(p)
		b.logged(EntryAccountDisabled, Entry{Account: b.account, By: idOf(b.admin)})
		b.logged(EntryAccountEnabled, Entry{Account: b.account, By: idOf(b.admin)})
	})
}

// TestLevelGranted: an administrator raises a registered agent to levels 3 and 4 and takes them back; badges have what
// was granted when they were issued, and never more.
func TestLevelGranted(t *testing.T) {
	bedded(t, func(c *Config) { c.ChallengesPerAgent = 100 }, func(t *testing.T, b *bed) {
		p := b.agent("ada")
		both := func(level, domain string) {
			t.Helper()
			for _, out := range []*badgeAnswer{b.badge0(p), b.badge1(p)} {
				got, err := b.verifier(nil).Verify(context.Background(), out.Badge)
				must(t, err)
				if got.Level().String() != level || got.Domain() != domain || out.Level != level {
					t.Errorf("level %v for %q (%s), want %s for %q", got.Level(), got.Domain(), out.Level, level, domain)
				}
			}
		}
		both("1", "")
		for _, level := range []string{"3", "4"} {
			b.send("POST", p.path("/level"), b.admin, map[string]string{"level": level, "domain": "acme.com"}).refused(400, CodeInvalidRequest)
			early := b.challenge(p, nil)
			b.send("POST", p.path("/level"), b.admin, map[string]string{"level": level, "domain": "acme.com", "reason": "papers " + level}).ok(nil)
			b.logged(EntryLevelGranted, Entry{
				Subject: p.did.String(), Level: level, Domain: "acme.com", Reason: "papers " + level, By: idOf(b.admin),
			})
			both(level, "acme.com")
			late := b.challenge(p, nil)
			b.send("POST", p.path("/level"), b.admin, map[string]string{"level": "1", "reason": "withdrawn " + level}).ok(nil)
			b.logged(EntryLevelGranted, Entry{Subject: p.did.String(), Level: "1", Reason: "withdrawn " + level, By: idOf(b.admin)})
			b.prove(p, late).refused(403, CodeLevel)
			var out badgeAnswer
			b.prove(p, early).ok(&out) // it was for level 1
			if out.Level != "1" {
				t.Errorf("level %s by a challenge from before", out.Level)
			}
			both("1", "")
		}
		b.send("POST", "/v1/agents/did%3Aweb%3Anone.example/level", b.admin, map[string]string{"level": "1", "reason": "r"}).refused(404, CodeAgentNotFound)
	})
}
