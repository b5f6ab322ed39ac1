package authoritytest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/badgetest"
	"github.com/touchmark-dev/touchmark/did"
)

// Domain is one that badges of levels 2 to 4 may name.
const Domain = "agents.example.com"

// Rotate makes a new signing key, signs with it from now on, and returns its
// id. Older keys stay in the key set.
func (a *Authority) Rotate() string {
	a.t.Helper()
	a.mu.Lock()
	a.keys++
	id := fmt.Sprintf("ca-2026-11-21-%04x", a.keys)
	a.mu.Unlock()
	a.signers.add(id, badgetest.NewKey(a.t))
	a.must(a.inner.AddKey(context.Background(), id, true))
	a.mu.Lock()
	defer a.mu.Unlock()
	a.keyID = id
	return id
}

// KeyID returns the id of the key that signs now.
func (a *Authority) KeyID() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.keyID
}

// Withdraw says that nothing that a signing key signed is to be believed. Call
// Rotate first, or nothing can be signed.
func (a *Authority) Withdraw(keyID string) {
	a.t.Helper()
	a.must(a.inner.WithdrawKey(context.Background(), keyID, "test"))
}

// Revoke revokes a badge. A list that was signed within the second before is
// still given out until that is over.
func (a *Authority) Revoke(badgeID string) {
	a.t.Helper()
	a.post("/v1/badges/"+url.PathEscape(badgeID)+"/revoke", map[string]string{"reason": "test"})
}

// Disable disables an agent; Suspend suspends it, and Enable ends both.
func (a *Authority) Disable(d did.DID) {
	a.t.Helper()
	a.post(agentPath(d, "disable"), map[string]string{"reason": "test"})
}

// Suspend suspends an agent.
func (a *Authority) Suspend(d did.DID) {
	a.t.Helper()
	a.post(agentPath(d, "suspend"), map[string]string{"reason": "test"})
}

// Enable makes an agent active.
func (a *Authority) Enable(d did.DID) {
	a.t.Helper()
	a.post(agentPath(d, "enable"), map[string]string{"reason": "test"})
}

// Grant grants an agent a level, with a domain, such as
// Domain, from badge.LevelDomain on.
func (a *Authority) Grant(d did.DID, level badge.Level, domain string) {
	a.t.Helper()
	a.post(agentPath(d, "level"), map[string]string{"level": level.String(), "domain": domain, "reason": "test"})
}

// RevokeAccountKey ends the account's key, in whose place comes a new one that
// AccountKey returns.
func (a *Authority) RevokeAccountKey() {
	a.t.Helper()
	ctx := context.Background()
	keys, err := a.inner.AccountKeys(ctx, a.account)
	a.must(err)
	next, err := a.inner.AddAccountKey(ctx, a.account)
	a.must(err)
	for _, k := range keys {
		if k.RevokedAt.IsZero() {
			a.must(a.inner.RevokeAccountKey(ctx, k.ID))
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.accountKey = next.Reveal()
}

// Ship has everything that was done so far appended to Log. Nothing else does
// but Advance.
func (a *Authority) Ship() {
	a.t.Helper()
	for a.ships {
		n, err := a.inner.Ship(context.Background())
		a.must(err)
		if n == 0 {
			break
		}
	}
}

func agentPath(d did.DID, what string) string {
	// QueryEscape, because PathEscape leaves colons as they are.
	return "/v1/agents/" + url.QueryEscape(d.String()) + "/" + what
}

// post does what an administrator asks for, past the faults.
func (a *Authority) post(path string, body any) {
	a.t.Helper()
	text, err := json.Marshal(body)
	a.must(err)
	r := httptest.NewRequest(http.MethodPost, a.Issuer+path, bytes.NewReader(text))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Capiscio-Registry-Key", a.AdminKeyText())
	w := httptest.NewRecorder()
	a.handler.ServeHTTP(w, r)
	if w.Code/100 != 2 {
		a.t.Fatalf("authoritytest: %s: status %d: %s", path, w.Code, w.Body)
	}
}
