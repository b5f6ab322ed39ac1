package authority

import (
	"crypto/rand"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"

	"github.com/touchmark-dev/touchmark/badge/authority/internal/store"
	"github.com/touchmark-dev/touchmark/did"
)

const (
	challengePrefix = "ch-"
	nonceBytes      = 32
	maxAudienceText = 2048 // bytes of all names
	maxAudienceName = 1024 // bytes of one (spec/badge.md)
)

type challengeRequest struct {
	BadgeTTL     int64    `json:"badge_ttl"`
	ChallengeTTL int64    `json:"challenge_ttl"`
	BadgeAud     []string `json:"badge_aud"`
}

type challengeAnswer struct {
	ChallengeID string   `json:"challenge_id"`
	Nonce       string   `json:"nonce"`
	ExpiresAt   string   `json:"challenge_expires_at"`
	ProofAud    string   `json:"proof_aud"`
	HTU         string   `json:"htu"`
	HTM         string   `json:"htm"`
	BadgeAud    []string `json:"badge_aud"`
	BadgeTTL    int64    `json:"badge_ttl"`

	// Names of the same in clients that depart from the documents.
	CompatExpiresAt string `json:"expires_at,omitempty"`
	CompatAud       string `json:"aud,omitempty"`
}

// postChallenge is spec/issuance.md, "Challenge": what the badge will say is settled here.
func (a *Authority) postChallenge(w http.ResponseWriter, r *http.Request) error {
	d, err := subject(r)
	if err != nil {
		return err
	}
	agent, err := a.challenger(r, d)
	if err != nil {
		return err
	}
	var body challengeRequest
	if err := readBody(r, &body, true); err != nil {
		return err
	}
	challenge, err := a.newChallenge(agent, d, &body)
	if err != nil {
		return err
	}
	if err := a.rates.challenge(challenge); err != nil {
		return err
	}
	if err := a.store.AddChallenge(r.Context(), challenge); err != nil {
		return stored(err, CodeAgentNotFound)
	}
	out := &challengeAnswer{
		ChallengeID: challenge.ID, Nonce: challenge.Nonce, ExpiresAt: challenge.ExpiresAt.Format(time.RFC3339),
		ProofAud: challenge.ProofAudience, HTU: challenge.HTTPURI, HTM: challenge.HTTPMethod,
		BadgeAud: challenge.BadgeAudience, BadgeTTL: int64(challenge.BadgeTTL / time.Second),
	}
	if a.cfg.AllowCompat {
		out.CompatExpiresAt, out.CompatAud = out.ExpiresAt, out.ProofAud
	}
	answer(w, http.StatusOK, out)
	return nil
}

func (a *Authority) newChallenge(agent *store.Agent, d did.DID, body *challengeRequest) (*store.Challenge, error) {
	ttl, err := checkTTL("badge_ttl", body.BadgeTTL)
	if err != nil {
		return nil, err
	}
	if err := checkAudience(body.BadgeAud); err != nil {
		return nil, err
	}
	life := time.Duration(body.ChallengeTTL) * time.Second
	switch {
	case body.ChallengeTTL == 0:
		life = defaultChallengeTTL
	case body.ChallengeTTL < int64(minChallengeTTL/time.Second) || body.ChallengeTTL > int64(maxChallengeTTL/time.Second):
		return nil, refuse(http.StatusBadRequest, CodeInvalidRequest, "challenge_ttl is %d: from %d to %d seconds",
			body.ChallengeTTL, minChallengeTTL/time.Second, maxChallengeTTL/time.Second)
	}
	nonce := make([]byte, nonceBytes)
	rand.Read(nonce)                     // never fails (crypto/rand)
	now := a.now().Truncate(time.Second) // the client is told whole seconds
	return &store.Challenge{
		ID: challengePrefix + uuid.NewString(), DID: agent.DID, AccountID: agent.AccountID, Nonce: b64.EncodeToString(nonce),
		CreatedAt: now, ExpiresAt: now.Add(life), ProofAudience: a.cfg.Issuer, HTTPURI: a.badgeURI(d), HTTPMethod: http.MethodPost,
		BadgeAudience: body.BadgeAud, BadgeTTL: ttl, Level: agent.Level, Domain: agent.Domain,
	}, nil
}

// badgeURI is the endpoint that a proof is bound to. It is put together, never parsed, so that it has one spelling.
func (a *Authority) badgeURI(d did.DID) string {
	// QueryEscape, because PathEscape leaves colons as they are.
	return a.cfg.Issuer + "/v1/agents/" + url.QueryEscape(d.String()) + "/badge"
}

func checkAudience(audience []string) error {
	if len(audience) > MaxAudience {
		return refuse(http.StatusBadRequest, CodeInvalidRequest, "badge_aud names %d verifiers: at most %d", len(audience), MaxAudience)
	}
	total := 0
	for _, s := range audience {
		total += len(s)
		switch {
		case s == "" || len(s) > maxAudienceName || total > maxAudienceText:
			return refuse(http.StatusBadRequest, CodeInvalidRequest, "badge_aud has an empty name, one of more than %d bytes, or more than %d bytes",
				maxAudienceName, maxAudienceText)
		case strings.ContainsFunc(s, unicode.IsControl): // which are six bytes each in a badge
			return refuse(http.StatusBadRequest, CodeInvalidRequest, "badge_aud has a name with a control character")
		}
	}
	return nil
}
