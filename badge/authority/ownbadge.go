package authority

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/authority/internal/store"
	"github.com/touchmark-dev/touchmark/did"
)

const headerBadge = "X-Capiscio-Badge"

// openBadges makes what verifies the badges of this authority itself, with which agents ask for challenges.
func (a *Authority) openBadges() (err error) {
	a.badges, err = badge.NewVerifier(&badge.Config{
		Issuers: []string{a.cfg.Issuer}, Keys: own{a}, Status: own{a}, Resolver: &hosting{a, a.cfg.Resolver},
		Audience: []string{a.cfg.Issuer}, Time: a.cfg.Time,
	})
	return err
}

// own tells the keys and the status of badges from the authority's own database.
type own struct{ a *Authority }

// IssuerKeys implements [badge.KeySource].
func (o own) IssuerKeys(ctx context.Context, _ string) ([]badge.Key, error) {
	known, err := o.a.keySet(ctx)
	if err != nil {
		return nil, err
	}
	var keys []badge.Key
	for _, k := range known.Published(o.a.now()) {
		keys = append(keys, badge.Key{ID: k.KeyID, Public: k.Public})
	}
	return keys, nil
}

// Status implements [badge.StatusSource].
func (o own) Status(ctx context.Context, q badge.StatusQuery) (badge.Status, error) {
	now := o.a.now()
	s, err := o.a.store.BadgeStatus(ctx, q.BadgeID)
	if err != nil {
		return badge.Status{}, err
	}
	return badge.Status{
		Revoked: s.Revocation != nil, AgentDisabled: s.AgentStatus != "" && s.AgentStatus != store.StatusActive,
		KeyWithdrawn: s.KeyWithdrawn, AsOf: now, Authoritative: true,
	}, nil
}

// challenger returns the agent that a challenge is asked for, by its account's key or by a badge that it has.
func (a *Authority) challenger(r *http.Request, d did.DID) (*store.Agent, error) {
	token, err := presentedBadge(r)
	if err != nil {
		return nil, err
	}
	if token == "" {
		c, err := a.authenticate(r, store.ScopeIssue)
		if err != nil {
			return nil, err
		}
		return a.ownedAgent(r.Context(), c, d.String())
	}
	b, err := a.badges.Verify(r.Context(), token)
	if rejected, ok := errors.AsType[*badge.RejectedError](err); ok {
		return nil, refuse(http.StatusUnauthorized, CodeUnauthorized, "the badge is refused: %s", rejected.Code)
	}
	if err != nil {
		e := refuse(http.StatusServiceUnavailable, CodeUnavailable, "the badge could not be judged: send an account key, or try again")
		e.RetryAfter, e.err = 10*time.Second, err
		return nil, e
	}
	// Counted now, so that nobody uses up what an agent has by what only looks like its badge.
	if err := a.rates.request("badge", b.Subject().String()); err != nil {
		return nil, err
	}
	if b.Subject() != d {
		return nil, refuse(http.StatusForbidden, CodeNotOwned, "the badge is that of %q", b.Subject())
	}
	agent, err := a.store.Agent(r.Context(), d.String())
	return agent, stored(err, CodeAgentNotFound)
}

// presentedBadge returns the badge that a request is authenticated by, if it is by one.
func presentedBadge(r *http.Request) (string, error) {
	token, err := single(r, headerBadge)
	if err != nil {
		return "", err
	}
	bearer, err := single(r, "Authorization")
	if err != nil {
		return "", err
	}
	bearer, isBearer := strings.CutPrefix(bearer, "Bearer ")
	isBadge := isBearer && !strings.HasPrefix(bearer, keyPrefix)
	switch {
	case len(r.Header.Values(headerAccountKey)) > 0 && (token != "" || isBadge), token != "" && isBearer:
		return "", refuse(http.StatusBadRequest, CodeInvalidRequest, "send one of %s, %s and Authorization", headerAccountKey, headerBadge)
	case isBadge:
		return bearer, nil
	}
	return token, nil
}
