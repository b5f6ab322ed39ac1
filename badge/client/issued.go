package client

import (
	"context"
	"crypto"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/jwk"
	"github.com/touchmark-dev/touchmark/internal/jws"
	"github.com/touchmark-dev/touchmark/internal/strictjson"
)

// An Issued is a badge as its own agent got it, found to be what was asked
// for. Its text form is its id alone, so that no log shows the badge.
type Issued struct {
	ID                  string // the claim jti
	Issuer              string
	Subject             did.DID
	Level               badge.Level
	Assurance           badge.Assurance
	Domain              string
	Audience            []string
	IssuedAt, ExpiresAt time.Time // by the authority's clock

	token string
	until time.Time // when it is over if this clock is wrong: its lifetime after it was asked for
}

// Token returns the badge itself, to be sent and not to be logged.
func (b *Issued) Token() string { return b.token }

// Valid reports whether the badge has not expired at a time. It goes by its
// expiry and by the time since it was asked for, so that a clock that is
// behind makes no badge last longer.
func (b *Issued) Valid(at time.Time) bool { return at.Before(b.ExpiresAt) && at.Before(b.until) }

// String returns the id.
func (b *Issued) String() string { return "badge " + b.ID }

// GoString hides the badge from %#v.
func (b *Issued) GoString() string { return b.String() }

// LogValue hides the badge from log/slog.
func (b *Issued) LogValue() slog.Value { return slog.StringValue(b.ID) }

// check reads a badge, and refuses one that is not what was asked for.
func (r *Requester) check(token, challenge string, asked time.Time) (*Issued, error) {
	u, err := badge.Inspect(token)
	if err == nil {
		err = u.Problem
	}
	if err != nil {
		return nil, r.unusable("the badge: %v", err)
	}
	for _, rule := range []func(*badge.Unverified) error{
		r.checkWho, r.checkFor, func(u *badge.Unverified) error { return r.checkTimes(u, asked) },
		func(u *badge.Unverified) error { return r.checkKey(u, challenge) },
	} {
		if err := rule(u); err != nil {
			return nil, r.unusable("the badge: %v", err)
		}
	}
	return &Issued{
		ID: u.BadgeID, Issuer: u.Issuer, Subject: u.Subject, Level: u.Level, Assurance: u.Assurance, Domain: u.Domain,
		Audience: u.Audience, IssuedAt: u.IssuedAt, ExpiresAt: u.ExpiresAt,
		token: token, until: asked.Add(u.ExpiresAt.Sub(u.IssuedAt)),
	}, nil
}

func (r *Requester) checkWho(u *badge.Unverified) error {
	switch {
	case u.Issuer != r.cfg.Issuer:
		return fmt.Errorf("it is of issuer %q", u.Issuer)
	case u.Subject != r.cfg.Subject:
		return fmt.Errorf("it is about %q", u.Subject)
	case u.Assurance != r.cfg.Assurance:
		return fmt.Errorf("its ial is %q where %q was asked for", u.Assurance, r.cfg.Assurance)
	case !u.Level.AtLeast(r.cfg.MinLevel):
		return fmt.Errorf("its level is %v where at least %v was asked for", u.Level, r.cfg.MinLevel)
	}
	return nil
}

func (r *Requester) checkFor(u *badge.Unverified) error {
	have, want := slices.Sorted(slices.Values(u.Audience)), slices.Sorted(slices.Values(r.cfg.Audience))
	if !slices.Equal(have, want) {
		return fmt.Errorf("its aud is %.200q where %.200q was asked for", have, want)
	}
	return nil
}

func (r *Requester) checkTimes(u *badge.Unverified, asked time.Time) error {
	now := r.cfg.Time()
	life := u.ExpiresAt.Sub(u.IssuedAt)
	switch {
	case r.cfg.TTL != 0 && life != r.cfg.TTL:
		return fmt.Errorf("it lasts %v where %v was asked for", life, r.cfg.TTL)
	case life < badge.MinTTL || life > badge.MaxTTL:
		return fmt.Errorf("it lasts %v", life)
	case u.IssuedAt.Before(asked.Add(-badge.MaxSkew)), u.IssuedAt.After(now.Add(badge.MaxSkew)):
		return fmt.Errorf("it was issued at %v, and it is %v here: set the clock", u.IssuedAt.UTC(), now.UTC().Truncate(time.Second))
	case u.NotBefore.After(now.Add(badge.MaxSkew)):
		return fmt.Errorf("it is not valid before %v", u.NotBefore.UTC())
	case !now.Before(u.ExpiresAt):
		return fmt.Errorf("it is over already: set the clock")
	}
	return nil
}

// checkKey compares the claims key, cnf and pop_challenge_id.
func (r *Requester) checkKey(u *badge.Unverified, challenge string) error {
	var claims struct {
		Key     json.RawMessage `json:"key"`
		Confirm struct {
			KeyID string `json:"kid"`
		} `json:"cnf"`
		Challenge string `json:"pop_challenge_id"`
	}
	if err := strictjson.Unmarshal(u.Payload, &claims); err != nil {
		return err
	}
	key, err := jwk.ParsePublic(claims.Key)
	if err != nil {
		return err
	}
	thumbprint, err := jwk.Thumbprint(key.Key)
	if err != nil {
		return err
	}
	switch {
	case thumbprint != r.thumbprint:
		return fmt.Errorf("it names another key, %s: register this one", thumbprint)
	case r.cfg.KeyID != "" && r.cfg.Assurance == badge.AssurancePossession && claims.Confirm.KeyID != r.cfg.KeyID:
		return fmt.Errorf("its cnf.kid is %.200q", claims.Confirm.KeyID)
	case claims.Challenge != "" && claims.Challenge != challenge:
		return fmt.Errorf("its pop_challenge_id is %.100q", claims.Challenge)
	}
	return nil
}

// verify verifies the signature, if the authority's keys are known.
func (r *Requester) verify(ctx context.Context, token string) error {
	if r.cfg.Keys == nil {
		return nil
	}
	m, err := jws.Parse(token)
	if err != nil {
		return r.unusable("the badge: %v", err)
	}
	key, err := keyNamed(ctx, r.cfg.Keys, r.cfg.Issuer, m.Kid)
	if err != nil {
		return err
	}
	if key == nil {
		return r.unusable("the badge is signed with key %.100q, which the authority does not publish", m.Kid)
	}
	if err := m.Verify(key); err != nil {
		return r.unusable("the badge: %v", err)
	}
	return nil
}

// keyNamed returns a key of an issuer, nil if it has none of that name even
// when asked again.
func keyNamed(ctx context.Context, source badge.KeySource, issuer, id string) (crypto.PublicKey, error) {
	keys, err := source.IssuerKeys(ctx, issuer)
	if err != nil {
		return nil, err
	}
	key := find(keys, id)
	if again, ok := source.(badge.KeyRefresher); ok && key == nil && id != "" {
		if keys, err = again.RefreshIssuerKeys(ctx, issuer); err != nil {
			return nil, err
		}
		key = find(keys, id)
	}
	return key, nil
}

func find(keys []badge.Key, id string) crypto.PublicKey {
	i := slices.IndexFunc(keys, func(k badge.Key) bool { return k.ID == id })
	if i < 0 || id == "" {
		return nil
	}
	return keys[i].Public
}
