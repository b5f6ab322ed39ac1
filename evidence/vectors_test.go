package evidence_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"
	jwxjws "github.com/lestrrat-go/jwx/v2/jws"

	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/internal/jwk"
	vectors "github.com/touchmark-dev/touchmark/internal/vectorgen/evidence"
	"github.com/touchmark-dev/touchmark/internal/vectorgen/vectortest"
)

const minVectors = 40

func readVectors(t testing.TB) []*vectors.Vector {
	t.Helper()
	return vectortest.Read(t, "evidence", minVectors, func(v *vectors.Vector) string { return v.Name })
}

func vectorKeys(t testing.TB, vec *vectors.Vector) evidence.Keys {
	t.Helper()
	keys := evidence.Keys{}
	for kid, text := range vec.Keys {
		key, err := jwk.ParsePublic(text)
		if err != nil {
			t.Fatal(err)
		}
		keys[kid] = key.Key.(ed25519.PublicKey)
	}
	return keys
}

func verify(entry string, keys evidence.Keys) (*evidence.VerifiedEntry, error) {
	e, err := evidence.ParseEntry([]byte(entry))
	if err != nil {
		return nil, err
	}
	return e.Verify(keys)
}

// check does with a vector what its kind asks for.
func check(t testing.TB, vec *vectors.Vector) (got vectors.Expect, err error) {
	keys := vectorKeys(t, vec)
	if vec.Kind == vectors.KindChain {
		return checkChain(t, vec, keys)
	}
	var promise *evidence.VerifiedPromise
	if vec.Kind == vectors.KindPromise {
		if promise, err = evidence.VerifyPromise(vec.Promise, keys); err != nil || len(vec.Entries) == 0 {
			return got, err
		}
	}
	entry, err := verify(vec.Entries[0], keys)
	if err != nil {
		return got, err
	}
	switch vec.Kind {
	case vectors.KindLeaf:
		form, err := evidence.ParseLogForm(vec.LogForm)
		if err != nil {
			t.Fatal(err)
		}
		leaf, err := base64.RawURLEncoding.Strict().DecodeString(vec.Leaf)
		if err != nil {
			t.Fatal(err)
		}
		return got, form.VerifyLeaf([]byte(vec.Entries[0]), leaf)
	case vectors.KindEntry:
		return describe(got, entry), nil
	case vectors.KindPromise:
		return got, promise.Check(entry)
	case vectors.KindDisclosure:
		d, err := evidence.ParseDisclosure([]byte(vec.Disclosure))
		if err != nil {
			return got, err
		}
		return got, d.Check(entry)
	}
	var salt evidence.Salt
	if err := salt.UnmarshalText([]byte(vec.Opening.Salt)); err != nil {
		t.Fatal(err)
	}
	switch vec.Kind {
	case vectors.KindParams:
		return got, evidence.CheckParams(entry, salt, &evidence.Params{
			Arguments: rawText(vec.Opening.Arguments), InputResponses: rawText(vec.Opening.InputResponses),
		})
	case vectors.KindResult:
		return got, evidence.CheckResult(entry, salt, rawText(vec.Opening.Result))
	}
	t.Fatalf("unknown kind %q", vec.Kind)
	return got, nil
}

func rawText(text *string) json.RawMessage {
	if text == nil {
		return nil
	}
	return json.RawMessage(*text)
}

func describe(got vectors.Expect, e *evidence.VerifiedEntry) vectors.Expect {
	got.LeafHashes = append(got.LeafHashes, e.LeafHash(evidence.FormRecord).String())
	got.RecordHashes = append(got.RecordHashes, e.RecordHash().String())
	for _, u := range e.Record().Unknown {
		got.Unknown = append(got.Unknown, u.Name)
	}
	return got
}

func checkChain(t testing.TB, vec *vectors.Vector, keys evidence.Keys) (got vectors.Expect, err error) {
	var entries [][]byte
	for _, entry := range vec.Entries {
		entries = append(entries, []byte(entry))
	}
	summary, err := evidence.VerifyChain(entries, &evidence.ChainConfig{
		Keys: keys, Tolerance: time.Duration(vec.Tolerance) * time.Millisecond, AllowPartial: vec.AllowPartial,
	})
	if err != nil {
		return got, err
	}
	for _, entry := range vec.Entries {
		e, err := verify(entry, keys)
		if err != nil {
			t.Fatal(err)
		}
		got = describe(got, e)
	}
	got.Open = summary.Open
	return got, nil
}

