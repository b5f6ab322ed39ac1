package authority

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/authority/internal/domain"
	"github.com/touchmark-dev/touchmark/badge/authority/internal/store"
	"github.com/touchmark-dev/touchmark/badge/pop"
	"github.com/touchmark-dev/touchmark/did"
)

// An Authority issues badges. Several may share one database; each is safe for concurrent use.
type Authority struct {
	cfg    Config
	store  *store.Store
	log    *slog.Logger
	proofs *pop.IssuanceVerifier
	badges *badge.Verifier

	domains    *domain.Validator
	possession *domain.ProofVerifier

	rates *rates

	logLate lateLog
	list    cachedList // of revocations
	servers cachedList

	closing sync.Once
	closed  error

	mu   sync.Mutex // guards keys
	keys keyCache
}

// New opens the database, which is made when there is none and migrated when it is older than this program, and
// refuses one of another issuer or of a newer program.
func New(ctx context.Context, cfg *Config) (*Authority, error) {
	a := &Authority{cfg: *cfg}
	if err := a.cfg.complete(); err != nil {
		return nil, err
	}
	a.log, a.rates = a.cfg.Logger, newRates(&a.cfg)
	s, err := store.Open(ctx, a.cfg.Database)
	if err != nil {
		return nil, err
	}
	a.store = s
	if err := a.open(ctx); err != nil {
		s.Close()
		return nil, err
	}
	return a, nil
}

func (a *Authority) open(ctx context.Context) (err error) {
	if err := a.store.BindIssuer(ctx, a.cfg.Issuer); err != nil {
		return err
	}
	a.proofs, err = pop.NewIssuanceVerifier(&pop.IssuanceConfig{Resolver: &hosting{a, a.cfg.Resolver}, Time: a.cfg.Time})
	if err != nil {
		return err
	}
	if err := a.openBadges(); err != nil {
		return err
	}
	return a.openDomains()
}

// Close releases the database. Stop serving, and end Run, first. A second call does nothing.
func (a *Authority) Close() error {
	a.closing.Do(func() { a.closed = a.store.Close() })
	return a.closed
}

// now is the time in the precision of the database.
func (a *Authority) now() time.Time { return a.cfg.Time().UTC().Truncate(time.Microsecond) }

// hosting resolves what this authority hosts from its database, and asks others for the rest.
type hosting struct {
	a      *Authority
	others did.Resolver
}

// Resolve implements [did.Resolver].
func (h *hosting) Resolve(ctx context.Context, d did.DID) (*did.Document, error) {
	if kind, name, ok := h.a.hosted(d); ok {
		return h.a.document(ctx, kind, name)
	}
	return h.others.Resolve(ctx, d)
}
