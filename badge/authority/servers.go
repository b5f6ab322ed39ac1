package authority

import (
	"io"
	"net/http"
	"time"
)

// serversFresh is how long a list of servers is kept after it was read.
const serversFresh = 10 * time.Second

// getServerList is spec/registry.md, section 4.
func (a *Authority) getServerList(w http.ResponseWriter, r *http.Request) error {
	if a.cfg.ServerList == nil {
		return refuse(http.StatusNotFound, CodeNotFound, "this authority has no list of approved servers")
	}
	list, err := a.servers.get(a.now(), serversFresh, func() (string, error) {
		text, err := a.cfg.ServerList(r.Context())
		return string(text), err
	})
	if err != nil {
		a.log.ErrorContext(r.Context(), "the list of approved servers cannot be read", "err", err)
		return refuse(http.StatusServiceUnavailable, CodeUnavailable, "the list of approved servers cannot be had now")
	}
	w.Header().Set("Content-Type", "application/jwt")
	w.Header().Set("Cache-Control", "public, max-age=60")
	_, _ = io.WriteString(w, list) // the client may be gone
	return nil
}
