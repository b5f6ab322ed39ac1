package pin

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/touchmark-dev/touchmark/serververify"
)

// A ToolsError says that the tools of a server are not those that were
// approved. It unwraps to a [*serververify.UntrustedError].
type ToolsError struct {
	Endpoint string
	Approved string // digest; "" when none were approved
	Offered  string // digest
	Diff     string // lines that are safe to print, see [Diff]

	err *serververify.UntrustedError
}

// Error ends with the differences, each in a line of its own.
func (e *ToolsError) Error() string { return e.err.Error() + "\n" + e.Diff }

// Unwrap returns the refusal.
func (e *ToolsError) Unwrap() error { return e.err }

// CheckTools is [Store.CheckTools] for a server at this place.
func (p *Place) CheckTools(ctx context.Context, srv *serververify.Server, tools json.RawMessage) error {
	return p.check(ctx, srv, tools)
}

// Upstream returns the check of tools for a server at this place that has no
// identity, as gateway.Config.Tools wants it.
func (p *Place) Upstream() *Upstream { return &Upstream{p} }

// An Upstream is a server without an identity; see [Place.Upstream].
type Upstream struct{ place *Place }

// CheckTools is [Place.CheckTools]. Under TrustOnFirstUse a place without a pin
// gets one that has no DID.
func (u *Upstream) CheckTools(ctx context.Context, tools json.RawMessage) error {
	return u.place.check(ctx, nil, tools)
}

// check compares tools with those approved for a place. srv is nil for a
// server without an identity.
func (p *Place) check(ctx context.Context, srv *serververify.Server, tools json.RawMessage) error {
	list, err := parseTools(tools)
	if err != nil {
		return p.refuse(srv, serververify.CodeToolsChanged, "its list of tools: %s", err)
	}
	f, err := p.store.read()
	if err != nil {
		return err
	}
	known, ok := p.pinIn(f)
	approved, err := p.judgeTools(known, ok, srv, list)
	if err != nil || approved {
		if approved {
			p.seen(ctx, known)
		}
		return err
	}
	if p.store.cfg.Mode != TrustOnFirstUse || known.Tools != "" || !ok && srv != nil {
		return p.refuseTools(ctx, known, ok, srv, list)
	}
	return p.approveFirst(ctx, srv, list)
}

// judgeTools reports whether the tools are the approved ones. The error is
// about the server, or its pin.
func (p *Place) judgeTools(known Pin, ok bool, srv *serververify.Server, list *toolList) (bool, error) {
	switch {
	case !ok:
		return false, nil
	case srv != nil:
		if err := p.judge(known, ok, srv); err != nil {
			return false, err
		}
	case p.store.ended(known):
		return false, p.refuse(nil, serververify.CodePinExpired, "the pin of %s ended at %s; if it is to be used on, run: %s, and add it anew",
			p.endpoint, known.Expires.UTC().Format(timeFormat), p.command("remove"))
	}
	return known.Tools == Any || known.Tools == list.digest, nil
}

// approveFirst pins the tools of a server that has none pinned yet.
func (p *Place) approveFirst(ctx context.Context, srv *serververify.Server, list *toolList) error {
	s := p.store
	var verdict error
	err := s.update(ctx, func(f *file) error { // what was read may have changed
		known, ok := p.pinIn(f)
		approved, err := p.judgeTools(known, ok, srv, list)
		if approved || err != nil {
			verdict = err
			return nil
		}
		switch {
		case ok && known.Tools != "":
			verdict = p.changed(known, list, srv)
			return s.keep(f, list)
		case !ok && srv != nil:
			verdict = p.refuse(srv, serververify.CodePinMissing, "%s has no pin any more", p.endpoint)
			return nil
		case !ok:
			known = p.firstUse(Pin{})
		}
		if err := s.keep(f, list); err != nil {
			return err
		}
		known.Tools = list.digest
		return f.set(known)
	})
	if err != nil {
		return fmt.Errorf("pin: %w", err)
	}
	return verdict
}

// refuseTools refuses tools, and keeps them for somebody to look at and to
// approve.
func (p *Place) refuseTools(ctx context.Context, known Pin, ok bool, srv *serververify.Server, list *toolList) error {
	if !ok && srv != nil {
		return p.judge(known, ok, srv)
	}
	err := p.store.update(ctx, func(f *file) error { return p.store.keep(f, list) })
	var refused *ToolsError
	switch {
	case ok && known.Tools != "":
		refused = p.changed(known, list, srv)
	case ok:
		refused = p.toolsError(srv, known, list, serververify.CodePinMissing, "no tools of %s were approved yet; to approve these, run: %s",
			p.endpoint, p.command("approve", "--digest", list.digest))
	default:
		refused = p.toolsError(srv, known, list, serververify.CodePinMissing, "%s is not among the known servers of %s; to approve it and these tools, run: %s",
			p.endpoint, p.store.path, p.command("add", "--no-identity", "--tools", list.digest))
	}
	if err != nil {
		refused.err.Reason += fmt.Sprintf(" (they could not be kept for that: %s)", err)
	}
	return refused
}

// changed refuses tools that are not the approved ones.
func (p *Place) changed(known Pin, list *toolList, srv *serververify.Server) *ToolsError {
	return p.toolsError(srv, known, list, serververify.CodeToolsChanged,
		"the tools of %s are not those that were approved: %s then, %s now; to approve these, run: %s",
		p.endpoint, known.Tools, list.digest, p.command("approve", "--digest", list.digest))
}

func (p *Place) toolsError(srv *serververify.Server, known Pin, list *toolList, code serververify.Code, format string, args ...any) *ToolsError {
	e := &ToolsError{Endpoint: p.endpoint, Approved: known.Tools, Offered: list.digest, err: p.refuse(srv, code, format, args...)}
	before := &toolList{}
	if known.Tools != "" {
		data, err := p.store.Definitions(known.Tools)
		if err == nil {
			before, err = parseTools(data)
		}
		if err != nil {
			e.Diff = "what changed cannot be told: " + escape(err.Error()) + "\n"
			return e
		}
	}
	e.Diff = diff(before, list)
	return e
}

func (p *Place) refuse(srv *serververify.Server, code serververify.Code, format string, args ...any) *serververify.UntrustedError {
	if srv != nil {
		return srv.Refuse(code, format, args...)
	}
	return &serververify.UntrustedError{Code: code, State: serververify.StateUnverified, Reason: fmt.Sprintf(format, args...)}
}