func TestVectors(t *testing.T) {
	for _, vec := range readVectors(t) {
		t.Run(vec.Name, func(t *testing.T) {
			got, err := check(t, vec)
			if err == nil {
				got.Verdict = vectors.Accepted
			} else {
				got = vectors.Expect{Verdict: vectors.Rejected, Code: string(evidence.CodeOf(err)), Member: memberOf(err)}
			}
			if !reflect.DeepEqual(got, vec.Expect) {
				t.Errorf("got %+v (%v), want %+v", got, err, vec.Expect)
			}
		})
	}
}

func memberOf(err error) string {
	var rejected *evidence.RejectedError
	if errors.As(err, &rejected) {
		return rejected.Member
	}
	return ""
}

// sameBranch lists, by the reason for which they are kept, vectors that are refused at the same place as
// another one.
var sameBranch = map[string][]string{
	"what is absent is not of the form either": {
		"auth-missing", "badge-level-missing", "deny-reason-missing", "entry-no-kid", "id-missing", "method-missing",
		"seq-zero", "decision-kind-missing",
	},
	"the other kind that has the member":        {"policy-missing"},
	"what another reader may take for the same": {"entry-space", "record-order", "entry-array", "unknown-null", "unknown-object"},
	"another way to mislead whoever reads it":   {"target-bidi", "target-long"},
	"each part of a disclosure counts": {
		"disclosure-name", "disclosure-value-type", "disclosure-part", "disclosure-siblings", "disclosure-other-record",
		"disclosure-key", "disclosure-element-other", "disclosure-levels-other",
	},
	"what looks alike in JSON Pointers, or is as empty": {"disclosure-element-name", "disclosure-empty-other"},
	"each member of a disclosure has one form":          {"disclosure-path-pointer", "disclosure-path-step", "disclosure-siblings-null"},
	"each part of an opening counts":                    {"params-other", "params-part-missing", "params-salt"},
	"each part of what is signed counts":                {"signature-no-context", "signature-stranger"},
	"the two forms of a log differ in all":              {"leaf-digest-short", "leaf-digest-version", "leaf-other-digest"},
	"each half of a reference counts, and what it is to": {
		"chain-second-outcome", "chain-outcome-id", "chain-outcome-refusals",
	},
	"promises are signed by server keys": {"promise-kid", "promise-key-unknown"},
}

var quoted = regexp.MustCompile(`"[^"]*"|sha256:[\w-]+|[0-9a-f]{8}-[0-9a-f-]+|[0-9a-f]{32}|\d+`)

func branchOf(err error) string {
	var chain *evidence.ChainError
	if errors.As(err, &chain) {
		return fmt.Sprint(chain.Code, " ", quoted.ReplaceAllString(chain.Reason, "…"))
	}
	var rejected *evidence.RejectedError
	if errors.As(err, &rejected) {
		return fmt.Sprint(rejected.Code, " ", rejected.Member, " ", quoted.ReplaceAllString(rejected.Reason, "…"))
	}
	return fmt.Sprint(err)
}

// TestVectorsAreDistinct: no defect is described twice, and no two vectors are refused for the same reason
// unless it is said why.
func TestVectorsAreDistinct(t *testing.T) {
	var all []vectortest.Judged
	for _, vec := range readVectors(t) {
		_, err := check(t, vec)
		all = append(all, vectortest.Judged{
			Name: vec.Name, Defect: vec.Defect, Accepted: vec.Expect.Verdict == vectors.Accepted, Branch: branchOf(err),
		})
	}
	vectortest.CheckDistinct(t, all, sameBranch, minVectors)
}

// TestVectorPromises: jwx has the same opinion as we about the signature of every promise that is a JWS.
func TestVectorPromises(t *testing.T) {
	for _, vec := range readVectors(t) {
		m, err := jwxjws.Parse([]byte(vec.Promise))
		if vec.Kind != vectors.KindPromise || err != nil {
			continue
		}
		key, known := vectorKeys(t, vec)[m.Signatures()[0].ProtectedHeaders().KeyID()]
		if !known {
			continue
		}
		_, err = jwxjws.Verify([]byte(vec.Promise), jwxjws.WithKey(jwa.EdDSA, key))
		_, ours := evidence.VerifyPromise(vec.Promise, vectorKeys(t, vec))
		if refused := evidence.CodeOf(ours) == evidence.CodePromiseSignature; refused != (err != nil) {
			t.Errorf("%s: we say %v, jwx %v", vec.Name, ours, err)
		}
	}
}
