package authority

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/authority/internal/domain"
	"github.com/touchmark-dev/touchmark/badge/authority/internal/store"
	"github.com/touchmark-dev/touchmark/badge/pop"
	"github.com/touchmark-dev/touchmark/internal/jws"
)

type grantAnswer struct {
	Status    string `json:"status"`
	Grant     string `json:"grant"`
	ID        string `json:"grant_jti"`
	ExpiresAt string `json:"expires_at"`
}

// issueGrant signs and stores the grant of an order whose domain was validated.
func (a *Authority) issueGrant(ctx context.Context, o *store.Order, c *caller) (*grantAnswer, error) {
	key, err := a.signingKey(ctx)
	if err != nil {
		return nil, err
	}
	now := a.now()
	issued := now.Truncate(time.Second)
	g := &store.Grant{
		ID: domain.NewGrantID(), Domain: o.Domain, Thumbprint: o.Thumbprint, AccountID: o.AccountID, OrderID: o.ID,
		IssuedAt: now, ExpiresAt: issued.Add(domain.MaxGrantTTL),
	}
	token, err := domain.SignGrant(
		&domain.GrantSigner{Issuer: a.cfg.Issuer, KeyID: key.KeyID, Key: key.Signer},
		&domain.GrantTemplate{ID: g.ID, Domain: g.Domain, Thumbprint: g.Thumbprint, IssuedAt: issued},
	)
	if err != nil {
		return nil, err
	}
	act, err := a.act(now, c.keyID, &Entry{
		Type: EntryGrantIssued, ID: g.ID, Order: o.ID, Domain: g.Domain, Key: g.Thumbprint, KeyID: key.KeyID,
		Expires: g.ExpiresAt.Unix(), Account: g.AccountID,
	})
	if err != nil {
		return nil, err
	}
	if err := a.store.AddGrant(ctx, g, act); err != nil {
		return nil, orderRefused(err)
	}
	a.log.InfoContext(ctx, "grant issued", "grant", g.ID, "domain", g.Domain)
	return &grantAnswer{Status: store.OrderValid, Grant: token, ID: g.ID, ExpiresAt: g.ExpiresAt.UTC().Format(time.RFC3339)}, nil
}

// grantKeys returns the keys whose grants count: grants outlive rotations, but not a withdrawal.
func (a *Authority) grantKeys(ctx context.Context) ([]badge.Key, error) {
	known, err := a.keySet(ctx)
	if err != nil {
		return nil, err
	}
	var keys []badge.Key
	for _, k := range known.states {
		if k.WithdrawnAt.IsZero() {
			keys = append(keys, badge.Key{ID: k.KeyID, Public: k.Public})
		}
	}
	return keys, nil
}

// getGrantStatus is spec/issuance.md, "Grants". Whoever does not have the key learns nothing, not even whether there
// is such a grant.
func (a *Authority) getGrantStatus(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("jti")
	g, err := a.provenGrant(r, pop.GrantStatusRequest(a.cfg.Issuer, id).URI)
	if e, ok := errors.AsType[*Error](err); ok && e.Code != CodeRateLimit && (e.Status < http.StatusInternalServerError || e.Code == CodeProofFailed) {
		return refuse(http.StatusNotFound, CodeGrantNotFound, "there is no grant %.200q of that key", id)
	}
	if err != nil {
		return err
	}
	out := map[string]string{
		"jti": g.ID, "domain": g.Domain, "status": "valid", "expires_at": g.ExpiresAt.UTC().Format(time.RFC3339),
	}
	switch {
	case !g.RevokedAt.IsZero():
		out["status"], out["revoked_at"] = "revoked", g.RevokedAt.UTC().Format(time.RFC3339)
	case !g.ExpiresAt.After(a.now()):
		out["status"] = "expired"
	}
	answer(w, http.StatusOK, out)
	return nil
}

