package authority

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/touchmark-dev/touchmark/badge/authority/internal/store"
)

// byOperator is who did what was done in the program itself and not over HTTP.
const byOperator = "operator"

const (
	accountPrefix = "acc-"
	maxName       = 200 // bytes
	maxKeyOverlap = 24 * time.Hour
	keyOverlap    = time.Hour
)

// Scopes of account keys.
const (
	ScopeIssue = store.ScopeIssue // for the account's own agents
	ScopeAdmin = store.ScopeAdmin // for everything
)

// AddAccount adds an account with a first key, which is shown this once.
func (a *Authority) AddAccount(ctx context.Context, name string, scopes ...string) (id string, key Secret, err error) {
	if name == "" || len(name) > maxName {
		return "", Secret{}, fmt.Errorf("authority: name of an account %.200q: from 1 to %d bytes", name, maxName)
	}
	now := a.now()
	id = accountPrefix + uuid.NewString()
	act, err := a.act(now, byOperator, &Entry{Type: EntryAccountAdded, Account: id})
	if err != nil {
		return "", Secret{}, err
	}
	if err := a.store.AddAccount(ctx, &store.Account{ID: id, Name: name, CreatedAt: now}, act); err != nil {
		return "", Secret{}, err
	}
	key, err = a.AddAccountKey(ctx, id, scopes...)
	return id, key, err
}

// AddAccountKey adds a key to an account. It is shown this once.
func (a *Authority) AddAccountKey(ctx context.Context, account string, scopes ...string) (Secret, error) {
	k, key, act, err := a.newKey(account, byOperator, scopes)
	if err != nil {
		return Secret{}, err
	}
	return key, a.store.AddAccountKey(ctx, k, act)
}

func (a *Authority) newKey(account, by string, scopes []string) (*store.AccountKey, Secret, store.Act, error) {
	if len(scopes) == 0 {
		scopes = []string{ScopeIssue}
	}
	for _, s := range scopes {
		if s != ScopeIssue && s != ScopeAdmin {
			return nil, Secret{}, store.Act{}, fmt.Errorf("authority: scope %q of an account key: %q and %q there are", s, ScopeIssue, ScopeAdmin)
		}
	}
	now := a.now()
	id, key, hash := newAccountKey()
	act, err := a.act(now, by, &Entry{Type: EntryAccountKeyAdded, Account: account})
	return &store.AccountKey{ID: id, AccountID: account, SecretHash: hash, Scopes: scopes, CreatedAt: now}, key, act, err
}

// DisableAccount stops an account, its keys, and the issuance for its agents.
func (a *Authority) DisableAccount(ctx context.Context, id string) error {
	act, err := a.act(a.now(), byOperator, &Entry{Type: EntryAccountDisabled, Account: id})
	if err != nil {
		return err
	}
	return a.store.DisableAccount(ctx, id, act)
}

// changeStatus sets the status of an agent.
func (a *Authority) changeStatus(ctx context.Context, subject, status, reason, by string) error {
	act, err := a.act(a.now(), by, &Entry{Type: EntryAgentStatus, Subject: subject, Status: status, Reason: reason})
	if err != nil {
		return err
	}
	return a.store.SetAgentStatus(ctx, &store.StatusChange{DID: subject, Status: status, Reason: reason}, act)
}

func (a *Authority) grantLevel(ctx context.Context, g *store.LevelGrant, by string) error {
	act, err := a.act(a.now(), by, &Entry{
		Type: EntryLevelGranted, Subject: g.DID, Level: levelOf(g.Level).String(), Domain: g.Domain, Reason: g.Reason,
	})
	if err != nil {
		return err
	}
	return a.store.GrantLevel(ctx, g, act)
}

type rotateRequest struct {
	// OverlapSeconds is how long the key that sent the request goes on to be valid; absent means an hour.
	OverlapSeconds *int64 `json:"overlap_seconds"`
}

// postRotateKey replaces the account key that sent the request, and shows the new one this once.
func (a *Authority) postRotateKey(w http.ResponseWriter, r *http.Request) error {
	c, err := a.authenticate(r, store.ScopeIssue)
	if err != nil {
		return err
	}
	var body rotateRequest
	if err := readBody(r, &body, true); err != nil {
		return err
	}
	overlap := keyOverlap
	if body.OverlapSeconds != nil {
		if n := *body.OverlapSeconds; n < 0 || n > int64(maxKeyOverlap/time.Second) {
			return refuse(http.StatusBadRequest, CodeInvalidRequest, "overlap_seconds is %d: from 0 to %d", n, maxKeyOverlap/time.Second)
		}
		overlap = time.Duration(*body.OverlapSeconds) * time.Second
	}
	old, err := a.store.AccountKey(r.Context(), c.keyID)
	if err != nil {
		return err
	}
	k, key, act, err := a.newKey(c.account, c.keyID, old.Scopes)
	if err != nil {
		return err
	}
	until := k.CreatedAt.Add(overlap)
	if err := a.store.RotateAccountKey(r.Context(), &store.Rotation{Old: c.keyID, Until: until, Next: k}, act); err != nil {
		return stored(err, CodeNotFound)
	}
	answer(w, http.StatusCreated, map[string]string{
		"key": key.Reveal(), "key_id": k.ID, "old_key_ends_at": until.UTC().Format(time.RFC3339),
	})
	return nil
}
