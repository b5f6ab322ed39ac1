package authority

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/authority/internal/domain"
	"github.com/touchmark-dev/touchmark/badge/authority/internal/store"
	"github.com/touchmark-dev/touchmark/did"
)

// A NewAgent is an agent to be registered.
type NewAgent struct {
	Account string
	Kind    string // "agent", which empty stands for, or "server"
	DID     string // of a document elsewhere, or
	Name    string // of one that is hosted here
	KeyJWK  json.RawMessage
	KeyID   string // DID URL; empty stands for #key-1 of the DID
}

// AddAgent registers an agent with level 1, as POST /v1/agents does, and returns its DID.
func (a *Authority) AddAgent(ctx context.Context, n *NewAgent) (did.DID, error) {
	agent, thumbprint, err := a.newAgent(ctx, &caller{keyID: byOperator, account: n.Account}, &agentRequest{
		DID: n.DID, Name: n.Name, Kind: n.Kind, Key: n.KeyJWK, KeyID: n.KeyID,
	})
	if err != nil {
		return did.DID{}, err
	}
	if err := a.addAgent(ctx, agent, thumbprint, byOperator); err != nil {
		return did.DID{}, err
	}
	return did.Parse(agent.DID)
}

func (a *Authority) addAgent(ctx context.Context, agent *store.Agent, thumbprint, by string) error {
	act, err := a.act(agent.CreatedAt, by, &Entry{
		Type: EntryAgentRegistered, Subject: agent.DID, Key: thumbprint, Account: agent.AccountID, Level: levelOf(agent.Level).String(),
	})
	if err != nil {
		return err
	}
	return a.store.AddAgent(ctx, agent, act)
}

// SetAgentStatus makes an agent "active", "disabled" or "suspended". Badges of one that is not active are refused by
// verifiers, and no new ones are issued.
func (a *Authority) SetAgentStatus(ctx context.Context, subject did.DID, status, reason string) error {
	switch status {
	case store.StatusActive, store.StatusDisabled, store.StatusSuspended:
		return a.changeStatus(ctx, subject.String(), status, reason, byOperator)
	}
	return fmt.Errorf("authority: status %q of an agent: active, disabled or suspended", status)
}

func (a *Authority) changeStatus(ctx context.Context, subject, status, reason, by string) error {
	act, err := a.act(a.now(), by, &Entry{Type: EntryAgentStatus, Subject: subject, Status: status, Reason: reason})
	if err != nil {
		return err
	}
	return a.store.SetAgentStatus(ctx, &store.StatusChange{DID: subject, Status: status, Reason: reason}, act)
}

// A LevelGrant lets badges of an agent have up to a level.
type LevelGrant struct {
	Subject did.DID
	Level   badge.Level // 1 to 4
	Domain  string      // from level 2 on, and only then
	Reason  string      // what was examined; required
}

// GrantLevel sets what level an agent may have.
func (a *Authority) GrantLevel(ctx context.Context, g *LevelGrant) error {
	return a.grantLevel(ctx, g, byOperator)
}

func (a *Authority) grantLevel(ctx context.Context, g *LevelGrant, by string) error {
	name := g.Domain
	switch {
	case !g.Level.AtLeast(badge.LevelRegistered):
		return refuse(400, CodeInvalidRequest, "an authority grants levels 1 to 4")
	case g.Reason == "" || len(g.Reason) > maxReason:
		return refuse(400, CodeInvalidRequest, "reason is required, with at most %d bytes", maxReason)
	case !g.Level.AtLeast(badge.LevelDomain) && name != "":
		return refuse(400, CodeInvalidRequest, "a domain goes with level 2 and more")
	case g.Level.AtLeast(badge.LevelDomain):
		var err error
		if name, err = domain.CheckDomain(name); err != nil {
			return refuse(400, CodeInvalidRequest, "from level 2 on a badge names a domain: %v", err)
		}
	}
	act, err := a.act(a.now(), by, &Entry{
		Type: EntryLevelGranted, Subject: g.Subject.String(), Level: g.Level.String(), Domain: name, Reason: g.Reason,
	})
	if err != nil {
		return err
	}
	return a.store.GrantLevel(ctx, &store.LevelGrant{
		DID: g.Subject.String(), Level: storedLevel(g.Level), Domain: name, Reason: g.Reason,
	}, act)
}

// RevokeBadge revokes a badge; one that was revoked before stays as it is.
func (a *Authority) RevokeBadge(ctx context.Context, id, reason string) error {
	b, err := a.store.Badge(ctx, id)
	if err != nil {
		return err
	}
	_, err = a.revoke(ctx, b, reason, byOperator)
	return err
}

func (a *Authority) revoke(ctx context.Context, b *store.Badge, reason, by string) (*store.Revocation, error) {
	act, err := a.act(a.now(), by, &Entry{Type: EntryBadgeRevoked, ID: b.ID, Subject: b.Subject, KeyID: b.KeyID, Reason: reason})
	if err != nil {
		return nil, err
	}
	return a.store.Revoke(ctx, b.ID, reason, act)
}

// RevokeGrant revokes a domain validation grant; one that was revoked before stays as it is.
func (a *Authority) RevokeGrant(ctx context.Context, id, reason string) error {
	g, err := a.store.Grant(ctx, id)
	if err != nil {
		return err
	}
	_, err = a.revokeGrant(ctx, g, reason, byOperator)
	return err
}

func (a *Authority) revokeGrant(ctx context.Context, g *store.Grant, reason, by string) (*store.Grant, error) {
	act, err := a.act(a.now(), by, &Entry{
		Type: EntryGrantRevoked, ID: g.ID, Domain: g.Domain, Key: g.Thumbprint, Reason: reason, Account: g.AccountID,
	})
	if err != nil {
		return nil, err
	}
	return a.store.RevokeGrant(ctx, g.ID, reason, act)
}

// A KeyState is what there is to know of a signing key.
type KeyState struct {
	ID               string
	CreatedAt        time.Time
	ActiveFrom       time.Time // when it begins to sign
	RetiredAt        time.Time // when it ended to; zero: it did not
	WithdrawnAt      time.Time // since when nothing it signed is to be believed; zero: it is
	LastBadgeExpires time.Time // until then its badges are about; zero: it signed none
	Signs            bool      // it is the one that signs now
	Published        bool      // it is in the key set now
}

// Keys returns the states of all signing keys, oldest first.
func (a *Authority) Keys(ctx context.Context) ([]KeyState, error) {
	known, err := a.readKeySet(ctx)
	if err != nil {
		return nil, err
	}
	now := a.now()
	active, _ := known.Active(now)
	published := make(map[string]bool)
	for _, k := range known.Published(now) {
		published[k.KeyID] = true
	}
	out := make([]KeyState, len(known.states))
	for i, k := range known.states {
		out[i] = KeyState{
			ID: k.KeyID, CreatedAt: k.CreatedAt, ActiveFrom: k.ActiveFrom, RetiredAt: k.RetiredAt, WithdrawnAt: k.WithdrawnAt,
			LastBadgeExpires: k.LastBadgeExpires, Signs: k.KeyID == active.KeyID, Published: published[k.KeyID],
		}
	}
	return out, nil
}

// IsNotFound reports whether an error says that there is no such account, key, agent, badge or grant.
func IsNotFound(err error) bool { return errors.Is(err, store.ErrNotFound) }
