package pop_test

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/badge/pop"
	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/jwk"
	"github.com/touchmark-dev/touchmark/internal/jws"
	vectors "github.com/touchmark-dev/touchmark/internal/vectorgen/callproof"
	"github.com/touchmark-dev/touchmark/internal/vectorgen/vectortest"
)

const minVectors = 40

func readVectors(t testing.TB) []*vectors.Vector {
	t.Helper()
	return vectortest.Read(t, "callproof", minVectors, func(v *vectors.Vector) string { return v.Name })
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

// branchOf describes where a vector was refused: the error without what it quotes of the proof.
func branchOf(err error) string {
	var rejected *pop.RejectedError
	if !errors.As(err, &rejected) {
		return ""
	}
	return fmt.Sprint(rejected.Code, " ", rejected.Claim, " ", quoted.ReplaceAllString(rejected.Reason, "…"))
}

// TestVectorsAreDistinct: no defect is described twice, and no two vectors are refused for the same reason
// unless it is said why.
func TestVectorsAreDistinct(t *testing.T) {
	codes := map[string]bool{}
	var all []vectortest.Judged
	for _, vec := range readVectors(t) {
		if vec.Defect != "" {
			codes[vec.Expect.Code] = true
		}
		v, presented, _ := prepare(t, vec)
		_, err := v.Verify(t.Context(), presented)
		all = append(all, vectortest.Judged{
			Name: vec.Name, Defect: vec.Defect, Accepted: vec.Expect.Verdict == vectors.Accepted, Branch: branchOf(err),
		})
	}
	vectortest.CheckDistinct(t, all, sameBranch, minVectors)
	if len(codes) != 13 {
		t.Errorf("%d of 13 codes have a vector", len(codes))
	}
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
		t.Run(vec.Name, func(t *testing.T) {
			key := publicKey(t, vec.Badge.Key)
			vectortest.CheckOpinions(t, vec.Proof, key, m.Verify(key) == nil)
		})
	}
	if opinions < minVectors {
		t.Errorf("only %d signatures were compared", opinions)
	}
}
