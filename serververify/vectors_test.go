package serververify

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"
	jwxjws "github.com/lestrrat-go/jwx/v2/jws"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/jwk"
	"github.com/touchmark-dev/touchmark/internal/jws"
	"github.com/touchmark-dev/touchmark/internal/mcpwire"
	vectors "github.com/touchmark-dev/touchmark/internal/vectorgen/serverproof"
	"github.com/touchmark-dev/touchmark/internal/vectorgen/vectortest"
)

const minVectors = 60

func readVectors(t testing.TB) []*vectors.Vector {
	t.Helper()
	return vectortest.Read(t, "serverproof", minVectors, func(v *vectors.Vector) string { return v.Name })
}

// vectorTrust answers a client as a vector says.
type vectorTrust struct{ vectors.Trust }

var errOutOfReach = errors.New("out of reach")

func (v vectorTrust) Resolve(ctx context.Context, d did.DID) (*did.Document, error) {
	if d.Method() == did.MethodKey {
		return did.StaticResolver{}.Resolve(ctx, d)
	}
	text, ok := v.Documents[d.String()]
	if !ok {
		return nil, errOutOfReach
	}
	return did.ParseDocument(text, d)
}

func (v vectorTrust) IssuerKeys(_ context.Context, issuer string) ([]badge.Key, error) {
	text, ok := v.JWKS[issuer]
	if !ok {
		return nil, errOutOfReach
	}
	set, err := jwk.ParseSet(text)
	var keys []badge.Key
	for _, k := range set {
		keys = append(keys, badge.Key{ID: k.KeyID, Public: k.Key})
	}
	return keys, err
}

func (v vectorTrust) Status(_ context.Context, q badge.StatusQuery) (badge.Status, error) {
	if v.StatusUnreachable {
		return badge.Status{}, errOutOfReach
	}
	return badge.Status{
		Authoritative: true,
		Revoked:       slices.Contains(v.Revoked, q.BadgeID),
		AgentDisabled: slices.Contains(v.Disabled, q.Subject.String()),
	}, nil
}

func vectorVerifier(t testing.TB, v *vectors.Vector) *Verifier {
	t.Helper()
	now := func() time.Time { return time.Unix(v.Client.Now, 0) }
	trust := vectorTrust{v.Trust}
	cfg := &badge.Config{Issuers: v.Trust.Issuers, Keys: trust, Status: trust, Time: now}
	for _, s := range v.Trust.SelfSigned {
		cfg.SelfSigned = append(cfg.SelfSigned, did.MustParse(s))
	}
	badges, err := badge.NewVerifier(cfg)
	if err != nil {
		t.Fatal(err)
	}
	level, err := badge.ParseLevel(v.Client.MinLevel)
	if err != nil {
		t.Fatal(err)
	}
	out, err := New(&Config{Badges: badges, Resolver: trust, MinLevel: level, Skew: time.Duration(v.Client.Skew) * time.Second, Time: now})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// judgeVector is what a client makes of a vector.
func judgeVector(t testing.TB, v *vectors.Vector) (*Server, error) {
	t.Helper()
	verifier := vectorVerifier(t, v)
	ch := &challenge{nonce: v.Client.Nonce, channels: []channel{{binding: BindingStdio}}}
	if v.Client.Pin != "" {
		ch.pin = did.MustParse(v.Client.Pin)
	}
	if v.Client.Endpoint == "" {
		return verifier.judge(t.Context(), ch, Disclosure{
			DID: v.Answer.Meta[mcpwire.MetaServerDID], Badge: v.Answer.Meta[mcpwire.MetaServerBadge], Proof: v.Answer.Meta[mcpwire.MetaServerProof],
		})
	}
	e, err := verifier.parseEndpoint(v.Client.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	ch.endpoint, ch.channels = &e, []channel{{binding: BindingTLS, digest: v.Client.Exporter}}
	if v.Client.Exporter == "" {
		ch.channels[0].err = errors.New("neither TLS 1.3 nor extended master secret")
	}
	h := make(http.Header)
	for name, values := range v.Answer.Headers {
		h[http.CanonicalHeaderKey(name)] = values
	}
	return verifier.judgeAnswer(t.Context(), ch, &answer{status: v.Answer.Status, header: h, body: []byte(v.Answer.Body)})
}

func TestVectors(t *testing.T) {
	reasons := make(map[string]string)
	for _, v := range readVectors(t) {
		t.Run(v.Name, func(t *testing.T) {
			srv, err := judgeVector(t, v)
			got := vectors.Expect{Verdict: vectors.Accepted}
			var refused *UntrustedError
			var open *UndeterminedError
			switch {
			case errors.As(err, &refused):
				got = vectors.Expect{Verdict: vectors.Rejected, State: string(refused.State), Code: string(refused.Code), DID: refused.DID.String(), BadgeValid: refused.BadgeValid}
			case errors.As(err, &open):
				got = vectors.Expect{Verdict: vectors.Undetermined, Code: string(open.Code)}
			case err != nil:
				t.Fatal(err)
			default:
				got.State, got.DID, got.Level, got.Binding = string(srv.State), srv.DID.String(), srv.Level.String(), string(srv.Binding)
			}
			if got != v.Expect {
				t.Errorf("got  %+v\nwant %+v\n(%v)", got, v.Expect, err)
			}
			if (err == nil) != (v.Defect == "") {
				t.Errorf("defect %q, error %v", v.Defect, err)
			}
			if refused != nil {
				if other, ok := reasons[refused.Reason]; ok && !sameBranch[v.Name] {
					t.Errorf("refused for the same reason as %s: %s", other, refused.Reason)
				}
				reasons[refused.Reason] = v.Name
			}
		})
	}
}

// sameBranch are vectors that reach the branch of another one: a signature can
// only fail, and over stdio most rules are those of TLS.
var sameBranch = map[string]bool{
	"exporter-relayed": true, "proof-signature-tampered": true, "origin-missing": true,
	"stdio-did-missing": true, "stdio-nonce-other": true, "stdio-proof-missing": true,
}

// go-jose, which the verifier uses, and jwx agree on every proof.
func TestVectorsSecondOpinion(t *testing.T) {
	checked := 0
	for _, v := range readVectors(t) {
		token := v.Answer.Meta[mcpwire.MetaServerProof]
		if values := v.Answer.Headers["Touchmark-Server-Proof"]; len(values) > 0 {
			token = values[0]
		}
		badgeToken := v.Answer.Meta[mcpwire.MetaServerBadge]
		if values := v.Answer.Headers["Capiscio-Server-Badge"]; len(values) > 0 {
			badgeToken = values[0]
		}
		m, err := jws.Parse(token)
		if err != nil || badgeToken == "" {
			continue
		}
		own, err := badge.Inspect(badgeToken)
		if err != nil {
			t.Fatal(err)
		}
		var claims struct {
			Key json.RawMessage `json:"key"`
		}
		if err := json.Unmarshal(own.Payload, &claims); err != nil {
			t.Fatal(err)
		}
		key, err := jwk.ParsePublic(claims.Key)
		if err != nil {
			t.Fatal(err)
		}
		_, second := jwxjws.Verify([]byte(token), jwxjws.WithKey(jwa.EdDSA, key.Key))
		if first := m.Verify(key.Key); (first == nil) != (second == nil) {
			t.Errorf("%s: go-jose says %v, jwx %v", v.Name, first, second)
		}
		checked++
	}
	if checked < minVectors-20 {
		t.Errorf("only %d proofs could be compared", checked)
	}
}
