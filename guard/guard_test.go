package guard_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/badgetest"
	"github.com/touchmark-dev/touchmark/badge/pop"
	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/guardtest"
)

// policyFunc is a policy of one function.
type policyFunc func(in *guard.Input) (guard.Decision, error)

func (f policyFunc) Decide(_ context.Context, in *guard.Input) (guard.Decision, error) { return f(in) }

func always(d guard.Decision) guard.Policy {
	return policyFunc(func(*guard.Input) (guard.Decision, error) { return d, nil })
}

func withPolicy(p guard.Policy) func(*guard.Config) {
	return func(c *guard.Config) { c.Policy = p }
}

// levels is the policy of the tour: a tool called needN needs level N.
var levels = policyFunc(func(in *guard.Input) (guard.Decision, error) {
	text, ok := strings.CutPrefix(in.Capability.Name, "need")
	if !ok {
		return guard.Decision{NoRule: true}, nil
	}
	level, err := badge.ParseLevel(text)
	return guard.Decision{Kind: guard.Allow, Rule: "need", MinLevel: level, Version: "v1"}, err
})

func refusal(t *testing.T, err error) guard.Refusal {
	t.Helper()
	if err == nil {
		t.Fatal("allowed")
	}
	r := guard.RefusalOf(err)
	var denied *guard.DeniedError
	if errors.As(err, &denied) == r.Undetermined() {
		t.Errorf("error of type %T with code %s", err, r.Code)
	}
	return r
}

func last[T any](t *testing.T, all []T) T {
	t.Helper()
	if len(all) == 0 {
		t.Fatal("nothing was recorded")
	}
	return all[len(all)-1]
}

func TestCheckLevels(t *testing.T) {
	w := guardtest.New(t)
	g := w.Guard(withPolicy(levels))
	for have := badge.LevelSelfSigned; have <= badge.LevelExtended; have++ {
		for need := badge.LevelSelfSigned; need <= badge.LevelExtended; need++ {
			grant, err := g.Check(t.Context(), w.Agent(have).Call("need"+need.String(), `{"x":1}`))
			d := last(t, w.Recorder.Decisions())
			if d.Caller.Level != have.String() || d.MinLevel != need.String() || d.Caller.DID != w.Agent(have).DID {
				t.Errorf("recorded %+v", d)
			}
			if have < need {
				r := refusal(t, err)
				if r.Code != guard.CodeTrustInsufficient || !r.Hidden || d.Kind != evidence.Deny || r.EvidenceID == "" {
					t.Errorf("level %v, need %v: %+v, recorded %+v", have, need, r, d)
				}
				continue
			}
			if err != nil {
				t.Errorf("level %v, need %v: %v", have, need, err)
				continue
			}
			if d.Kind != evidence.Allow || d.Rule != "need" || d.PolicyVersion != "v1" || d.HopID == "" {
				t.Errorf("recorded %+v", d)
			}
			if !grant.Caller().Proven() || grant.Caller().Level() != have {
				t.Errorf("granted to %+v", grant.Caller())
			}
			if err := grant.Finish(t.Context(), guard.Outcome{Result: []byte("{}")}); err != nil {
				t.Error(err)
			}
		}
	}
	if n := w.Recorder.Open(); n != 0 {
		t.Errorf("%d decisions without an outcome", n)
	}
}

