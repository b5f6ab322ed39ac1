package serververify

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
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
	c := proofClaims{nonce: nonce}
	var err error
	if c.binding, c.origin, err = h.identity.channelOf(r); err != nil {
		return err
	}
	if !slices.Contains(h.identity.cfg.Origins, c.origin) {
		return fmt.Errorf("serververify: challenge for %s, which is not among the Origins of %q", c.origin, d.DID)
	}
	switch c.binding {
	case BindingTLS:
		c.exporter, err = exporterOf(r.TLS)
	case BindingSPKI:
		c.exporter, err = h.identity.proxyKey(r)
	case BindingUnix:
		c.exporter, err = unixDigest(r)
	}
	if err != nil {
		return fmt.Errorf("serververify: no channel binding: %w", err)
	}
	return h.identity.prove(d, c)
}

// channelOf says how r came, and for which origin.
func (i *Identity) channelOf(r *http.Request) (Binding, string, error) {
	unix, isUnix := r.Context().Value(unixPeerKey{}).(unixChannel)
	proxied := len(i.cfg.ProxySPKI) > 0
	scheme, binding := "https", BindingTLS
	switch {
	case isUnix && (!proxied || slices.Contains(i.cfg.Origins, unix.origin())): // a proxy may come over a socket too
		return BindingUnix, unix.origin(), nil
	case r.TLS != nil:
	case proxied:
		binding = BindingSPKI
	case i.cfg.UnsafeAllowPlainHTTP:
		scheme, binding = "http", BindingNone
	default:
		return "", "", errors.New("serververify: a challenge without TLS was not answered: who ends TLS has to answer it, or ProxySPKI to name its key")
	}
	o, err := parseOrigin(scheme + "://" + r.Host)
	if err != nil {
		return "", "", fmt.Errorf("serververify: challenge for the host %.200q: %w", r.Host, err)
	}
	return binding, o.String(), nil
}

// proxyKey returns the digest of the key that the client sees, which has to be
// one of the proxy's. A client that does not say which sees the only one.
func (i *Identity) proxyKey(r *http.Request) (string, error) {
	seen, said, err := mcpwire.Single(r.Header, mcpwire.HeaderServerSPKI)
	if err != nil {
		return "", err
	}
	for _, key := range i.cfg.ProxySPKI {
		own := base64.RawURLEncoding.EncodeToString(key[:])
		if said && own == seen || !said && len(i.cfg.ProxySPKI) == 1 {
			return own, nil
		}
	}
	return "", fmt.Errorf("the client sees the key %.60q, which is not in ProxySPKI", seen)
}

func unixDigest(r *http.Request) (string, error) {
	c, _ := r.Context().Value(unixPeerKey{}).(unixChannel)
	if c.peer.PID <= 0 {
		return "", errors.New("the kernel does not tell which process the client is: it is in another pid namespace")
	}
	return c.digest(), nil
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
