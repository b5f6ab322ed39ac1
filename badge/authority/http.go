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
		"POST /v1/agents/{did}/badge/challenge": a.postChallenge,
		"POST /v1/agents/{did}/badge":           a.postBadge,
		"POST /v1/agents/{did}/badge/pop":       a.postBadgeCompat,
		"GET /v1/badges/{jti}/status":           a.getBadgeStatus,
		"POST /v1/badges/{jti}/revoke":          a.postRevoke,
		"GET /v1/revocations":                   a.getRevocations,
		"GET /v1/revocations/list":              a.getRevocationList,
		"GET /v1/agents/{did}/status":           a.getAgentStatus,
		"POST /v1/agents/{did}/disable":         a.postDisable,
		"POST /v1/agents/{did}/suspend":         a.postSuspend,
		"POST /v1/agents/{did}/enable":          a.postEnable,
		"POST /v1/agents/{did}/level":           a.postLevel,
		"POST /v1/agents":                       a.postAgent,
		"GET /v1/agents":                        a.getAgents,
		"POST /v1/account/keys/rotate":          a.postRotateKey,
		"GET /.well-known/jwks.json":            a.getKeySet,
		"GET /agents/{id}/did.json":             a.getAgentDocument,
		"GET /servers/{id}/did.json":            a.getServerDocument,
		"GET /healthz":                          a.getHealth,
		"GET /readyz":                           a.getReady,
		"/":                                     notFound,
	} {
		mux.Handle(pattern, a.serve(serve))
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Nothing here is for scripts of other sites: no CORS header is ever sent.
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-store")
		mux.ServeHTTP(w, r)
	})
}

func notFound(_ http.ResponseWriter, r *http.Request) error {
	return refuse(http.StatusNotFound, CodeNotFound, "there is nothing at %s %.200q", r.Method, r.URL.Path)
}

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