func TestAnnotation(t *testing.T) {
	w := guardtest.New(t)
	domain := guard.Decision{Kind: guard.Allow, MinLevel: badge.LevelDomain}
	for _, c := range []struct {
		name   string
		policy guard.Policy
		need   badge.Level
		isRule bool
		want   badge.Level // LevelNone: refused for all
	}{
		{"no policy, no annotation", nil, badge.LevelNone, true, badge.LevelNone},
		{"no policy, own annotation", nil, badge.LevelDomain, true, badge.LevelDomain},
		{"no policy, upstream's annotation", nil, badge.LevelSelfSigned, false, badge.LevelNone},
		{"no rule, own annotation", always(guard.Decision{NoRule: true}), badge.LevelDomain, true, badge.LevelDomain},
		{"no rule, upstream's annotation", always(guard.Decision{NoRule: true}), badge.LevelDomain, false, badge.LevelNone},
		{"annotation raises", always(domain), badge.LevelExtended, false, badge.LevelExtended},
		{"annotation does not lower", always(domain), badge.LevelSelfSigned, true, badge.LevelDomain},
		{"annotation does not overrule", always(guard.Decision{}), badge.LevelSelfSigned, true, badge.LevelNone},
		{"unreadable annotation", always(domain), guard.LevelUnsatisfiable, true, badge.LevelNone},
		{"unreadable annotation, no rule", nil, guard.LevelUnsatisfiable, true, badge.LevelNone},
		{"annotation closes to anonymous", always(guard.Decision{Kind: guard.Allow, Anonymous: true}), badge.LevelDomain, false, badge.LevelDomain},
		{"minimum of no level", always(guard.Decision{Kind: guard.Allow}), badge.LevelNone, true, badge.LevelNone},
		{"minimum of another kind of level", always(guard.Decision{Kind: guard.Allow, MinLevel: 17}), badge.LevelNone, true, badge.LevelNone},
		{"minimum of another kind of level, annotated", always(guard.Decision{Kind: guard.Allow, MinLevel: 17}), badge.LevelSelfSigned, true, badge.LevelNone},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := w.Guard(withPolicy(c.policy))
			for have := badge.LevelSelfSigned; have <= badge.LevelExtended; have++ {
				r := w.Agent(have).Call("x", "{}")
				r.Require, r.RequireIsRule = c.need, c.isRule
				_, err := g.Check(t.Context(), r)
				want := c.want != badge.LevelNone && have >= c.want
				if (err == nil) != want {
					t.Errorf("level %v: %v", have, err)
				}
			}
		})
	}
}

func TestAnonymous(t *testing.T) {
	w := guardtest.New(t)
	open := guard.Decision{Kind: guard.Allow, Anonymous: true}
	for _, c := range []struct {
		name    string
		policy  guard.Policy
		need    badge.Level
		missing bool
		code    guard.Code
		cause   string
	}{
		{"no rule", nil, badge.LevelNone, false, guard.CodeAuthMissing, guard.CauseNoRule},
		{"annotation level 0", nil, badge.LevelSelfSigned, false, guard.CodeAuthMissing, guard.CauseLevelTooLow},
		{"rule for level 0", always(guard.Decision{Kind: guard.Allow, MinLevel: badge.LevelSelfSigned}), 0, false, guard.CodeAuthMissing, guard.CauseLevelTooLow},
		{"rule that denies", always(guard.Decision{}), badge.LevelNone, false, guard.CodeAuthMissing, guard.CauseRuleDenies},
		{"open and a minimum", always(guard.Decision{Kind: guard.Allow, Anonymous: true, MinLevel: badge.LevelSelfSigned}), 0, false, guard.CodeAuthMissing, guard.CauseLevelTooLow},
		{"open, annotation raises", always(open), badge.LevelSelfSigned, false, guard.CodeAuthMissing, guard.CauseLevelTooLow},
		{"no such thing", nil, badge.LevelNone, true, guard.CodeAuthMissing, guard.CauseNoRule},
		{"open, no such thing", always(open), badge.LevelNone, true, guard.CodeNotFound, guard.CauseCapabilityUnknown},
		{"open", always(open), badge.LevelNone, false, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := w.Guard(withPolicy(c.policy))
			r := guardtest.Call("x", "{}")
			r.Require, r.RequireIsRule, r.Missing = c.need, true, c.missing
			_, err := g.Check(t.Context(), r)
			d := last(t, w.Recorder.Decisions())
			if d.Caller != (evidence.Caller{Auth: evidence.AuthAnonymous}) {
				t.Errorf("recorded caller %+v", d.Caller)
			}
			if d.DenyReason != string(c.code) || d.DenyCause != c.cause {
				t.Errorf("recorded %q, %q", d.DenyReason, d.DenyCause)
			}
			if c.code == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if got := refusal(t, err); got.Code != c.code || got.Hidden != (c.code == guard.CodeNotFound) {
				t.Errorf("got %+v", got)
			}
		})
	}
}

