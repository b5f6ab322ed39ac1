package httpguard

import (
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/touchmark-dev/touchmark/badge/pop"
	"github.com/touchmark-dev/touchmark/guard"
)

// A problem is the body of an answer by the guard (RFC 9457; spec/guard.md section 13.4).
type problem struct {
	Type       string `json:"type"`
	Title      string `json:"title"`
	Status     int    `json:"status"`
	Detail     string `json:"detail,omitempty"`
	ReasonCode string `json:"reason_code,omitempty"`
	Cause      string `json:"cause,omitempty"`
	DecisionID string `json:"decision_id,omitempty"`

	retryAfter time.Duration
}

// refuse answers what the guard refused, with a status where the adapter knows a better one. What is hidden is answered
// like what the mux does not have.
func (h *handler) refuse(w http.ResponseWriter, req *http.Request, err error, status int) {
	refusal := guard.RefusalOf(err)
	refusal.Hidden = refusal.Hidden && !h.explain
	if status == 0 || refusal.Code != guard.CodeRequestMalformed {
		status = statusOf(&refusal)
	}
	if status == http.StatusNotFound && !h.explain {
		http.NotFound(w, req)
		return
	}
	h.problem(w, &problem{
		Status: status, Detail: refusal.Reason(), ReasonCode: string(refusal.Code), Cause: refusal.Cause,
		DecisionID: refusal.EvidenceID, retryAfter: refusal.RetryAfter,
	})
}

func (h *handler) problem(w http.ResponseWriter, p *problem) {
	p.Type, p.Title = "about:blank", http.StatusText(p.Status)
	header := w.Header()
	header.Set("Content-Type", "application/problem+json")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	if p.Status == http.StatusUnauthorized {
		header.Set("WWW-Authenticate", "Bearer")
	}
	if p.retryAfter > 0 {
		header.Set("Retry-After", strconv.FormatInt(int64(math.Ceil(p.retryAfter.Seconds())), 10))
	}
	text, err := json.Marshal(p)
	if err != nil {
		text = []byte("{}")
	}
	header.Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(p.Status)
	_, _ = w.Write(text) //nolint:errcheck // nobody is there any more
}

// statusOf is the status of a refusal.
func statusOf(r *guard.Refusal) int {
	switch {
	case r.Undetermined():
		return http.StatusServiceUnavailable
	case r.Hidden:
		return http.StatusNotFound
	}
	switch r.Code {
	case guard.CodeNotFound, guard.CodeMethodDenied:
		return http.StatusNotFound
	case guard.CodeRequestMalformed, guard.CodeRequestRejected:
		return http.StatusBadRequest
	case guard.CodeAuthMissing, guard.CodeBadgeInvalid, guard.CodeBadgeRevoked, guard.CodeIssuerUntrusted, guard.CodeChannelMismatch:
		return http.StatusUnauthorized
	case guard.Code(pop.CodeReplayStoreFull):
		return http.StatusTooManyRequests
	case guard.CodeConstraintExceeded:
		return statusOfLimit(r.Cause)
	}
	if strings.HasPrefix(string(r.Code), "CALL_PROOF_") {
		return http.StatusUnauthorized
	}
	return http.StatusForbidden
}

// statusOfLimit tells a limit that was reached before the handler ran from one that it reached.
func statusOfLimit(cause string) int {
	switch cause {
	case guard.CauseRuntime:
		return http.StatusGatewayTimeout
	case guard.CauseResultSize:
		return http.StatusInternalServerError
	}
	return http.StatusTooManyRequests
}
