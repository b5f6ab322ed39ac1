package authority

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/touchmark-dev/touchmark/badge/authority/internal/store"
)

// Who did what was not done with an account key.
const (
	byOperator = "operator"  // in the program itself and not over HTTP
	byGrantKey = "grant-key" // with a proof of a grant's key
	byAnybody  = "anybody"   // orders are open to all
)

const (
	accountPrefix = "acc-"
	maxName       = 200 // bytes
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
	if err := checkScopes(scopes); err != nil {
		return "", Secret{}, err
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
	k, key, act, err := a.newKey(byOperator, scopes, &Entry{Account: account})
	if err != nil {
		return Secret{}, err
	}
	return key, a.store.AddAccountKey(ctx, k, act)
}

// newKey makes a key for the account of an entry, which it completes.
func (a *Authority) newKey(by string, scopes []string, e *Entry) (*store.AccountKey, Secret, store.Act, error) {
	if len(scopes) == 0 {
		scopes = []string{ScopeIssue}
	}
	if err := checkScopes(scopes); err != nil {
		return nil, Secret{}, store.Act{}, err
	}
	now := a.now()
	id, key, hash := newAccountKey()
	e.Type, e.AccountKey = EntryAccountKeyAdded, id
	act, err := a.act(now, by, e)
	return &store.AccountKey{ID: id, AccountID: e.Account, SecretHash: hash, Scopes: scopes, CreatedAt: now}, key, act, err
}

func checkScopes(scopes []string) error {
	for _, s := range scopes {
		if s != ScopeIssue && s != ScopeAdmin {
			return fmt.Errorf("authority: scope %q of an account key: %q and %q there are", s, ScopeIssue, ScopeAdmin)
		}
	}
	return nil
}

// DisableAccount stops an account, its keys, and the issuance for its agents. Badges that they have stay valid until
// they expire or are revoked.
func (a *Authority) DisableAccount(ctx context.Context, id string) error {
	return a.disableAccount(ctx, id, byOperator)
}

func (a *Authority) disableAccount(ctx context.Context, id, by string) error {
	act, err := a.act(a.now(), by, &Entry{Type: EntryAccountDisabled, Account: id})
	if err != nil {
		return err
	}
	return a.store.DisableAccount(ctx, id, act)
}

// EnableAccount ends what DisableAccount began.
func (a *Authority) EnableAccount(ctx context.Context, id string) error {
	return a.enableAccount(ctx, id, byOperator)
}

func (a *Authority) enableAccount(ctx context.Context, id, by string) error {
	act, err := a.act(a.now(), by, &Entry{Type: EntryAccountEnabled, Account: id})
	if err != nil {
		return err
	}
	return a.store.EnableAccount(ctx, id, act)
}

// An Account owns agents.
type Account struct {
	ID, Name   string
	CreatedAt  time.Time
	DisabledAt time.Time // zero: it is not
}

// Accounts returns all accounts, oldest first.
func (a *Authority) Accounts(ctx context.Context) ([]Account, error) {
	rows, err := a.store.Accounts(ctx)
	out := make([]Account, len(rows))
	for i := range rows {
		out[i] = Account(rows[i])
	}
	return out, err
}

// An AccountKey is what is known of an account key: not the key.
type AccountKey struct {
	ID        string // stands in the key itself, and in the log as who did something
	Scopes    []string
	CreatedAt time.Time
	ExpiresAt time.Time // zero: never
	RevokedAt time.Time // zero: it is not
}

// AccountKeys returns all keys of an account, oldest first.
func (a *Authority) AccountKeys(ctx context.Context, account string) ([]AccountKey, error) {
	rows, err := a.store.AccountKeys(ctx, account)
	out := make([]AccountKey, len(rows))
	for i := range rows {
		k := &rows[i]
		out[i] = AccountKey{ID: k.ID, Scopes: slices.Clone(k.Scopes), CreatedAt: k.CreatedAt, ExpiresAt: k.ExpiresAt, RevokedAt: k.RevokedAt}
	}
	return out, err
}
