package authority

import (
	"net/http"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
)

// compatRequest are the members of requests that published clients send and the documents do not have.
type compatRequest struct {
	TrustLevel string   `json:"trustLevel"`
	Duration   string   `json:"duration"`
	Audience   []string `json:"audience"`

	compat bool
}

// compatAnswer is where published clients look for a badge. Those for assurance 0 and 1 differ in their spelling.
type compatAnswer struct {
	Token          string            `json:"token"`
	ID             string            `json:"jti"`
	Subject        string            `json:"subject"`
	LevelCamel     string            `json:"trustLevel"`
	LevelSnake     string            `json:"trust_level"`
	AssuranceLevel string            `json:"assurance_level"`
	ExpiresCamel   string            `json:"expiresAt"`
	ExpiresSnake   string            `json:"expires_at"`
	Confirm        map[string]string `json:"cnf,omitempty"`
}

func compatOf(b *badgeAnswer) *compatAnswer {
	return &compatAnswer{
		Token: b.Badge, ID: b.ID, Subject: b.Subject, LevelCamel: b.Level, LevelSnake: b.Level, AssuranceLevel: b.Assurance,
		ExpiresCamel: b.ExpiresAt, ExpiresSnake: b.ExpiresAt, Confirm: b.Confirm,
	}
}

// applyCompat gives a request as published clients send it the form of the documents, if that is allowed.
func (a *Authority) applyCompat(body *badgeRequest) error {
	old := &body.compatRequest
	departs := body.Mode == "" || old.TrustLevel != "" || old.Duration != "" || old.Audience != nil
	if !departs {
		return nil
	}
	if !a.cfg.AllowCompat {
		return refuse(http.StatusBadRequest, CodeCompatOff,
			"the request has no mode, or trustLevel, duration or audience, as older clients send it: send mode, badge_ttl and badge_aud, or have the operator allow compat")
	}
	old.compat = true
	if body.Mode == "" {
		body.Mode = modeAccount
		if body.ChallengeID != "" && body.Proof != "" {
			body.Mode = modePossession
		}
	}
	if old.Audience != nil {
		body.BadgeAud = old.Audience
	}
	if old.Duration != "" {
		ttl, err := time.ParseDuration(old.Duration)
		if err != nil || ttl%time.Second != 0 {
			return refuse(http.StatusBadRequest, CodeInvalidRequest, "duration is %.100q: send a duration of whole seconds like \"5m\"", old.Duration)
		}
		body.BadgeTTL = int64(ttl / time.Second)
	}
	return nil
}

// level returns the level of a badge for an agent that may have up to granted.
func (c *compatRequest) level(granted int) (badge.Level, error) {
	most := levelOf(granted)
	if c.TrustLevel == "" {
		return most, nil
	}
	level, err := badge.ParseLevel(c.TrustLevel)
	switch {
	case err != nil || !level.AtLeast(badge.LevelRegistered):
		return badge.LevelNone, refuse(http.StatusBadRequest, CodeInvalidRequest, `trustLevel is %.100q: send "1" to "4"`, c.TrustLevel)
	case !most.AtLeast(level):
		return badge.LevelNone, refuse(http.StatusForbidden, CodeLevel, "level %v is more than level %v, which the agent was granted", level, most)
	}
	return level, nil
}

// postBadgeCompat is where published clients send proofs of possession to.
func (a *Authority) postBadgeCompat(w http.ResponseWriter, r *http.Request) error {
	if !a.cfg.AllowCompat {
		return refuse(http.StatusNotFound, CodeCompatOff, "send proofs to /v1/agents/{did}/badge with mode ial1, or have the operator allow compat")
	}
	var body badgeRequest
	if err := readBody(r, &body, false); err != nil {
		return err
	}
	if body.Mode != "" && body.Mode != modePossession {
		return refuse(http.StatusBadRequest, CodeInvalidMode, "mode is %.100q: proofs are sent here", body.Mode)
	}
	body.compat = true
	return a.issueByPossession(w, r, &body)
}
