package serververify

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/internal/mcpwire"
)

type handler struct {
	identity *Identity
	next     http.Handler // nil for none
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d := h.identity.Disclose(r.Context())
	w.Header().Set(mcpwire.HeaderServerDID, d.DID)
	if d.Badge != "" {
		w.Header().Set(mcpwire.HeaderServerBadge, d.Badge)
	}
	switch {
	case r.URL.Path == mcpwire.DiscoveryPath:
		h.discovery(w, r, d)
	case h.next != nil:
		h.next.ServeHTTP(w, r)
	default:
		http.NotFound(w, r)
	}
}

// discovery serves the discovery document and answers a challenge. The proof
// is for one client on one connection: nobody may store the response.
func (h *handler) discovery(w http.ResponseWriter, r *http.Request, d Disclosure) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	nonce, asked, err := mcpwire.Single(r.Header, mcpwire.HeaderNonce)
	if err == nil && asked {
		_, err = mcpwire.DecodeNonce(nonce)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if asked {
		switch err := h.answer(r, nonce, &d); {
		case errors.Is(err, errSignRate):
			w.Header().Set("Retry-After", "1")
			http.Error(w, "too many challenges", http.StatusTooManyRequests)
			return
		case err != nil:
			h.identity.cfg.OnError(err)
		default:
			w.Header().Set(mcpwire.HeaderServerProof, d.Proof)
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(h.identity.document(d).marshal()) // the client may be gone
}

// answer proves possession on the connection of r.
func (h *handler) answer(r *http.Request, nonce string, d *Disclosure) error {
	c := proofClaims{nonce: nonce, binding: BindingTLS}
	scheme := "https"
	if r.TLS == nil {
		if !h.identity.cfg.UnsafeAllowPlainHTTP {
			return errors.New("serververify: a challenge without TLS was not answered: who ends TLS has to answer it")
		}
		scheme, c.binding = "http", BindingNone
	}
	o, err := parseOrigin(scheme + "://" + r.Host)
	if err != nil {
		return fmt.Errorf("serververify: challenge for the host %.200q: %w", r.Host, err)
	}
	c.origin = o.String()
	if !h.identity.hasOrigin(c.origin) {
		return fmt.Errorf("serververify: challenge for %s, which is not among the Origins of %q", c.origin, d.DID)
	}
	if r.TLS != nil {
		if c.exporter, err = exporterOf(r.TLS); err != nil {
			return fmt.Errorf("serververify: no channel binding: %w", err)
		}
	}
	return h.identity.prove(d, c)
}

func (i *Identity) hasOrigin(text string) bool {
	for _, o := range i.cfg.Origins {
		if o == text {
			return true
		}
	}
	return false
}

// document describes the server to who reads the discovery document. What it
// says of the badge is read off the badge.
func (i *Identity) document(d Disclosure) *discoveryDocument {
	doc := &discoveryDocument{DID: d.DID, Badge: d.Badge, UpdatedAt: i.cfg.Time().UTC().Format(time.RFC3339)}
	if own, err := badge.Inspect(d.Badge); err == nil && own.Problem == nil {
		doc.Level, doc.UpdatedAt = own.Level.String(), own.IssuedAt.UTC().Format(time.RFC3339)
	}
	return doc
}
