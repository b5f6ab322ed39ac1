package authority

import (
	"context"
	"crypto"
	"errors"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/authority/internal/store"
	"github.com/touchmark-dev/touchmark/badge/pop"
	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/jwk"
	"github.com/touchmark-dev/touchmark/internal/jws"
)

const (
	modeAccount    = "ial0"
	modePossession = "ial1"
)

type badgeRequest struct {
	Mode        string   `json:"mode"`
	ChallengeID string   `json:"challenge_id"`
	Proof       string   `json:"proof_jws"`
	BadgeTTL    int64    `json:"badge_ttl"`
	TTL         int64    `json:"ttl"` // another name of badge_ttl: RFC-002 has the one and RFC-003 the other
	BadgeAud    []string `json:"badge_aud"`
	Domain      string   `json:"domain"`

	compatRequest
}

type badgeAnswer struct {
	Badge     string            `json:"badge"`
	ID        string            `json:"jti"`
	Subject   string            `json:"subject"`
	Issuer    string            `json:"issuer"`
	Level     string            `json:"trust_level"`
	Assurance string            `json:"assurance_level"`
	IssuedAt  string            `json:"issued_at"`
	ExpiresAt string            `json:"expires_at"`
	Confirm   map[string]string `json:"cnf,omitempty"`

	Compat *compatAnswer `json:"data,omitempty"`
	// Success is true in answers to clients that depart from the documents.
	Success bool `json:"success,omitempty"`
}

// postBadge is spec/issuance.md, "Badge".
func (a *Authority) postBadge(w http.ResponseWriter, r *http.Request) error {
	var body badgeRequest
	if err := readBody(r, &body, false); err != nil {
		return err
	}
	if err := a.applyCompat(&body); err != nil {
		return err
	}
	switch body.Mode {
	case modeAccount:
		return a.issueByAccount(w, r, &body)
	case modePossession:
		return a.issueByPossession(w, r, &body)
	}
	return refuse(http.StatusBadRequest, CodeInvalidMode, `mode is %.100q: send "ial0" or "ial1"`, body.Mode)
}

// issueByAccount issues a badge of assurance 0: the account says whose the key is.
func (a *Authority) issueByAccount(w http.ResponseWriter, r *http.Request, body *badgeRequest) error {
	d, err := subject(r)
	if err != nil {
		return err
	}
	c, err := a.authenticate(r, store.ScopeIssue)
	if err != nil {
		return err
	}
	agent, err := a.ownedAgent(r.Context(), c, d.String())
	if err != nil {
		return err
	}
	if body.TTL != 0 {
		if body.BadgeTTL != 0 {
			return refuse(http.StatusBadRequest, CodeInvalidRequest, "send one of badge_ttl and ttl")
		}
		body.BadgeTTL = body.TTL
	}
	ttl, err := checkTTL("badge_ttl", body.BadgeTTL)
	if err != nil {
		return err
	}
	if err := checkAudience(body.BadgeAud); err != nil {
		return err
	}
	if body.Domain != "" && body.Domain != agent.Domain {
		return refuse(http.StatusForbidden, CodeLevel, "domain %.200q was not validated for this agent", body.Domain)
	}
	level, err := body.level(agent.Level)
	if err != nil {
		return err
	}
	key, err := jwk.ParsePublic(agent.PublicKey)
	if err != nil {
		return err
	}
	return a.issue(w, r, &issuance{
		by: c.keyID, account: agent.AccountID, subject: d, key: key.Key, assurance: badge.AssuranceAccount,
		level: level, domain: agent.Domain, audience: body.BadgeAud, ttl: ttl, compat: body.compat,
	})
}

// issueByPossession issues a badge of assurance 1, by the steps of spec/issuance.md, "Verifying a proof". Nothing in
// the request but the proof has a say: what the badge says was settled with the challenge.
func (a *Authority) issueByPossession(w http.ResponseWriter, r *http.Request, body *badgeRequest) error {
	d, err := subject(r)
	if err != nil {
		return err
	}
	if err := pop.CheckChallengeID(body.ChallengeID); err != nil {
		return refuse(http.StatusBadRequest, CodeInvalidChallenge, "challenge_id is not %q and a UUID in lower case", challengePrefix)
	}
	challenge, err := a.store.Challenge(r.Context(), body.ChallengeID)
	if err != nil {
		return stored(err, CodeChallengeNotFound)
	}
	switch {
	case challenge.DID != d.String():
		return refuse(http.StatusForbidden, CodeSubjectMismatch, "the challenge is for another agent")
	case !challenge.UsedAt.IsZero():
		return refuse(http.StatusForbidden, CodeChallengeUsed, "the challenge was used: ask for a new one")
	case !a.now().Before(challenge.ExpiresAt):
		return refuse(http.StatusForbidden, CodeChallengeExpired, "the challenge is over: ask for a new one")
	}
	if err := a.rates.proof(challenge); err != nil {
		return err
	}
	proof, err := a.proofs.Verify(r.Context(), body.Proof, proofChallenge(challenge, d), d)
	if err != nil {
		return a.proofFailed(challenge, err)
	}
	return a.issue(w, r, &issuance{
		by: challenge.AccountID, account: challenge.AccountID, subject: d, key: proof.Key, assurance: badge.AssurancePossession,
		keyID: proof.KeyID, level: levelOf(challenge.Level), domain: challenge.Domain, audience: challenge.BadgeAudience,
		ttl: challenge.BadgeTTL, challenge: challenge.ID, compat: body.compat,
	})
}

