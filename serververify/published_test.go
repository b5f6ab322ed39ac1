package serververify

import (
	"strings"
	"testing"

	"github.com/touchmark-dev/touchmark/internal/jws"
	"github.com/touchmark-dev/touchmark/internal/mcpwire"
)

func answersPublished(c *IdentityConfig) { c.UnsafeAnswerPublishedProof = true }

// The published proof is relayed by whoever is in between: it is valid at the
// wrong end, and verifies nobody.
func TestKnownFault04PublishedProofIsRelayed(t *testing.T) {
	protocols(t, func(t *testing.T, h2 bool) {
		w := newWorld(t, option{h2: h2, identity: answersPublished})
		v := w.verifier(func(c *Config) { c.CheckPublishedProof = true })

		// The relay asks the real server with the client's nonce, and shows the
		// client the answer, with DID and badge, on its own channel.
		nonce := NewNonce()
		d := w.identity.Disclose(t.Context())
		var err error
		d.Published, err = w.identity.SignPublished(nonce)
		must(t, err)
		e, err := v.parseEndpoint(w.url("/mcp"))
		must(t, err)
		relayed := &challenge{nonce: nonce, endpoint: &e, channels: []channel{{binding: BindingTLS, digest: "that of the relay"}}}
		_, err = v.judge(t.Context(), relayed, d)
		refused := wantRefusal(t, err, CodePoPFailed, StateDeclared)
		if refused.PublishedProof != PublishedValid || !refused.BadgeValid {
			t.Errorf("refused: %+v", refused)
		}

		// Beside the bound proof it is reported, and lifts nothing.
		srv := w.verified(v)
		if srv.PublishedProof != "" {
			t.Errorf("got %q without an answer", srv.PublishedProof)
		}
		for proof, want := range map[string]PublishedResult{
			d.Published: PublishedValid, d.Published + "A": PublishedInvalid, "": PublishedInvalid, "a.b.c": PublishedInvalid,
		} {
			if got := v.CheckPublished(srv, nonce, proof); got != want {
				t.Errorf("%.20s: %q, want %q", proof, got, want)
			}
		}
		if got := v.CheckPublished(srv, NewNonce(), d.Published); got != PublishedInvalid {
			t.Errorf("another nonce: %q", got)
		}
		if got := w.verifier().CheckPublished(srv, nonce, d.Published); got != "" {
			t.Errorf("switched off: %q", got)
		}
		if got := v.CheckPublished(&Server{}, nonce, d.Published); got != "" {
			t.Errorf("nobody: %q", got)
		}
	})
}

// Over stdio it comes with the other answer, and is looked at when asked for.
func TestPublishedOverStdio(t *testing.T) {
	w := newWorld(t, option{identity: func(c *IdentityConfig) { answersPublished(c); c.Origins, c.Stdio = nil, true }})
	nonce := NewNonce()
	d := w.identity.AnswerStdio(t.Context(), nonce)
	var err error
	d.Published, err = w.identity.SignPublished(nonce)
	must(t, err)
	on := func(c *Config) { c.CheckPublishedProof = true }
	if srv, err := w.verifier(on).VerifyStdio(t.Context(), nonce, d); err != nil || srv.PublishedProof != PublishedValid {
		t.Errorf("got %+v, %v", srv, err)
	}
	if srv, err := w.verifier().VerifyStdio(t.Context(), nonce, d); err != nil || srv.PublishedProof != "" {
		t.Errorf("switched off: %+v, %v", srv, err)
	}
	d.Proof = ""
	_, err = w.verifier(on).VerifyStdio(t.Context(), nonce, d)
	if refused := wantRefusal(t, err, CodePoPFailed, StateDeclared); refused.PublishedProof != PublishedValid {
		t.Errorf("got %+v", refused)
	}
}

