package authority

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/authority/internal/store"
	"github.com/touchmark-dev/touchmark/did"
)

const maxHostedName = 64

type agentRequest struct {
	DID  string          `json:"did"`
	Name string          `json:"name"` // of a document that is hosted here, instead of did
	Kind string          `json:"kind"`
	Key  json.RawMessage `json:"public_key_jwk"`
	// KeyID is the DID URL of the key in a document that is hosted elsewhere; empty means did#key-1.
	KeyID string `json:"key_id"`
}

type agentAnswer struct {
	DID     string `json:"did"`
	Kind    string `json:"kind"`
	Account string `json:"account"`
	KeyID   string `json:"key_id"`
	Level   string `json:"level"`
	Domain  string `json:"domain,omitempty"`
	Status  string `json:"status"`
	Reason  string `json:"reason,omitempty"`
	Created string `json:"created_at"`
}

func shown(agent *store.Agent) *agentAnswer {
	return &agentAnswer{
		DID: agent.DID, Kind: agent.Kind, Account: agent.AccountID, KeyID: agent.KeyID, Level: levelOf(agent.Level).String(),
		Domain: agent.Domain, Status: agent.Status, Reason: agent.StatusReason, Created: agent.CreatedAt.UTC().Format(time.RFC3339),
	}
}

// postAgent is spec/issuance.md, "Registration": with level 1, whatever is asked for.
func (a *Authority) postAgent(w http.ResponseWriter, r *http.Request) error {
	c, err := a.authenticate(r, store.ScopeIssue)
	if err != nil {
		return err
	}
	var body agentRequest
	if err := readBody(r, &body, false); err != nil {
		return err
	}
	if err := a.rates.request("register", c.account); err != nil {
		return err
	}
	agent, thumbprint, err := a.newAgent(r.Context(), c, &body)
	if err != nil {
		return err
	}
	if err := a.addAgent(r.Context(), agent, thumbprint, c.keyID); err != nil {
		return stored(err, CodeNotFound)
	}
	answer(w, http.StatusCreated, shown(agent))
	return nil
}

func (a *Authority) newAgent(ctx context.Context, c *caller, body *agentRequest) (*store.Agent, string, error) {
	if body.Kind == "" {
		body.Kind = store.KindAgent
	}
	if body.Kind != store.KindAgent && body.Kind != store.KindServer {
		return nil, "", refuse(http.StatusBadRequest, CodeInvalidRequest, `kind is %.100q: send "agent" or "server"`, body.Kind)
	}
	d, err := a.newDID(body)
	if err != nil {
		return nil, "", err
	}
	k, err := a.readKey(ctx, d, body.Key, body.KeyID, firstKeyName)
	if err != nil {
		return nil, "", err
	}
	return &store.Agent{
		DID: d.String(), Kind: body.Kind, AccountID: c.account, PublicKey: k.text, KeyID: k.id, HostedName: body.Name,
		Level: storedLevel(badge.LevelRegistered), LevelReason: "registered", LevelBy: c.keyID,
		Status: store.StatusActive, CreatedAt: a.now(),
	}, k.thumbprint, nil
}

// newDID returns the DID of an agent to be registered: its own, or one below this authority's for a name.
func (a *Authority) newDID(body *agentRequest) (did.DID, error) {
	if (body.DID == "") == (body.Name == "") {
		return did.DID{}, refuse(http.StatusBadRequest, CodeInvalidRequest, "send did, or name for a document that is hosted here, and not both")
	}
	if body.Name != "" {
		if !isName(body.Name) {
			return did.DID{}, refuse(http.StatusBadRequest, CodeInvalidRequest,
				"name %.100q: use at most %d lower-case letters, digits and single hyphens between them", body.Name, maxHostedName)
		}
		return did.FromWebURL(a.cfg.Issuer + "/" + body.Kind + "s/" + body.Name)
	}
	d, err := did.Parse(body.DID)
	switch {
	case err != nil:
		return did.DID{}, refuse(http.StatusBadRequest, CodeInvalidDID, "%v", err)
	case d.Method() != "web":
		return did.DID{}, refuse(http.StatusBadRequest, CodeInvalidDID, "badges of an authority are about a did:web, not %q", d)
	}
	if origin, err := d.Origin(); err != nil || origin == a.cfg.Issuer {
		return did.DID{}, refuse(http.StatusForbidden, CodeInvalidDID, "%q is below this authority's own name: register a name instead", d)
	}
	return d, nil
}

