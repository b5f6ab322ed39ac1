package pop

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/jcs"
	"github.com/touchmark-dev/touchmark/internal/jws"
)

var (
	start  = time.Unix(1_800_000_000, 0)
	agent  = did.MustParse("did:web:agents.example:ada")
	server = did.MustParse("did:web:mcp.example.com%3A8443:mcp")
)

const badgeID = "6d0c1b8e-55c1-4b0e-8d57-0b7a3c4d5e6f"

func newKey(seed string) ed25519.PrivateKey {
	sum := sha256.Sum256([]byte(seed))
	return ed25519.NewKeyFromSeed(sum[:])
}

func clock(at time.Time) func() time.Time { return func() time.Time { return at } }

// A scene is a server, a caller with a badge, and a call between them.
type scene struct {
	key    ed25519.PrivateKey
	stmt   *Statement
	cfg    *Config
	replay *MemoryReplay
	seen   *Presented // Proof is missing
}

func newScene() *scene {
	call := &Call{Method: "tools/call", Target: "read_file", Arguments: json.RawMessage(`{"path":"/tmp/x"}`)}
	key := newKey("agent")
	replay := NewMemoryReplay(&MemoryReplayConfig{Time: clock(start)})
	return &scene{
		key: key,
		stmt: &Statement{
			Call: call, Subject: agent, BadgeID: badgeID, Server: server,
			TxnID: "018f4e1d-7e5d-7a9f-a9d2-8b6a0f2c9b11", Time: clock(start),
		},
		cfg:    &Config{Server: server, Replay: replay, Time: clock(start)},
		replay: replay,
		seen: &Presented{
			TxnID: "018f4e1d-7e5d-7a9f-a9d2-8b6a0f2c9b11", Call: call,
			Key: key.Public(), BadgeID: badgeID, Subject: agent, BadgeExpires: start.Add(5 * time.Minute),
		},
	}
}

func (s *scene) sign(t testing.TB) string {
	t.Helper()
	proof, err := Sign(s.key, s.stmt)
	if err != nil {
		t.Fatal(err)
	}
	return proof
}

// claims returns the claims of a fresh proof as a map, to be changed and signed again.
func (s *scene) claims(t testing.TB) map[string]any {
	t.Helper()
	m, err := jws.Parse(s.sign(t))
	if err != nil {
		t.Fatal(err)
	}
	claims := make(map[string]any)
	if err := json.Unmarshal(m.Payload, &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

func (s *scene) signClaims(t testing.TB, claims map[string]any) string {
	t.Helper()
	payload, err := jcs.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	return s.signPayload(t, payload)
}

func (s *scene) signPayload(t testing.TB, payload []byte) string {
	t.Helper()
	proof, err := jws.Sign(jws.Header{Typ: headerTyp}, payload, s.key)
	if err != nil {
		t.Fatal(err)
	}
	return proof
}

func (s *scene) verify(t testing.TB, proof string) (*Proof, error) {
	t.Helper()
	v, err := NewVerifier(s.cfg)
	if err != nil {
		t.Fatal(err)
	}
	seen := *s.seen
	seen.Proof = proof
	return v.Verify(context.Background(), &seen)
}

func TestSignAndVerify(t *testing.T) {
	s := newScene()
	parent, err := HashHop(s.sign(t))
	if err != nil {
		t.Fatal(err)
	}
	s.stmt.ParentHopHash = parent
	proof := s.sign(t)
	got, err := s.verify(t, proof)
	if err != nil {
		t.Fatal(err)
	}
	if got.TxnID() != s.stmt.TxnID || got.ParentHopHash() != parent || len(got.HopID()) != 36 {
		t.Errorf("txn %q, parent %q, hop %q", got.TxnID(), got.ParentHopHash(), got.HopID())
	}
	if got.TokenHash() != sha256.Sum256([]byte(proof)) {
		t.Error("the token hash is not that of the proof")
	}
	if !got.IssuedAt().Equal(start) || !got.ExpiresAt().Equal(start.Add(30*time.Second)) {
		t.Errorf("from %v to %v", got.IssuedAt(), got.ExpiresAt())
	}
	if !isHash(got.CallHash()) {
		t.Errorf("call hash %q", got.CallHash())
	}
}

func TestDefaultsAreAgreed(t *testing.T) {
	tests := map[string]func(*scene){
		"did:web server by its DID": func(s *scene) { s.stmt.Audience = server.String() },
		"did:key server": func(s *scene) {
			d := did.FromKey(newKey("server").Public().(ed25519.PublicKey))
			s.stmt.Server, s.cfg.Server = d, d
		},
		"did:key caller": func(s *scene) {
			d := did.FromKey(s.key.Public().(ed25519.PublicKey))
			s.stmt.Subject, s.seen.Subject = d, d
		},
		"configured audience": func(s *scene) {
			s.stmt.Audience, s.cfg.Audiences = "https://front.example", []string{"https://front.example"}
		},
		"HTTP request": func(s *scene) {
			s.stmt.HTTPMethod, s.seen.HTTPMethod = "PUT", "PUT"
			s.stmt.HTTPURI, s.seen.HTTPURI = "https://front.example/a?b=1", "https://front.example/a?b=1"
		},
		"method without a target": func(s *scene) {
			s.stmt.Call = &Call{Method: "tools/list"}
			s.seen.Call = &Call{Method: "tools/list", Arguments: json.RawMessage(" null "), InputResponses: json.RawMessage("{ }")}
		},
		"longest window": func(s *scene) { s.stmt.TTL = MaxWindow },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			s := newScene()
			change(s)
			if _, err := s.verify(t, s.sign(t)); err != nil {
				t.Fatal(err)
			}
			if s.replay.Len() != 1 {
				t.Errorf("%d proofs remembered, want 1", s.replay.Len())
			}
		})
	}
}

