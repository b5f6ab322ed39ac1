package authority

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/touchmark-dev/touchmark/badge/authority/internal/domain"
	"github.com/touchmark-dev/touchmark/badge/authority/internal/store"
)

const (
	dvAccountPrefix = "dva_"
	verifiesPerHour = 10
	recoversPerDay  = 3
	lengthOfADay    = 24 * time.Hour
)

type dvAccountRequest struct {
	Domain string          `json:"domain"`
	Key    json.RawMessage `json:"account_public_key_jwk"`
}

type dvAccountAnswer struct {
	ID          string `json:"account_id"`
	Domain      string `json:"domain"`
	Thumbprint  string `json:"account_key_thumbprint"`
	Status      string `json:"status"`
	CreatedAt   string `json:"created_at"`
	VerifiedAt  string `json:"verified_at,omitempty"`
	VerifiedVia string `json:"verified_via,omitempty"`
	RecoveredAt string `json:"recovered_at,omitempty"`
	RevokedAt   string `json:"revoked_at,omitempty"`
}

func shownDVAccount(d *store.DVAccount) *dvAccountAnswer {
	out := &dvAccountAnswer{
		ID: d.ID, Domain: d.Domain, Thumbprint: d.Thumbprint, Status: d.Status, VerifiedVia: d.VerifiedVia,
		CreatedAt: d.CreatedAt.UTC().Format(time.RFC3339),
	}
	if !d.VerifiedAt.IsZero() {
		out.VerifiedAt = d.VerifiedAt.UTC().Format(time.RFC3339)
	}
	if !d.RevokedAt.IsZero() {
		out.RevokedAt = d.RevokedAt.UTC().Format(time.RFC3339)
	}
	return out
}

// postDVAccount is spec/issuance.md, "Persistent accounts".
func (a *Authority) postDVAccount(w http.ResponseWriter, r *http.Request) error {
	c, err := a.authenticate(r, store.ScopeIssue)
	if err != nil {
		return err
	}
	var body dvAccountRequest
	if err := readBody(r, &body, false); err != nil {
		return err
	}
	d := &store.DVAccount{AccountID: c.account, Status: store.DVPending, CreatedAt: a.now()}
	if d.Domain, err = domain.CheckDomain(body.Domain); err != nil {
		return domainRefused(err)
	}
	if d.KeyJWK, d.Thumbprint, err = ed25519Key(body.Key); err != nil {
		return err
	}
	if err := a.rates.request("dv-account", c.account); err != nil {
		return err
	}
	d.ID = dvAccountPrefix + uuid.NewString() // not to be told from what the log shows: see postRecoverDVAccount
	act, err := a.dvAct(d, EntryDVAccountAdded, c.keyID)
	if err != nil {
		return err
	}
	if err := a.store.AddDVAccount(r.Context(), d, act); err != nil {
		return dvAccountRefused(err)
	}
	answer(w, http.StatusCreated, shownDVAccount(d))
	return nil
}

func (a *Authority) dvAct(d *store.DVAccount, kind, by string) (store.Act, error) {
	return a.act(a.now(), by, &Entry{Type: kind, DVAccount: d.ID, Domain: d.Domain, Key: d.Thumbprint, Account: d.AccountID})
}

// ownedDVAccount returns a persistent account of an account; those of others do not seem to be there.
func (a *Authority) ownedDVAccount(ctx context.Context, account, id string) (*store.DVAccount, error) {
	d, err := a.store.DVAccount(ctx, id)
	if err != nil {
		return nil, dvAccountRefused(err)
	}
	if d.AccountID != account {
		return nil, refuse(http.StatusNotFound, CodeAccountNotFound, "there is no account %.200q of that account key", id)
	}
	return d, nil
}

// dvAccount returns the persistent account in the path, and the caller, whose it is.
func (a *Authority) dvAccount(r *http.Request) (*store.DVAccount, *caller, error) {
	c, err := a.authenticate(r, store.ScopeIssue)
	if err != nil {
		return nil, nil, err
	}
	d, err := a.ownedDVAccount(r.Context(), c.account, r.PathValue("id"))
	return d, c, err
}

func (a *Authority) getDVAccount(w http.ResponseWriter, r *http.Request) error {
	d, _, err := a.dvAccount(r)
	if err != nil {
		return err
	}
	answer(w, http.StatusOK, shownDVAccount(d))
	return nil
}

type dvChallengeRequest struct {
	ChallengeType string `json:"challenge_type"`
}

// read accepts http-01 alone: the content of a TXT record cannot be made for a token that is not known before.
func (b *dvChallengeRequest) read(r *http.Request) error {
	if err := readBody(r, b, false); err != nil {
		return err
	}
	if b.ChallengeType != store.HTTP01 {
		return refuse(http.StatusBadRequest, CodeUnsupportedChallenge, `challenge_type is %.100q: persistent accounts are verified by "http-01"`, b.ChallengeType)
	}
	return nil
}

