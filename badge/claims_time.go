package badge

import (
	"time"

	"github.com/touchmark-dev/touchmark/internal/strictjson"
)

// The time from iat to exp (spec/badge.md, "Lifetimes").
const (
	MinTTL     = 60 * time.Second
	DefaultTTL = 300 * time.Second
	MaxTTL     = 3600 * time.Second
)

// maxTime is the end of the year 9999 in Unix seconds: what RFC 3339 can still write.
const maxTime = 253402300799

func (c *claims) readTimes(r *raw) *RejectedError {
	var err *RejectedError
	if c.issuedAt, err = seconds("iat", r.iat); err != nil {
		return err
	}
	if c.expires, err = seconds("exp", r.exp); err != nil {
		return err
	}
	ttl := time.Duration(c.expires-c.issuedAt) * time.Second
	switch {
	case c.expires <= c.issuedAt:
		return refuseClaim("exp", "is not after iat")
	case c.expires-c.issuedAt > int64(MaxTTL/time.Second):
		return refuseClaim("exp", "is more than %v after iat", MaxTTL)
	case ttl < MinTTL:
		return refuseClaim("exp", "is less than %v after iat", MinTTL)
	}
	if r.nbf.Kind() == 0 {
		return nil
	}
	c.hasNotBefore = true
	if c.notBefore, err = seconds("nbf", r.nbf); err != nil {
		return err
	}
	if c.notBefore >= c.expires {
		return refuseClaim("nbf", "is not before exp")
	}
	return nil
}

func seconds(claim string, v strictjson.Value) (int64, *RejectedError) {
	if v.Kind() == 0 {
		return 0, refuseClaim(claim, "is missing")
	}
	if v.Kind() != '0' {
		return 0, refuseClaim(claim, "is not a number")
	}
	n, ok := v.Uint()
	if !ok {
		return 0, refuseClaim(claim, "is not a plain integer of Unix seconds")
	}
	if n > maxTime {
		return 0, refuseClaim(claim, "is beyond the year 9999")
	}
	return int64(n), nil
}

// checkTimes judges the times at now, in Unix seconds, with the clocks up to skew seconds apart.
func (c *claims) checkTimes(now, skew int64) *RejectedError {
	var err *RejectedError
	switch {
	case now >= c.expires+skew:
		err = refuse(CodeExpired, "expired at %s", rfc3339(c.expires))
		err.Claim = "exp"
	case c.issuedAt > now+skew:
		err = refuse(CodeNotYetValid, "issued at %s, which is in the future", rfc3339(c.issuedAt))
		err.Claim = "iat"
	case c.hasNotBefore && c.notBefore > now+skew:
		err = refuse(CodeNotYetValid, "valid from %s on", rfc3339(c.notBefore))
		err.Claim = "nbf"
	}
	return err
}

func rfc3339(seconds int64) string { return time.Unix(seconds, 0).UTC().Format(time.RFC3339) }
