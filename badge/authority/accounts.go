package authority

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/touchmark-dev/touchmark/badge/authority/internal/store"
)

// An accountKeyAnswer is what is told of an account key.
type accountKeyAnswer struct {
	ID        string   `json:"key_id"`
	Scopes    []string `json:"scopes"`
	CreatedAt string   `json:"created_at"`
	ExpiresAt string   `json:"expires_at,omitempty"`
	RevokedAt string   `json:"revoked_at,omitempty"`
}

// getAccountKeys is spec/issuance.md, "Account keys": those of the caller's account, or of any for an administrator.
func (a *Authority) getAccountKeys(w http.ResponseWriter, r *http.Request) error {
	c, err := a.authenticate(r, store.ScopeIssue)
	if err != nil {
		return err
	}
	account := r.URL.Query().Get("account")
	if account == "" {
		account = c.account
	}
	if !c.owns(account) {
		return errOtherAccount
	}
	rows, err := a.store.AccountKeys(r.Context(), account)
	if err != nil {
		return err
	}
	keys := make([]accountKeyAnswer, len(rows))
	for i := range rows {
		k := &rows[i]
		keys[i] = accountKeyAnswer{k.ID, k.Scopes, timeText(k.CreatedAt), timeText(k.ExpiresAt), timeText(k.RevokedAt)}
	}
	answer(w, http.StatusOK, map[string]any{"account": account, "keys": keys})
	return nil
}

var errOtherAccount = refuse(http.StatusForbidden, CodeForbidden, "another account takes an account key with the scope %q", store.ScopeAdmin)

// timeText is a time as answers have it, and nothing for none.
func timeText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// postRevokeKey ends one key of an account at once: one of the caller's own, which may be the one that it sent, but no
// administrator's unless the caller is one. Keys of others are not told from those that do not exist.
func (a *Authority) postRevokeKey(w http.ResponseWriter, r *http.Request) error {
	c, err := a.authenticate(r, store.ScopeIssue)
	if err != nil {
		return err
	}
	id := r.PathValue("id")
	k, err := a.store.AccountKey(r.Context(), id)
	switch {
	case errors.Is(err, store.ErrNotFound), err == nil && !c.owns(k.AccountID):
		return refuse(http.StatusNotFound, CodeNotFound, "the account has no key %.100q", id)
	case err != nil:
		return err
	case !c.admin && k.IsAdmin():
		return refuse(http.StatusForbidden, CodeForbidden, "account key %q has the scope %q, which this one has not", id, store.ScopeAdmin)
	}
	if err := a.endKey(r.Context(), k, c.keyID); err != nil {
		return stored(err, CodeNotFound)
	}
	answer(w, http.StatusOK, map[string]any{"key_id": id, "revoked": true})
	return nil
}

// postDisableAccount and postEnableAccount are spec/issuance.md, "Accounts": by an administrator.
func (a *Authority) postDisableAccount(w http.ResponseWriter, r *http.Request) error {
	return a.changeAccount(w, r, "disabled", a.disableAccount)
}

func (a *Authority) postEnableAccount(w http.ResponseWriter, r *http.Request) error {
	return a.changeAccount(w, r, "active", a.enableAccount)
}

func (a *Authority) changeAccount(w http.ResponseWriter, r *http.Request, status string,
	change func(ctx context.Context, id, by string) error) error {
	c, err := a.authenticate(r, store.ScopeAdmin)
	if err != nil {
		return err
	}
	id := r.PathValue("id")
	err = change(r.Context(), id, c.keyID)
	if errors.Is(err, store.ErrConflict) {
		return refuse(http.StatusConflict, CodeConflict, "account %.100q is %s already", id, status)
	}
	if err != nil {
		return stored(err, CodeNotFound)
	}
	answer(w, http.StatusOK, map[string]string{"account": id, "status": status})
	return nil
}
