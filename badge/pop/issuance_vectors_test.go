package pop_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/badge/pop"
	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/jwk"
	"github.com/touchmark-dev/touchmark/internal/jws"
	vectors "github.com/touchmark-dev/touchmark/internal/vectorgen/issuance"
	"github.com/touchmark-dev/touchmark/internal/vectorgen/vectortest"
)

const minIssuanceVectors = 60

func readIssuance(t testing.TB) []*vectors.Vector {
	t.Helper()
	return vectortest.Read(t, "issuance", minIssuanceVectors, func(v *vectors.Vector) string { return v.Name })
}

// vectorResolver answers with the document of a vector, and counts how often it was asked.
type vectorResolver struct {
	vec   *vectors.Vector
	asked int
}

func (r *vectorResolver) Resolve(ctx context.Context, d did.DID) (*did.Document, error) {
	r.asked++
	switch {
	case r.vec.Unreachable:
		return nil, &did.ResolveError{DID: d, Reason: "nobody answers"}
	case r.vec.Document != nil:
		return did.ParseDocument([]byte(*r.vec.Document), d)
	}
	return did.StaticResolver{}.Resolve(ctx, d)
}

// judgeIssuance gives a vector to a verifier.
func judgeIssuance(t testing.TB, vec *vectors.Vector, resolver did.Resolver) (*pop.IssuanceProof, error) {
	t.Helper()
	v, err := pop.NewIssuanceVerifier(&pop.IssuanceConfig{
		Resolver: resolver, Skew: time.Duration(vec.Config.Skew) * time.Second,
		Time: func() time.Time { return time.Unix(vec.Config.Now, 0) },
	})
	if err != nil {
		t.Fatal(err)
	}
	c := vec.Challenge
	return v.Verify(t.Context(), vec.Proof, &pop.Challenge{
		ID: c.ID, Nonce: c.Nonce, Subject: did.MustParse(c.Subject), Audience: c.Audience, HTTPMethod: c.Method,
		HTTPURI: c.URI, CreatedAt: time.Unix(c.CreatedAt, 0), ExpiresAt: time.Unix(c.ExpiresAt, 0),
	}, did.MustParse(vec.Route))
}

// issuanceOutcome is what Verify said, in the terms of a vector.
func issuanceOutcome(t testing.TB, proof *pop.IssuanceProof, err error) vectors.Expect {
	t.Helper()
	refused, ok := errors.AsType[*pop.IssuanceError](err)
	switch {
	case ok:
		verdict := vectors.Rejected
		if refused.Undetermined {
			verdict = vectors.Undetermined
		}
		return vectors.Expect{Verdict: verdict, Code: string(refused.Code), Step: refused.Step}
	case err != nil:
		t.Fatalf("an error of type %T: %v", err, err)
	}
	key, err := jwk.Marshal(proof.Key, "")
	if err != nil {
		t.Fatal(err)
	}
	return vectors.Expect{Verdict: vectors.Accepted, ID: proof.ID, KeyID: proof.KeyID, Key: key}
}

// TestIssuanceVectors: each ends at its step, each step that is not the caller's is reached, and the document is asked
// for by nothing that fails before.
func TestIssuanceVectors(t *testing.T) {
	steps := map[int]int{}
	for _, vec := range readIssuance(t) {
		steps[vec.Expect.Step]++
		t.Run(vec.Name, func(t *testing.T) {
			resolver := &vectorResolver{vec: vec}
			proof, err := judgeIssuance(t, vec, resolver)
			want := vec.Expect
			if want.Key != nil {
				key, err := jwk.ParsePublic(want.Key)
				if err != nil {
					t.Fatal(err)
				}
				if want.Key, err = jwk.Marshal(key.Key, ""); err != nil {
					t.Fatal(err)
				}
			}
			if got := issuanceOutcome(t, proof, err); !reflect.DeepEqual(got, want) {
				t.Errorf("got %+v (%v), want %+v", got, err, want)
			}
			if (proof == nil) != (err != nil) {
				t.Errorf("proof %v beside %v", proof, err)
			}
			if asked := want.Step == 0 || want.Step >= 20; (resolver.asked == 1) != asked {
				t.Errorf("the document was asked for %d times", resolver.asked)
			}
		})
	}
	for step := 6; step <= 23; step++ {
		if steps[step] == 0 {
			t.Errorf("no vector ends at step %d", step)
		}
	}
}

