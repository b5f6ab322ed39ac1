package client

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/touchmark-dev/touchmark/badge/pop"
)

// A RefusedError is the refusal of an authority that said why
// (spec/issuance.md, "Errors" and section 4.1).
type RefusedError struct {
	Issuer     string
	Status     int           // HTTP
	Code       string        // the member error of the answer
	Message    string        // the member message, shortened; may be empty
	RetryAfter time.Duration // zero: not said
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("badge/client: %q refused with %s (status %d): %q", e.Issuer, e.Code, e.Status, e.Message)
}

// Permanent reports whether the same request would be refused again until
// somebody does something: enable the agent, replace the account key, correct
// the configuration. A refusal of a kind that is not known is not permanent.
func (e *RefusedError) Permanent() bool {
	switch e.Status {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound,
		http.StatusMethodNotAllowed, http.StatusGone, http.StatusRequestEntityTooLarge,
		http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity:
		return !passesWithAnotherChallenge(pop.IssuanceCode(e.Code))
	}
	return false
}

// passesWithAnotherChallenge reports whether a code is about one challenge, or
// about clocks that differ.
func passesWithAnotherChallenge(code pop.IssuanceCode) bool {
	switch code {
	case pop.IssuanceChallengeNotFound, pop.IssuanceChallengeUsed, pop.IssuanceChallengeExpired,
		pop.IssuanceIssuedAtInvalid, pop.IssuanceExpired, pop.IssuanceOutlivesChallenge,
		"level_not_granted": // the level changed after the challenge was made
		return true
	}
	return false
}

// An AnswerError is an answer that is not one of an authority, or not an
// answer to what was asked: nothing of it is used.
type AnswerError struct {
	Issuer     string
	Status     int // HTTP
	Reason     string
	RetryAfter time.Duration // zero: not said
}

func (e *AnswerError) Error() string {
	return fmt.Sprintf("badge/client: answer of %q (status %d): %s", e.Issuer, e.Status, e.Reason)
}

// retryAfter reads the header (RFC 9110 section 10.2.3). What it does not
// understand, and what lies in the past, is zero.
func retryAfter(h http.Header, now time.Time) time.Duration {
	text := h.Get("Retry-After")
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(at.Sub(now), 0)
	}
	return 0
}