// TestOpenToAll shows that what is open to callers without a badge is open to those with any badge, and that a
// bad badge is not the same as none.
func TestOpenToAll(t *testing.T) {
	w := guardtest.New(t)
	g := w.Guard(withPolicy(always(guard.Decision{Kind: guard.Allow, Anonymous: true})))
	if _, err := g.Check(t.Context(), w.Agent(badge.LevelSelfSigned).Call("x", "{}")); err != nil {
		t.Error(err)
	}
	r := w.Agent(badge.LevelDomain).Call("x", "{}")
	r.Badge = r.Badge[:len(r.Badge)-8] + "AAAAAAAA"
	_, err := g.Check(t.Context(), r)
	if got := refusal(t, err); got.Code != guard.CodeBadgeInvalid || got.Cause != string(badge.CodeSignatureInvalid) || got.Hidden {
		t.Errorf("got %+v", got)
	}
	if d := last(t, w.Recorder.Decisions()); d.Caller.Auth != evidence.AuthAnonymous {
		t.Errorf("recorded caller %+v", d.Caller)
	}
	if d := last(t, w.Recorder.Drafts()); d.Badge != r.Badge {
		t.Error("the badge as presented is not in the draft")
	}
}

func TestBadgeCodes(t *testing.T) {
	w := guardtest.New(t)
	g := w.Guard(withPolicy(levels))
	stranger := badgetest.New(t)
	stranger.Key.Issuer = "https://elsewhere.example"
	other := badgetest.NewWebAgent(t, "did:web:agents.example:other")
	revoked := w.NewAgent("did:web:agents.example:revoked", badge.LevelDomain)
	w.CA.Revoke(revoked.BadgeID)
	disabled := w.NewAgent("did:web:agents.example:disabled", badge.LevelDomain)
	w.CA.Disable(disabled.DID)
	call := func(token string) *guard.Request {
		r := guardtest.Call("need2", "{}")
		r.Badge = token
		return r
	}
	for _, c := range []struct {
		name  string
		r     *guard.Request
		code  guard.Code
		cause string
	}{
		{"not a badge", call("sk-live-0123456789"), guard.CodeBadgeInvalid, "BADGE_MALFORMED"},
		{"expired", call(w.CA.Issue(other, badge.LevelDomain, func(t *badge.Template) {
			t.IssuedAt = time.Now().Add(-time.Hour)
		})), guard.CodeBadgeInvalid, "BADGE_EXPIRED"},
		{"for another audience", call(w.CA.Issue(other, badge.LevelDomain, func(t *badge.Template) {
			t.Audience = []string{"https://elsewhere.example"}
		})), guard.CodeBadgeInvalid, "BADGE_AUDIENCE_MISMATCH"},
		{"of another issuer", call(stranger.Issue(other, badge.LevelDomain)), guard.CodeIssuerUntrusted, "BADGE_ISSUER_UNTRUSTED"},
		{"revoked", revoked.Call("need2", "{}"), guard.CodeBadgeRevoked, "BADGE_REVOKED"},
		{"disabled", disabled.Call("need2", "{}"), guard.CodeBadgeRevoked, "BADGE_AGENT_DISABLED"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := g.Check(t.Context(), c.r)
			got := refusal(t, err)
			if got.Code != c.code || got.Cause != c.cause || got.Hidden || got.EvidenceID == "" {
				t.Errorf("got %+v", got)
			}
			d := last(t, w.Recorder.Decisions())
			if d.DenyReason != string(c.code) || d.DenyCause != c.cause || d.Caller.Auth != evidence.AuthAnonymous {
				t.Errorf("recorded %+v", d)
			}
		})
	}
}

