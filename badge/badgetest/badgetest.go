// Package badgetest has an issuer of badges, and agents to issue them to, in the memory of a test. Use [New]
// for the issuer, [NewAgent] for an agent with a did:key, and [NewWebAgent] for one with a did:web:
//
//	ca := badgetest.New(t)
//	agent := badgetest.NewWebAgent(t, "did:web:agents.example:ada")
//	token := ca.Issue(agent, badge.LevelDomain)
//	b, err := ca.Verifier().Verify(ctx, token)
package badgetest

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/did"
)

const (
	// Issuer is the origin of the issuer that [New] makes.
	Issuer = "https://registry.example"
	// KeyID names its first key.
	KeyID = "ca-1"
	// Domain is the domain in badges of levels 2 to 4.
	Domain = "agents.example"
)

// A CA issues badges and answers for its keys and for their status: it is a [badge.KeySource] and
// a [badge.StatusSource]. Its methods are safe for concurrent use; failures end the test.
type CA struct {
	Key *badge.IssuerKey // the key that Issue signs with

	t testing.TB

	mu       sync.Mutex
	keys     []badge.Key
	status   Status
	revoked  map[string]bool
	disabled map[did.DID]bool
	keyErr   error
	asked    map[string]int
	now      func() time.Time
}

// Status says how the CA answers about the status of badges.
type Status struct {
	Err   error     // fails every answer
	AsOf  time.Time // zero for answers that hold now
	Empty bool      // answers without a time that do not claim to hold now
}

// New makes a CA with a fresh Ed25519 key.
func New(t testing.TB) *CA {
	t.Helper()
	ca := &CA{
		t: t, now: time.Now,
		revoked: make(map[string]bool), disabled: make(map[did.DID]bool), asked: make(map[string]int),
	}
	ca.Rotate(KeyID)
	return ca
}

// Rotate makes a new key and issues with it from now on. Older keys stay in the set.
func (ca *CA) Rotate(keyID string) {
	key := NewKey(ca.t)
	ca.mu.Lock()
	defer ca.mu.Unlock()
	ca.Key = &badge.IssuerKey{Issuer: Issuer, KeyID: keyID, Signer: key}
	ca.keys = append(ca.keys, badge.Key{ID: keyID, Public: key.Public()})
}

// SetKeys replaces the key set.
func (ca *CA) SetKeys(keys ...badge.Key) {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	ca.keys = keys
}

// Keys returns the key set.
func (ca *CA) Keys() []badge.Key {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	return ca.keys
}

// FailKeys makes the key set unreachable; nil brings it back.
func (ca *CA) FailKeys(err error) {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	ca.keyErr = err
}

// SetTime sets the clock of the badges that Issue makes and of the verifiers that Verifier makes.
func (ca *CA) SetTime(now func() time.Time) {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	ca.now = now
}

// Revoke revokes a badge by its id.
func (ca *CA) Revoke(id string) {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	ca.revoked[id] = true
}

// Disable disables an agent.
func (ca *CA) Disable(d did.DID) {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	ca.disabled[d] = true
}

// SetStatus changes how status is answered.
func (ca *CA) SetStatus(s Status) {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	ca.status = s
}

// Asked returns how often the keys of an issuer were asked for.
func (ca *CA) Asked(issuer string) int {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	return ca.asked[issuer]
}

// IssuerKeys implements [badge.KeySource].
func (ca *CA) IssuerKeys(_ context.Context, issuer string) ([]badge.Key, error) {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	ca.asked[issuer]++
	if ca.keyErr != nil {
		return nil, ca.keyErr
	}
	if issuer != Issuer {
		return nil, errors.New("badgetest: keys of another issuer were asked for")
	}
	return ca.keys, nil
}

// Status implements [badge.StatusSource].
func (ca *CA) Status(_ context.Context, q badge.StatusQuery) (badge.Status, error) {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	if ca.status.Err != nil {
		return badge.Status{}, ca.status.Err
	}
	return badge.Status{
		Revoked:       ca.revoked[q.BadgeID],
		AgentDisabled: ca.disabled[q.Subject],
		AsOf:          ca.status.AsOf,
		Authoritative: ca.status.AsOf.IsZero() && !ca.status.Empty,
	}, nil
}

// Issue signs a badge of levels 1 to 4 for an agent, or the agent's own for level 0. Options change the
// template first.
func (ca *CA) Issue(agent *Agent, level badge.Level, options ...func(*badge.Template)) string {
	ca.t.Helper()
	ca.mu.Lock()
	key, now := ca.Key, ca.now
	ca.mu.Unlock()
	tmpl := &badge.Template{Subject: agent.DID, SubjectKey: agent.Key.Public(), Level: level, IssuedAt: now()}
	if level.AtLeast(badge.LevelDomain) {
		tmpl.Domain = Domain
	}
	for _, option := range options {
		option(tmpl)
	}
	var token string
	var err error
	if level == badge.LevelSelfSigned {
		token, err = badge.SelfSign(agent.Key, tmpl)
	} else {
		token, err = badge.Issue(key, tmpl)
	}
	if err != nil {
		ca.t.Fatal(err)
	}
	return token
}

// Config returns a configuration that trusts the CA and asks it for keys and status.
func (ca *CA) Config() *badge.Config {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	return &badge.Config{Issuers: []string{Issuer}, Keys: ca, Status: ca, Time: ca.now}
}

// Verifier makes a verifier of [CA.Config].
func (ca *CA) Verifier() *badge.Verifier {
	ca.t.Helper()
	v, err := badge.NewVerifier(ca.Config())
	if err != nil {
		ca.t.Fatal(err)
	}
	return v
}

// An Agent is a subject of badges and its key.
type Agent struct {
	DID did.DID
	Key ed25519.PrivateKey
}

// NewAgent makes an agent with a fresh key and its did:key, for badges of level 0.
func NewAgent(t testing.TB) *Agent {
	t.Helper()
	key := NewKey(t)
	return &Agent{DID: did.FromKey(key.Public().(ed25519.PublicKey)), Key: key}
}

// NewWebAgent makes an agent with a fresh key and a did:web, for badges of levels 1 to 4.
func NewWebAgent(t testing.TB, id string) *Agent {
	t.Helper()
	d, err := did.Parse(id)
	if err != nil {
		t.Fatal(err)
	}
	return &Agent{DID: d, Key: NewKey(t)}
}

// Public returns the agent's public key.
func (a *Agent) Public() crypto.PublicKey { return a.Key.Public() }

// NewKey makes an Ed25519 key.
func NewKey(t testing.TB) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}
