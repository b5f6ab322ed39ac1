package authority

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/authority/internal/store"
	"github.com/touchmark-dev/touchmark/did"
)

const (
	maxReason       = 500 // bytes
	maxListed       = 1000
	defaultListed   = 100
	reasonWithdrawn = "key_withdrawn"
)

// getBadgeStatus is spec/issuance.md, "Status of a badge".
func (a *Authority) getBadgeStatus(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("jti")
	s, err := a.store.BadgeStatus(r.Context(), id)
	if err != nil {
		return stored(err, CodeBadgeNotFound)
	}
	out := struct {
		ID        string  `json:"jti"`
		Subject   string  `json:"sub"`
		Revoked   bool    `json:"revoked"`
		Reason    string  `json:"reason,omitempty"`
		RevokedAt string  `json:"revokedAt,omitempty"`
		ExpiresAt string  `json:"expires_at"`
		LogIndex  *uint64 `json:"log_index,omitempty"`
	}{
		ID: id, Subject: s.Badge.Subject, Revoked: s.Revocation != nil || s.KeyWithdrawn,
		ExpiresAt: s.Badge.ExpiresAt.UTC().Format(time.RFC3339), LogIndex: s.Badge.LogPosition,
	}
	if s.KeyWithdrawn {
		out.Reason = reasonWithdrawn
	}
	if s.Revocation != nil {
		out.Reason, out.RevokedAt = s.Revocation.Reason, s.Revocation.RevokedAt.UTC().Format(time.RFC3339)
	}
	answer(w, http.StatusOK, &out)
	return nil
}

type reasonRequest struct {
	Reason string `json:"reason"`
}

func (b *reasonRequest) read(r *http.Request) error {
	if err := readBody(r, b, true); err != nil {
		return err
	}
	if len(b.Reason) > maxReason {
		return refuse(http.StatusBadRequest, CodeInvalidRequest, "reason is longer than %d bytes", maxReason)
	}
	return nil
}

// postRevoke is spec/issuance.md, "Revocation": by the account of the subject, or an administrator.
func (a *Authority) postRevoke(w http.ResponseWriter, r *http.Request) error {
	c, err := a.authenticate(r, store.ScopeIssue)
	if err != nil {
		return err
	}
	var body reasonRequest
	if err := body.read(r); err != nil {
		return err
	}
	b, err := a.store.Badge(r.Context(), r.PathValue("jti"))
	if err != nil {
		return stored(err, CodeBadgeNotFound)
	}
	if !c.owns(b.AccountID) {
		return refuse(http.StatusForbidden, CodeNotOwned, "badge %q was issued for another account", b.ID)
	}
	rev, err := a.revoke(r.Context(), b, body.Reason, c.keyID)
	if err != nil {
		return stored(err, CodeBadgeNotFound)
	}
	answer(w, http.StatusOK, map[string]any{
		"jti": rev.BadgeID, "revoked": true, "reason": rev.Reason, "revokedAt": rev.RevokedAt.UTC().Format(time.RFC3339),
	})
	return nil
}

type revocationAnswer struct {
	ID        string `json:"jti"`
	Number    uint64 `json:"number"`
	RevokedAt string `json:"revokedAt"`
	Reason    string `json:"reason,omitempty"`
}

// getRevocations is spec/issuance.md, "Revocations": page after page, for people and for clients of the published
// registry. What it says is not signed: a list that is trusted from a mirror is the signed one.
func (a *Authority) getRevocations(w http.ResponseWriter, r *http.Request) error {
	now := a.now()
	since, err := a.cursor(r)
	if err != nil {
		return err
	}
	limit, err := listLimit(r)
	if err != nil {
		return err
	}
	rows, err := a.store.Revocations(r.Context(), since, limit)
	if errors.Is(err, store.ErrNotFound) {
		return refuse(http.StatusConflict, CodeConflict, "cursor %d is beyond what this authority has: it lost revocations, report it", since)
	}
	if err != nil {
		return err
	}
	out := struct {
		Revocations []revocationAnswer `json:"revocations"`
		NextCursor  string             `json:"nextCursor"`
		SyncedAt    string             `json:"syncedAt"`
	}{Revocations: []revocationAnswer{}, SyncedAt: now.Format(time.RFC3339)}
	for i := range rows {
		since = rows[i].Number
		out.Revocations = append(out.Revocations, revocationAnswer{
			rows[i].BadgeID, rows[i].Number, rows[i].RevokedAt.UTC().Format(time.RFC3339), rows[i].Reason,
		})
	}
	out.NextCursor = strconv.FormatUint(since, 10)
	answer(w, http.StatusOK, &out)
	return nil
}