// TestKnownFault09StatusOutage: published code reports an unreachable status service as a revoked badge.
func TestKnownFault09StatusOutage(t *testing.T) {
	w := guardtest.New(t)
	g := w.Guard(withPolicy(levels))
	w.CA.SetStatus(badgetest.Status{Err: errors.New("connection refused")})
	_, err := g.Check(t.Context(), w.Agent(badge.LevelDomain).Call("need2", "{}"))
	got := refusal(t, err)
	if got.Code != guard.CodeIdentityUndetermined || got.Cause != "REVOCATION_CHECK_FAILED" {
		t.Errorf("got %+v", got)
	}
	if d := last(t, w.Recorder.Decisions()); d.Kind != evidence.Deny || d.DenyReason != string(got.Code) {
		t.Errorf("recorded %+v", d)
	}
}

func TestCallProof(t *testing.T) {
	w := guardtest.New(t)
	g := w.Guard(withPolicy(levels))
	agent, thief := w.Agent(badge.LevelDomain), badgetest.NewAgent(t)
	call := func() *guard.Request { return agent.Call("need2", `{"amount":10}`) }
	edit := func(change func(r *guard.Request)) *guard.Request {
		r := call()
		change(r)
		return r
	}
	used := call()
	if _, err := g.Check(t.Context(), used); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		r    *guard.Request
		code pop.Code
	}{
		{"missing", edit(func(r *guard.Request) { r.Proof, r.TxnID = "", "" }), pop.CodeMissing},
		{"used before", used, pop.CodeReplayed},
		{"malformed", edit(func(r *guard.Request) { r.Proof = "a.b.c" }), pop.CodeMalformed},
		{"other arguments", edit(func(r *guard.Request) { r.Arguments = json.RawMessage(`{"amount":1000}`) }), pop.CodeParamsMismatch},
		{"arguments given twice", edit(func(r *guard.Request) { r.Arguments = json.RawMessage(`{"amount":10,"amount":10}`) }), pop.CodeParamsMismatch},
		{"other input responses", edit(func(r *guard.Request) { r.InputResponses = json.RawMessage(`{"a":{"action":"accept"}}`) }), pop.CodeParamsMismatch},
		{"other tool", edit(func(r *guard.Request) { r.Capability.Name = "need1" }), pop.CodeParamsMismatch},
		{"other method", edit(func(r *guard.Request) { r.Method = "prompts/get" }), pop.CodeTargetMismatch},
		{"other transaction", edit(func(r *guard.Request) { r.TxnID = pop.NewTxnID() }), pop.CodeTxnMismatch},
		{"stolen badge, other key", edit(func(r *guard.Request) {
			a := *agent
			a.Agent = &badgetest.Agent{DID: agent.DID, Key: thief.Key}
			r.Proof, r.TxnID = a.Prove(&pop.Call{Method: r.Method, Target: "need2", Arguments: r.Arguments})
		}), pop.CodeSignatureInvalid},
		{"proof of another agent", edit(func(r *guard.Request) { r.Badge = w.Agent(badge.LevelExtended).Badge }), pop.CodeBadgeMismatch},
		{"proof for another server", edit(func(r *guard.Request) {
			r.Proof, r.TxnID = agent.ProveAs(&pop.Statement{Call: &pop.Call{Method: r.Method, Target: "need2", Arguments: r.Arguments}, Server: thief.DID})
		}), pop.CodeServerMismatch},
		{"proof without badge", edit(func(r *guard.Request) { r.Badge = "" }), pop.CodeBadgeMismatch},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := g.Check(t.Context(), c.r)
			got := refusal(t, err)
			if got.Code != guard.Code(c.code) || got.Hidden {
				t.Errorf("got %+v", got)
			}
			if d := last(t, w.Recorder.Decisions()); d.DenyReason != string(c.code) || d.HopID != "" || d.BearerUnsafe {
				t.Errorf("recorded %+v", d)
			}
		})
	}
}

