package authority

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"runtime/debug"
	"strings"

	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/strictjson"
)

// A route serves one endpoint. What it returns as an error, the client is told by [Authority.answerError].
type route func(w http.ResponseWriter, r *http.Request) error

// Handler returns the HTTP interface of the authority (spec/issuance.md, "Endpoints").
func (a *Authority) Handler() http.Handler {
	mux := http.NewServeMux()
	for pattern, serve := range map[string]route{
		"POST /v1/agents/{did}/badge/challenge":    a.postChallenge,
		"POST /v1/agents/{did}/badge":              a.postBadge,
		"POST /v1/agents/{did}/badge/pop":          a.postBadgeCompat,
		"GET /v1/badges/{jti}/status":              a.getBadgeStatus,
		"POST /v1/badges/{jti}/revoke":             a.postRevoke,
		"GET /v1/revocations":                      a.getRevocations,
		"GET /v1/revocations/list":                 a.getRevocationList,
		"GET /v1/agents/{did}/status":              a.getAgentStatus,
		"POST /v1/agents/{did}/disable":            a.postDisable,
		"POST /v1/agents/{did}/suspend":            a.postSuspend,
		"POST /v1/agents/{did}/enable":             a.postEnable,
		"POST /v1/agents/{did}/keys":               a.postAgentKey,
		"POST /v1/agents/{did}/keys/use":           a.postUseAgentKey,
		"POST /v1/agents/{did}/keys/remove":        a.postRemoveAgentKey,
		"POST /v1/agents/{did}/level":              a.postLevel,
		"POST /v1/agents":                          a.postAgent,
		"GET /v1/agents":                           a.getAgents,
		"GET /v1/servers/list":                     a.getServerList,
		"GET /v1/account/keys":                     a.getAccountKeys,
		"POST /v1/account/keys/rotate":             a.postRotateKey,
		"POST /v1/account/keys/{id}/revoke":        a.postRevokeKey,
		"POST /v1/accounts/{id}/disable":           a.postDisableAccount,
		"POST /v1/accounts/{id}/enable":            a.postEnableAccount,
		"GET /.well-known/jwks.json":               a.getKeySet,
		"GET /agents/{id}/did.json":                a.getAgentDocument,
		"GET /servers/{id}/did.json":               a.getServerDocument,
		"POST /v1/badges/dv/orders":                dv(a.postOrder),
		"GET /v1/badges/dv/orders/{id}":            dv(a.getOrder),
		"POST /v1/badges/dv/orders/{id}/finalize":  dv(a.postFinalize),
		"POST /v1/badges/dv/accounts":              dv(a.postDVAccount),
		"GET /v1/badges/dv/accounts/{id}":          dv(a.getDVAccount),
		"POST /v1/badges/dv/accounts/{id}/verify":  dv(a.postVerifyDVAccount),
		"POST /v1/badges/dv/accounts/{id}/recover": dv(a.postRecoverDVAccount),
		"POST /v1/badges/dv/accounts/{id}/revoke":  dv(a.postRevokeDVAccount),
		"GET /v1/badges/dv/grants/{jti}/status":    dv(a.getGrantStatus),
		"POST /v1/badges/dv/grants/{jti}/revoke":   dv(a.postRevokeGrant),
		"POST /v1/badges/mint":                     dv(a.postMint),
		"GET /healthz":                             a.getHealth,
		"GET /readyz":                              a.getReady,
	} {
		mux.Handle(pattern, a.serve(serve))
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Nothing here is for scripts of other sites: no CORS header is ever sent.
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-store")
		if own, pattern := mux.Handler(r); pattern == "" {
			a.answerError(w, r, unrouted(own, w, r))
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// unrouted makes a refusal like the others of that of a mux, which says by Allow which methods there are.
func unrouted(own http.Handler, w http.ResponseWriter, r *http.Request) error {
	told := &discard{header: make(http.Header)}
	own.ServeHTTP(told, r)
	if told.status == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", told.header.Get("Allow"))
		return refuse(http.StatusMethodNotAllowed, CodeMethod, "%s is not for %.200q: use %s", r.Method, r.URL.Path, told.header.Get("Allow"))
	}
	return refuse(http.StatusNotFound, CodeNotFound, "there is nothing at %.200q", r.URL.Path)
}

// A discard is an answer of which nothing is kept but the head.
type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) WriteHeader(status int)      { d.status = status }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }

// serve bounds a request, and answers for it whatever happens.
func (a *Authority) serve(f route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), a.cfg.RequestTimeout)
		defer cancel()
		r = r.WithContext(ctx)
		r.Body = http.MaxBytesReader(w, r.Body, MaxBodyBytes)
		defer func() {
			if fault := recover(); fault != nil {
				if fault == http.ErrAbortHandler { //nolint:errorlint // the value itself is the signal
					panic(fault)
				}
				a.answerError(w, r, fmt.Errorf("authority: panic: %v\n%s", fault, debug.Stack()))
			}
		}()
		if err := f(w, r); err != nil {
			a.answerError(w, r, err)
		}
	})
}

// readBody reads a JSON object into v; no body leaves v as it is when optional.
func readBody(r *http.Request, v any, optional bool) error {
	body, err := io.ReadAll(r.Body)
	var long *http.MaxBytesError
	switch {
	case errors.As(err, &long):
		return refuse(http.StatusRequestEntityTooLarge, CodeTooLarge, "the body is longer than %d bytes", long.Limit)
	case err != nil:
		return refuse(http.StatusBadRequest, CodeInvalidRequest, "the body could not be read")
	case len(body) == 0 && optional:
		return nil
	}
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/json" {
		return refuse(http.StatusUnsupportedMediaType, CodeMediaType, "Content-Type is %.100q: send application/json", r.Header.Get("Content-Type"))
	}
	if err := strictjson.Unmarshal(body, v); err != nil {
		return refuse(http.StatusBadRequest, CodeInvalidRequest, "the body is not the JSON that was expected: %v", err)
	}
	return nil
}

// subject reads {did} of a request's path: one segment, colons as %3A or as they are.
func subject(r *http.Request) (did.DID, error) {
	d, err := did.Parse(r.PathValue("did"))
	if err != nil {
		return did.DID{}, refuse(http.StatusBadRequest, CodeInvalidDID, "%v", err)
	}
	return d, nil
}

// single returns a header that may be given once.
func single(r *http.Request, name string) (string, error) {
	values := r.Header.Values(name)
	switch len(values) {
	case 0:
		return "", nil
	case 1:
		return strings.TrimSpace(values[0]), nil
	}
	return "", refuse(http.StatusBadRequest, CodeInvalidRequest, "header %s is given %d times", name, len(values))
}
