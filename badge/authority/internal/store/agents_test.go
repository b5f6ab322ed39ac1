package store

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

func TestAgents(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		server := newAgent("did:web:ca.example.com:servers:s")
		server.Kind, server.HostedName = KindServer, "s"
		logs(t, s, 1, func() { must(t, s.AddAgent(ctx, server, testAct())) })

		want := *server
		want.Keys = []AgentKey{{ID: server.KeyID, PublicKey: server.PublicKey, CreatedAt: testNow()}}
		want.StatusAt, want.UpdatedAt = testNow(), testNow()
		got, err := s.Agent(ctx, server.DID)
		must(t, err)
		same(t, got, &want)
		got, err = s.HostedAgent(ctx, KindServer, "s")
		must(t, err)
		same(t, got, &want)
		_, err = s.HostedAgent(ctx, KindAgent, "s")
		refused(t, err, ErrNotFound)
		_, err = s.Agent(ctx, "did:web:none")
		refused(t, err, ErrNotFound)

		want.Keys = nil
		page, err := s.Agents(ctx, "acc", testAgent, 10)
		must(t, err)
		same(t, page, []Agent{want})
		for account, n := range map[string]int{"": 2, "acc": 2, "other": 0} {
			if page, err = s.Agents(ctx, account, "", 10); err != nil || len(page) != n {
				t.Errorf("account %q has %d agents, %v; want %d", account, len(page), err, n)
			}
		}
	})
}

func TestAddAgentRefuses(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		hosted := newAgent("did:web:h")
		hosted.HostedName = "name"
		must(t, s.AddAgent(ctx, hosted, testAct()))
		must(t, s.DisableAccount(ctx, "other", testAct()))
		for name, test := range map[string]struct {
			change func(*Agent)
			want   error
		}{
			"same DID":         {func(a *Agent) { a.DID = testAgent }, ErrExists},
			"same name":        {func(a *Agent) { a.HostedName = "name" }, ErrExists},
			"no account":       {func(a *Agent) { a.AccountID = "none" }, ErrNotFound},
			"disabled account": {func(a *Agent) { a.AccountID = "other" }, ErrInactive},
			"key not listed":   {func(a *Agent) { a.Keys = []AgentKey{{ID: "x", CreatedAt: testNow()}} }, ErrNotFound},
			"key twice": {func(a *Agent) {
				k := AgentKey{ID: a.KeyID, CreatedAt: testNow()}
				a.Keys = []AgentKey{k, k}
			}, ErrExists},
		} {
			a := newAgent("did:web:new")
			test.change(a)
			logs(t, s, 0, func() {
				if err := s.AddAgent(ctx, a, testAct()); !errors.Is(err, test.want) {
					t.Errorf("%s: got %v, want %v", name, err, test.want)
				}
			})
		}
		for name, change := range map[string]func(*Agent){
			"kind":    func(a *Agent) { a.Kind = "robot" },
			"status":  func(a *Agent) { a.Status = "" },
			"level 0": func(a *Agent) { a.Level = 0 },
			"level 5": func(a *Agent) { a.Level = 5 },
		} {
			a := newAgent("did:web:new")
			change(a)
			if s.AddAgent(ctx, a, testAct()) == nil {
				t.Errorf("%s: the agent was added", name)
			}
		}
		_, err := s.Agent(ctx, "did:web:new")
		refused(t, err, ErrNotFound)
	})
}

func TestAgentStatusAndLevel(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		change := &StatusChange{DID: testAgent, Status: StatusSuspended, Reason: "asked for"}
		logs(t, s, 1, func() { must(t, s.SetAgentStatus(ctx, change, actAt(at(time.Minute)))) })
		grant := &LevelGrant{DID: testAgent, Level: 4, Domain: "b.example", Reason: "papers seen"}
		logs(t, s, 1, func() { must(t, s.GrantLevel(ctx, grant, actAt(at(time.Hour)))) })
		got, err := s.Agent(ctx, testAgent)
		must(t, err)
		want := newAgent(testAgent)
		want.Keys = got.Keys
		want.Status, want.StatusReason, want.StatusAt = StatusSuspended, "asked for", at(time.Minute)
		want.Level, want.Domain, want.LevelReason, want.LevelBy = 4, "b.example", "papers seen", "tester"
		want.UpdatedAt = at(time.Hour)
		same(t, got, want)

		refused(t, s.SetAgentStatus(ctx, &StatusChange{DID: "did:web:none", Status: StatusActive}, testAct()), ErrNotFound)
		refused(t, s.GrantLevel(ctx, &LevelGrant{DID: "did:web:none", Level: 1}, testAct()), ErrNotFound)
		if s.SetAgentStatus(ctx, &StatusChange{DID: testAgent, Status: "gone"}, testAct()) == nil {
			t.Error("an unknown status was set")
		}
		for _, level := range []int{0, 5} {
			if s.GrantLevel(ctx, &LevelGrant{DID: testAgent, Level: level}, testAct()) == nil {
				t.Errorf("level %d was granted", level)
			}
		}
	})
}

func TestAgentKeys(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		second := &AgentKey{ID: testAgent + "#key-2", PublicKey: []byte(`{"n":2}`), CreatedAt: at(time.Second)}
		ref := AgentKeyRef{DID: testAgent, KeyID: second.ID}
		first := AgentKeyRef{DID: testAgent, KeyID: testAgent + "#key-1"}
		refused(t, s.UseAgentKey(ctx, ref, testAct()), ErrNotFound)
		refused(t, s.RemoveAgentKey(ctx, ref, testAct()), ErrNotFound)
		logs(t, s, 1, func() { must(t, s.AddAgentKey(ctx, testAgent, second, testAct())) })
		refused(t, s.AddAgentKey(ctx, testAgent, second, testAct()), ErrExists)
		refused(t, s.AddAgentKey(ctx, "did:web:none", second, testAct()), ErrNotFound)
		refused(t, s.UseAgentKey(ctx, AgentKeyRef{"did:web:none", second.ID}, testAct()), ErrNotFound)
		refused(t, s.RemoveAgentKey(ctx, AgentKeyRef{"did:web:none", second.ID}, testAct()), ErrNotFound)
		refused(t, s.RemoveAgentKey(ctx, first, testAct()), ErrConflict)
		logs(t, s, 1, func() { must(t, s.UseAgentKey(ctx, ref, testAct())) })
		a, err := s.Agent(ctx, testAgent)
		must(t, err)
		if a.KeyID != second.ID || string(a.PublicKey) != string(second.PublicKey) || len(a.Keys) != 2 {
			t.Errorf("the agent has the key %q, %s, of %d", a.KeyID, a.PublicKey, len(a.Keys))
		}
		logs(t, s, 1, func() { must(t, s.RemoveAgentKey(ctx, first, actAt(at(time.Minute)))) })
		a, err = s.Agent(ctx, testAgent)
		must(t, err)
		same(t, a.Keys, []AgentKey{*second})
		more := func(n int) error {
			id := fmt.Sprintf("%s#more-%d", testAgent, n)
			return s.AddAgentKey(ctx, testAgent, &AgentKey{ID: id, PublicKey: []byte(`{}`), CreatedAt: testNow()}, testAct())
		}
		for n := range MaxAgentKeys - 1 {
			must(t, more(n))
		}
		refused(t, more(MaxAgentKeys), ErrConflict)
	})
}