func TestAllowBearerUnsafe(t *testing.T) {
	w := guardtest.New(t)
	g := w.Guard(withPolicy(levels), func(c *guard.Config) { c.AllowBearerUnsafe = true })
	r := w.Agent(badge.LevelDomain).Call("need2", "{}")
	bare := *r
	bare.Proof, bare.TxnID = "", ""
	grant, err := g.Check(t.Context(), &bare)
	if err != nil {
		t.Fatal(err)
	}
	if grant.Caller().Proven() {
		t.Error("a bearer counts as proven")
	}
	wrong := *r
	wrong.Arguments = json.RawMessage(`{"x":1}`)
	_, err = g.Check(t.Context(), &wrong)
	if got := refusal(t, err); got.Code != guard.Code(pop.CodeParamsMismatch) {
		t.Errorf("a proof that does not hold: %+v", got)
	}
	if _, err := g.Check(t.Context(), guardtest.Call("need0", "{}")); err == nil {
		t.Error("anonymous let in")
	}
	for _, d := range w.Recorder.Decisions() {
		if !d.BearerUnsafe {
			t.Errorf("record without the stamp: %+v", d)
		}
	}
}

func TestBadgesNotAccepted(t *testing.T) {
	w := guardtest.New(t)
	g := w.Guard(withPolicy(guard.UnsafeAllowAll{}), func(c *guard.Config) { c.Badges, c.Proofs = nil, nil })
	_, err := g.Check(t.Context(), w.Agent(badge.LevelExtended).Call("x", "{}"))
	if got := refusal(t, err); got.Code != guard.CodeIssuerUntrusted {
		t.Errorf("got %+v", got)
	}
	if _, err := g.Check(t.Context(), guardtest.Call("x", "{}")); err != nil {
		t.Error(err)
	}
}

func TestAnswers(t *testing.T) {
	w := guardtest.New(t)
	for _, c := range []struct {
		name   string
		policy guard.Policy
		code   guard.Code
		cause  string
		kind   evidence.DecisionKind
		hidden bool
	}{
		{"zero", always(guard.Decision{}), guard.CodePolicyDenied, guard.CauseRuleDenies, evidence.Deny, true},
		{"unknown answer", always(guard.Decision{Kind: 77, MinLevel: badge.LevelSelfSigned}), guard.CodePolicyDenied, guard.CauseRuleDenies, evidence.Deny, true},
		{"no rule", always(guard.Decision{NoRule: true, Kind: guard.Allow, MinLevel: badge.LevelSelfSigned}), guard.CodePolicyDenied, guard.CauseNoRule, evidence.Deny, true},
		{"approval", always(guard.Decision{Kind: guard.RequireApproval, MinLevel: badge.LevelDomain}), guard.CodeApprovalRequired, "", evidence.RequireApproval, false},
		{"approval above the caller", always(guard.Decision{Kind: guard.RequireApproval, MinLevel: badge.LevelExtended}), guard.CodeTrustInsufficient, guard.CauseLevelTooLow, evidence.Deny, true},
		{"constraints", always(guard.Decision{Kind: guard.AllowWithConstraints, MinLevel: badge.LevelSelfSigned}), guard.CodePolicyDenied, guard.CauseConstraintsUnsupported, evidence.Deny, true},
		{"error", policyFunc(func(*guard.Input) (guard.Decision, error) {
			return guard.Decision{Kind: guard.Allow, Anonymous: true}, errors.New("down")
		}), guard.CodePolicyIndeterminate, guard.CausePolicyError, evidence.Deny, false},
		{"panic", policyFunc(func(*guard.Input) (guard.Decision, error) { panic("policy") }), guard.CodePolicyIndeterminate, guard.CausePanic, evidence.Deny, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := w.Guard(withPolicy(c.policy))
			_, err := g.Check(t.Context(), w.Agent(badge.LevelDomain).Call("x", "{}"))
			got := refusal(t, err)
			if got.Code != c.code || got.Cause != c.cause || got.Hidden != c.hidden {
				t.Errorf("got %+v", got)
			}
			d := last(t, w.Recorder.Decisions())
			if d.Kind != c.kind || d.DenyReason != string(c.code) || d.PolicyVersion != "none" {
				t.Errorf("recorded %+v", d)
			}
		})
	}
}

