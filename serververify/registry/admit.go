package registry

import (
	"context"
	"fmt"
	"slices"

	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/endpoint"
	"github.com/touchmark-dev/touchmark/serververify"
)

var _ serververify.Admission = (*Registry)(nil)

// A question is a server as the list is asked about it.
type question struct {
	did      did.DID
	key      string // thumbprint; "" for a server without an identity
	endpoint string // canonical
	version  string // "" while it is not known
}

// Admit refuses a server that is not in the list. It implements
// serververify.Admission.
func (r *Registry) Admit(ctx context.Context, srv *serververify.Server) error {
	return r.admit(ctx, srv, srv.Endpoint)
}

func (r *Registry) admit(ctx context.Context, srv *serververify.Server, at string) error {
	q := question{did: srv.DID, key: srv.KeyThumbprint}
	if at != "" {
		var err error
		if q.endpoint, err = endpoint.Canonical(at); err != nil {
			return fmt.Errorf("registry: %w", err)
		}
	}
	code, reason, err := r.judge(ctx, q)
	if err != nil || code == "" {
		return err
	}
	return srv.Refuse(code, "%s", reason)
}

// judge counts what it decides. code is "" for a server that is in the list.
func (r *Registry) judge(ctx context.Context, q question) (code serververify.Code, reason string, err error) {
	d, err := r.document(ctx)
	if err != nil {
		r.failed.Add(1)
		return "", "", err
	}
	code, reason = r.find(d, q)
	switch code {
	case "":
		r.admitted.Add(1)
	case serververify.CodeNotRegistered:
		r.unknown.Add(1)
	default:
		r.notAllowed.Add(1)
	}
	return code, reason, nil
}

// find does the steps of spec/registry.md section 5.
func (r *Registry) find(d *Document, q question) (serververify.Code, string) {
	const refused = serververify.CodeNotAllowed
	list := fmt.Sprintf("the list %q, serial %d,", d.Issuer, d.Serial)
	e := r.entry(d, q.did)
	if e == nil {
		if i := slices.IndexFunc(d.Servers, func(e Entry) bool { return e.DID == q.did }); i >= 0 {
			return refused, fmt.Sprintf("%s has %s for the environment %q, and not for %q", list, q.did, d.Servers[i].Environment, r.cfg.Environment)
		}
		return serververify.CodeNotRegistered, fmt.Sprintf("%s does not have %s; ask its owner to add it", list, q.did)
	}
	switch now := r.cfg.Time(); {
	case now.Before(e.ValidFrom) || !now.Before(e.ValidUntil):
		return refused, fmt.Sprintf("%s has %s from %s to %s", list, q.did, e.ValidFrom, e.ValidUntil)
	case !e.at(q.endpoint):
		return refused, fmt.Sprintf("%s does not have %s at %q", list, q.did, q.endpoint)
	case q.key != "" && len(e.Keys) > 0 && !slices.Contains(e.Keys, q.key):
		return refused, fmt.Sprintf("%s does not have %s with the key %s", list, q.did, q.key)
	case q.version != "" && !lists(e.Versions, q.version):
		return refused, fmt.Sprintf("%s does not have %s in the version %.100q", list, q.did, q.version)
	}
	return "", ""
}

func (r *Registry) entry(d *Document, who did.DID) *Entry {
	for i := range d.Servers {
		if e := &d.Servers[i]; e.DID == who && e.Environment == r.cfg.Environment {
			return e
		}
	}
	return nil
}

// at reports whether e is about a server at a canonical endpoint. A command
// line may stand there as a digest.
func (e *Entry) at(place string) bool {
	return place != "" && slices.Contains(e.Endpoints, place) || lists(e.Endpoints, Any) ||
		place != "" && slices.Contains(e.Launch, endpoint.Digest([]byte(place)))
}

// allowed is for questions after a server was admitted. It uses the list in
// use and reads nothing.
func (r *Registry) allowed(who did.DID, ask func(*Entry) bool) bool {
	d := r.Document()
	if d == nil {
		return false
	}
	e, now := r.entry(d, who), r.cfg.Time()
	return e != nil && !now.Before(e.ValidFrom) && now.Before(e.ValidUntil) && ask(e)
}

func (r *Registry) allowsTool(d did.DID, tool string) bool {
	return r.allowed(d, func(e *Entry) bool { return tool != "" && lists(e.Tools, tool) })
}

// AllowsTool reports whether the list in use lets a tool of a server be called.
// Ask it for each call: a no is counted.
func (r *Registry) AllowsTool(d did.DID, tool string) bool {
	ok := r.allowsTool(d, tool)
	if !ok {
		r.toolsRefused.Add(1)
	}
	return ok
}

// AllowsVersion reports whether the list in use has this version of a server. A
// no is counted.
func (r *Registry) AllowsVersion(d did.DID, version string) bool {
	ok := r.allowed(d, func(e *Entry) bool { return lists(e.Versions, version) })
	if !ok {
		r.notAllowed.Add(1)
	}
	return ok
}

// At returns the checks of r for a server that was launched by a command line,
// whatever it says of where it is.
func (r *Registry) At(argv []string) (*Place, error) {
	at, err := endpoint.Launch(argv)
	if err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	return &Place{r, at}, nil
}

// A Place is a server that was launched; see [Registry.At].
type Place struct {
	registry *Registry
	endpoint string
}

// Admit is [Registry.Admit] for a server at this place.
func (p *Place) Admit(ctx context.Context, srv *serververify.Server) error {
	return p.registry.admit(ctx, srv, p.endpoint)
}

// Upstream returns the checks for a server at this place that has no identity
// and stands behind a gateway known as d, as gateway.Config.Registry wants them.
func (p *Place) Upstream(d did.DID) *Upstream { return &Upstream{p, d} }

// An Upstream is a server behind a gateway; see [Place.Upstream].
type Upstream struct {
	place *Place
	did   did.DID
}

// CheckUpstream refuses a server that is not in the list. version is what it
// says of itself, "" while it has said nothing.
func (u *Upstream) CheckUpstream(ctx context.Context, version string) error {
	code, reason, err := u.place.registry.judge(ctx, question{did: u.did, endpoint: u.place.endpoint, version: version})
	if err != nil || code == "" {
		return err
	}
	return &serververify.UntrustedError{Code: code, State: serververify.StateUnverified, Reason: reason}
}

// AllowsTool reports whether the list lets a tool be called. A gateway asks it
// about whole lists of tools: a no is not counted.
func (u *Upstream) AllowsTool(tool string) bool { return u.place.registry.allowsTool(u.did, tool) }
