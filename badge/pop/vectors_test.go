package pop_test

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/lestrrat-go/jwx/v2/jwa"
	jwxjws "github.com/lestrrat-go/jwx/v2/jws"

	"github.com/touchmark-dev/touchmark/badge/pop"
	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/jwk"
	"github.com/touchmark-dev/touchmark/internal/jws"
	"github.com/touchmark-dev/touchmark/internal/strictjson"
	vectors "github.com/touchmark-dev/touchmark/internal/vectorgen/callproof"
	"github.com/touchmark-dev/touchmark/testvectors"
)

const minVectors = 40

func readVectors(t testing.TB) []*vectors.Vector {
	t.Helper()
	files, err := fs.Glob(testvectors.FS, "callproof/*.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []*vectors.Vector
	for _, file := range files {
		text, err := testvectors.FS.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		v := new(vectors.Vector)
		if err := strictjson.UnmarshalStrict(text, v); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if v.Name+".json" != path.Base(file) {
			t.Errorf("%s: the name inside is %q", file, v.Name)
		}
		all = append(all, v)
	}
	if len(all) < minVectors {
		t.Errorf("%d vectors, want at least %d", len(all), minVectors)
	}
	return all
}

// vectorStore remembers what a vector says, and what is used in the test.
type vectorStore struct {
	full bool
	used map[pop.ReplayKey]bool
	seen int
}

func (s *vectorStore) Use(_ context.Context, key pop.ReplayKey, until time.Time) error {
	s.seen++
	switch {
	case s.used[key]:
		return pop.ErrReplayed
	case s.full:
		return pop.ErrFull
	}
	s.used[key] = true
	return nil
}

func publicKey(t testing.TB, text json.RawMessage) crypto.PublicKey {
	t.Helper()
	key, err := jwk.ParsePublic(text)
	if err != nil {
		t.Fatal(err)
	}
	return key.Key
}

// prepare makes the verifier and the presented proof of a vector.
func prepare(t testing.TB, vec *vectors.Vector) (*pop.Verifier, *pop.Presented, *vectorStore) {
	t.Helper()
	subject := did.MustParse(vec.Badge.Subject)
	key := publicKey(t, vec.Badge.Key)
	thumbprint, err := jwk.Thumbprint(key)
	if err != nil {
		t.Fatal(err)
	}
	store := &vectorStore{full: vec.Config.StoreFull, used: make(map[pop.ReplayKey]bool)}
	for _, hop := range vec.Config.Used {
		store.used[pop.ReplayKey{KeyThumbprint: thumbprint, HopID: hop, Subject: subject}] = true
	}
	v, err := pop.NewVerifier(&pop.Config{
		Server: did.MustParse(vec.Config.Server), Audiences: vec.Config.Audiences, Replay: store,
		Window: time.Duration(vec.Config.Window) * time.Second, Skew: time.Duration(vec.Config.Skew) * time.Second,
		Started: time.Unix(vec.Config.Started, 0), Time: func() time.Time { return time.Unix(vec.Config.Now, 0) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return v, &pop.Presented{
		Proof: vec.Proof, TxnID: vec.TxnID, Key: key, BadgeID: vec.Badge.ID, Subject: subject,
		BadgeExpires: time.Unix(vec.Badge.Expires, 0), HTTPMethod: vec.Call.HTTPMethod, HTTPURI: vec.Call.HTTPURI,
		Call: &pop.Call{
			Method: vec.Call.Method, Target: vec.Call.Target,
			Arguments: rawText(vec.Call.Arguments), InputResponses: rawText(vec.Call.InputResponses),
		},
	}, store
}

func rawText(text *string) json.RawMessage {
	if text == nil {
		return nil
	}
	return json.RawMessage(*text)
}

// outcome is what Verify said, in the terms of a vector.
func outcome(proof *pop.Proof, token string, err error) (vectors.Expect, error) {
	var rejected *pop.RejectedError
	switch {
	case errors.As(err, &rejected):
		return vectors.Expect{Verdict: vectors.Rejected, Code: string(rejected.Code), Claim: rejected.Claim}, nil
	case err != nil:
		return vectors.Expect{}, fmt.Errorf("an error of type %T: %w", err, err)
	}
	hash, err := pop.HashHop(token)
	return vectors.Expect{
		Verdict: vectors.Accepted, HopID: proof.HopID(), ParentHopHash: proof.ParentHopHash(),
		CallHash: proof.CallHash(), HopHash: hash,
	}, err
}

func TestVectors(t *testing.T) {
	for _, vec := range readVectors(t) {
		t.Run(vec.Name, func(t *testing.T) {
			v, presented, store := prepare(t, vec)
			proof, verr := v.Verify(t.Context(), presented)
			got, err := outcome(proof, vec.Proof, verr)
			if err != nil {
				t.Fatal(err)
			}
			if got != vec.Expect {
				t.Errorf("got %+v (%v), want %+v", got, verr, vec.Expect)
			}
			lastStep := verr == nil || pop.CodeOf(verr) == pop.CodeReplayed || pop.CodeOf(verr) == pop.CodeReplayStoreFull
			if (proof != nil) != (verr == nil) || (store.seen == 1) != lastStep {
				t.Errorf("proof %v, %d uses of the replay store beside %v", proof, store.seen, verr)
			}
			if verr == nil {
				if _, err := v.Verify(t.Context(), presented); pop.CodeOf(err) != pop.CodeReplayed {
					t.Errorf("second use: %v", err)
				}
			}
		})
	}
}

// sameBranch lists, by the reason for which they are kept, vectors that are refused at the same place as
// another one.
var sameBranch = map[string][]string{
	"a second way to break the form of a claim": {
		"hop-id-empty", "hop-id-long", "hop-id-space", "target-aud-list", "iat-fraction",
		"call-salt-short", "call-salt-unused-bits", "call-hash-hex",
	},
	"the name that RFC-004 suggests":  {"htu-name"},
	"a window that is none":           {"window-empty"},
	"nothing is another transaction":  {"txn-not-sent"},
	"what a lenient comparison takes": {"server-spelling", "audience-slash", "call-argument-case", "call-target-case", "htu-spelling"},
	"each part of a call is hashed": {
		"call-target", "call-argument-null", "call-arguments-absent", "call-input-responses", "call-parts-swapped", "call-salt-other",
	},
	"another key, another kind of key": {"signature-p256-badge", "signature-moved"},
}

var quoted = regexp.MustCompile(`"[^"]*"|\d+`)

// TestVectorsAreDistinct: no defect is described twice, and no two vectors are refused for the same reason
// unless it is said why.
func TestVectorsAreDistinct(t *testing.T) {
	justified := map[string]bool{}
	for _, names := range sameBranch {
		for _, name := range names {
			justified[name] = true
		}
	}
	defects, branches, again := map[string]string{}, map[string]string{}, map[string]string{}
	codes := map[string]bool{}
	for _, vec := range readVectors(t) {
		if (vec.Defect == "") != (vec.Expect.Verdict == vectors.Accepted) {
			t.Errorf("%s: verdict %s with defect %q", vec.Name, vec.Expect.Verdict, vec.Defect)
		}
		if vec.Defect == "" {
			continue
		}
		if other, ok := defects[vec.Defect]; ok {
			t.Errorf("%s and %s have the same defect", vec.Name, other)
		}
		defects[vec.Defect] = vec.Name
		codes[vec.Expect.Code] = true
		v, presented, _ := prepare(t, vec)
		_, err := v.Verify(t.Context(), presented)
		var rejected *pop.RejectedError
		if !errors.As(err, &rejected) {
			t.Fatalf("%s: %v", vec.Name, err)
		}
		branch := fmt.Sprint(rejected.Code, " ", rejected.Claim, " ", quoted.ReplaceAllString(rejected.Reason, "…"))
		if justified[vec.Name] {
			again[vec.Name] = branch
			continue
		}
		if other, ok := branches[branch]; ok {
			t.Errorf("%s is refused like %s: %s", vec.Name, other, branch)
		}
		branches[branch] = vec.Name
	}
	for name := range justified {
		if _, ok := branches[again[name]]; !ok {
			t.Errorf("%s needs no justification, or is not there", name)
		}
	}
	if len(branches) < minVectors {
		t.Errorf("only %d different reasons", len(branches))
	}
	if len(codes) != 13 {
		t.Errorf("%d of 13 codes have a vector", len(codes))
	}
	t.Logf("%d refusals for %d different reasons", len(defects), len(branches))
}

// TestVectorSignatures: three opinions about the signature of every vector that our parser lets through.
func TestVectorSignatures(t *testing.T) {
	opinions := 0
	for _, vec := range readVectors(t) {
		m, err := jws.Parse(vec.Proof)
		if err != nil {
			continue // no signature is ever looked at
		}
		opinions++
		key := publicKey(t, vec.Badge.Key)
		ours := m.Verify(key) == nil
		if goJose := goJoseVerifies(vec.Proof, key); goJose != ours {
			t.Errorf("%s: we say %v, go-jose %v", vec.Name, ours, goJose)
		}
		if jwx := jwxVerifies(vec.Proof, key); jwx != ours {
			t.Errorf("%s: we say %v, jwx %v", vec.Name, ours, jwx)
		}
	}
	if opinions < minVectors {
		t.Errorf("only %d signatures were compared", opinions)
	}
}

func goJoseVerifies(token string, key crypto.PublicKey) bool {
	parsed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.EdDSA, jose.ES256})
	if err != nil {
		return false
	}
	_, err = parsed.Verify(key)
	return err == nil
}

func jwxVerifies(token string, key crypto.PublicKey) bool {
	alg, err := jws.AlgorithmOf(key)
	if err != nil {
		return false
	}
	_, err = jwxjws.Verify([]byte(token), jwxjws.WithKey(jwa.SignatureAlgorithm(alg), key))
	return err == nil
}
