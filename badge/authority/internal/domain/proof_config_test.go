package domain

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/badge/pop"
	"github.com/touchmark-dev/touchmark/did"
)

type answers struct {
	doc *did.Document
	err error
}

func (a answers) Resolve(context.Context, did.DID) (*did.Document, error) { return a.doc, a.err }

func TestProofDocuments(t *testing.T) {
	other := document(t, did.MustParse("did:web:api.acme.com"), documentKey("key-1", 7))
	for name, c := range map[string]struct {
		answer answers
		code   Code
	}{
		"another's":  {answers{doc: other}, CodeProofDocumentInvalid},
		"none":       {answers{}, CodeProofDocumentInvalid},
		"refused":    {answers{err: &did.DocumentError{DID: agent, Reason: "not JSON"}}, CodeProofDocumentInvalid},
		"not had":    {answers{err: &did.ResolveError{DID: agent, Reason: "timeout"}}, CodeProofResolution},
		"unknown":    {answers{err: errors.New("x")}, CodeProofResolution},
		"no ed25519": {answers{doc: &did.Document{ID: agent}}, CodeProofSignatureInvalid},
	} {
		v := newProofs(t)
		v.resolver = c.answer
		r := mint(t, "")
		r.Proof = proofFor(t, r, agent.String()+"#key-1", agent, 7)
		if _, err := v.Verify(t.Context(), r); CodeOf(err) != c.code {
			t.Errorf("%s: %v, want %s", name, err, c.code)
		}
	}
}

// One of many gets through with one proof.
func TestProofOnce(t *testing.T) {
	v := newProofs(t, document(t, agent, documentKey("key-1", 7)))
	r := mint(t, "")
	r.Proof = proofFor(t, r, agent.String()+"#key-1", agent, 7)
	var passed, replayed atomic.Int32
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			switch _, err := v.Verify(t.Context(), r); CodeOf(err) {
			case "":
				passed.Add(1)
			case CodeProofReplayed:
				replayed.Add(1)
			}
		})
	}
	wg.Wait()
	if passed.Load() != 1 || replayed.Load() != 49 {
		t.Errorf("%d passed, %d replayed", passed.Load(), replayed.Load())
	}
}

type store struct {
	err   error
	until time.Time
	key   pop.ReplayKey
}

func (s *store) Use(_ context.Context, key pop.ReplayKey, until time.Time) error {
	s.key, s.until = key, until
	return s.err
}

func TestProofReplayStore(t *testing.T) {
	v := newProofs(t, document(t, agent, documentKey("key-1", 7)))
	r := mint(t, "")
	r.Proof = proofFor(t, r, agent.String()+"#key-1", agent, 7)
	broken := errors.New("connection lost")
	for err, code := range map[error]Code{pop.ErrReplayed: CodeProofReplayed, pop.ErrFull: CodeProofReplayStoreFull, broken: ""} {
		v.replay = &store{err: err}
		_, got := v.Verify(t.Context(), r)
		if CodeOf(got) != code || !errors.Is(got, err) {
			t.Errorf("%v: %v", err, got)
		}
	}
	s := new(store)
	v.replay = s
	p, err := v.Verify(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if s.key != (pop.ReplayKey{KeyThumbprint: thumbprint(t, key(7)), HopID: p.ID(), Subject: agent}) || !s.until.Equal(testNow.Add(2*time.Minute)) {
		t.Errorf("%+v until %v", s.key, s.until)
	}
}

func TestNewProofVerifier(t *testing.T) {
	replay := pop.NewMemoryReplay(nil)
	for i, cfg := range []*ProofConfig{nil, {}, {Replay: replay}, {Resolver: did.StaticResolver{}}, {Resolver: did.StaticResolver{}, Replay: replay, Skew: 61 * time.Second}} {
		if _, err := NewProofVerifier(cfg); err == nil {
			t.Errorf("configuration %d is accepted", i)
		}
	}
	v, err := NewProofVerifier(&ProofConfig{Resolver: did.StaticResolver{}, Replay: replay})
	if err != nil {
		t.Fatal(err)
	}
	if v.skew != 60 || v.now == nil || v.started == 0 {
		t.Errorf("%+v", v)
	}
	if v, err = NewProofVerifier(&ProofConfig{Resolver: did.StaticResolver{}, Replay: replay, Skew: -1}); err != nil || v.skew != 0 {
		t.Errorf("%+v, %v", v, err)
	}
	good := mint(t, "x")
	for i, change := range []func(r *Request){
		func(r *Request) { r.Method = "" }, func(r *Request) { r.URI = "" }, func(r *Request) { r.Domain = "" }, func(r *Request) { r.Thumbprint = "" },
	} {
		r := *good
		change(&r)
		if _, err := v.Verify(t.Context(), &r); err == nil || CodeOf(err) != "" {
			t.Errorf("request %d: %v", i, err)
		}
	}
}
