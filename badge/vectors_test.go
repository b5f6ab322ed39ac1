package badge_test

import (
	"context"
	"crypto"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/jwk"
	"github.com/touchmark-dev/touchmark/internal/jws"
	vectors "github.com/touchmark-dev/touchmark/internal/vectorgen/badge"
	"github.com/touchmark-dev/touchmark/internal/vectorgen/vectortest"
)

const minVectors = 120

func readVectors(t testing.TB) []*vectors.Vector {
	t.Helper()
	return vectortest.Read(t, "badge", minVectors, func(v *vectors.Vector) string { return v.Name })
}

// vectorDocuments resolves to the documents of a vector, reading them as if they had been fetched.
type vectorDocuments map[string]json.RawMessage

func (docs vectorDocuments) Resolve(_ context.Context, d did.DID) (*did.Document, error) {
	text, ok := docs[d.String()]
	if !ok {
		return nil, errors.New("out of reach")
	}
	return did.ParseDocument(text, d)
}

// vectorStatus answers as a vector says.
type vectorStatus struct{ s *vectors.Status }

func (v vectorStatus) Status(context.Context, badge.StatusQuery) (badge.Status, error) {
	if v.s.Unreachable {
		return badge.Status{}, errors.New("out of reach")
	}
	s := badge.Status{
		Authoritative: v.s.Authoritative, Revoked: v.s.Revoked,
		AgentDisabled: v.s.AgentDisabled, KeyWithdrawn: v.s.KeyWithdrawn,
	}
	if v.s.AsOf != 0 {
		s.AsOf = time.Unix(v.s.AsOf, 0)
	}
	return s, nil
}

// failedStatus is a source whose list was not usable.
type failedStatus struct{ err error }

func (f failedStatus) Status(context.Context, badge.StatusQuery) (badge.Status, error) {
	return badge.Status{}, f.err
}

func vectorKeys(t testing.TB, c *vectors.Config) badge.StaticKeys {
	t.Helper()
	source := badge.StaticKeys{}
	for issuer, text := range c.JWKS {
		set, err := jwk.ParseSet(text)
		if err != nil {
			t.Fatal(err)
		}
		keys := []badge.Key{}
		for _, k := range set {
			keys = append(keys, badge.Key{ID: k.KeyID, Public: k.Key})
		}
		source[issuer] = keys
	}
	return source
}

func parseDIDs(t testing.TB, texts []string) []did.DID {
	t.Helper()
	var all []did.DID
	for _, text := range texts {
		d, err := did.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, d)
	}
	return all
}

