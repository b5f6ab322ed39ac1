package serververify

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/badgetest"
	"github.com/touchmark-dev/touchmark/did"
)

// publish sets the keys in the DID document of the world's server.
func (w *world) publish(keys ...did.DocumentKey) {
	w.t.Helper()
	doc, err := did.NewDocument(w.agent.DID, keys...)
	must(w.t, err)
	w.resolver[w.agent.DID] = doc
}

// badgeFor issues a badge of the world's server that names another key.
func (w *world) badgeFor(key did.DocumentKey) BadgeSource {
	return StaticBadge(w.ca.Issue(w.agent, badge.LevelDomain, func(tmpl *badge.Template) { tmpl.SubjectKey = key.Key }))
}

// A server changes its key: it publishes the new one beside the old one, signs
// with the new one, and takes the old one out. The old badge with the old key
// holds until then, and not after.
func TestKeyRotation(t *testing.T) {
	w := newWorld(t, option{h2: true}) // whose connection is kept, see again
	next := badgetest.NewAgent(t)
	oldKey, newKey := did.DocumentKey{Key: w.agent.Public(), Fragment: "old"}, did.DocumentKey{Key: next.Public(), Fragment: "new"}
	oldID, newID := w.agent.DID.String()+"#old", w.agent.DID.String()+"#new"
	v := w.verifier()
	verify := func(wantKey string) {
		t.Helper()
		srv, err := v.Verify(t.Context(), w.url("/mcp"))
		if err != nil {
			t.Fatal(err)
		}
		if srv.KeyID != wantKey || srv.DID != w.agent.DID || srv.KeyThumbprint == "" {
			t.Errorf("verified with %q, want %q", srv.KeyID, wantKey)
		}
	}
	rotate := func(to did.DocumentKey, id string, agent *badgetest.Agent) {
		t.Helper()
		must(t, w.identity.Rotate(agent.Key, id, w.badgeFor(to)))
	}
	w.publish(oldKey)
	rotate(oldKey, oldID, w.agent)
	verify(oldID)
	srv := w.verified(v)
	w.publish(oldKey, newKey)
	verify(oldID)
	rotate(newKey, newID, next)
	verify(newID)
	rotate(oldKey, oldID, w.agent) // a second instance of the server has not changed yet
	verify(oldID)

	// The old key is taken out: what is verified holds until it has aged.
	w.publish(newKey)
	resp, err := srv.Client().Get(w.url("/mcp"))
	drain(t, resp, err)
	_, err = v.Verify(t.Context(), w.url("/mcp"))
	wantRefusal(t, err, CodePoPFailed, StateDeclared)
	w.advance(DefaultMaxAge - time.Second) // the badge is still good
	_, err = v.Verify(t.Context(), w.url("/mcp"))
	wantRefusal(t, err, CodePoPFailed, StateDeclared)
	w.advance(time.Second)
	rotate(oldKey, oldID, w.agent)
	_, err = srv.Client().Get(w.url("/mcp"))
	wantRefusal(t, err, CodePoPFailed, StateDeclared)
	rotate(newKey, newID, next)
	resp, err = srv.Client().Get(w.url("/mcp"))
	drain(t, resp, err)
}

// A badge and the key that it names go together, whatever comes in between.
func TestRotationWhileAsked(t *testing.T) {
	w := newWorld(t, option{identity: func(c *IdentityConfig) { c.SignsPerSecond, c.SignBurst = 1e6, 1e6 }})
	next := badgetest.NewAgent(t)
	keys := []did.DocumentKey{{Key: w.agent.Public(), Fragment: "a"}, {Key: next.Public(), Fragment: "b"}}
	agents := []*badgetest.Agent{w.agent, next}
	sources := []BadgeSource{w.badgeFor(keys[0]), w.badgeFor(keys[1])}
	w.publish(keys...)
	must(t, w.identity.Rotate(agents[0].Key, w.agent.DID.String()+"#a", sources[0]))
	v := w.verifier()
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 1; ; i++ {
			select {
			case <-done:
				return
			default:
			}
			if err := w.identity.Rotate(agents[i%2].Key, w.agent.DID.String()+"#"+keys[i%2].Fragment, sources[i%2]); err != nil {
				t.Error(err)
			}
		}
	})
	for range 20 {
		w.verified(v)
	}
	close(done)
	wg.Wait()
}

