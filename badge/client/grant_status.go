package client

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"errors"
	"fmt"

	"github.com/touchmark-dev/touchmark/badge/pop"
	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/strictjson"
)

// A GrantStatus is what the authority says about a grant.
type GrantStatus struct {
	Status    string `json:"status"` // valid, revoked, expired
	RevokedAt string `json:"revoked_at,omitempty"`
}

// Status asks for the status of a grant, with its key: whoever else asks is told
// that there is none.
func (d *Domains) Status(ctx context.Context, g *Grant, key crypto.Signer) (*GrantStatus, error) {
	to := pop.GrantStatusRequest(d.issuer, g.ID)
	return d.about(ctx, g, key, &request{method: to.Method, url: to.URI})
}

// Revoke revokes a grant: no badge is minted from it any more. It takes the
// grant's key, or, with a nil key, the account key. Badges that were minted go
// on until they expire.
func (d *Domains) Revoke(ctx context.Context, g *Grant, key crypto.Signer, reason string) (*GrantStatus, error) {
	to := pop.GrantRevokeRequest(d.issuer, g.ID)
	return d.about(ctx, g, key, &request{
		method: to.Method, url: to.URI, account: key == nil, body: map[string]string{"reason": reason},
	})
}

// about sends a request about a grant, with a proof of its key, if there is one.
func (d *Domains) about(ctx context.Context, g *Grant, key crypto.Signer, r *request) (*GrantStatus, error) {
	switch {
	case g.Issuer != d.issuer:
		return nil, fmt.Errorf("badge/client: the grant is one of %q, not of %q", g.Issuer, d.issuer)
	case key == nil && (!r.account || d.account.text == ""):
		return nil, errors.New("badge/client: that takes the grant's key")
	case key != nil:
		public, ok := key.Public().(ed25519.PublicKey)
		if !ok {
			return nil, fmt.Errorf("badge/client: grants are bound to Ed25519 keys, not to one of type %T", key.Public())
		}
		holder := did.FromKey(public) // which brings its key along
		var err error
		r.proof, err = pop.SignGrantProof(key, &pop.GrantProof{
			Request: pop.GrantRequest{Method: r.method, URI: r.url}, Subject: holder, KeyID: holder.KeyURL(),
		}, d.now())
		if err != nil {
			return nil, fmt.Errorf("badge/client: %w", err)
		}
	}
	answer, err := d.send(ctx, r)
	if err != nil {
		return nil, err
	}
	var a struct {
		ID string `json:"jti"`
		GrantStatus
	}
	if err := strictjson.Unmarshal(answer, &a); err != nil {
		return nil, d.unusable("it is not the JSON that was expected: %v", err)
	}
	if a.ID != g.ID || a.Status == "" || r.body != nil && a.Status != "revoked" {
		return nil, d.unusable("it is about grant %.100q, with status %.40q", a.ID, a.Status)
	}
	return &a.GrantStatus, nil
}
