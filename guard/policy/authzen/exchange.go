package authzen

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
)

// ask puts one question to the service.
func (c *Client) ask(ctx context.Context, e *evaluation) (answer, error) {
	now := c.cfg.Time()
	about := *e.Context
	about.setTime(now)
	asked := *e
	asked.Context = &about
	id := rand.Text()
	var question any = &asked
	if c.cfg.Form == OPA {
		asked.RequestID = id
		question = map[string]any{"input": &asked}
	}
	data, err := c.exchange(ctx, request{c.one, id, question, MaxResponseBytes})
	if err != nil {
		return answer{}, err
	}
	r := reader{c.cfg.Enforces, now}
	var a answer
	if c.cfg.Form != OPA {
		a, err = r.decision(data)
	} else if c.cfg.UnsafeNoRequestID {
		a, err = r.opa(data, "")
	} else {
		a, err = r.opa(data, id)
	}
	if err != nil {
		return answer{}, fmt.Errorf("authzen: %w", err)
	}
	return a, nil
}

// askMany puts several.
func (c *Client) askMany(ctx context.Context, e *evaluations) ([]answer, error) {
	now := c.cfg.Time()
	e.Context.setTime(now)
	data, err := c.exchange(ctx, request{c.many, rand.Text(), e, MaxListBytes})
	if err != nil {
		return nil, err
	}
	r := reader{c.cfg.Enforces, now}
	answers, err := r.list(data, len(e.Evaluations))
	if err != nil {
		return nil, fmt.Errorf("authzen: %w", err)
	}
	return answers, nil
}

type request struct {
	url, id  string
	question any
	max      int64
}

const headerID = "X-Request-Id"

// exchange sends a request when there is a place for it, and returns the body of the response.
func (c *Client) exchange(ctx context.Context, r request) ([]byte, error) {
	body, err := json.Marshal(r.question)
	if err != nil {
		return nil, fmt.Errorf("authzen: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("authzen: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "touchmark")
	req.Header.Set(headerID, r.id)
	if c.cfg.TokenFile != "" {
		token, err := readToken(c.cfg.TokenFile)
		if err != nil {
			return nil, err
		}
		req.Header.Set("Authorization", "Bearer "+token)
	}
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return nil, fmt.Errorf("authzen: no place for a request: %w", ctx.Err())
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("authzen: %w", err)
	}
	defer resp.Body.Close() //nolint:errcheck // what was read is judged by itself
	if err := c.checkHeader(resp, r.id); err != nil {
		return nil, fmt.Errorf("authzen: %w", err)
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, r.max+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("authzen: the response broke off: %w", err)
	case int64(len(data)) > r.max:
		return nil, fmt.Errorf("authzen: the response is longer than %d bytes", r.max)
	}
	return data, nil
}

func (c *Client) checkHeader(resp *http.Response, id string) error {
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d, not 200", resp.StatusCode)
	}
	types := resp.Header.Values("Content-Type")
	if len(types) != 1 {
		return errors.New("the response has not one content type")
	}
	kind, _, err := mime.ParseMediaType(types[0])
	switch ids := resp.Header.Values(headerID); {
	case err != nil || !strings.EqualFold(kind, "application/json"):
		return errors.New("the response is not application/json")
	case len(resp.Header.Values("Content-Encoding")) != 0:
		return errors.New("the response is encoded, which was not asked for")
	case len(ids) == 0 && (c.cfg.UnsafeNoRequestID || c.cfg.Form == OPA): // OPA says it in the result
	case len(ids) != 1 || ids[0] != id:
		return errOtherRequest
	}
	return nil
}
