package authzen

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"

	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/policy"
)

// A Client asks one service. Make it with [New]; it is safe for concurrent use. It implements [guard.Policy],
// [guard.ListPolicy], [guard.Versioned] and [guard.Constrainer].
type Client struct {
	cfg       Config
	one, many string // URLs
	http      *http.Client
	transport *http.Transport
	slots     chan struct{}
	cache     *cache // may be nil
}

var (
	_ guard.Policy      = (*Client)(nil)
	_ guard.Versioned   = (*Client)(nil)
	_ guard.Constrainer = (*Client)(nil)
	_ guard.ListPolicy  = (*Client)(nil)
)

// Version names the service, and the version of its policies as far as the Config says one.
func (c *Client) Version() string { return c.version(c.cfg.PolicyVersion) }

func (c *Client) version(reported string) string {
	v := formNames[c.cfg.Form] + " " + c.cfg.Endpoint
	if reported != "" {
		v += " " + reported
	}
	return v
}

// Constraints returns the names of the constraints that decisions can ask for.
func (c *Client) Constraints() []string { return slices.Clone(c.cfg.Enforces) }

// Close closes connections that are not in use.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// Decide implements [guard.Policy]. An error says that there was no answer, or none that can be relied on.
func (c *Client) Decide(ctx context.Context, in *guard.Input) (guard.Decision, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	return c.decide(ctx, policy.CallOf(in))
}

// DecideAll decides about the entries of one list, in one request where the service takes several questions. The
// error at a place is about the entry at that place.
func (c *Client) DecideAll(ctx context.Context, ins []*guard.Input) ([]guard.Decision, []error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	decisions, errs := make([]guard.Decision, len(ins)), make([]error, len(ins))
	if c.cfg.NoLists || c.cfg.Form != AuthZEN {
		c.each(ctx, ins, decisions, errs)
		return decisions, errs
	}
	for start := 0; start < len(ins); start += maxEvaluations {
		end := min(start+maxEvaluations, len(ins))
		c.batch(ctx, ins[start:end], decisions[start:end], errs[start:end])
	}
	return decisions, errs
}

// each asks about entries one by one, several at a time.
func (c *Client) each(ctx context.Context, ins []*guard.Input, decisions []guard.Decision, errs []error) {
	var wg sync.WaitGroup
	next := make(chan int)
	for range min(len(ins), c.cfg.MaxInFlight) {
		wg.Go(func() {
			for i := range next {
				decisions[i], errs[i] = c.decideContained(ctx, ins[i])
			}
		})
	}
	for i := range ins {
		next <- i
	}
	close(next)
	wg.Wait()
}

// decideContained is decide for a goroutine of this package: nobody else would recover from a panic there.
func (c *Client) decideContained(ctx context.Context, in *guard.Input) (d guard.Decision, err error) {
	defer func() {
		if p := recover(); p != nil {
			d, err = guard.Decision{}, fmt.Errorf("authzen: panic: %v", p)
		}
	}()
	return c.decide(ctx, policy.CallOf(in))
}

// maxEvaluations is how many questions go into one request.
const maxEvaluations = 256

// batch asks about entries in one request: they have one caller, and so one subject and one context.
func (c *Client) batch(ctx context.Context, ins []*guard.Input, decisions []guard.Decision, errs []error) {
	whole := &evaluations{}
	var places []int
	for i, in := range ins {
		e, err := c.question(policy.CallOf(in))
		switch {
		case err != nil:
			errs[i] = err
			continue
		case e == nil:
			decisions[i] = c.unmapped()
			continue
		}
		whole.Subject, whole.Context = e.Subject, e.Context
		e.Subject, e.Context = nil, nil
		whole.Evaluations = append(whole.Evaluations, e)
		places = append(places, i)
	}
	if len(places) == 0 {
		return
	}
	answers, err := c.askMany(ctx, whole)
	for k, i := range places {
		if errs[i] = err; err == nil {
			decisions[i] = c.decision(answers[k])
		}
	}
}

func (c *Client) decide(ctx context.Context, call *policy.Call) (guard.Decision, error) {
	e, err := c.question(call)
	switch {
	case err != nil:
		return guard.Decision{Version: c.Version()}, err
	case e == nil:
		return c.unmapped(), nil
	}
	var key [sha256.Size]byte
	now := c.cfg.Time()
	if c.cache != nil {
		text, err := json.Marshal(e)
		if err != nil {
			return guard.Decision{Version: c.Version()}, fmt.Errorf("authzen: %w", err)
		}
		key = sha256.Sum256(text)
		if a, ok := c.cache.get(key, now); ok {
			return c.decision(a), nil
		}
	}
	a, err := c.ask(ctx, e)
	if err != nil {
		return guard.Decision{Version: c.Version()}, err
	}
	if c.cache != nil {
		c.cache.put(key, a, now)
	}
	return c.decision(a), nil
}

// unmapped denies what there is no mapping for.
func (c *Client) unmapped() guard.Decision {
	return guard.Decision{Kind: guard.Deny, Rule: c.cfg.Name + ".unmapped", Version: c.Version()}
}

// decision is what an answer comes to.
func (c *Client) decision(a answer) guard.Decision {
	d := guard.Decision{Kind: guard.Deny, Rule: c.cfg.Name, Version: c.Version()}
	if a.version != "" {
		d.Version = c.version(a.version)
	}
	switch {
	case a.unmet:
		d.Rule += ".obligations"
		return d
	case a.permit:
		d.Kind = guard.Allow
		if d.Constraints = a.constraints; a.constraints != nil {
			d.Kind = guard.AllowWithConstraints
		}
	case a.approval && !c.cfg.Anonymous:
		d.Kind = guard.RequireApproval
	default:
		return d
	}
	d.MinLevel, d.Anonymous = c.cfg.MinLevel, c.cfg.Anonymous
	return d
}
