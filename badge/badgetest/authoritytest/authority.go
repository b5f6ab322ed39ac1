package authoritytest

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/x509"
	"fmt"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/authority"
	"github.com/touchmark-dev/touchmark/badge/badgetest"
	"github.com/touchmark-dev/touchmark/badge/client"
	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/jwk"
	"github.com/touchmark-dev/touchmark/internal/safehttp/safehttptest"
	"github.com/touchmark-dev/touchmark/translog/translogtest"
)

// patience is the time that clients have for an exchange: more than a machine
// takes that is busy with other tests.
const patience = time.Minute

// An Authority is a running authority with one account. Its methods are safe
// for concurrent use; what it cannot do ends the test.
type Authority struct {
	Issuer string         // https://localhost:port
	Roots  *x509.CertPool // trusts its server
	Log    *translogtest.Log

	t       testing.TB
	inner   *authority.Authority
	handler http.Handler
	signers signers
	account string
	ships   bool          // there is a log
	over    chan struct{} // closed at the end of the test

	mu         sync.Mutex // guards what follows
	accountKey string
	adminKey   string
	keyID      string
	keys       int
	offset     time.Duration // of the clock
	faults     faults
}

// New starts an authority with a signing key, which is closed at the end of
// the test. Options change its configuration first.
func New(t testing.TB, options ...func(*authority.Config)) *Authority {
	t.Helper()
	a := &Authority{t: t, over: make(chan struct{}), signers: signers{keys: make(map[string]ed25519.PrivateKey)}}
	a.faults.asked = make(map[string]int)
	server := safehttptest.NewServer(t, a)
	a.Issuer, a.Roots = server.URL(""), server.Roots
	a.Log = translogtest.NewLog(server.Host + "/log")
	cfg := &authority.Config{
		Issuer: a.Issuer, Database: "sqlite:" + filepath.Join(t.TempDir(), "authority.db"),
		Signers: &a.signers, Log: a.Log, Resolver: a.Resolver(), Time: a.Now,
		ChallengesPerAgent: 1000, ChallengesPerAccount: 1000,
	}
	for _, option := range options {
		option(cfg)
	}
	a.ships = cfg.Log != nil
	ctx := context.Background()
	var err error
	a.inner, err = authority.New(ctx, cfg)
	a.must(err)
	t.Cleanup(func() {
		close(a.over)
		server.Close() // no request is under way any more
		if err := a.inner.Close(); err != nil {
			t.Error(err)
		}
	})
	a.mu.Lock()
	a.handler = a.inner.Handler()
	a.mu.Unlock()
	a.Rotate()
	account, key, err := a.inner.AddAccount(ctx, "account")
	a.must(err)
	_, admin, err := a.inner.AddAccount(ctx, "operator", authority.ScopeAdmin)
	a.must(err)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.account, a.accountKey, a.adminKey = account, key.Reveal(), admin.Reveal()
	return a
}

func (a *Authority) must(err error) {
	a.t.Helper()
	if err != nil {
		a.t.Fatal(err)
	}
}

// Inner returns the authority itself, for what there is no method for here.
func (a *Authority) Inner() *authority.Authority { return a.inner }

// AccountKey returns the key of the account, for the agents of [Authority.NewAgent].
func (a *Authority) AccountKey() client.AccountKey {
	a.t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	key, err := client.NewAccountKey(a.accountKey)
	a.must(err)
	return key
}

// AccountKeyText returns the same key as it is written in a header or file.
func (a *Authority) AccountKeyText() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.accountKey
}

// AdminKeyText returns an account key with which everything is allowed.
func (a *Authority) AdminKeyText() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.adminKey
}

// Now is the authority's clock: that of the machine, and what Advance added.
func (a *Authority) Now() time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return time.Now().Add(a.offset)
}

// Advance moves the authority's clock. Verifiers and clients that have Now for
// their clock go along. It calls Ship first, because nothing is issued while
// the log is behind.
func (a *Authority) Advance(d time.Duration) {
	a.t.Helper()
	a.Ship()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.offset += d
}

