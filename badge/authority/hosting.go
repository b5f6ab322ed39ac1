package authority

import (
	"context"
	"errors"
	"net/http"

	"github.com/touchmark-dev/touchmark/badge/authority/internal/store"
	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/jwk"
)

// hosted returns which of this authority's documents a DID is that of.
func (a *Authority) hosted(d did.DID) (kind, name string, ok bool) {
	if d.Method() != "web" {
		return "", "", false
	}
	origin, err := d.Origin()
	segments := d.PathSegments()
	if err != nil || origin != a.cfg.Issuer || len(segments) != 2 {
		return "", "", false
	}
	switch segments[0] {
	case "agents":
		return store.KindAgent, segments[1], true
	case "servers":
		return store.KindServer, segments[1], true
	}
	return "", "", false
}

// document makes the DID document of a hosted agent.
func (a *Authority) document(ctx context.Context, kind, name string) (*did.Document, error) {
	agent, err := a.store.HostedAgent(ctx, kind, name)
	if err != nil {
		return nil, err
	}
	d, err := did.Parse(agent.DID)
	if err != nil {
		return nil, err
	}
	keys := make([]did.DocumentKey, len(agent.Keys))
	for i, k := range agent.Keys {
		url, err := did.ParseURL(k.ID)
		if err != nil {
			return nil, err
		}
		public, err := jwk.ParsePublic(k.PublicKey)
		if err != nil {
			return nil, err
		}
		keys[i] = did.DocumentKey{Fragment: url.Fragment, Key: public.Key}
	}
	return did.NewDocument(d, keys...)
}

func (a *Authority) getAgentDocument(w http.ResponseWriter, r *http.Request) error {
	return a.getDocument(w, r, store.KindAgent)
}

func (a *Authority) getServerDocument(w http.ResponseWriter, r *http.Request) error {
	return a.getDocument(w, r, store.KindServer)
}

func (a *Authority) getDocument(w http.ResponseWriter, r *http.Request, kind string) error {
	doc, err := a.document(r.Context(), kind, r.PathValue("id"))
	if err != nil {
		return stored(err, CodeAgentNotFound)
	}
	text, err := doc.MarshalJSON()
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/did+json")
	w.Header().Set("Cache-Control", "public, max-age=60")
	_, _ = w.Write(text) // the client may be gone
	return nil
}

// getHealth says that the process answers.
func (a *Authority) getHealth(w http.ResponseWriter, _ *http.Request) error {
	answer(w, http.StatusOK, map[string]string{"status": "ok"})
	return nil
}

// getReady says that badges can be issued here: the database answers, there is a key to sign with, and the log has
// what it should have.
func (a *Authority) getReady(w http.ResponseWriter, r *http.Request) error {
	err := a.store.Ping(r.Context())
	if err == nil {
		_, err = a.signingKey(r.Context())
	}
	if err == nil {
		err = a.logInTime(r.Context())
	}
	var refused *Error
	switch {
	case err == nil:
		answer(w, http.StatusOK, map[string]string{"status": "ready"})
		return nil
	case errors.As(err, &refused):
		return refused
	}
	a.log.ErrorContext(r.Context(), "not ready", "err", err)
	return refuse(http.StatusServiceUnavailable, CodeUnavailable, "not ready: see the log")
}