// cursor reads since: the number of a revocation, a time, or nothing.
func (a *Authority) cursor(r *http.Request) (uint64, error) {
	text := r.URL.Query().Get("since")
	if text == "" {
		return 0, nil
	}
	if n, err := strconv.ParseUint(text, 10, 63); err == nil {
		return n, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return 0, refuse(http.StatusBadRequest, CodeInvalidRequest, "since is %.100q: send the nextCursor of before, or an RFC 3339 time", text)
	}
	return a.store.RevocationsSince(r.Context(), t)
}

func listLimit(r *http.Request) (int, error) {
	text := r.URL.Query().Get("limit")
	if text == "" {
		return defaultListed, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxListed {
		return 0, refuse(http.StatusBadRequest, CodeInvalidRequest, "limit is %.100q: from 1 to %d", text, maxListed)
	}
	return n, nil
}

// listFresh is for how long a signed list is handed out again: whoever asks often costs one snapshot a second.
const listFresh = time.Second

// A cachedList is a signed list that was made or read last. Anybody may ask for it, and it may be large.
type cachedList struct {
	mu    sync.Mutex // held while it is made, so that it is made once
	asOf  time.Time
	token string
}

// get returns the list if it is younger than fresh, and what makes it otherwise.
func (l *cachedList) get(now time.Time, fresh time.Duration, makes func() (string, error)) (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if age := now.Sub(l.asOf); l.token != "" && age >= 0 && age < fresh {
		return l.token, nil
	}
	token, err := makes()
	if err != nil {
		return "", err
	}
	l.token, l.asOf = token, now
	return token, nil
}

// getRevocationList is the signed list of spec/badge.md, "Revocation list".
func (a *Authority) getRevocationList(w http.ResponseWriter, r *http.Request) error {
	list, err := a.revocationList(r.Context())
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/jwt")
	w.Header().Set("Cache-Control", "public, max-age=30")
	_, _ = io.WriteString(w, list) // the client may be gone
	return nil
}

func (a *Authority) revocationList(ctx context.Context) (string, error) {
	now := a.now()
	return a.list.get(now, listFresh, func() (string, error) { return a.signRevocationList(ctx, now) })
}

func (a *Authority) signRevocationList(ctx context.Context, now time.Time) (string, error) {
	snapshot, err := a.store.RevocationSnapshot(ctx, now)
	if err != nil {
		return "", err
	}
	key, err := a.signingKey(ctx)
	if err == nil && slices.Contains(snapshot.WithdrawnKeys, key.KeyID) {
		a.forgetKeys() // another node withdrew it
		key, err = a.signingKey(ctx)
	}
	if err != nil {
		return "", err
	}
	claims := &badge.RevocationClaims{
		Issuer: a.cfg.Issuer, AsOf: snapshot.AsOf, From: snapshot.From, Base: snapshot.Base, Revoked: snapshot.Revoked,
		WithdrawnKeys: snapshot.WithdrawnKeys,
	}
	for _, text := range snapshot.DisabledAgents {
		d, err := did.Parse(text)
		if err != nil {
			return "", err
		}
		claims.DisabledAgents = append(claims.DisabledAgents, d)
	}
	return badge.SignRevocationList(key, claims)
}

// getAgentStatus is spec/issuance.md, "Status of an agent".
func (a *Authority) getAgentStatus(w http.ResponseWriter, r *http.Request) error {
	d, err := subject(r)
	if err != nil {
		return err
	}
	out := struct {
		DID        string  `json:"did"`
		Status     string  `json:"status"`
		Since      string  `json:"since,omitempty"`
		DisabledAt *string `json:"disabledAt"`
		Reason     *string `json:"reason"`
	}{DID: d.String(), Status: store.StatusActive}
	agent, err := a.store.Agent(r.Context(), d.String())
	switch {
	case err == nil:
		out.Status, out.Since = agent.Status, agent.StatusAt.UTC().Format(time.RFC3339)
		if agent.Status != store.StatusActive {
			out.DisabledAt, out.Reason = &out.Since, &agent.StatusReason
		}
	case errors.Is(err, store.ErrNotFound) && a.isMinted(r.Context(), d):
		// Badges were minted for it, and nobody registered it who could disable it.
	default:
		return stored(err, CodeAgentNotFound)
	}
	answer(w, http.StatusOK, &out)
	return nil
}

// isMinted reports whether badges were issued for a DID that is not registered. A fault is no.
func (a *Authority) isMinted(ctx context.Context, d did.DID) bool {
	minted, err := a.store.BadgesOf(ctx, d.String(), 1)
	return err == nil && len(minted) > 0
}