type recorderFunc func(context.Context, *evidence.Draft) (*evidence.Ack, error)

func (f recorderFunc) Record(ctx context.Context, d *evidence.Draft) (*evidence.Ack, error) {
	return f(ctx, d)
}

func TestNewRefuses(t *testing.T) {
	w := guardtest.New(t)
	for name, edit := range map[string]func(*guard.Config){
		"no evidence":        func(c *guard.Config) { c.Evidence = nil },
		"nothing to allow":   func(c *guard.Config) { c.Badges, c.Proofs = nil, nil },
		"no proofs":          func(c *guard.Config) { c.Proofs = nil },
		"no proofs, bearers": func(c *guard.Config) { c.Proofs, c.AllowBearerUnsafe = nil, true },
		"no server":          func(c *guard.Config) { c.Server = guard.Config{}.Server },
		"bearers of nothing": func(c *guard.Config) {
			c.Badges, c.Proofs, c.Policy, c.AllowBearerUnsafe = nil, nil, guard.UnsafeAllowAll{}, true
		},
	} {
		cfg := &guard.Config{Server: w.Server, Badges: w.Badges, Proofs: w.Proofs, Evidence: w.Recorder}
		edit(cfg)
		if _, err := guard.New(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := guard.New(nil); err == nil {
		t.Error("nil Config accepted")
	}
}

type versioned struct {
	guard.Policy
	version func() string
}

func (v versioned) Version() string { return v.version() }

func TestPolicyVersion(t *testing.T) {
	w := guardtest.New(t)
	for want, p := range map[string]guard.Policy{
		"own":    versioned{always(guard.Decision{Version: "own"}), func() string { return "digest" }},
		"digest": versioned{always(guard.Decision{}), func() string { return "digest" }},
		"none":   versioned{always(guard.Decision{}), func() string { panic("version") }},
	} {
		_, _ = w.Guard(withPolicy(p)).Check(t.Context(), guardtest.Call("x", "{}"))
		if d := last(t, w.Recorder.Decisions()); d.PolicyVersion != want {
			t.Errorf("recorded version %q, want %q", d.PolicyVersion, want)
		}
	}
	// Also where the caller was refused before the policy was asked.
	r := guardtest.Call("x", "{}")
	r.Badge = "x"
	_, _ = w.Guard(withPolicy(guard.UnsafeAllowAll{})).Check(t.Context(), r)
	if d := last(t, w.Recorder.Decisions()); d.PolicyVersion != "unsafe_allow_all" {
		t.Errorf("recorded version %q", d.PolicyVersion)
	}
}

// TestReasonsAreSafe: what a caller is told depends on the code alone.
func TestReasonsAreSafe(t *testing.T) {
	seen := map[string]guard.Code{}
	for _, code := range []guard.Code{
		guard.CodeAuthMissing, guard.CodeBadgeInvalid, guard.CodeBadgeRevoked, guard.CodeIssuerUntrusted,
		guard.CodeTrustInsufficient, guard.CodePolicyDenied, guard.CodeNotFound, guard.CodeApprovalRequired,
		guard.CodeRequestMalformed, guard.CodeRequestRejected, guard.CodeMethodDenied,
		guard.CodeIdentityUndetermined, guard.CodePolicyIndeterminate, guard.CodeEvidenceUnavailable, guard.CodeGuardFailed,
		guard.Code(pop.CodeReplayed),
	} {
		r := guard.Refusal{Code: code}
		if r.Reason() == "" || seen[r.Reason()] != "" {
			t.Errorf("%s: reason %q, that of %q", code, r.Reason(), seen[r.Reason()])
		}
		seen[r.Reason()] = code
	}
	if got := guard.RefusalOf(errors.New("password is hunter2")); got != (guard.Refusal{Code: guard.CodeGuardFailed}) {
		t.Errorf("got %+v", got)
	}
}
