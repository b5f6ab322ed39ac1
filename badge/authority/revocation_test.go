package authority

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/did"
)

type revocationsAnswer struct {
	Revocations []revocationAnswer `json:"revocations"`
	NextCursor  string             `json:"nextCursor"`
	SyncedAt    time.Time          `json:"syncedAt"`
}

// TestRevoke: once, by its owner or an administrator, told everywhere.
func TestRevoke(t *testing.T) {
	embedded(t, nil, func(t *testing.T, b *bed) {
		ctx := context.Background()
		p := b.agent("ada")
		out := b.badge0(p)
		path := "/v1/badges/" + out.ID
		var status struct {
			ID        string `json:"jti"`
			Subject   string `json:"sub"`
			Revoked   bool
			Reason    string
			RevokedAt string
		}
		b.send("GET", path+"/status", "", nil).ok(&status)
		if status.Revoked || status.ID != out.ID || status.Subject != p.did.String() {
			t.Errorf("status %+v", status)
		}
		b.send("POST", path+"/revoke", b.issue, map[string]string{"reason": "key lost"}).ok(&status)
		first := status.RevokedAt
		b.clock.add(time.Minute)
		b.send("POST", path+"/revoke", b.admin, map[string]string{"reason": "other"}).ok(&status)
		b.send("GET", path+"/status", "", nil).ok(&status)
		if !status.Revoked || status.Reason != "key lost" || status.RevokedAt != first {
			t.Errorf("status %+v, first revoked at %s", status, first)
		}
		for name, v := range map[string]*badge.Verifier{"online": b.verifier(own{b.Authority}), "list": b.verifier(b.list())} {
			if _, err := v.Verify(ctx, out.Badge); badge.CodeOf(err) != badge.CodeRevoked {
				t.Errorf("%s: %v", name, err)
			}
		}
		none := "/v1/badges/550e8400-e29b-41d4-a716-446655440000"
		b.send("GET", none+"/status", "", nil).refused(404, CodeBadgeNotFound)
		b.send("POST", none+"/revoke", b.admin, nil).refused(404, CodeBadgeNotFound)
		b.send("POST", path+"/revoke", b.issue, map[string]string{"reason": strings.Repeat("r", maxReason+1)}).refused(400, CodeInvalidRequest)
		if err := b.RevokeBadge(ctx, "none", ""); !IsNotFound(err) {
			t.Errorf("revoking a badge that there is not: %v", err)
		}
		must(t, b.RevokeBadge(ctx, b.badge0(p).ID, "operator"))
	})
}

// TestRevocations follows the cursor and the signed list.
func TestRevocations(t *testing.T) {
	bedded(t, nil, func(t *testing.T, b *bed) {
		p := b.agent("ada")
		empty := b.list()
		var revoked []string
		for i := range 5 {
			out := b.badge0(p)
			revoked = append(revoked, out.ID)
			b.send("POST", "/v1/badges/"+out.ID+"/revoke", b.issue, map[string]string{"reason": strconv.Itoa(i)}).ok(nil)
			b.clock.add(time.Second)
		}
		var page revocationsAnswer
		var ids []string
		for cursor := ""; len(ids) < len(revoked); cursor = page.NextCursor {
			page = revocationsAnswer{}
			b.send("GET", "/v1/revocations?limit=2&since="+cursor, "", nil).ok(&page)
			if len(page.Revocations) == 0 {
				break
			}
			for _, r := range page.Revocations {
				ids = append(ids, r.ID)
			}
		}
		if !slices.Equal(ids, revoked) {
			t.Errorf("revocations %v, want %v", ids, revoked)
		}
		page = revocationsAnswer{}
		b.send("GET", "/v1/revocations?since="+strconv.Itoa(len(ids)), "", nil).ok(&page)
		if len(page.Revocations) != 0 || page.NextCursor != "5" || !page.SyncedAt.Equal(b.clock.Now().Truncate(time.Second)) {
			t.Errorf("last page %+v", page)
		}
		b.send("GET", "/v1/revocations?since=2026-11-21T12:00:03Z", "", nil).ok(&page)
		if len(page.Revocations) != 2 {
			t.Errorf("since a time: %+v", page)
		}
		b.send("GET", "/v1/revocations?since=6", "", nil).refused(409, CodeConflict)
		for _, query := range []string{"since=x", "since=-1", "limit=0", "limit=1001", "limit=x", "since=99999999999999999999"} {
			b.send("GET", "/v1/revocations?"+query, "", nil).refused(400, CodeInvalidRequest)
		}
		b.clock.add(listFresh)
		full := b.list()
		must(t, full.Follows(empty))
		if from, to := full.Cursor(); from != 0 || to != 5 {
			t.Errorf("list from %d to %d", from, to)
		}
		if again := b.send("GET", "/v1/revocations/list", "", nil); again.header.Get("Content-Type") != "application/jwt" {
			t.Errorf("headers %v", again.header)
		}
		b.pass(time.Hour) // the badges are over: the list leaves them out, and still follows
		late := b.list()
		must(t, late.Follows(full))
		if from, to := late.Cursor(); from != 5 || to != 5 {
			t.Errorf("list from %d to %d", from, to)
		}
		if err := full.Follows(late); err == nil {
			t.Error("an old list follows a new one")
		}
	})
}

