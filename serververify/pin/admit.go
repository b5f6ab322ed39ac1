package pin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/touchmark-dev/touchmark/internal/endpoint"
	"github.com/touchmark-dev/touchmark/serververify"
)

var _ serververify.Admission = (*Store)(nil)

// errNoEndpoint: a server on a pipe is wherever it was launched.
var errNoEndpoint = errors.New("pin: the server does not say where it is; use Store.At with the LaunchEndpoint of its command")

// Admit compares a server that was verified with its pin. It implements
// serververify.Admission.
func (s *Store) Admit(ctx context.Context, srv *serververify.Server) error {
	p, err := s.placeOf(srv)
	if err != nil {
		return err
	}
	return p.Admit(ctx, srv)
}

// CheckTools compares the tools that a server lists, a JSON array of all its
// pages, with the approved ones. The error is a [*ToolsError] when they are
// not those.
func (s *Store) CheckTools(ctx context.Context, srv *serververify.Server, tools json.RawMessage) error {
	p, err := s.placeOf(srv)
	if err != nil {
		return err
	}
	return p.CheckTools(ctx, srv, tools)
}

func (s *Store) placeOf(srv *serververify.Server) (*Place, error) {
	if srv.Endpoint == "" {
		return nil, errNoEndpoint
	}
	return s.At(srv.Endpoint)
}

// At returns the checks of s for a server that is at endpoint, whatever it says
// of that itself: one that was launched.
func (s *Store) At(at string) (*Place, error) {
	at, err := endpoint.Canonical(at)
	if err != nil {
		return nil, fmt.Errorf("pin: %w", err)
	}
	return &Place{s, at}, nil
}

// LaunchEndpoint returns the endpoint of a server that is launched by a command
// line: "stdio:" and its words, percent-encoded and joined by plus signs.
func LaunchEndpoint(argv []string) (string, error) {
	text, err := endpoint.Launch(argv)
	if err != nil {
		return "", fmt.Errorf("pin: %w", err)
	}
	return text, nil
}

// CanonicalEndpoint returns the one spelling of an endpoint that pins have.
func CanonicalEndpoint(text string) (string, error) {
	text, err := endpoint.Canonical(text)
	if err != nil {
		return "", fmt.Errorf("pin: %w", err)
	}
	return text, nil
}

// A Place is one endpoint of a [Store].
type Place struct {
	store    *Store
	endpoint string
}

// Admit is [Store.Admit] for a server at this place.
func (p *Place) Admit(ctx context.Context, srv *serververify.Server) error {
	s := p.store
	f, err := s.read()
	if err != nil {
		return err
	}
	known, ok := p.pinIn(f)
	if ok || s.cfg.Mode != TrustOnFirstUse {
		if err := p.judge(known, ok, srv); err != nil {
			return err
		}
		p.seen(ctx, known)
		return nil
	}
	var verdict error
	err = s.update(ctx, func(f *file) error { // what was read may have changed
		if known, ok := p.pinIn(f); ok {
			verdict = p.judge(known, ok, srv)
			return nil
		}
		if verdict = p.judgeElsewhere(f, srv); verdict != nil {
			return nil
		}
		return f.set(p.firstUse(Pin{DID: srv.DID, Key: srv.KeyThumbprint}))
	})
	if err != nil {
		return fmt.Errorf("pin: %w", err)
	}
	return verdict
}

// pinIn returns the pin of the place, unless it is to be forgotten by now.
func (p *Place) pinIn(f *file) (Pin, bool) {
	i := f.find(p.endpoint)
	if i < 0 {
		return Pin{}, false
	}
	known := *f.lines[i].pin
	if known.Forgotten && p.store.ended(known) {
		return Pin{}, false
	}
	return known, true
}

func (s *Store) ended(p Pin) bool { return !p.Expires.IsZero() && !s.cfg.Time().Before(p.Expires) }

func (p *Place) firstUse(made Pin) Pin {
	now := p.store.cfg.Time()
	made.Endpoint, made.FirstSeen, made.LastSeen = p.endpoint, now, now
	if d := p.store.cfg.FirstUseFor; d > 0 {
		made.Expires, made.Forgotten = now.Add(max(d, time.Second)), true
	}
	return made
}

// judge compares a server with the pin of its place.
func (p *Place) judge(known Pin, ok bool, srv *serververify.Server) error {
	switch {
	case !ok:
		return srv.Refuse(serververify.CodePinMissing, "%s is not among the known servers of %s; if it is who you mean, run: %s",
			p.endpoint, p.store.path, p.command("add", "--did", srv.DID.String(), "--key-thumbprint", srv.KeyThumbprint))
	case p.store.ended(known):
		return srv.Refuse(serververify.CodePinExpired, "the pin of %s ended at %s; if it is to be used on, run: %s, and add it anew",
			p.endpoint, known.Expires.UTC().Format(timeFormat), p.command("remove"))
	case known.DID.IsZero():
		return srv.Refuse(serververify.CodePinMismatch, "%s is pinned as a server without an identity, and is %s; if that is right, run: %s, and add it anew",
			p.endpoint, srv.DID, p.command("remove"))
	case known.DID != srv.DID:
		return srv.Refuse(serververify.CodePinMismatch, "%s is pinned as %s, and is %s; somebody may be posing as it. If it was replaced, run: %s, and add it anew",
			p.endpoint, known.DID, srv.DID, p.command("remove"))
	case known.Key != Any && known.Key != srv.KeyThumbprint:
		return srv.Refuse(serververify.CodePinMismatch, "%s is pinned with the key %s, and has the key %s; somebody may be posing as it. If its owner says that the key was changed, run: %s",
			p.endpoint, known.Key, srv.KeyThumbprint, p.command("rotate", "--old-key", known.Key, "--new-key", srv.KeyThumbprint))
	}
	return nil
}

// judgeElsewhere keeps a server that is met at a place for the first time from
// having another key than at the places where it is known.
func (p *Place) judgeElsewhere(f *file, srv *serververify.Server) error {
	if srv.KeyThumbprint == "" {
		return errors.New("pin: a server without a key cannot be pinned")
	}
	for _, l := range f.lines {
		if l.pin == nil || l.pin.DID != srv.DID || p.store.ended(*l.pin) || l.pin.Key == Any || l.pin.Key == srv.KeyThumbprint {
			continue
		}
		return srv.Refuse(serververify.CodePinMismatch, "%s is pinned at %s with the key %s, and has the key %s at %s; if that is right, run: %s",
			srv.DID, l.pin.Endpoint, l.pin.Key, srv.KeyThumbprint, p.endpoint,
			p.command("add", "--did", srv.DID.String(), "--key-thumbprint", srv.KeyThumbprint))
	}
	return nil
}

// seen writes down that the server agreed with its pin, at most once an hour.
// That it cannot be written changes nothing: the file may be read-only.
func (p *Place) seen(ctx context.Context, known Pin) {
	now := p.store.cfg.Time()
	if now.Sub(known.LastSeen) < seenEvery {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, seenWait)
	defer cancel()
	_ = p.store.update(ctx, func(f *file) error {
		i := f.find(p.endpoint)
		if i < 0 || f.lines[i].pin.DID != known.DID || f.lines[i].pin.Key != known.Key {
			return nil
		}
		current := *f.lines[i].pin
		if now.After(current.LastSeen) {
			current.LastSeen = now
		}
		return f.set(current)
	})
}
