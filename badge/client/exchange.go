package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/touchmark-dev/touchmark/internal/safehttp"
	"github.com/touchmark-dev/touchmark/internal/strictjson"
)

const (
	accountKeyHeader = "X-Capiscio-Registry-Key"

	maxAnswerBytes  = 64 << 10
	maxCode         = 64
	maxShownMessage = 300
)

// A line reaches one authority.
type line struct {
	issuer  string
	account AccountKey // of requests that say so; may be empty
	http    *http.Client
	now     func() time.Time
}

// newLine refuses an issuer that is no https origin.
func newLine(issuer string, account AccountKey, c *safehttp.Config, now func() time.Time) (*line, error) {
	port, err := checkOrigin(issuer)
	if err != nil {
		return nil, err
	}
	c.AllowPorts = []uint16{port}
	return &line{issuer: issuer, account: account, http: safehttp.NewClient(c), now: now}, nil
}

// A request is what is sent to an authority.
type request struct {
	method, url string
	body        any    // sent as JSON; nil for none
	account     bool   // the account key goes along
	proof       string // goes along as Authorization: Bearer
}

// post sends JSON to the authority and returns the body of a good answer.
func (l *line) post(ctx context.Context, url string, body any, account bool) ([]byte, error) {
	return l.send(ctx, &request{method: http.MethodPost, url: url, body: body, account: account})
}

// send returns the body of a good answer.
func (l *line) send(ctx context.Context, r *request) ([]byte, error) {
	req, err := l.newRequest(ctx, r)
	if err != nil {
		return nil, fmt.Errorf("badge/client: %w", err)
	}
	resp, err := l.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("badge/client: %w", err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswerBytes+1))
	if err != nil {
		return nil, fmt.Errorf("badge/client: %w", err)
	}
	if len(answer) > maxAnswerBytes {
		return nil, l.bad(resp, "it has more than %d bytes", maxAnswerBytes)
	}
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusCreated {
		return nil, l.refusal(resp, answer)
	}
	return answer, nil
}

func (l *line) newRequest(ctx context.Context, r *request) (*http.Request, error) {
	var body io.Reader
	if r.body != nil {
		text, err := json.Marshal(r.body)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, r.method, r.url, body)
	if err != nil {
		return nil, err
	}
	if r.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "touchmark")
	if r.account && l.account.text != "" {
		req.Header.Set(accountKeyHeader, l.account.text)
	}
	if r.proof != "" {
		req.Header.Set("Authorization", "Bearer "+r.proof)
	}
	return req, nil
}

// refusal makes the error of an answer that is not a good one.
func (l *line) refusal(resp *http.Response, answer []byte) error {
	if 300 <= resp.StatusCode && resp.StatusCode < 400 {
		return l.bad(resp, "redirects are not followed: configure the issuer's own origin")
	}
	var e struct {
		Code    string `json:"error"`
		Message string `json:"message"`
	}
	if err := strictjson.Unmarshal(answer, &e); err != nil || !isCode(e.Code) {
		return l.bad(resp, "it is no error of an authority")
	}
	return &RefusedError{
		Issuer: l.issuer, Status: resp.StatusCode, Code: e.Code, Message: l.shown(e.Message),
		RetryAfter: retryAfter(resp.Header, l.now()),
	}
}

func (l *line) bad(resp *http.Response, format string, args ...any) *AnswerError {
	return &AnswerError{
		Issuer: l.issuer, Status: resp.StatusCode, Reason: fmt.Sprintf(format, args...),
		RetryAfter: retryAfter(resp.Header, l.now()),
	}
}

// unusable is an answer that says nothing that was asked for.
func (l *line) unusable(format string, args ...any) *AnswerError {
	return &AnswerError{Issuer: l.issuer, Status: http.StatusOK, Reason: fmt.Sprintf(format, args...)}
}

// shown shortens a message, and takes the account key out of one that repeats
// it.
func (l *line) shown(message string) string {
	if l.account.text != "" {
		message = strings.ReplaceAll(message, l.account.text, hidden)
	}
	if len(message) > maxShownMessage {
		message = strings.ToValidUTF8(message[:maxShownMessage], "") + "..."
	}
	return message
}

func isCode(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case '0' <= c && c <= '9', 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', c == '_', c == '-':
		default:
			return false
		}
	}
	return s != "" && len(s) <= maxCode
}