// The header names the key: the one given, or the only one that a did:key has.
func TestKeyID(t *testing.T) {
	self := did.FromKey(newKey("agent").Public().(ed25519.PublicKey))
	for _, test := range []struct {
		subject   did.DID
		kid, want string
	}{
		{agent, "", ""},
		{agent, agent.String() + "#key-1", agent.String() + "#key-1"},
		{self, "", self.KeyURL()},
		{self, "other", "other"},
	} {
		s := newScene()
		s.stmt.Subject, s.stmt.KeyID, s.stmt.TTL = test.subject, test.kid, time.Second
		m, err := jws.Parse(s.sign(t))
		if err != nil {
			t.Fatal(err)
		}
		if m.Kid != test.want || m.Typ != headerTyp || m.Alg != jws.EdDSA {
			t.Errorf("header %+v, want kid %q", m.Header, test.want)
		}
	}
}

func set(name string, value any) func(map[string]any) {
	return func(claims map[string]any) { claims[name] = value }
}

func remove(name string) func(map[string]any) {
	return func(claims map[string]any) { delete(claims, name) }
}

// Each claim that is wrong by itself or against the call is refused, with the code and the claim named.
func TestClaims(t *testing.T) {
	long := strings.Repeat("x", maxID+1)
	other := "sha256:" + strings.Repeat("A", 43)
	tests := []struct {
		name   string
		change func(map[string]any)
		code   Code
		claim  string
	}{
		{"no txn_id", remove("txn_id"), CodeClaimsInvalid, "txn_id"},
		{"no hop_id", remove("hop_id"), CodeClaimsInvalid, "hop_id"},
		{"no iss", remove("iss"), CodeClaimsInvalid, "iss"},
		{"no target_aud", remove("target_aud"), CodeClaimsInvalid, "target_aud"},
		{"no badge_jti", remove("badge_jti"), CodeClaimsInvalid, "badge_jti"},
		{"no iat", remove("iat"), CodeClaimsInvalid, "iat"},
		{"no exp", remove("exp"), CodeClaimsInvalid, "exp"},
		{"no htm", remove("htm"), CodeClaimsInvalid, "htm"},
		{"no htu", remove("htu"), CodeClaimsInvalid, "htu"},
		{"no srv", remove("srv"), CodeClaimsInvalid, "srv"},
		{"no call_hash", remove("call_hash"), CodeClaimsInvalid, "call_hash"},
		{"no call_salt", remove("call_salt"), CodeClaimsInvalid, "call_salt"},
		{"null", set("srv", nil), CodeClaimsInvalid, "srv"},
		{"empty", set("hop_id", ""), CodeClaimsInvalid, "hop_id"},
		{"number for a string", set("hop_id", 1), CodeClaimsInvalid, "hop_id"},
		{"audience as a list", set("target_aud", []string{"https://mcp.example.com:8443"}), CodeClaimsInvalid, "target_aud"},
		{"string for a number", set("iat", "1800000000"), CodeClaimsInvalid, "iat"},
		{"fraction", set("iat", 1800000000.5), CodeClaimsInvalid, "iat"},
		{"negative time", set("iat", -1), CodeClaimsInvalid, "iat"},
		{"huge time", set("exp", 1e15), CodeClaimsInvalid, "exp"},
		{"long hop_id", set("hop_id", long), CodeClaimsInvalid, "hop_id"},
		{"long txn_id", set("txn_id", long), CodeClaimsInvalid, "txn_id"},
		{"hop_id with a line break", set("hop_id", "a\nb"), CodeClaimsInvalid, "hop_id"},
		{"hop_id not ASCII", set("hop_id", "é"), CodeClaimsInvalid, "hop_id"},
		{"parent of another form", set("parent_hop_hash", "md5:x"), CodeClaimsInvalid, "parent_hop_hash"},
		{"parent empty", set("parent_hop_hash", ""), CodeClaimsInvalid, "parent_hop_hash"},
		{"salt of 31 bytes", set("call_salt", strings.Repeat("A", 42)), CodeClaimsInvalid, "call_salt"},
		{"salt with padding", set("call_salt", strings.Repeat("A", 43)+"="), CodeClaimsInvalid, "call_salt"},
		{"salt with unused bits", set("call_salt", strings.Repeat("A", 42)+"B"), CodeClaimsInvalid, "call_salt"},
		{"salt in base64", set("call_salt", strings.Repeat("/", 42)+"A"), CodeClaimsInvalid, "call_salt"},
		{"salt with a line break", set("call_salt", strings.Repeat("A", 42)+"\n"), CodeClaimsInvalid, "call_salt"},
		{"hash without prefix", set("call_hash", strings.Repeat("A", 43)), CodeClaimsInvalid, "call_hash"},
		{"hash in hexadecimal", set("call_hash", "sha256:"+strings.Repeat("0", 64)), CodeClaimsInvalid, "call_hash"},
		{"window too long", set("exp", start.Unix()+61), CodeClaimsInvalid, "exp"},
		{"no window", set("exp", start.Unix()), CodeClaimsInvalid, "exp"},
		{"other transaction", set("txn_id", "other"), CodeTxnMismatch, "txn_id"},
		{"other badge", set("badge_jti", "00000000-0000-4000-8000-000000000000"), CodeBadgeMismatch, "badge_jti"},
		{"other subject", set("iss", "did:web:agents.example:eve"), CodeBadgeMismatch, "iss"},
		{"subject in other case", set("iss", "did:web:agents.example:Ada"), CodeBadgeMismatch, "iss"},
		{"other server", set("srv", "did:web:mcp.example.com%3A8443:other"), CodeServerMismatch, "srv"},
		{"server in other case", set("srv", "did:web:mcp.example.com%3a8443:mcp"), CodeServerMismatch, "srv"},
		{"other audience", set("target_aud", "https://mcp.example.com"), CodeServerMismatch, "target_aud"},
		{"other htm", set("htm", "post"), CodeTargetMismatch, "htm"},
		{"other method", set("htu", TargetURI(server, "tools/list")), CodeTargetMismatch, "htu"},
		{"htu with a query", set("htu", TargetURI(server, "tools/call")+"?x=1"), CodeTargetMismatch, "htu"},
		{"other call_hash", set("call_hash", other), CodeParamsMismatch, "call_hash"},
		{"other call_salt", set("call_salt", strings.Repeat("A", 43)), CodeParamsMismatch, "call_hash"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newScene()
			claims := s.claims(t)
			test.change(claims)
			proof := s.signClaims(t, claims)
			s.refused(t, proof, test.code, test.claim)
		})
	}
}