func vectorVerifier(t testing.TB, c *vectors.Config) *badge.Verifier {
	t.Helper()
	keys := vectorKeys(t, c)
	cfg := &badge.Config{
		Issuers: c.Issuers, SelfSigned: parseDIDs(t, c.SelfSigned), Keys: keys, AllowES256: c.AllowES256,
		Audience: c.Audience, Compat: c.Compat, CompatIssuers: parseDIDs(t, c.CompatIssuers),
		UnsafeNoStatus: c.UnsafeNoStatus, AllowLevel1WithoutStatus: c.AllowLevel1WithoutStatus,
		Time: func() time.Time { return time.Unix(c.Now, 0) },
	}
	if c.Documents != nil {
		cfg.Resolver = vectorDocuments(c.Documents)
	}
	switch {
	case c.Status == nil:
	case c.Status.List != "":
		list, err := badge.ParseRevocationList(c.Status.List, c.Issuers[0], keys[c.Issuers[0]])
		if err != nil {
			cfg.Status = failedStatus{err}
		} else {
			cfg.Status = list
		}
	default:
		cfg.Status = vectorStatus{c.Status}
	}
	v, err := badge.NewVerifier(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// outcome is what Verify said, in the terms of a vector.
func outcome(b *badge.Badge, err error) (vectors.Expect, error) {
	var rejected *badge.RejectedError
	var undetermined *badge.UndeterminedError
	switch {
	case errors.As(err, &rejected):
		return vectors.Expect{Verdict: vectors.Rejected, Code: string(rejected.Code), Claim: rejected.Claim}, nil
	case errors.As(err, &undetermined):
		return vectors.Expect{Verdict: vectors.Undetermined, Code: string(undetermined.Code)}, nil
	case err != nil:
		return vectors.Expect{}, fmt.Errorf("an error of type %T: %w", err, err)
	case b == nil:
		return vectors.Expect{}, errors.New("neither a badge nor an error")
	}
	e := vectors.Expect{
		Verdict: vectors.Accepted, BadgeID: b.ID(), Subject: b.Subject().String(),
		Level: b.Level().String(), Assurance: string(b.Assurance()), SPIFFEID: b.SPIFFEID(), Actor: b.Actor(),
	}
	if sum, ok := b.CertificateSHA256(); ok {
		e.Certificate = base64.RawURLEncoding.EncodeToString(sum[:])
	}
	return e, nil
}

func TestVectors(t *testing.T) {
	for _, vec := range readVectors(t) {
		t.Run(vec.Name, func(t *testing.T) {
			v := vectorVerifier(t, &vec.Config)
			for _, use := range []string{"first", "second"} { // the second may come from the cache
				b, verr := v.Verify(t.Context(), vec.Token)
				got, err := outcome(b, verr)
				if err != nil {
					t.Fatal(err)
				}
				if got != vec.Expect {
					t.Errorf("%s use: got %+v (%v), want %+v", use, got, verr, vec.Expect)
				}
				if verr != nil && b != nil {
					t.Error("there is a badge beside the error")
				}
			}
		})
	}
}

// sameBranch lists, by the reason for which they are kept, vectors that are refused at the same place as
// another one.
var sameBranch = map[string][]string{
	"text that a lenient splitter takes for three parts":         {"format-four-parts", "format-json-serialization", "format-two-parts"},
	"RFC 7515 gives it a meaning that another reader may follow": {"header-x5c", "header-x5u"},
	"case-insensitive readers take it for a known member":        {"header-alg-case"},
	"a name that is equal only after unescaping":                 {"payload-claim-twice-escaped"},
	"a duplicate where nobody reads it is still one":             {"payload-unknown-twice"},
	"a second spelling of a good value":                          {"jti-upper-case", "iat-exponent", "level-padded", "domain-upper-case", "key-x-newline"},
	"another wrong kind of value":                                {"iat-negative", "aud-null", "key-kty-number", "key-x25519", "key-symmetric"},
	"what a lenient comparison lets pass":                        {"aud-prefix", "aud-empty"},
	"the compat profile reads no more than it says":              {"compat-aud-string", "compat-ial-missing", "compat-ial-other", "compat-key-missing", "compat-typ-other", "compat-iss-unlisted", "compat-iss-neither"},
	"strict reading of what the compat profile reads":            {"iss-did-web"},
	"another list of trust":                                      {"issuer-none-listed", "self-signed-unlisted"},
	"a key that is at hand, and not the one":                     {"signed-by-subject", "signed-by-other-kid", "alg-of-other-key", "key-set-empty", "key-of-issuer-other"},
	"each part of a token is signed":                             {"signature-flipped", "signature-short", "payload-changed"},
	"another form that a lenient reader of SPIFFE IDs takes":     {"spiffe-id-no-path", "spiffe-id-empty-segment", "spiffe-id-dot-segment", "spiffe-id-upper-case", "spiffe-id-port", "spiffe-id-escape", "spiffe-id-query"},
	"another spelling of a hash":                                 {"cnf-certificate-unused-bits"},
	"a member that is good in its place alone":                   {"cnf-certificate-alone", "cnf-certificate-ial-0"},
	"each half of a P-256 key is read":                           {"key-p256-no-y"},
	"another source of the same news":                            {"list-agent-disabled", "list-revoked", "list-old"},
	"options do not weaken it":                                   {"revoked-level-1", "revoked-long-ago", "status-old-authoritative", "status-unreachable-level-1", "status-unreachable-level-2"},
}

var quoted = regexp.MustCompile(`"[^"]*"|\d+`)

// branchOf describes where a vector was refused: the error without what it quotes of the token.
func branchOf(err error) string {
	var rejected *badge.RejectedError
	if errors.As(err, &rejected) {
		return fmt.Sprint(rejected.Code, " ", rejected.Claim, " ", quoted.ReplaceAllString(rejected.Reason, "…"))
	}
	var undetermined *badge.UndeterminedError
	if errors.As(err, &undetermined) {
		return fmt.Sprint(undetermined.Code, " ", quoted.ReplaceAllString(undetermined.Reason, "…"))
	}
	return ""
}

// TestVectorsAreDistinct: no defect is described twice, and no two vectors are refused for the same reason
// unless it is said why.
func TestVectorsAreDistinct(t *testing.T) {
	var all []vectortest.Judged
	for _, vec := range readVectors(t) {
		_, err := vectorVerifier(t, &vec.Config).Verify(t.Context(), vec.Token)
		all = append(all, vectortest.Judged{
			Name: vec.Name, Defect: vec.Defect, Accepted: vec.Expect.Verdict == vectors.Accepted, Branch: branchOf(err),
		})
	}
	vectortest.CheckDistinct(t, all, sameBranch, minVectors)
}

// TestVectorSignatures: three opinions about the signature of every vector that our parser lets through, under
// every key around.
func TestVectorSignatures(t *testing.T) {
	opinions := 0
	for _, vec := range readVectors(t) {
		m, err := jws.ParseAllowMissingTyp(vec.Token)
		if err != nil {
			continue // no signature is ever looked at
		}
		t.Run(vec.Name, func(t *testing.T) {
			for _, key := range keysAround(t, vec, m) {
				opinions++
				vectortest.CheckOpinions(t, vec.Token, key, m.Verify(key) == nil)
			}
		})
	}
	if opinions < minVectors {
		t.Errorf("only %d signatures were compared", opinions)
	}
}

// keysAround returns the keys of the issuers of a vector and the one in its badge.
func keysAround(t *testing.T, vec *vectors.Vector, m *jws.Message) []crypto.PublicKey {
	var all []crypto.PublicKey
	for _, keys := range vectorKeys(t, &vec.Config) {
		for _, key := range keys {
			all = append(all, key.Public)
		}
	}
	if v, err := m.PayloadValue(); err == nil {
		for it := v.Members(); it.Next(); {
			if key, err := jwk.FromValue(it.Value); err == nil && it.Name == "key" {
				all = append(all, key.Key)
			}
		}
	}
	return all
}

// TestVectorsAreNotSecret: vectors are made with keys that everybody knows, and give none away regardless.
func TestVectorsAreNotSecret(t *testing.T) {
	for _, vec := range readVectors(t) {
		for _, part := range strings.Split(vec.Token, ".") {
			text, err := base64.RawURLEncoding.DecodeString(part)
			if err == nil && strings.Contains(string(text), `"d":`) && vec.Name != "key-private" {
				t.Errorf("%s has a private key", vec.Name)
			}
		}
	}
}