func isName(s string) bool {
	for _, part := range strings.Split(s, "-") {
		if part == "" || strings.Trim(part, "abcdefghijklmnopqrstuvwxyz0123456789") != "" {
			return false
		}
	}
	return len(s) <= maxHostedName
}

// getAgents lists the agents of the caller's account, of all accounts for an administrator.
func (a *Authority) getAgents(w http.ResponseWriter, r *http.Request) error {
	c, err := a.authenticate(r, store.ScopeIssue)
	if err != nil {
		return err
	}
	limit, err := listLimit(r)
	if err != nil {
		return err
	}
	account := c.account
	if c.admin {
		account = ""
	}
	rows, err := a.store.Agents(r.Context(), account, r.URL.Query().Get("after"), limit)
	if err != nil {
		return err
	}
	out := make([]*agentAnswer, len(rows))
	for i := range rows {
		out[i] = shown(&rows[i])
	}
	answer(w, http.StatusOK, map[string]any{"agents": out})
	return nil
}

func (a *Authority) postDisable(w http.ResponseWriter, r *http.Request) error {
	return a.setStatus(w, r, store.StatusDisabled)
}

func (a *Authority) postSuspend(w http.ResponseWriter, r *http.Request) error {
	return a.setStatus(w, r, store.StatusSuspended)
}

func (a *Authority) postEnable(w http.ResponseWriter, r *http.Request) error {
	return a.setStatus(w, r, store.StatusActive)
}

// setStatus is spec/issuance.md, "Status of an agent". An account can stop its agents; only an administrator brings one
// back that an administrator stopped.
func (a *Authority) setStatus(w http.ResponseWriter, r *http.Request, status string) error {
	agent, _, c, err := a.agentOf(r)
	if err != nil {
		return err
	}
	var body reasonRequest
	if err := body.read(r); err != nil {
		return err
	}
	if !c.admin {
		if err := a.rates.request("status", c.account); err != nil {
			return err
		}
	}
	if status != store.StatusDisabled && !c.admin {
		return refuse(http.StatusForbidden, CodeForbidden, "that takes an account key with the scope %q", store.ScopeAdmin)
	}
	if err := a.changeStatus(r.Context(), agent.DID, status, body.Reason, c.keyID); err != nil {
		return stored(err, CodeAgentNotFound)
	}
	answer(w, http.StatusOK, map[string]string{"did": agent.DID, "status": status})
	return nil
}

type levelRequest struct {
	Level  string `json:"level"`
	Domain string `json:"domain"`
	Reason string `json:"reason"`
}

// postLevel is spec/issuance.md, "Levels": an administrator grants a level, and says why.
func (a *Authority) postLevel(w http.ResponseWriter, r *http.Request) error {
	d, err := subject(r)
	if err != nil {
		return err
	}
	c, err := a.authenticate(r, store.ScopeAdmin)
	if err != nil {
		return err
	}
	var body levelRequest
	if err := readBody(r, &body, false); err != nil {
		return err
	}
	level, err := badge.ParseLevel(body.Level)
	if err != nil {
		return refuse(http.StatusBadRequest, CodeInvalidRequest, `level is %.100q: send "1" to "4"`, body.Level)
	}
	grant := &LevelGrant{Subject: d, Level: level, Domain: body.Domain, Reason: body.Reason}
	if err := a.grantLevel(r.Context(), grant, c.keyID); err != nil {
		return stored(err, CodeAgentNotFound)
	}
	answer(w, http.StatusOK, map[string]string{"did": d.String(), "level": level.String(), "domain": body.Domain})
	return nil
}
