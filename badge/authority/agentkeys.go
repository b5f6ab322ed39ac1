package authority

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/touchmark-dev/touchmark/badge/authority/internal/store"
	"github.com/touchmark-dev/touchmark/badge/pop"
	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/jwk"
)

const (
	maxAgentKeys    = store.MaxAgentKeys
	maxKeyName      = 256 // bytes of the fragment of a key's DID URL
	keyNameDigits   = 16
	firstKeyName    = "#key-1"
	laterKeyName    = "#key-"
	codeKeyNotFound = Code(pop.IssuanceKeyNotFound)
)

// A subjectKey is a public key of an agent, as a request names it.
type subjectKey struct {
	public     crypto.PublicKey
	text       json.RawMessage // canonical JWK
	thumbprint string
	id         string // DID URL
}

// readKey reads a key of an agent and its id, for which name stands when there is none. What is hosted elsewhere has
// to show the key: an authority does not tie a name to a key on the word of whoever asks.
func (a *Authority) readKey(ctx context.Context, d did.DID, text json.RawMessage, id, name string) (*subjectKey, error) {
	public, err := jwk.ParsePublic(text)
	if err != nil {
		return nil, refuse(http.StatusBadRequest, CodeInvalidRequest, "public_key_jwk: %v", err)
	}
	k := &subjectKey{public: public.Key, id: id}
	if k.thumbprint, err = jwk.Thumbprint(public.Key); err != nil {
		return nil, err
	}
	if err := a.refuseOwnKey(ctx, public.Key); err != nil {
		return nil, err
	}
	if k.text, err = jwk.Marshal(public.Key, ""); err != nil {
		return nil, err
	}
	if k.id == "" {
		if name == "" {
			name = laterKeyName + k.thumbprint[:keyNameDigits]
		}
		k.id = d.String() + name
	}
	url, err := did.ParseURL(k.id)
	if err != nil || url.DID != d || url.Fragment == "" || len(url.Fragment) > maxKeyName {
		return nil, refuse(http.StatusBadRequest, CodeInvalidRequest, "key_id %.300q is not the DID URL of a key of %q", k.id, d)
	}
	if _, _, here := a.hosted(d); here {
		return k, nil
	}
	return k, a.shownKey(ctx, k, url)
}

// refuseOwnKey refuses a signing key of the authority, for which no badge can be issued.
func (a *Authority) refuseOwnKey(ctx context.Context, key crypto.PublicKey) error {
	known, err := a.keySet(ctx)
	if err != nil {
		return err
	}
	for i := range known.states {
		if known.states[i].Public.Equal(key) {
			return refuse(http.StatusBadRequest, CodeInvalidRequest, "public_key_jwk: that is a key of the authority")
		}
	}
	return nil
}

// shownKey refuses a key that the document of its agent does not have for authentication.
func (a *Authority) shownKey(ctx context.Context, k *subjectKey, id did.URL) error {
	doc, err := a.cfg.Resolver.Resolve(ctx, id.DID)
	if refused, ok := errors.AsType[*did.DocumentError](err); ok {
		return refuse(http.StatusBadGateway, Code(pop.IssuanceDocumentInvalid), "%v", refused)
	}
	if err != nil || doc == nil || doc.ID != id.DID {
		return refuse(http.StatusBadGateway, Code(pop.IssuanceResolutionFailed), "the document of %q could not be had: publish it first", id.DID)
	}
	method, found := doc.Method(id)
	have, comparable := method.Key.(interface{ Equal(crypto.PublicKey) bool })
	switch {
	case !found || !comparable || !have.Equal(k.public):
		return refuse(http.StatusForbidden, codeKeyNotFound, "the document of %q does not have that key as %q: publish it first", id.DID, id)
	case !doc.MayAuthenticate(id):
		return refuse(http.StatusForbidden, Code(pop.IssuanceKeyNotAuthenticator), "the document of %q does not let %q authenticate", id.DID, id)
	}
	return nil
}

