package registry

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/touchmark-dev/touchmark/internal/durable"
	"github.com/touchmark-dev/touchmark/internal/safehttp"
)

// document returns the list to decide by, read anew if what is there is old.
func (r *Registry) document(ctx context.Context) (*Document, error) {
	if r.old() {
		if err := r.refresh(ctx); err != nil && r.cfg.OnError != nil {
			r.cfg.OnError(err)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.usable():
		return r.current.doc, nil
	case r.lastErr != nil:
		return nil, fmt.Errorf("registry: the list in use is too old, and no newer one can be had: %w", r.lastErr)
	default:
		return nil, errors.New("registry: the list in use is too old")
	}
}

func (r *Registry) old() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.cfg.Time()
	if r.lastErr != nil {
		return r.cfg.Path != "" || now.Sub(r.tried) >= retryAfter
	}
	return now.Sub(r.tried) >= r.cfg.Refresh
}

// refresh reads the list. One reads at a time; who had to wait takes what the
// other got.
func (r *Registry) refresh(ctx context.Context) error {
	select {
	case r.reading <- struct{}{}:
		defer func() { <-r.reading }()
	default:
		select {
		case r.reading <- struct{}{}:
			<-r.reading
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	next, err := r.load(ctx)
	if ctx.Err() != nil && err != nil {
		return err // says nothing about the list
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tried, r.lastErr = r.cfg.Time(), err
	if err == nil {
		r.current = next
	}
	return err
}

// load reads the list, and refuses one that is older than what was seen.
func (r *Registry) load(ctx context.Context) (*loaded, error) {
	token, err := r.fetch(ctx)
	if err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	now := r.cfg.Time()
	next := r.unchanged(token, now)
	if next == nil {
		d, err := Verify(token, r.cfg.Keys, now)
		if err != nil {
			return nil, err
		}
		if r.cfg.Issuer != "" && d.Issuer != r.cfg.Issuer {
			return nil, fmt.Errorf("registry: the list is called %q, want %q", d.Issuer, r.cfg.Issuer)
		}
		next = &loaded{d, token, now}
	}
	if err := r.state.advance(ctx, r.cfg.StatePath, next.doc, token); err != nil { // another process may have seen a newer one
		return nil, fmt.Errorf("registry: %w", err)
	}
	return next, nil
}

// unchanged returns the list in use, confirmed, if this is its text.
func (r *Registry) unchanged(token string, now time.Time) *loaded {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.current == nil || r.current.token != token || !now.Before(r.current.doc.Expires) {
		return nil
	}
	return &loaded{r.current.doc, token, now}
}

func (r *Registry) fetch(ctx context.Context) (string, error) {
	var data []byte
	var err error
	if r.cfg.Path != "" {
		data, err = durable.ReadFile(durable.OS{}, r.cfg.Path, MaxBytes+1)
	} else {
		data, err = safehttp.Get(ctx, r.client, r.cfg.URL, MaxBytes+1)
	}
	return strings.TrimSuffix(string(data), "\n"), err
}