// An Agent is registered with an [Authority], which hosts its document.
type Agent struct {
	badgetest.Agent
	KeyID string // DID URL of Key
}

// NewAgent registers an agent of level 1 under a name of lower-case letters,
// digits and hyphens.
func (a *Authority) NewAgent(name string) *Agent {
	a.t.Helper()
	key := badgetest.NewKey(a.t)
	text, err := jwk.Marshal(key.Public(), "")
	a.must(err)
	d, err := a.inner.AddAgent(context.Background(), &authority.NewAgent{Account: a.account, Name: name, KeyJWK: text})
	a.must(err)
	return &Agent{Agent: badgetest.Agent{DID: d, Key: key}, KeyID: d.String() + "#key-1"}
}

// RequesterConfig returns a configuration that gets badges of assurance 1 for
// an agent.
func (a *Authority) RequesterConfig(agent *Agent) *client.RequesterConfig {
	a.t.Helper()
	return &client.RequesterConfig{
		Issuer: a.Issuer, Subject: agent.DID, AccountKey: a.AccountKey(), Key: agent.Key, KeyID: agent.KeyID,
		UnsafeAllowLoopback: true, RootCAs: a.Roots, Timeout: patience, Time: a.Now,
	}
}

// Issue gets a badge for an agent. Options change the request first.
func (a *Authority) Issue(agent *Agent, options ...func(*client.RequesterConfig)) *client.Issued {
	a.t.Helper()
	cfg := a.RequesterConfig(agent)
	for _, option := range options {
		option(cfg)
	}
	r, err := client.NewRequester(cfg)
	a.must(err)
	b, err := r.Request(context.Background())
	a.must(err)
	return b
}

// Client returns a client that asks the authority for keys and status, and is
// closed at the end of the test.
func (a *Authority) Client() *client.Client {
	a.t.Helper()
	c, err := client.New(&client.Config{
		Issuers: []string{a.Issuer}, UnsafeAllowLoopback: true, RootCAs: a.Roots, Timeout: patience, MinInterval: time.Second,
		Time: a.Now,
	})
	a.must(err)
	a.t.Cleanup(c.Close)
	return c
}

// Resolver returns a resolver of DID documents that reaches the authority and
// keeps none.
func (a *Authority) Resolver() did.Resolver {
	a.t.Helper()
	r, err := did.NewResolver(&did.ResolverConfig{
		UnsafeAllowLoopback: true, RootCAs: a.Roots, CacheTTL: -1, CacheEntries: -1, Timeout: patience, Time: a.Now,
	})
	a.must(err)
	return r
}

// VerifierConfig returns a configuration that trusts the authority and asks it
// for keys, status and documents.
func (a *Authority) VerifierConfig() *badge.Config {
	a.t.Helper()
	c := a.Client()
	return &badge.Config{Issuers: []string{a.Issuer}, Keys: c, Status: c, Resolver: a.Resolver(), Time: a.Now}
}

// Verifier makes a verifier of [Authority.VerifierConfig]. Options change the
// configuration first.
func (a *Authority) Verifier(options ...func(*badge.Config)) *badge.Verifier {
	a.t.Helper()
	cfg := a.VerifierConfig()
	for _, option := range options {
		option(cfg)
	}
	v, err := badge.NewVerifier(cfg)
	a.must(err)
	return v
}

// signers keeps signing keys in memory.
type signers struct {
	mu   sync.Mutex
	keys map[string]ed25519.PrivateKey
}

// Signer implements [authority.Signers].
func (s *signers) Signer(_ context.Context, id string) (crypto.Signer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k, ok := s.keys[id]; ok {
		return k, nil
	}
	return nil, fmt.Errorf("authoritytest: no signing key %q", id)
}

func (s *signers) add(id string, key ed25519.PrivateKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys[id] = key
}