// sameStep lists, by the reason for which they are kept, vectors that are refused at the same place as another one.
var sameStep = map[string][]string{
	"a second way to break the form of a claim": {"jti-empty", "jti-long", "jti-control", "iat-fraction", "iat-huge", "exp-iat", "aud-list", "claim-case"},
	"other kinds of token":                      {"typ-call-proof", "typ-media-type"},
	"what a lenient comparison takes": {
		"cid-no-prefix", "cid-case", "nonce-padded", "nonce-prefix", "aud-slash", "aud-endpoint", "htu-host-case", "htu-unescaped", "htu-hex-case",
		"htu-slash", "htm-case", "sub-key", "kid-case", "kid-encoded",
	},
	"what a lenient reader completes":      {"kid-did", "kid-relative"},
	"nothing at all":                       {"format-empty"},
	"keys of others":                       {"kid-other-did", "kid-foreign-method"},
	"the same without skew":                {"iat-future-strict", "iat-before-challenge-strict"},
	"a relationship that is not there":     {"authentication-missing"},
	"another key, another kind of key":     {"signature-other-key", "signature-alg-other", "signature-alg-es256"},
	"the signature of nothing, or of else": {"signature-zero", "signature-payload-changed"},
	"a document that does not say whose":   {"document-no-id"},
}

// TestIssuanceVectorsAreDistinct: no two vectors are refused for the same reason unless it is said why.
func TestIssuanceVectorsAreDistinct(t *testing.T) {
	var all []vectortest.Judged
	for _, vec := range readIssuance(t) {
		j := vectortest.Judged{Name: vec.Name, Defect: vec.Defect, Accepted: vec.Expect.Verdict == vectors.Accepted}
		_, err := judgeIssuance(t, vec, &vectorResolver{vec: vec})
		if refused, ok := errors.AsType[*pop.IssuanceError](err); ok {
			j.Branch = fmt.Sprint(refused.Code, refused.Step, " ", quoted.ReplaceAllString(refused.Reason, "…"))
		}
		all = append(all, j)
	}
	vectortest.CheckDistinct(t, all, sameStep, 50)
}

// TestIssuanceSignatures: three opinions about the signature of every vector that our parser lets through, by each key
// of the document.
func TestIssuanceSignatures(t *testing.T) {
	opinions := 0
	for _, vec := range readIssuance(t) {
		m, err := jws.Parse(vec.Proof)
		if err != nil {
			continue // no signature is ever looked at
		}
		doc, err := (&vectorResolver{vec: vec}).Resolve(t.Context(), did.MustParse(vec.Route))
		if err != nil {
			continue
		}
		for _, method := range doc.Methods {
			opinions++
			vectortest.CheckOpinions(t, vec.Proof, method.Key, m.Verify(method.Key) == nil)
		}
	}
	if opinions < 3*minIssuanceVectors {
		t.Errorf("only %d signatures were compared", opinions)
	}
}

// The example in spec/issuance.md is the vector it says it is, and steps, codes and claims are all there.
func TestIssuanceSpecification(t *testing.T) {
	spec, err := os.ReadFile("../../spec/issuance.md")
	if err != nil {
		t.Fatal(err)
	}
	joined := strings.ReplaceAll(string(spec), "\n", "")
	for _, vec := range readIssuance(t) {
		if vec.Name == "valid" && !strings.Contains(joined, vec.Proof) {
			t.Error("the example is not the vector valid")
		}
		row := fmt.Sprintf("| %d | `%s` |", vec.Expect.Step, vec.Expect.Code)
		if vec.Expect.Code != "" && !strings.Contains(joined, row) {
			t.Errorf("no row %q", row)
		}
	}
	for _, claim := range []string{"aud", "cid", "exp", "htm", "htu", "iat", "jti", "nonce", "sub"} {
		if !strings.Contains(joined, "| `"+claim+"` |") {
			t.Errorf("no claim %s", claim)
		}
	}
}
