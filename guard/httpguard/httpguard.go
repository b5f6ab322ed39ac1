package httpguard

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/internal/mcpwire"
)

// MaxBodyBytes is the size of the largest body of a request, unless [Options] say otherwise.
const MaxBodyBytes = 4 << 20

// A Route says which capability a pattern is.
type Route struct {
	// Pattern is that of a [http.ServeMux], written as it was registered.
	Pattern string

	// Tool is the name of a capability of guard.KindTool. Without one the capability is of guard.KindMethod, and its name
	// is the pattern.
	Tool string

	// Level is the annotation: who may use it where the policy has no rule.
	Level badge.Level

	// Octets lets bodies of other types than JSON through, of which policies see no more than a hash. A handler that takes
	// parameters from a form in the body, as [http.Request.FormValue] does, is then beyond conditions on the query.
	Octets bool
}

func (r *Route) capability() guard.Capability {
	if r.Tool == "" {
		return guard.Capability{Kind: guard.KindMethod, Name: r.Pattern}
	}
	return guard.Capability{Kind: guard.KindTool, Name: r.Tool}
}

// Options say what a handler offers. Routes are required.
type Options struct {
	// Routes is the table. What is not in it is refused, and recorded.
	Routes []Route

	// URL is where callers reach the handler, without query, to which the path of a request is added: call proofs name
	// the result. Empty means the origin of the guard's DID, if that is a did:web.
	URL string

	// Mux is where the guarded handler passes requests on to, if that is wrapped in something else.
	Mux *http.ServeMux

	MaxBodyBytes int64 // 0 means MaxBodyBytes

	// Facts are what is known of every request: the name of the server, its environment and the tenant.
	Facts guard.Facts

	// AllowAuthorizationBeside leaves Authorization: Bearer to another layer. A badge must then come in X-Capiscio-Badge.
	AllowAuthorizationBeside bool

	// AllowDenialDetails tells callers why they may not use something, instead of answering as if it did not exist.
	AllowDenialDetails bool

	// Logger hears of panics. Nil discards.
	Logger *slog.Logger
}

// A router is a handler that says beforehand what it will run, as [http.ServeMux] does.
type router interface {
	http.Handler
	Handler(req *http.Request) (h http.Handler, pattern string)
}

type handler struct {
	guard   *guard.Guard
	next    http.Handler
	router  router // is asked which pattern next runs
	routes  map[string]*Route
	url     string
	maxBody int64
	facts   guard.Facts
	rules   mcpwire.Rules
	explain bool
	log     *slog.Logger
}

// Protect guards next. If it is a [http.ServeMux], or Options name one that it passes requests on to, the patterns of that
// mux are judged, and must all have been registered before the first request. Any other handler must do no more with the
// path of a request than the patterns of the table do. A mux below a pattern of the mux is not asked: its patterns belong
// into the one, or it has a guard of its own.
func Protect(next http.Handler, g *guard.Guard, opts *Options) (http.Handler, error) {
	if next == nil || g == nil || opts == nil || len(opts.Routes) == 0 {
		return nil, errors.New("httpguard: Protect needs a handler, a guard and routes")
	}
	h := &handler{
		guard: g, routes: make(map[string]*Route), url: strings.TrimSuffix(opts.URL, "/"), maxBody: opts.MaxBodyBytes, facts: opts.Facts,
		rules:   mcpwire.Rules{AllowAuthorizationBeside: opts.AllowAuthorizationBeside},
		explain: opts.AllowDenialDetails, log: opts.Logger,
	}
	if h.maxBody <= 0 {
		h.maxBody = MaxBodyBytes
	}
	if h.log == nil {
		h.log = slog.New(slog.DiscardHandler)
	}
	mux := http.NewServeMux()
	for _, r := range opts.Routes {
		if err := register(mux, r.Pattern, next); err != nil {
			return nil, err
		}
		h.routes[r.Pattern] = &r
	}
	h.next = next
	switch own, ok := next.(router); {
	case ok:
		h.router = own
	case opts.Mux != nil:
		h.router = opts.Mux
	default:
		h.next, h.router = mux, mux
	}
	if h.url == "" && g.AcceptsBadges() {
		origin, err := g.Server().Origin()
		if err != nil {
			return nil, errors.New("httpguard: Options have no URL, and the guard's DID has none: call proofs must name one")
		}
		h.url = origin
	}
	return h, nil
}

// register finds out whether a pattern is one, and no other's.
func register(mux *http.ServeMux, pattern string, h http.Handler) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("httpguard: %v", p)
		}
	}()
	mux.Handle(pattern, h)
	return nil
}

// ServeHTTP implements [http.Handler].
func (h *handler) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	defer func() {
		switch p := recover(); p {
		case nil:
		case http.ErrAbortHandler:
			panic(p)
		default:
			h.log.Error("httpguard: panic", "value", fmt.Sprint(p), "stack", string(debug.Stack()))
			h.refuse(w, req, h.guard.Refuse(req.Context(), h.base(req), guard.CodeGuardFailed, guard.CausePanic), 0)
		}
	}()
	r, call := h.base(req), &call{}
	if err := h.read(w, req, r, call); err != nil {
		h.refuse(w, req, h.guard.Refuse(req.Context(), r, guard.CodeRequestMalformed, err.cause), err.status)
		return
	}
	grant, err := h.guard.Check(req.Context(), r)
	if err != nil {
		h.refuse(w, req, err, 0)
		return
	}
	h.run(w, call, grant)
}

type grantKey struct{}

// GrantOf returns the grant under which a guarded handler runs, with the caller and the evidence, nil outside of one.
func GrantOf(ctx context.Context) *guard.Grant {
	grant, _ := ctx.Value(grantKey{}).(*guard.Grant)
	return grant
}
