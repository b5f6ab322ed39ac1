package serververify

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
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

const minVectors = 180

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
	client := &Config{Badges: badges, Resolver: trust, MinLevel: level, Skew: time.Duration(v.Client.Skew) * time.Second, Time: now}
	for _, b := range v.Client.Bindings {
		client.Bindings = append(client.Bindings, Binding(b))
	}
	client.CheckPublishedProof = v.Client.CheckPublished
	out, err := New(client)
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
	if v.Client.Launch != "" {
		var launch Launch
		secret, err := base64.RawURLEncoding.DecodeString(v.Client.Launch)
		must(t, err)
		copy(launch.secret[:], secret)
		ch.channels = append(ch.channels, channel{binding: BindingLaunch, digest: launch.digest()})
	}
	if v.Client.Pin != "" {
		ch.pin = did.MustParse(v.Client.Pin)
	}
	if v.Client.Endpoint == "" {
		return verifier.judge(t.Context(), ch, Disclosure{
			DID: v.Answer.Meta[mcpwire.MetaServerDID], Badge: v.Answer.Meta[mcpwire.MetaServerBadge], Proof: v.Answer.Meta[mcpwire.MetaServerProof],
			Published: v.Answer.Meta[mcpwire.MetaPublishedSignature],
		})
	}
	e, err := verifier.parseEndpoint(v.Client.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	ch.endpoint, ch.channels = &e, channelsOf(v.Client, e.origin.host)
	h := make(http.Header)
	for name, values := range v.Answer.Headers {
		h[http.CanonicalHeaderKey(name)] = values
	}
	return verifier.judgeAnswer(t.Context(), ch, &answer{status: v.Answer.Status, header: h, body: []byte(v.Answer.Body)})
}

// channelsOf is what a client over HTTP sees of its connection.
func channelsOf(c vectors.Client, socket string) []channel {
	if c.Process != nil {
		own := unixChannel{peer: UnixPeer{PID: c.Process.PID, UID: c.Process.UID}, path: socket}
		return []channel{{binding: BindingUnix, digest: own.digest()}}
	}
	exporter := channel{binding: BindingTLS, digest: c.Exporter}
	if c.Exporter == "" {
		exporter.err = errors.New("neither TLS 1.3 nor extended master secret")
	}
	return []channel{exporter, {binding: BindingSPKI, digest: c.CertificateSPKI}}
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
				got = vectors.Expect{Verdict: vectors.Rejected, State: string(refused.State), Code: string(refused.Code), DID: refused.DID.String(), BadgeValid: refused.BadgeValid, PublishedProof: string(refused.PublishedProof)}
			case errors.As(err, &open):
				got = vectors.Expect{Verdict: vectors.Undetermined, Code: string(open.Code)}
			case err != nil:
				t.Fatal(err)
			default:
				got.State, got.DID, got.Level, got.Binding = string(srv.State), srv.DID.String(), srv.Level.String(), string(srv.Binding)
				got.PublishedProof = string(srv.PublishedProof)
				if v.Expect.KeyID != "" {
					got.KeyID = srv.KeyID
				}
			}
			if got != v.Expect {
				t.Errorf("got  %+v\nwant %+v\n(%v)", got, v.Expect, err)
			}
			if (err == nil) != (v.Defect == "") {
				t.Errorf("defect %q, error %v", v.Defect, err)
			}
			if refused != nil {
				if other, ok := reasons[refused.Reason]; ok && !sameBranch[v.Name] && !elsewhere(v.Name) && !elsewhere(other) {
					t.Errorf("refused for the same reason as %s: %s", other, refused.Reason)
				}
				reasons[refused.Reason] = v.Name
			}
		})
	}
}

// elsewhere reports vectors of other transports, where most rules are those of
// TLS.
func elsewhere(name string) bool {
	transport, _, _ := strings.Cut(name, "-")
	return slices.Contains([]string{"stdio", "unix", "launch", "proxy", "published"}, transport)
}

// sameBranch are vectors that reach the branch of another one: a signature can
// only fail, and there is one rule for proofs that are missing.
var sameBranch = map[string]bool{
	"exporter-relayed": true, "proof-signature-tampered": true, "origin-missing": true, "rotation-badge-old": true, "rotation-badge-new": true,
}

// Each transport has a vector of each state and each code that there can be on
// it: the table of the algorithm, row by row.
func TestVectorsCoverEachTransport(t *testing.T) {
	have := make(map[string]map[string]bool)
	for _, v := range readVectors(t) {
		transport := transportOf(v.Client)
		if have[transport] == nil {
			have[transport] = make(map[string]bool)
		}
		have[transport][v.Expect.Verdict+" "+v.Expect.State+" "+v.Expect.Code] = true
	}
	common := []string{
		"accepted VERIFIED_PRINCIPAL ", "rejected UNVERIFIED_ORIGIN SERVER_IDENTITY_MISSING",
		"undetermined  SERVER_DID_RESOLUTION_FAILED", "undetermined  SERVER_KEY_FETCH_FAILED", "undetermined  REVOCATION_CHECK_FAILED",
	}
	for _, code := range []Code{
		CodeDIDMismatch, CodeBadgeMissing, CodeBadgeInvalid, CodeBadgeRevoked, CodeIssuerUntrusted, CodeTrustInsufficient, CodePoPFailed, CodePoPExpired, CodeDIDResolutionFailed,
	} {
		common = append(common, "rejected DECLARED_PRINCIPAL "+string(code))
	}
	for _, transport := range []string{"tls", "proxy", "unix", "stdio", "launch"} {
		for _, row := range common {
			if !have[transport][row] {
				t.Errorf("%s: no vector of %q", transport, row)
			}
		}
	}
	for _, code := range []Code{CodeDomainMismatch, CodePathMismatch, CodeIdentityMissing} {
		if !have["tls"]["rejected DECLARED_PRINCIPAL "+string(code)] {
			t.Errorf("tls: no vector of %s", code)
		}
	}
	if !have["tls"]["undetermined  "] {
		t.Error("no vector of a server that cannot be examined")
	}
}

func transportOf(c vectors.Client) string {
	switch {
	case c.Process != nil:
		return "unix"
	case c.Endpoint == "" && c.Launch != "":
		return "launch"
	case c.Endpoint == "":
		return "stdio"
	case c.CertificateSPKI != "":
		return "proxy"
	}
	return "tls"
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
	if checked < 140 {
		t.Errorf("only %d proofs could be compared", checked)
	}
}
