package authority

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"net/http"
	"net/netip"
	"time"

	"github.com/touchmark-dev/touchmark/badge/authority/internal/domain"
	"github.com/touchmark-dev/touchmark/badge/authority/internal/store"
	"github.com/touchmark-dev/touchmark/badge/pop"
	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/jwk"
)

// Codes of domain validation (spec/issuance.md, "Domain validation"), as RFC-002 section 12 spells them. Others are
// those that a reason of spec/domain-validation.md is told as.
const (
	CodeInvalidKey           Code = "INVALID_KEY"
	CodeUnsupportedChallenge Code = "UNSUPPORTED_CHALLENGE"
	CodeOrderNotFound        Code = "ORDER_NOT_FOUND"
	CodeOrderExpired         Code = "ORDER_EXPIRED"
	CodeOrderFinalized       Code = "ORDER_FINALIZED"
	CodeOrderInvalid         Code = "ORDER_INVALID"
	CodeDomainTaken          Code = "DOMAIN_TAKEN"
	CodeGrantNotFound        Code = "GRANT_NOT_FOUND"
	CodeGrantRevoked         Code = "GRANT_REVOKED"
	CodeGrantExpired         Code = "GRANT_EXPIRED"
	CodeGrantAlreadyRevoked  Code = "GRANT_ALREADY_REVOKED"
	CodeProofFailed          Code = "POP_VERIFICATION_FAILED"
	CodeAccountExists        Code = "ACCOUNT_EXISTS"
	CodeAccountNotFound      Code = "ACCOUNT_NOT_FOUND"
	CodeAccountVerified      Code = "ACCOUNT_ALREADY_VERIFIED"
	CodeAccountNotVerified   Code = "ACCOUNT_NOT_VERIFIED"
	CodeAccountRevoked       Code = "ACCOUNT_REVOKED"
	CodeAccountEnded         Code = "ACCOUNT_ALREADY_REVOKED"
)

// DNS answers for domain validation. *[net.Resolver] is one.
type DNS interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
	// LookupTXT returns one string for each record, which joins the record's strings.
	LookupTXT(ctx context.Context, name string) ([]string, error)
}

// openDomains makes what validates domains and proofs of grants' keys.
func (a *Authority) openDomains() (err error) {
	a.domains, err = domain.New(&domain.Config{
		Resolver: a.cfg.DNS, Timeout: min(domain.DefaultTimeout, a.cfg.RequestTimeout*2/3),
		UnsafeAllowLoopback: a.cfg.UnsafeValidateLoopback != 0, UnsafePort: a.cfg.UnsafeValidateLoopback,
	})
	if err != nil {
		return err
	}
	a.possession, err = domain.NewProofVerifier(&domain.ProofConfig{
		Resolver: &hosting{a, a.cfg.Resolver}, Replay: replays{a.store}, Time: a.cfg.Time,
		Started: time.Unix(1, 0), // the database has remembered proofs since there were any
	})
	return err
}

// dv has a route of domain validation answer in the spelling that RFC-002 has for its codes.
func dv(f route) route {
	return func(w http.ResponseWriter, r *http.Request) error {
		err := f(w, r)
		if e, ok := errors.AsType[*Error](err); ok {
			told := *e
			switch e.Code {
			case CodeUnauthorized:
				told.Code = "UNAUTHORIZED"
			case CodeRateLimit:
				told.Code = "RATE_LIMIT_EXCEEDED"
			}
			return &told
		}
		return err
	}
}

// domainRefused makes the refusal of a client from one of package domain; other errors stay what they are.
func domainRefused(err error) error {
	refused, ok := errors.AsType[*domain.Error](err)
	if !ok {
		return err
	}
	code := Code(refused.Code.Wire())
	e := refuse(domainStatus(refused, code), code, "%s", refused.Reason)
	if refused.Claim != "" {
		e.Message = "claim " + refused.Claim + ": " + e.Message
	}
	if refused.Undetermined { // the reason tells of this side's network
		e.Message = "the DID document could not be had: see that it is published, and try again"
	}
	if refused.Undetermined || refused.Code == domain.CodeProofReplayStoreFull {
		e.RetryAfter = 10 * time.Second
	}
	e.err = err
	return e
}

func domainStatus(refused *domain.Error, code Code) int {
	switch {
	case refused.Code == domain.CodeProofReplayStoreFull:
		return http.StatusServiceUnavailable
	case refused.Undetermined:
		return http.StatusBadGateway
	case code == CodeProofFailed, refused.Code == domain.CodeGrantSignatureInvalid:
		return http.StatusUnauthorized
	}
	return http.StatusBadRequest
}

// challengeRefused is domainRefused for a challenge. Why one was not met, only the log is told: which address was
// refused, or that something listens there, is of use to whoever points a name into a private network.
func (a *Authority) challengeRefused(ctx context.Context, what string, err error) error {
	refused, ok := errors.AsType[*domain.Error](err)
	if !ok {
		return err
	}
	a.log.InfoContext(ctx, "domain validation failed", "for", what, "code", string(refused.Code), "reason", refused.Reason)
	e := refuse(http.StatusBadRequest, Code(refused.Code.Wire()), "the domain does not show the expected content: look at it, and try again")
	if refused.Undetermined {
		e.Message, e.RetryAfter = "the domain could not be looked at: try again", 10*time.Second
	}
	e.err = err
	return e
}

// ed25519Key reads a public key that may be Ed25519 alone, and returns its canonical form and thumbprint.
func ed25519Key(text json.RawMessage) (canonical json.RawMessage, thumbprint string, err error) {
	public, err := jwk.ParsePublic(text)
	if err != nil {
		return nil, "", refuse(http.StatusBadRequest, CodeInvalidKey, "the public key: %v", err)
	}
	key, ok := public.Key.(ed25519.PublicKey)
	if !ok {
		return nil, "", refuse(http.StatusBadRequest, CodeInvalidKey, "the public key is not one of Ed25519")
	}
	if thumbprint, err = jwk.Thumbprint(key); err != nil {
		return nil, "", err
	}
	canonical, err = jwk.Marshal(key, "")
	return canonical, thumbprint, err
}

// replays is the store of proofs that were used. For a badge that is minted, the transaction that records the badge
// uses the proof up: see minting.
type replays struct{ store *store.Store }

type mintingKey struct{}

// minting returns a context in which the proof is not used up but noted for the transaction to come.
func minting(ctx context.Context, noted *store.Replay) context.Context {
	return context.WithValue(ctx, mintingKey{}, noted)
}

// Use implements [pop.ReplayStore].
func (r replays) Use(ctx context.Context, key pop.ReplayKey, until time.Time) error {
	sum := sha256.Sum256([]byte(key.HopID)) // which the caller chose
	use := store.Replay{Key: "grant " + key.KeyThumbprint + " " + b64.EncodeToString(sum[:]), Until: until}
	if noted, ok := ctx.Value(mintingKey{}).(*store.Replay); ok {
		*noted = use
		return nil
	}
	err := r.store.UseProof(ctx, &use)
	if errors.Is(err, store.ErrUsed) {
		return pop.ErrReplayed
	}
	return err
}

var _ pop.ReplayStore = replays{}

// hostOf returns the domain of a did:web.
func hostOf(subject string) string {
	d, err := did.Parse(subject)
	if err != nil {
		return ""
	}
	origin, err := d.Origin()
	if err != nil {
		return ""
	}
	return origin[len("https://"):]
}
