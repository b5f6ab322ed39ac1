package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/touchmark-dev/touchmark/internal/strictjson"
)

const (
	accountKeyHeader = "X-Capiscio-Registry-Key"

	maxAnswerBytes  = 64 << 10
	maxCode         = 64
	maxShownMessage = 300
)

// post sends JSON to the authority and returns the body of a good answer.
func (r *Requester) post(ctx context.Context, url string, body any, authenticated bool) ([]byte, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("badge/client: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("badge/client: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "touchmark")
	if authenticated {
		req.Header.Set(accountKeyHeader, r.cfg.AccountKey.text)
	}
	resp, err := r.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("badge/client: %w", err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswerBytes+1))
	if err != nil {
		return nil, fmt.Errorf("badge/client: %w", err)
	}
	if len(answer) > maxAnswerBytes {
		return nil, r.bad(resp, "it has more than %d bytes", maxAnswerBytes)
	}
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusCreated {
		return nil, r.refusal(resp, answer)
	}
	return answer, nil
}

// refusal makes the error of an answer that is not a good one.
func (r *Requester) refusal(resp *http.Response, answer []byte) error {
	if 300 <= resp.StatusCode && resp.StatusCode < 400 {
		return r.bad(resp, "redirects are not followed: configure the issuer's own origin")
	}
	var e struct {
		Code    string `json:"error"`
		Message string `json:"message"`
	}
	if err := strictjson.Unmarshal(answer, &e); err != nil || !isCode(e.Code) {
		return r.bad(resp, "it is no error of an authority")
	}
	return &RefusedError{
		Issuer: r.cfg.Issuer, Status: resp.StatusCode, Code: e.Code, Message: r.shown(e.Message),
		RetryAfter: retryAfter(resp.Header, r.cfg.Time()),
	}
}

func (r *Requester) bad(resp *http.Response, format string, args ...any) *AnswerError {
	return &AnswerError{
		Issuer: r.cfg.Issuer, Status: resp.StatusCode, Reason: fmt.Sprintf(format, args...),
		RetryAfter: retryAfter(resp.Header, r.cfg.Time()),
	}
}

// shown shortens a message, and takes the account key out of one that repeats
// it.
func (r *Requester) shown(message string) string {
	message = strings.ReplaceAll(message, r.cfg.AccountKey.text, hidden)
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