type keyRequest struct {
	Key   json.RawMessage `json:"public_key_jwk"`
	KeyID string          `json:"key_id"`
}

// agentOf returns the agent in the path, and the caller, whose it is.
func (a *Authority) agentOf(r *http.Request) (*store.Agent, did.DID, *caller, error) {
	d, err := subject(r)
	if err != nil {
		return nil, d, nil, err
	}
	c, err := a.authenticate(r, store.ScopeIssue)
	if err != nil {
		return nil, d, nil, err
	}
	agent, err := a.ownedAgent(r.Context(), c, d.String())
	return agent, d, c, err
}

// postAgentKey is spec/issuance.md, "Keys of an agent": it publishes one more key.
func (a *Authority) postAgentKey(w http.ResponseWriter, r *http.Request) error {
	agent, d, c, err := a.agentOf(r)
	if err != nil {
		return err
	}
	var body keyRequest
	if err := readBody(r, &body, false); err != nil {
		return err
	}
	if len(agent.Keys) >= maxAgentKeys {
		return refuse(http.StatusConflict, CodeConflict, "agent %q has %d keys: remove one first", agent.DID, len(agent.Keys))
	}
	if err := a.rates.request("register", c.account); err != nil {
		return err
	}
	k, err := a.readKey(r.Context(), d, body.Key, body.KeyID, "")
	if err != nil {
		return err
	}
	act, err := a.act(a.now(), c.keyID, &Entry{Type: EntryAgentKeyAdded, Subject: agent.DID, Key: k.thumbprint, Account: agent.AccountID})
	if err != nil {
		return err
	}
	added := &store.AgentKey{ID: k.id, PublicKey: k.text, CreatedAt: act.At}
	if err := a.store.AddAgentKey(r.Context(), agent.DID, added, act); err != nil {
		return stored(err, CodeAgentNotFound)
	}
	answer(w, http.StatusCreated, map[string]string{"did": agent.DID, "key_id": k.id})
	return nil
}

// postUseAgentKey makes one of the published keys the one that badges are issued for.
func (a *Authority) postUseAgentKey(w http.ResponseWriter, r *http.Request) error {
	return a.changeKey(w, r, EntryAgentKeyUsed, a.store.UseAgentKey)
}

func (a *Authority) postRemoveAgentKey(w http.ResponseWriter, r *http.Request) error {
	return a.changeKey(w, r, EntryAgentKeyRemoved, a.store.RemoveAgentKey)
}

func (a *Authority) changeKey(w http.ResponseWriter, r *http.Request, kind string,
	change func(context.Context, store.AgentKeyRef, store.Act) error) error {
	agent, d, c, err := a.agentOf(r)
	if err != nil {
		return err
	}
	var body keyRequest
	if err := readBody(r, &body, false); err != nil {
		return err
	}
	var found *store.AgentKey
	for i := range agent.Keys {
		if agent.Keys[i].ID == body.KeyID {
			found = &agent.Keys[i]
		}
	}
	if found == nil {
		return refuse(http.StatusNotFound, codeKeyNotFound, "agent %q has no key %.300q", agent.DID, body.KeyID)
	}
	if kind == EntryAgentKeyUsed {
		if err := a.rates.request("register", c.account); err != nil {
			return err
		}
		if _, err := a.readKey(r.Context(), d, found.PublicKey, found.ID, ""); err != nil {
			return err
		}
	}
	public, err := jwk.ParsePublic(found.PublicKey)
	if err != nil {
		return err
	}
	thumbprint, err := jwk.Thumbprint(public.Key)
	if err != nil {
		return err
	}
	act, err := a.act(a.now(), c.keyID, &Entry{Type: kind, Subject: agent.DID, Key: thumbprint, Account: agent.AccountID})
	if err != nil {
		return err
	}
	if err := change(r.Context(), store.AgentKeyRef{DID: agent.DID, KeyID: found.ID}, act); err != nil {
		return stored(err, codeKeyNotFound)
	}
	answer(w, http.StatusOK, map[string]string{"did": agent.DID, "key_id": found.ID})
	return nil
}
