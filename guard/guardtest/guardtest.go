// Package guardtest makes what tests of guards need: a server, an issuer, an agent of each level, and a
// recorder that keeps records in memory. Start with [New].
package guardtest

import (
	"encoding/json"
	"testing"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/badgetest"
	"github.com/touchmark-dev/touchmark/badge/pop"
	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/guard"
)

// A World is one server, one issuer, and agents.
type World struct {
	CA       *badgetest.CA
	Server   did.DID
	Badges   *badge.Verifier
	Proofs   *pop.Verifier
	Recorder *Recorder

	t      testing.TB
	agents map[badge.Level]*Agent
}

// New makes a World with an agent of each level.
func New(t testing.TB) *World {
	t.Helper()
	w := &World{
		CA: badgetest.New(t), Server: badgetest.NewAgent(t).DID, Recorder: NewRecorder(), t: t,
		agents: make(map[badge.Level]*Agent),
	}
	self := badgetest.NewAgent(t)
	cfg := w.CA.Config()
	cfg.SelfSigned = []did.DID{self.DID}
	var err error
	if w.Badges, err = badge.NewVerifier(cfg); err != nil {
		t.Fatal(err)
	}
	w.Proofs, err = pop.NewVerifier(&pop.Config{Server: w.Server, Replay: pop.NewMemoryReplay(nil)})
	if err != nil {
		t.Fatal(err)
	}
	w.agents[badge.LevelSelfSigned] = w.agent(self, badge.LevelSelfSigned)
	for level := badge.LevelRegistered; level <= badge.LevelExtended; level++ {
		w.agents[level] = w.NewAgent("did:web:agents.example:level"+level.String(), level)
	}
	return w
}

// Guard makes a guard of the World's parts, changed by edits.
func (w *World) Guard(edits ...func(*guard.Config)) *guard.Guard {
	w.t.Helper()
	cfg := &guard.Config{Server: w.Server, Badges: w.Badges, Proofs: w.Proofs, Evidence: w.Recorder}
	for _, edit := range edits {
		edit(cfg)
	}
	g, err := guard.New(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	return g
}

// Agent returns the World's agent of a level.
func (w *World) Agent(level badge.Level) *Agent { return w.agents[level] }

// NewAgent makes another agent with a badge of a level above 0.
func (w *World) NewAgent(id string, level badge.Level) *Agent {
	w.t.Helper()
	return w.agent(badgetest.NewWebAgent(w.t, id), level)
}

func (w *World) agent(a *badgetest.Agent, level badge.Level) *Agent {
	w.t.Helper()
	token := w.CA.Issue(a, level)
	b, err := badge.Inspect(token)
	if err != nil {
		w.t.Fatal(err)
	}
	return &Agent{Agent: a, Badge: token, BadgeID: b.BadgeID, world: w}
}

// An Agent is a caller with a badge and its key.
type Agent struct {
	*badgetest.Agent
	Badge   string
	BadgeID string

	world *World
}

// Prove signs a call of the World's server.
func (a *Agent) Prove(call *pop.Call) (proof, txnID string) {
	a.world.t.Helper()
	return a.ProveAs(&pop.Statement{Call: call, Server: a.world.Server})
}

// ProveAs signs a statement. What it leaves empty is filled in.
func (a *Agent) ProveAs(s *pop.Statement) (proof, txnID string) {
	a.world.t.Helper()
	if s.Subject.IsZero() {
		s.Subject = a.DID
	}
	if s.BadgeID == "" {
		s.BadgeID = a.BadgeID
	}
	if s.TxnID == "" {
		s.TxnID = pop.NewTxnID()
	}
	proof, err := pop.Sign(a.Key, s)
	if err != nil {
		a.world.t.Fatal(err)
	}
	return proof, s.TxnID
}

// Call returns a request to call a tool, with the agent's badge and a call proof.
func (a *Agent) Call(tool string, arguments string) *guard.Request {
	a.world.t.Helper()
	r := Call(tool, arguments)
	r.Badge = a.Badge
	r.Proof, r.TxnID = a.Prove(&pop.Call{Method: r.Method, Target: tool, Arguments: r.Arguments})
	return r
}

// Call returns a request of an anonymous caller to call a tool.
func Call(tool string, arguments string) *guard.Request {
	return &guard.Request{
		Verb: guard.Invoke, Method: "tools/call", Capability: guard.Capability{Kind: guard.KindTool, Name: tool},
		Arguments: json.RawMessage(arguments),
	}
}
