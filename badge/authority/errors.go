package authority

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/touchmark-dev/touchmark/badge/authority/internal/store"
)

// A Code is the "error" of an answer (spec/issuance.md, "Errors").
type Code string

// Codes that are not those of a proof, which are in package pop, nor of domain validation.
const (
	CodeInvalidRequest    Code = "invalid_request"
	CodeInvalidDID        Code = "invalid_did"
	CodeInvalidMode       Code = "invalid_mode"
	CodeInvalidChallenge  Code = "invalid_challenge_id"
	CodeUnauthorized      Code = "unauthorized"
	CodeForbidden         Code = "forbidden"
	CodeNotOwned          Code = "agent_not_owned"
	CodeAgentInactive     Code = "agent_inactive"
	CodeAgentNotFound     Code = "agent_not_found"
	CodeBadgeNotFound     Code = "badge_not_found"
	CodeChallengeNotFound Code = "challenge_not_found"
	CodeChallengeUsed     Code = "challenge_used"
	CodeChallengeExpired  Code = "challenge_expired"
	CodeSubjectMismatch   Code = "subject_mismatch"
	CodeNotFound          Code = "not_found"
	CodeConflict          Code = "conflict"
	CodeExists            Code = "already_exists"
	CodeLevel             Code = "level_not_granted"
	CodeRateLimit         Code = "rate_limit_exceeded"
	CodeTooLarge          Code = "request_too_large"
	CodeMediaType         Code = "unsupported_media_type"
	CodeMethod            Code = "method_not_allowed"
	CodeCompatOff         Code = "compat_disabled"
	CodeUnavailable       Code = "temporarily_unavailable"
	CodeInternal          Code = "internal_error"
)

// An Error is a refusal, as a client is told it.
type Error struct {
	Status     int // HTTP
	Code       Code
	Message    string        // says what to do; quotes nothing secret
	RetryAfter time.Duration // zero: not said
	err        error
}

func (e *Error) Error() string { return "authority: " + string(e.Code) + ": " + e.Message }

// Unwrap returns the cause, if there is one.
func (e *Error) Unwrap() error { return e.err }

func refuse(status int, code Code, format string, args ...any) *Error {
	return &Error{Status: status, Code: code, Message: fmt.Sprintf(format, args...)}
}

// stored makes the refusal of a client from one of the store; notFound is the code for what the request is about.
func stored(err error, notFound Code) error {
	var limit *store.LimitError
	if errors.As(err, &limit) {
		e := refuse(http.StatusTooManyRequests, CodeRateLimit, "%d of %s an hour is the limit: try again later", limit.Max, limit.What)
		e.RetryAfter, e.err = limit.RetryAfter, err
		return e
	}
	var refused *store.Error
	if !errors.As(err, &refused) {
		return err // nil too
	}
	e := judged(refused, notFound)
	e.err = err
	return e
}

func judged(err *store.Error, notFound Code) *Error {
	what := fmt.Sprintf("%s %.200q", err.What, err.ID)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return refuse(http.StatusNotFound, notFound, "there is no %s", what)
	case errors.Is(err, store.ErrExists):
		return refuse(http.StatusConflict, CodeExists, "%s is registered already", what)
	case errors.Is(err, store.ErrOwner):
		return refuse(http.StatusForbidden, CodeNotOwned, "%s belongs to another account", what)
	case errors.Is(err, store.ErrInactive):
		return refuse(http.StatusForbidden, CodeAgentInactive, "%s is not active", what)
	case errors.Is(err, store.ErrUsed):
		return refuse(http.StatusForbidden, CodeChallengeUsed, "%s was used: ask for a new one", what)
	case errors.Is(err, store.ErrExpired):
		return refuse(http.StatusForbidden, CodeChallengeExpired, "%s is over: ask for a new one", what)
	case errors.Is(err, store.ErrLevel):
		return refuse(http.StatusForbidden, CodeLevel, "%s does not have that level or domain any more: ask for a new challenge", what)
	case isKeyOver(err):
		e := refuse(http.StatusServiceUnavailable, CodeUnavailable, "the signing key has just changed: try again")
		e.RetryAfter = time.Second
		return e
	}
	return refuse(http.StatusConflict, CodeConflict, "%s: %v", what, err.Kind)
}

// answerError writes an error as JSON. What is no *Error is told as nothing but its kind, and logged.
func (a *Authority) answerError(w http.ResponseWriter, r *http.Request, err error) {
	var e *Error
	switch {
	case errors.As(err, &e):
	case store.IsBadText(err):
		e = refuse(http.StatusBadRequest, CodeInvalidRequest, "a text has a NUL, or is not UTF-8")
	default:
		a.log.ErrorContext(r.Context(), "request failed", "method", r.Method, "route", r.Pattern, "err", err)
		e = refuse(http.StatusInternalServerError, CodeInternal, "this is a fault of the server, and has been logged")
		if r.Context().Err() != nil || errors.Is(err, context.DeadlineExceeded) {
			e = refuse(http.StatusServiceUnavailable, CodeUnavailable, "the server was too slow: try again")
			e.RetryAfter = time.Second
		}
	}
	if e.RetryAfter > 0 {
		seconds := int((e.RetryAfter + time.Second - 1) / time.Second)
		w.Header().Set("Retry-After", strconv.Itoa(seconds))
	}
	if e.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Touchmark realm="authority"`)
	}
	answer(w, e.Status, map[string]string{"error": string(e.Code), "message": e.Message})
}

// answer writes JSON.
func answer(w http.ResponseWriter, status int, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("authority: internal error: an answer of type %T has no JSON: %v", v, err))
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n')) // the client may be gone
}