// refused wants the proof refused for that reason, and nothing remembered of it.
func (s *scene) refused(t testing.TB, proof string, code Code, claim string) {
	t.Helper()
	got, err := s.verify(t, proof)
	if CodeOf(err) != code || got != nil {
		t.Fatalf("got %v, %v; want %s", got, err, code)
	}
	var rejected *RejectedError
	if !errors.As(err, &rejected) || rejected.Claim != claim {
		t.Errorf("blames another claim than %q: %v", claim, err)
	}
	if proof != "" && strings.Contains(err.Error(), proof) {
		t.Error("the error quotes the proof")
	}
	if code != CodeReplayed && s.replay.Len() != 0 {
		t.Error("a proof that was refused was remembered")
	}
}

func TestClaimsThatDoNotMatter(t *testing.T) {
	s := newScene()
	claims := s.claims(t)
	claims["body_hash"] = "sha256:ignored, as RFC-004 section 8.3 asks"
	claims["x_other"] = []any{1, "two"}
	if _, err := s.verify(t, s.signClaims(t, claims)); err != nil {
		t.Fatal(err)
	}
}

func TestReplay(t *testing.T) {
	s := newScene()
	proof := s.sign(t)
	if _, err := s.verify(t, proof); err != nil {
		t.Fatal(err)
	}
	s.refused(t, proof, CodeReplayed, "hop_id")

	// The same hop_id in another proof of the same key is a replay, too; of another key it is not.
	m, err := jws.Parse(proof)
	if err != nil {
		t.Fatal(err)
	}
	claims := s.claims(t)
	var first map[string]any
	if err := json.Unmarshal(m.Payload, &first); err != nil {
		t.Fatal(err)
	}
	claims["hop_id"] = first["hop_id"]
	s.refused(t, s.signClaims(t, claims), CodeReplayed, "hop_id")
	s.key = newKey("another agent")
	s.seen.Key = s.key.Public()
	if _, err := s.verify(t, s.signClaims(t, claims)); err != nil {
		t.Fatal(err)
	}
}