// provenGrant returns the grant that a request with a proof of its key is about.
func (a *Authority) provenGrant(r *http.Request, uri string) (*store.Grant, error) {
	g, err := a.store.Grant(r.Context(), r.PathValue("jti"))
	if err != nil {
		return nil, stored(err, CodeGrantNotFound)
	}
	proof, err := bearer(r)
	if err != nil {
		return nil, err
	}
	// Anybody can send what is no proof. What has a document fetched counts at once; the rest only when it was one, or
	// strangers could keep the key from revoking its grant.
	own := strings.HasPrefix(keyIDOf(proof), "did:key:")
	if own {
		err = a.rates.room("proven grant", g.ID)
	} else {
		err = a.rates.request("grant", g.ID)
	}
	if err != nil {
		return nil, err
	}
	_, err = a.possession.Verify(r.Context(), &domain.Request{
		Proof: proof, Method: r.Method, URI: uri, Domain: g.Domain, Thumbprint: g.Thumbprint,
	})
	if err != nil {
		return nil, domainRefused(err)
	}
	if own {
		err = a.rates.request("proven grant", g.ID)
	}
	return g, err
}

// keyIDOf returns the kid of a proof, nothing verified. What is no proof is refused without a fetch, as with a did:key.
func keyIDOf(proof string) string {
	m, err := jws.ParseMax(proof, pop.MaxProofBytes)
	if err != nil {
		return "did:key:"
	}
	return m.Kid
}

// bearer returns what the request has as Authorization: Bearer.
func bearer(r *http.Request) (string, error) {
	text, err := single(r, "Authorization")
	if err != nil {
		return "", err
	}
	scheme, token, _ := strings.Cut(text, " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return "", refuse(http.StatusUnauthorized, CodeProofFailed, "send a proof of the grant's key as Authorization: Bearer")
	}
	return strings.TrimSpace(token), nil
}

// postRevokeGrant is spec/issuance.md, "Grants": by the key of the grant, its account, or an administrator.
func (a *Authority) postRevokeGrant(w http.ResponseWriter, r *http.Request) error {
	g, by, err := a.revocableGrant(r)
	if err != nil {
		return err
	}
	var body reasonRequest
	if err := body.read(r); err != nil {
		return err
	}
	if !g.RevokedAt.IsZero() {
		return refuse(http.StatusConflict, CodeGrantAlreadyRevoked, "grant %q was revoked before", g.ID)
	}
	if g, err = a.revokeGrant(r.Context(), g, body.Reason, by); err != nil {
		return stored(err, CodeGrantNotFound)
	}
	answer(w, http.StatusOK, map[string]string{
		"jti": g.ID, "status": "revoked", "revoked_at": g.RevokedAt.UTC().Format(time.RFC3339),
	})
	return nil
}

// revocableGrant returns the grant of a request and who it is that may revoke it.
func (a *Authority) revocableGrant(r *http.Request) (g *store.Grant, by string, err error) {
	id := r.PathValue("jti")
	if len(r.Header.Values(headerAccountKey)) == 0 {
		g, err = a.provenGrant(r, pop.GrantRevokeRequest(a.cfg.Issuer, id).URI)
		if e, ok := errors.AsType[*Error](err); ok && e.Code == Code(domain.CodeKeyMismatch) {
			return nil, "", refuse(http.StatusUnauthorized, CodeProofFailed, "%s", e.Message)
		}
		return g, byGrantKey, err
	}
	c, err := a.authenticate(r, store.ScopeIssue)
	if err != nil {
		return nil, "", err
	}
	g, err = a.store.Grant(r.Context(), id)
	if err != nil {
		return nil, "", stored(err, CodeGrantNotFound)
	}
	if !c.owns(g.AccountID) {
		return nil, "", refuse(http.StatusNotFound, CodeGrantNotFound, "there is no grant %.200q of that account", id)
	}
	return g, c.keyID, nil
}
