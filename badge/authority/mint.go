package authority

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/authority/internal/domain"
	"github.com/touchmark-dev/touchmark/badge/authority/internal/store"
	"github.com/touchmark-dev/touchmark/badge/pop"
	"github.com/touchmark-dev/touchmark/internal/strictjson"
)

// grantSkew is how far the clocks of the nodes may be apart.
const grantSkew = time.Minute

type mintRequest struct {
	Grant string          `json:"grant"`
	Proof string          `json:"proof"`
	Badge json.RawMessage `json:"badge_request"`
}

type mintedRequest struct {
	Subject  string   `json:"sub"`
	Audience []string `json:"aud"`
	Seconds  int64    `json:"exp_seconds"`
}

// postMint is spec/domain-validation.md, "Minting".
func (a *Authority) postMint(w http.ResponseWriter, r *http.Request) error {
	var body mintRequest
	if err := readBody(r, &body, false); err != nil {
		return err
	}
	var wanted mintedRequest
	if err := strictjson.UnmarshalStrict(body.Badge, &wanted); err != nil {
		return refuse(http.StatusBadRequest, CodeInvalidRequest, "badge_request has sub, aud and exp_seconds, and nothing else: %v", err)
	}
	i, err := a.entitled(r.Context(), &body, &wanted)
	if err != nil {
		return err
	}
	return mintRefused(a.issue(w, r, i))
}

// entitled goes through the steps of minting, up to what the database has the last word on.
func (a *Authority) entitled(ctx context.Context, body *mintRequest, wanted *mintedRequest) (*issuance, error) {
	g, err := a.liveGrant(ctx, body.Grant)
	if err != nil {
		return nil, err
	}
	subject, err := domain.CheckSubject(wanted.Subject, g.Domain)
	if err != nil {
		return nil, domainRefused(err)
	}
	ttl, err := checkTTL("exp_seconds", wanted.Seconds)
	if err != nil {
		return nil, err
	}
	if err := checkAudience(wanted.Audience); err != nil {
		return nil, err
	}
	if err := a.rates.request("mint", g.ID); err != nil {
		return nil, err
	}
	used := new(store.Replay)
	proof, err := a.possession.Verify(minting(ctx, used), &domain.Request{
		Proof: body.Proof, Method: http.MethodPost, URI: pop.MintRequest(a.cfg.Issuer).URI, Domain: g.Domain,
		Thumbprint: g.Thumbprint, Subject: subject,
	})
	if err != nil {
		return nil, domainRefused(err)
	}
	return &issuance{
		by: byGrantKey, account: g.AccountID, subject: subject, key: proof.Key(), keyID: proof.KeyID().String(),
		assurance: badge.AssurancePossession, level: badge.LevelDomain, domain: g.Domain, audience: wanted.Audience, ttl: ttl,
		profile: badge.ProfileAnonymousDV, grant: g.ID, proof: used,
	}, nil
}

// liveGrant reads a grant, and refuses one that was revoked before anything is fetched for it.
func (a *Authority) liveGrant(ctx context.Context, token string) (*store.Grant, error) {
	keys, err := a.grantKeys(ctx)
	if err != nil {
		return nil, err
	}
	read, err := domain.ParseGrant(token, &domain.GrantCheck{Issuer: a.cfg.Issuer, Keys: keys, Now: a.now(), Skew: grantSkew})
	if err != nil {
		return nil, domainRefused(err)
	}
	g, err := a.store.Grant(ctx, read.ID())
	switch {
	case errors.Is(err, store.ErrNotFound): // signed, but its transaction failed: it was handed to nobody
		return nil, errGrantRevoked
	case err != nil:
		return nil, err
	case !g.RevokedAt.IsZero() || g.Domain != read.Domain() || g.Thumbprint != read.Thumbprint():
		return nil, errGrantRevoked
	}
	return g, nil
}

var errGrantRevoked = refuse(http.StatusForbidden, CodeGrantRevoked, "the grant was revoked: order a validation again")

// mintRefused makes the refusal of a client from one of the database about a grant or its proof.
func mintRefused(err error) error {
	e, ok := errors.AsType[*store.Error](err)
	switch {
	case !ok:
		return err
	case e.What == "grant" && errors.Is(e, store.ErrRevoked):
		return errGrantRevoked
	case e.What == "grant" && errors.Is(e, store.ErrExpired):
		return refuse(http.StatusBadRequest, CodeGrantExpired, "the grant has expired: order a validation again")
	case e.What == "proof":
		return refuse(http.StatusUnauthorized, CodeProofFailed, "the proof was used before: sign each request anew")
	}
	return err
}