func proofChallenge(c *store.Challenge, d did.DID) *pop.Challenge {
	return &pop.Challenge{
		ID: c.ID, Nonce: c.Nonce, Subject: d, Audience: c.ProofAudience, HTTPMethod: c.HTTPMethod, HTTPURI: c.HTTPURI,
		CreatedAt: c.CreatedAt, ExpiresAt: c.ExpiresAt,
	}
}

// proofFailed counts a proof that was refused against its subject, and says why it was.
func (a *Authority) proofFailed(c *store.Challenge, err error) error {
	refused, ok := errors.AsType[*pop.IssuanceError](err)
	if !ok {
		return err
	}
	if !refused.Undetermined {
		a.rates.failed(c.DID)
	}
	e := refuse(proofStatus(refused.Code), Code(refused.Code), "%s", refused.Reason)
	e.err = err
	return e
}

func proofStatus(code pop.IssuanceCode) int {
	switch code {
	case pop.IssuanceInvalidProof, pop.IssuanceInvalidChallengeID:
		return http.StatusBadRequest
	case pop.IssuanceResolutionFailed, pop.IssuanceDocumentInvalid:
		return http.StatusBadGateway
	}
	return http.StatusForbidden
}

// An issuance is a badge to be signed, for which everything was checked but what the database has the last word on.
type issuance struct {
	by, account string
	subject     did.DID
	key         crypto.PublicKey
	keyID       string // with possession
	assurance   badge.Assurance
	level       badge.Level
	domain      string
	audience    []string
	ttl         time.Duration
	compat      bool

	// What entitles to it: an account key alone, or one of
	challenge string
	grant     string
	profile   string        // with a grant
	proof     *store.Replay // with a grant
}

// issue signs, stores, and only then hands out.
func (a *Authority) issue(w http.ResponseWriter, r *http.Request, i *issuance) error {
	if err := a.logInTime(r.Context()); err != nil {
		return err
	}
	out, err := a.signAndStore(r.Context(), i)
	if isKeyOver(err) {
		a.forgetKeys() // another node retired the key
		out, err = a.signAndStore(r.Context(), i)
	}
	if err != nil {
		return stored(err, CodeAgentNotFound)
	}
	a.log.InfoContext(r.Context(), "badge issued", "jti", out.ID, "sub", out.Subject, "level", out.Level, "assurance", out.Assurance)
	if i.compat {
		out.Success, out.Compat = true, compatOf(out)
	}
	answer(w, http.StatusOK, out)
	return nil
}

func (a *Authority) signAndStore(ctx context.Context, i *issuance) (*badgeAnswer, error) {
	key, err := a.signingKey(ctx)
	if err != nil {
		return nil, err
	}
	now := a.now()
	issued := now.Truncate(time.Second)
	t := &badge.Template{
		Subject: i.subject, SubjectKey: i.key, Level: i.level, Domain: i.domain, Audience: i.audience, TTL: i.ttl,
		ID: uuid.NewString(), Assurance: i.assurance, ConfirmationKeyID: i.keyID, IssuedAt: issued, ChallengeID: i.challenge,
		IssuanceProfile: i.profile,
	}
	if i.level < badge.LevelDomain {
		t.Domain = ""
	}
	token, err := badge.Issue(key, t)
	if err != nil {
		return nil, err
	}
	thumbprint, err := jwk.Thumbprint(i.key)
	if err != nil {
		return nil, err
	}
	expires := issued.Add(i.ttl)
	hash := jws.TokenHash(token)
	act, err := a.act(now, i.by, &Entry{
		Type: EntryBadgeIssued, ID: t.ID, Subject: i.subject.String(), Level: i.level.String(), Assurance: string(i.assurance),
		Domain: t.Domain, Key: thumbprint, KeyID: key.KeyID, Expires: expires.Unix(), TokenHash: hashText(hash), Account: i.account,
		Grant: i.grant,
	})
	if err != nil {
		return nil, err
	}
	err = a.store.Issue(ctx, &store.Issuance{
		Badge: store.Badge{
			ID: t.ID, Subject: i.subject.String(), AccountID: i.account, Level: storedLevel(i.level), Assurance: string(i.assurance),
			Domain: t.Domain, KeyID: key.KeyID, IssuedAt: now, ExpiresAt: expires, TokenHash: hash, ChallengeID: i.challenge,
			GrantID: i.grant,
		},
		Replay: i.proof,
		Limits: store.Limits{PerAgent: a.cfg.BadgesPerAgent, PerAccount: a.cfg.BadgesPerAccount},
		Act:    act,
	})
	if err != nil {
		return nil, err
	}
	out := &badgeAnswer{
		Badge: token, ID: t.ID, Subject: i.subject.String(), Issuer: a.cfg.Issuer, Level: i.level.String(),
		Assurance: "IAL-" + string(i.assurance), IssuedAt: issued.Format(time.RFC3339), ExpiresAt: expires.Format(time.RFC3339),
	}
	if i.keyID != "" {
		out.Confirm = map[string]string{"kid": i.keyID}
	}
	return out, nil
}

// Levels are kept as the numbers that are written in badges.
func storedLevel(l badge.Level) int { return int(l) - int(badge.LevelSelfSigned) }

func levelOf(stored int) badge.Level { return badge.Level(stored) + badge.LevelSelfSigned }