func (a *Authority) postVerifyDVAccount(w http.ResponseWriter, r *http.Request) error {
	d, c, err := a.dvAccount(r)
	if err != nil {
		return err
	}
	var body dvChallengeRequest
	if err := body.read(r); err != nil {
		return err
	}
	switch d.Status {
	case store.DVVerified:
		return refuse(http.StatusConflict, CodeAccountVerified, "account %q is verified already", d.ID)
	case store.DVRevoked:
		return refuse(http.StatusConflict, CodeAccountRevoked, "account %q was revoked: make another one", d.ID)
	}
	tries := &store.Window{Kind: "dv-verify", Subject: d.ID, Max: verifiesPerHour, Length: time.Hour}
	if err := a.showStatic(r.Context(), d, tries); err != nil {
		return err
	}
	act, err := a.dvAct(d, EntryDVAccountVerified, c.keyID)
	if err != nil {
		return err
	}
	if err := a.store.VerifyDVAccount(r.Context(), d.ID, store.HTTP01, act); err != nil {
		return dvAccountRefused(err)
	}
	d.Status, d.VerifiedAt, d.VerifiedVia = store.DVVerified, act.At, store.HTTP01
	answer(w, http.StatusOK, shownDVAccount(d))
	return nil
}

// showStatic looks whether the domain answers for the key of the persistent account, with a token made for this.
func (a *Authority) showStatic(ctx context.Context, d *store.DVAccount, tries *store.Window) error {
	if err := a.store.Allow(ctx, tries, a.now()); err != nil {
		return stored(err, CodeAccountNotFound)
	}
	token := domain.NewToken()
	if err := a.domains.HTTP01(ctx, d.Domain, token, domain.Content(token, d.Thumbprint)); err != nil {
		return a.challengeRefused(ctx, d.ID, err)
	}
	return nil
}

// postRecoverDVAccount gives a persistent account to the account of the key that asks, if the domain answers for it.
func (a *Authority) postRecoverDVAccount(w http.ResponseWriter, r *http.Request) error {
	c, err := a.authenticate(r, store.ScopeIssue)
	if err != nil {
		return err
	}
	var body dvChallengeRequest
	if err := body.read(r); err != nil {
		return err
	}
	d, err := a.store.DVAccount(r.Context(), r.PathValue("id"))
	switch {
	case err != nil:
		return dvAccountRefused(err)
	case d.Status == store.DVRevoked:
		return refuse(http.StatusConflict, CodeAccountRevoked, "account %q was revoked: make another one", d.ID)
	case d.Status != store.DVVerified:
		return refuse(http.StatusConflict, CodeAccountNotVerified, "account %q was never verified: make another one", d.ID)
	}
	tries := &store.Window{Kind: "dv-recover", Subject: d.ID, Max: recoversPerDay, Length: lengthOfADay}
	if err := a.showStatic(r.Context(), d, tries); err != nil {
		a.log.WarnContext(r.Context(), "recovery of a persistent account refused", "dv_account", d.ID, "by", c.keyID)
		return err
	}
	d.AccountID = c.account
	act, err := a.dvAct(d, EntryDVAccountRecovered, c.keyID)
	if err != nil {
		return err
	}
	if err := a.store.RecoverDVAccount(r.Context(), d.ID, c.account, act); err != nil {
		return dvAccountRefused(err)
	}
	a.log.WarnContext(r.Context(), "persistent account recovered", "dv_account", d.ID, "by", c.keyID)
	out := shownDVAccount(d)
	out.RecoveredAt = act.At.UTC().Format(time.RFC3339)
	answer(w, http.StatusOK, out)
	return nil
}

func (a *Authority) postRevokeDVAccount(w http.ResponseWriter, r *http.Request) error {
	d, c, err := a.dvAccount(r)
	if err != nil {
		return err
	}
	var body reasonRequest
	if err := body.read(r); err != nil {
		return err
	}
	if d.Status == store.DVRevoked {
		return refuse(http.StatusConflict, CodeAccountEnded, "account %q was revoked before", d.ID)
	}
	act, err := a.dvAct(d, EntryDVAccountRevoked, c.keyID)
	if err != nil {
		return err
	}
	if err := a.store.RevokeDVAccount(r.Context(), d.ID, body.Reason, act); err != nil {
		return dvAccountRefused(err)
	}
	d.Status, d.RevokedAt = store.DVRevoked, act.At
	answer(w, http.StatusOK, shownDVAccount(d))
	return nil
}

// dvAccountRefused makes the refusal of a client from one of the store about a persistent account.
func dvAccountRefused(err error) error {
	e, ok := errors.AsType[*store.Error](err)
	switch {
	case !ok:
		return stored(err, CodeAccountNotFound)
	case e.What == "account":
		return refuse(http.StatusForbidden, CodeForbidden, "the account is not active")
	case errors.Is(e, store.ErrNotFound), errors.Is(e, store.ErrOwner):
		return refuse(http.StatusNotFound, CodeAccountNotFound, "there is no account %.200q of that account key", e.ID)
	case errors.Is(e, store.ErrExists):
		return refuse(http.StatusConflict, CodeAccountExists, "there is an account for that domain and key, perhaps a revoked one: take another key")
	case errors.Is(e, store.ErrRevoked):
		return refuse(http.StatusConflict, CodeAccountRevoked, "account %q was revoked: make another one", e.ID)
	}
	return refuse(http.StatusConflict, CodeAccountNotVerified, "account %q has not been verified: verify it first", e.ID)
}