// TestAgentStatus: disabled and suspended agents' badges are refused, online and by list.
func TestAgentStatus(t *testing.T) {
	embedded(t, nil, func(t *testing.T, b *bed) {
		ctx := context.Background()
		p := b.agent("ada")
		out := b.badge0(p)
		var status struct {
			DID, Status string
			DisabledAt  *string
			Reason      *string
		}
		for _, verb := range []string{"disabled", "suspended"} {
			must(t, b.SetAgentStatus(ctx, p.did, verb, "incident"))
			b.send("GET", p.path("/status"), "", nil).ok(&status)
			if status.Status != verb || status.DID != p.did.String() || status.DisabledAt == nil || *status.Reason != "incident" {
				t.Errorf("status %+v", status)
			}
			b.clock.add(listFresh)
			for name, v := range map[string]*badge.Verifier{"online": b.verifier(own{b.Authority}), "list": b.verifier(b.list())} {
				if _, err := v.Verify(ctx, out.Badge); badge.CodeOf(err) != badge.CodeAgentDisabled {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
		must(t, b.SetAgentStatus(ctx, p.did, "active", ""))
		b.send("GET", p.path("/status"), "", nil).ok(&status)
		if status.Status != "active" || status.DisabledAt != nil || status.Reason != nil {
			t.Errorf("status %+v", status)
		}
		if err := b.SetAgentStatus(ctx, p.did, "gone", ""); err == nil {
			t.Error("a status that there is not")
		}
		b.send("GET", "/v1/agents/"+testIssuerDID("agents:x")+"/status", "", nil).refused(404, CodeAgentNotFound)
	})
}

func testIssuerDID(tail string) string { return fmt.Sprintf("did:web:registry.example:%s", tail) }

// TestHosting has documents that read back, by name and kind, through rotations of the agents' keys.
func TestHosting(t *testing.T) {
	bedded(t, nil, func(t *testing.T, b *bed) {
		p := b.agent("ada")
		var server agentAnswer
		b.send("POST", "/v1/agents", b.issue, map[string]any{"name": "ada", "kind": "server", "public_key_jwk": publicJWK(t, newKey(t))}).ok(&server)
		if server.DID != testIssuerDID("servers:ada") {
			t.Errorf("server %+v", server)
		}
		for path, d := range map[string]string{"/agents/ada/did.json": p.did.String(), "/servers/ada/did.json": server.DID} {
			r := b.send("GET", path, "", nil).ok(nil)
			doc, err := did.ParseDocument(r.body, did.MustParse(d))
			must(t, err)
			if len(doc.Methods) != 1 || !doc.MayAuthenticate(doc.Methods[0].ID) || r.header.Get("Content-Type") != "application/did+json" {
				t.Errorf("document %s", r.body)
			}
		}
		b.send("GET", "/agents/eve/did.json", "", nil).refused(404, CodeAgentNotFound)
		next := &party{did: p.did, key: newKey(t)}
		var added struct {
			KeyID string `json:"key_id"`
		}
		b.send("POST", p.path("/keys"), b.issue, map[string]any{"public_key_jwk": publicJWK(t, next.key)}).ok(&added)
		next.keyID = added.KeyID
		b.badge1(p)
		b.badge1(next)
		b.send("POST", p.path("/keys/remove"), b.issue, map[string]string{"key_id": p.keyID}).refused(409, CodeConflict)
		b.send("POST", p.path("/keys/use"), b.issue, map[string]string{"key_id": next.keyID}).ok(nil)
		got, err := b.verifier(nil).Verify(context.Background(), b.badge0(p).Badge)
		must(t, err)
		if !next.key.Public().(ed25519.PublicKey).Equal(got.Key()) {
			t.Error("a badge for the key before")
		}
		b.send("POST", p.path("/keys/remove"), b.issue, map[string]string{"key_id": p.keyID}).ok(nil)
		b.prove(p, b.challenge(p, nil)).refused(403, "kid_not_found")
		b.send("POST", p.path("/keys/use"), b.issue, map[string]string{"key_id": p.keyID}).refused(404, "kid_not_found")
		b.send("POST", p.path("/keys"), b.issue, map[string]any{"public_key_jwk": publicJWK(t, next.key)}).refused(409, CodeExists)
		for range maxAgentKeys - 1 {
			b.send("POST", p.path("/keys"), b.issue, map[string]any{"public_key_jwk": publicJWK(t, newKey(t))}).ok(nil)
		}
		b.send("POST", p.path("/keys"), b.issue, map[string]any{"public_key_jwk": publicJWK(t, newKey(t))}).refused(409, CodeConflict)
	})
}

// TestRegistration has what cannot be registered refused.
func TestRegistration(t *testing.T) {
	b := lite(t, nil)
	p := b.agent("ada")
	key := publicJWK(t, newKey(t))
	try := func(status int, code any, body map[string]any) {
		t.Helper()
		if _, ok := body["public_key_jwk"]; !ok {
			body["public_key_jwk"] = key
		}
		b.send("POST", "/v1/agents", b.issue, body).refused(status, code)
	}
	try(409, CodeExists, map[string]any{"name": "ada"})
	for _, name := range []string{"Ada", "a--b", "-a", "a-", "a/b", "a.b", "..", "a%2fb", strings.Repeat("a", maxHostedName+1)} {
		try(400, CodeInvalidRequest, map[string]any{"name": name})
	}
	try(400, CodeInvalidRequest, map[string]any{"name": "x", "did": "did:web:a.example"})
	try(400, CodeInvalidRequest, map[string]any{})
	try(400, CodeInvalidRequest, map[string]any{"name": "x", "kind": "robot"})
	try(400, CodeInvalidRequest, map[string]any{"name": "x", "public_key_jwk": map[string]string{"kty": "RSA"}})
	try(400, CodeInvalidRequest, map[string]any{"name": "x", "key_id": p.keyID})
	try(400, CodeInvalidDID, map[string]any{"did": "did:key:z6Mkf5rGMoatrSj1f4CyvuHBeXJELe9RPdzo2PKGNCKVtZxP"})
	try(400, CodeInvalidDID, map[string]any{"did": "x"})
	try(403, CodeInvalidDID, map[string]any{"did": testIssuerDID("agents:eve")})
	// What is hosted elsewhere has to show the key.
	const elsewhere = "did:web:agents.example:eve"
	try(502, "did_resolution_failed", map[string]any{"did": elsewhere})
	b.docs.set(t, did.MustParse(elsewhere), did.DocumentKey{Fragment: "key-1", Key: newKey(t).Public()})
	try(403, "kid_not_found", map[string]any{"did": elsewhere})
	try(403, "kid_not_found", map[string]any{"did": elsewhere, "key_id": elsewhere + "#k"})
	b.docs.err = &did.DocumentError{}
	try(502, "did_document_invalid", map[string]any{"did": elsewhere})
	b.docs.err = nil
	b.elsewhere(elsewhere)
	d, err := b.AddAgent(context.Background(), &NewAgent{Account: b.account, Name: "bob", KeyJWK: key})
	must(t, err)
	must(t, b.GrantLevel(context.Background(), &LevelGrant{Subject: d, Level: badge.LevelDomain, Domain: "Acme.com", Reason: "seen"}))
	var list struct{ Agents []agentAnswer }
	b.send("GET", "/v1/agents?limit=2", b.issue, nil).ok(&list)
	if len(list.Agents) != 2 {
		t.Fatalf("agents %+v", list)
	}
	b.send("GET", "/v1/agents?limit=10&after="+list.Agents[1].DID, b.issue, nil).ok(&list)
	if len(list.Agents) != 1 {
		t.Errorf("agents %+v", list)
	}
	b.send("GET", "/v1/agents?limit=x", b.issue, nil).refused(400, CodeInvalidRequest)
}
