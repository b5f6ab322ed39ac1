package client

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/safehttp"
	"github.com/touchmark-dev/touchmark/internal/strictjson"
)

const (
	maxStatusBytes   = 16 << 10
	maxStatusEntries = 8192
	maxBadgeID       = 64
)

// Status implements [badge.StatusSource]: it asks the issuer about the badge
// and about its subject, both at the same time. An answer that does not come,
// or that is not exactly one of those that are defined, is an error: the
// status is then undetermined, and neither good nor bad.
func (c *Client) Status(ctx context.Context, q badge.StatusQuery) (badge.Status, error) {
	if !c.listed[q.Issuer] {
		return badge.Status{}, &UnlistedError{q.Issuer}
	}
	if !isBadgeID(q.BadgeID) {
		return badge.Status{}, fmt.Errorf("badge/client: badge id %.100q cannot be asked about", q.BadgeID)
	}
	if q.Subject.IsZero() {
		return badge.Status{}, errors.New("badge/client: no subject to ask about")
	}
	if c.life.Err() != nil {
		return badge.Status{}, ErrClosed
	}
	agent := make(chan statusAnswer, 1)
	go func() { agent <- c.agentStatus(ctx, q.Issuer, q.Subject) }()
	b := c.badgeStatus(ctx, q.Issuer, q.BadgeID)
	a := <-agent
	if err := errors.Join(b.err, a.err); err != nil {
		return badge.Status{}, fmt.Errorf("badge/client: status at %q: %w", q.Issuer, err)
	}
	asOf := b.asOf
	if a.asOf.Before(asOf) {
		asOf = a.asOf
	}
	return badge.Status{Revoked: b.bad, AgentDisabled: a.bad, AsOf: asOf, Authoritative: true}, nil
}

// isBadgeID accepts what a UUID consists of, so that an id is a path segment
// of its own whatever it contains.
func isBadgeID(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case '0' <= c && c <= '9', 'a' <= c && c <= 'f', 'A' <= c && c <= 'F', c == '-':
		default:
			return false
		}
	}
	return s != "" && len(s) <= maxBadgeID
}

// A statusAnswer is what an issuer said about one badge or one agent.
type statusAnswer struct {
	bad  bool
	asOf time.Time
	err  error
}

func (c *Client) badgeStatus(ctx context.Context, issuer, id string) statusAnswer {
	return c.ask(ctx, issuer+"/v1/badges/"+id+"/status", func(data []byte) (bool, error) {
		var answer struct {
			ID      *string `json:"jti"`
			Revoked *bool   `json:"revoked"`
		}
		if err := strictjson.Unmarshal(data, &answer); err != nil {
			return false, err
		}
		switch {
		case answer.ID != nil && *answer.ID != id:
			return false, fmt.Errorf("the answer is about badge %.100q", *answer.ID)
		case answer.Revoked == nil:
			return false, errors.New(`no member "revoked"`)
		}
		return *answer.Revoked, nil
	})
}

func (c *Client) agentStatus(ctx context.Context, issuer string, d did.DID) statusAnswer {
	// QueryEscape, because PathEscape leaves colons as they are.
	return c.ask(ctx, issuer+"/v1/agents/"+url.QueryEscape(d.String())+"/status", func(data []byte) (bool, error) {
		var answer struct {
			DID    *string `json:"did"`
			Status string  `json:"status"`
		}
		if err := strictjson.Unmarshal(data, &answer); err != nil {
			return false, err
		}
		if answer.DID != nil && *answer.DID != d.String() {
			return false, fmt.Errorf("the answer is about agent %.100q", *answer.DID)
		}
		switch answer.Status {
		case "active":
			return false, nil
		case "disabled", "suspended":
			return true, nil
		}
		return false, fmt.Errorf("agent status %.100q is not known", answer.Status)
	})
}

// ask puts one question, or recalls the answer.
func (c *Client) ask(ctx context.Context, u string, read func([]byte) (bool, error)) statusAnswer {
	now := c.cfg.Time()
	if a, ok := c.status.get(u, now); ok {
		return a
	}
	data, err := safehttp.Get(ctx, c.http, u, maxStatusBytes)
	if err != nil {
		return statusAnswer{err: err}
	}
	bad, err := read(data)
	if err != nil {
		return statusAnswer{err: err}
	}
	a := statusAnswer{bad: bad, asOf: now} // as of when it was asked, not of when it came
	c.status.put(u, a, now)
	return a
}

// A statusCache keeps answers for a time, by the URL that gave them. A zero
// time keeps none.
type statusCache struct {
	ttl time.Duration

	mu      sync.Mutex
	answers map[string]statusAnswer
}

func newStatusCache(ttl time.Duration) *statusCache {
	return &statusCache{ttl: ttl, answers: make(map[string]statusAnswer)}
}

func (s *statusCache) get(u string, now time.Time) (statusAnswer, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, ok := s.answers[u]
	if ok && now.Sub(a.asOf) >= s.ttl {
		delete(s.answers, u)
		return statusAnswer{}, false
	}
	return a, ok
}

func (s *statusCache) put(u string, a statusAnswer, now time.Time) {
	if s.ttl <= 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for old, answer := range s.answers { // in no order: a full cache forgets at random
		if len(s.answers) >= maxStatusEntries || now.Sub(answer.asOf) >= s.ttl {
			delete(s.answers, old)
		}
		break
	}
	s.answers[u] = a
}