func TestRotateRefuses(t *testing.T) {
	w := newWorld(t, option{})
	other := badgetest.NewAgent(t)
	for name, err := range map[string]error{
		"no key":              w.identity.Rotate(nil, "", StaticBadge("")),
		"no badge":            w.identity.Rotate(other.Key, "", nil),
		"a key id of another": w.identity.Rotate(other.Key, other.DID.KeyURL(), StaticBadge("")),
	} {
		if err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	w.verified(w.verifier()) // nothing has changed
}

// An admission is asked in each verification, after everything else, with what
// was found.
func TestAdmission(t *testing.T) {
	w := newWorld(t, option{h2: true}) // whose connection is kept, see again
	var gate gate
	v := w.verifier(func(c *Config) { c.Admit = []Admission{&gate}; c.MaxAge = time.Minute })
	srv := w.verified(v)
	if len(gate.asked) != 1 {
		t.Fatalf("asked %d times", len(gate.asked))
	}
	if got := gate.asked[0]; got.DID != srv.DID || got.Endpoint != w.url("/mcp") || got.KeyThumbprint == "" || got.KeyID != w.identity.cfg.KeyID ||
		got.Issuer != badgetest.Issuer || got.Domain == "" || got.Certificate == nil || got.BadgeID != srv.BadgeID {
		t.Errorf("asked about %+v", got)
	}
	// What it knows changes: noticed when the connection is verified again.
	cause := errors.New("the cause")
	gate.refuse = func(s *Server) error { return s.Refuse(CodePinMismatch, "pinned %q: %w", "another", cause) }
	resp, err := srv.Client().Get(w.url("/mcp"))
	drain(t, resp, err)
	w.advance(61 * time.Second)
	_, err = srv.Client().Get(w.url("/mcp"))
	refused := wantRefusal(t, err, CodePinMismatch, StateDeclared)
	if !refused.BadgeValid || refused.BadgeID != srv.BadgeID || refused.DID != srv.DID || refused.Level != srv.Level ||
		refused.Reason != `pinned "another": the cause` || !errors.Is(err, cause) {
		t.Errorf("refused: %+v", refused)
	}
	if _, err = v.Verify(t.Context(), w.url("/mcp")); CodeOf(err) != CodePinMismatch {
		t.Errorf("got %v", err)
	}
	gate.refuse = func(*Server) error { return cause }
	_, err = v.Verify(t.Context(), w.url("/mcp"))
	if wantUndetermined(t, err, ""); !errors.Is(err, cause) {
		t.Errorf("got %v", err)
	}
	gate.refuse = func(s *Server) error { return &UndeterminedError{Code: CodeKeyFetchFailed, Reason: "x"} }
	_, err = v.Verify(t.Context(), w.url("/mcp"))
	wantUndetermined(t, err, CodeKeyFetchFailed)

	// It is not asked about who is refused without it.
	before := len(gate.asked)
	w.setBadge("")
	_, err = v.Verify(t.Context(), w.url("/mcp"))
	wantRefusal(t, err, CodeBadgeMissing, StateDeclared)
	if len(gate.asked) != before {
		t.Error("asked about a server without a badge")
	}
}

type gate struct {
	asked  []*Server
	refuse func(*Server) error
}

func (g *gate) Admit(_ context.Context, s *Server) error {
	g.asked = append(g.asked, s)
	if s.Client() != nil {
		return errors.New("something could be sent already")
	}
	if g.refuse == nil {
		return nil
	}
	return g.refuse(s)
}

// The first that refuses decides, in the order they were given.
func TestAdmissionsInOrder(t *testing.T) {
	w := newWorld(t, option{})
	first, second := &gate{}, &gate{refuse: func(s *Server) error { return s.Refuse(CodeNotRegistered, "unknown") }}
	third := &gate{}
	v := w.verifier(func(c *Config) { c.Admit = []Admission{first, second, third} })
	_, err := v.Verify(t.Context(), w.url("/mcp"))
	wantRefusal(t, err, CodeNotRegistered, StateDeclared)
	if len(first.asked) != 1 || len(second.asked) != 1 || len(third.asked) != 0 {
		t.Errorf("asked %d, %d, %d", len(first.asked), len(second.asked), len(third.asked))
	}
}