// Published behaviour: a badge is a bearer token, so that whoever saw one call can make others. Here, a server
// that saw the badge and a valid proof can neither send that call on, nor send it again, nor make one.
func TestKnownFault06ReplayOfASeenBadge(t *testing.T) {
	s := newScene()
	evil := did.MustParse("did:web:evil.example")
	s.stmt.Server = evil
	seenByEvil := s.sign(t)
	s.refused(t, seenByEvil, CodeServerMismatch, "srv")

	s = newScene()
	s.refused(t, "", CodeMissing, "")
	proof := s.sign(t)
	if _, err := s.verify(t, proof); err != nil {
		t.Fatal(err)
	}
	s.refused(t, proof, CodeReplayed, "hop_id")

	thief := newScene()
	thief.key = newKey("evil")
	newScene().refused(t, thief.sign(t), CodeSignatureInvalid, "")
}

type failingStore struct{ err error }

func (f failingStore) Use(context.Context, ReplayKey, time.Time) error { return f.err }

func TestReplayStoreAnswers(t *testing.T) {
	s := newScene()
	s.cfg.Replay = failingStore{ErrFull}
	_, err := s.verify(t, s.sign(t))
	if CodeOf(err) != CodeReplayStoreFull {
		t.Errorf("full store: %v", err)
	}
	s.cfg.Replay = failingStore{context.DeadlineExceeded}
	proof, err := s.verify(t, s.sign(t))
	if err == nil || proof != nil || CodeOf(err) != "" {
		t.Errorf("store out of reach: %v, %v: want an error without a verdict", proof, err)
	}
}

func TestVerifierNeedsAVerifiedBadge(t *testing.T) {
	for name, change := range map[string]func(*Presented){
		"call":    func(p *Presented) { p.Call = nil },
		"key":     func(p *Presented) { p.Key = nil },
		"badge":   func(p *Presented) { p.BadgeID = "" },
		"subject": func(p *Presented) { p.Subject = did.DID{} },
		"end":     func(p *Presented) { p.BadgeExpires = time.Time{} },
	} {
		s := newScene()
		good := s.sign(t)
		change(s.seen)
		if proof, err := s.verify(t, good); err == nil || proof != nil || CodeOf(err) != "" {
			t.Errorf("without %s: %v, %v: want an error that is no verdict", name, proof, err)
		}
	}
}

func TestConfigRefused(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"no server":       func(c *Config) { c.Server = did.DID{} },
		"no store":        func(c *Config) { c.Replay = nil },
		"wide window":     func(c *Config) { c.Window = MaxWindow + 1 },
		"negative window": func(c *Config) { c.Window = -1 },
		"wide skew":       func(c *Config) { c.Skew = maxSkew + 1 },
	} {
		s := newScene()
		change(s.cfg)
		if _, err := NewVerifier(s.cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := NewVerifier(nil); err == nil {
		t.Error("no configuration was accepted")
	}
}

func TestSignRefuses(t *testing.T) {
	for name, change := range map[string]func(*Statement){
		"no call":        func(s *Statement) { s.Call = nil },
		"no method":      func(s *Statement) { s.Call = &Call{} },
		"method":         func(s *Statement) { s.Call = &Call{Method: "\xff"} },
		"target":         func(s *Statement) { s.Call = &Call{Method: "m", Target: "\xff"} },
		"arguments":      func(s *Statement) { s.Call = &Call{Method: "m", Arguments: json.RawMessage("[1]")} },
		"responses":      func(s *Statement) { s.Call = &Call{Method: "m", InputResponses: json.RawMessage("1")} },
		"no subject":     func(s *Statement) { s.Subject = did.DID{} },
		"no server":      func(s *Statement) { s.Server = did.DID{} },
		"no badge":       func(s *Statement) { s.BadgeID = "" },
		"no transaction": func(s *Statement) { s.TxnID = "" },
		"transaction":    func(s *Statement) { s.TxnID = "a b" },
		"parent":         func(s *Statement) { s.ParentHopHash = "x" },
		"long":           func(s *Statement) { s.TTL = MaxWindow + time.Second },
		"short":          func(s *Statement) { s.TTL = time.Millisecond },
	} {
		s := newScene()
		change(s.stmt)
		if proof, err := Sign(s.key, s.stmt); err == nil {
			t.Errorf("%s: signed %s", name, proof)
		}
	}
	if _, err := Sign(nil, newScene().stmt); err == nil {
		t.Error("signed without a key")
	}
}