// Unless it is told to, a server signs nothing of the client's choosing; then 32
// bytes in their one text form, under a typ that nothing of ours accepts.
func TestKnownFault04PublishedSigningOracle(t *testing.T) {
	if _, err := newWorld(t, option{}).identity.SignPublished(NewNonce()); err == nil {
		t.Error("signed by default")
	}
	w := newWorld(t, option{identity: func(c *IdentityConfig) { answersPublished(c); c.SignsPerSecond, c.SignBurst = 0.001, 1 }})
	for _, text := range []string{"", "transfer 1000", NewNonce() + "A", strings.Repeat("=", 43), `{"iss":"did:web:mcp.example.com"}`} {
		if _, err := w.identity.SignPublished(text); err == nil {
			t.Errorf("signed %q", text)
		}
	}
	nonce := NewNonce()
	token, err := w.identity.SignPublished(nonce)
	must(t, err)
	if _, err := w.identity.SignPublished(nonce); err == nil {
		t.Error("signed more often than it may")
	}
	m, err := jws.Parse(token)
	must(t, err)
	if m.Typ != "pop+jws" || string(m.Payload) != nonce || m.Kid != w.identity.cfg.KeyID || m.Alg != "EdDSA" {
		t.Errorf("signed %+v over %s", m.Header, m.Payload)
	}
	// It is none of our proofs, and ours is none of it.
	d := w.identity.Disclose(t.Context())
	d.Proof = token
	v := w.verifier()
	e, err := v.parseEndpoint(w.url("/mcp"))
	must(t, err)
	_, err = v.judge(t.Context(), &challenge{nonce: nonce, endpoint: &e, channels: []channel{{binding: BindingTLS}}}, d)
	wantRefusal(t, err, CodePoPFailed, StateDeclared)
	bound := proofClaims{nonce: nonce, binding: BindingTLS}
	ours, err := bound.sign(w.identity.cfg.KeyID, w.agent.Key)
	must(t, err)
	if got := judgePublished(w.agent.Public(), w.agent.DID, nonce, ours); got != PublishedInvalid {
		t.Errorf("our own proof: %q", got)
	}
}

// One defect each.
func TestPublishedProofRefused(t *testing.T) {
	w := newWorld(t, option{identity: answersPublished})
	nonce := NewNonce()
	key, id := w.agent.Key, w.identity.cfg.KeyID
	sign := func(h jws.Header, payload string) string {
		token, err := jws.Sign(h, []byte(payload), key)
		must(t, err)
		return token
	}
	for name, tt := range map[string]struct {
		token string
		nonce string
		want  PublishedResult
	}{
		"good":         {sign(jws.Header{Typ: mcpwire.TypePublishedProof, Kid: id}, nonce), nonce, PublishedValid},
		"typ":          {sign(jws.Header{Typ: "JWT", Kid: id}, nonce), nonce, PublishedInvalid},
		"key of other": {sign(jws.Header{Typ: mcpwire.TypePublishedProof, Kid: "did:web:x.example#k"}, nonce), nonce, PublishedInvalid},
		"no kid":       {sign(jws.Header{Typ: mcpwire.TypePublishedProof}, nonce), nonce, PublishedInvalid},
		"payload":      {sign(jws.Header{Typ: mcpwire.TypePublishedProof, Kid: id}, `"`+nonce+`"`), nonce, PublishedInvalid},
		"no nonce":     {sign(jws.Header{Typ: mcpwire.TypePublishedProof, Kid: id}, "x"), "x", PublishedInvalid},
	} {
		if got := judgePublished(w.agent.Public(), w.agent.DID, tt.nonce, tt.token); got != tt.want {
			t.Errorf("%s: %q", name, got)
		}
	}
	if got := judgePublished(newWorld(t, option{}).agent.Public(), w.agent.DID, nonce, sign(jws.Header{Typ: mcpwire.TypePublishedProof, Kid: id}, nonce)); got != PublishedInvalid {
		t.Errorf("another key: %q", got)
	}
}
