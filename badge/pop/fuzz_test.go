package pop

import (
	"encoding/json"
	"io/fs"
	"strings"
	"testing"

	"github.com/touchmark-dev/touchmark/internal/jcs"
	"github.com/touchmark-dev/touchmark/internal/jws"
	"github.com/touchmark-dev/touchmark/testvectors"
)

// FuzzProof gives the verifier any text for a proof, and any payload with a good signature. What it accepts
// must say all that the specification asks for.
func FuzzProof(f *testing.F) {
	s := newScene()
	good := s.sign(f)
	f.Add(good, []byte("{}"))
	m, err := jws.Parse(good)
	if err != nil {
		f.Fatal(err)
	}
	f.Add("a.b.c", m.Payload)
	f.Add("", []byte(strings.Replace(string(m.Payload), `"srv"`, `"Srv"`, 1)))
	f.Add("..", []byte(`{"hop_id":"a","exp":1e3}`))
	addVectors(f)
	f.Fuzz(func(t *testing.T, proof string, payload []byte) {
		check := func(proof string) {
			s := newScene()
			got, err := s.verify(t, proof)
			switch {
			case err == nil:
				checkAccepted(t, got, proof)
			case CodeOf(err) == "":
				t.Fatalf("an error without a code: %v", err)
			case s.replay.Len() != 0:
				t.Fatalf("remembered after %v", err)
			}
		}
		check(proof)
		if len(payload) == 0 || len(payload) > MaxProofBytes {
			return
		}
		if signed, err := jws.Sign(jws.Header{Typ: headerTyp}, payload, s.key); err == nil {
			check(signed)
		}
	})
}

// addVectors gives the fuzzer the proofs of the vectors and their payloads.
func addVectors(f *testing.F) {
	files, err := fs.Glob(testvectors.FS, "callproof/*.json")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		text, err := testvectors.FS.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		var vec struct{ Proof string }
		if err := json.Unmarshal(text, &vec); err != nil {
			f.Fatal(err)
		}
		if m, err := jws.Parse(vec.Proof); err == nil {
			f.Add(vec.Proof, m.Payload)
		} else {
			f.Add(vec.Proof, []byte(nil))
		}
	}
}

func checkAccepted(t *testing.T, got *Proof, proof string) {
	var claims map[string]any
	m, err := jws.Parse(proof)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(m.Payload, &claims); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]any{
		"srv": server.String(), "iss": agent.String(), "badge_jti": badgeID,
		"hop_id": got.HopID(), "txn_id": got.TxnID(), "htm": "POST", "call_hash": got.CallHash(),
	} {
		if claims[name] != want {
			t.Fatalf("accepted with %s = %v, want %v", name, claims[name], want)
		}
	}
}

// FuzzCall holds the hash of a call to the canonical form: what is hashed is valid JSON, canonical, and has
// the same hash when it is written otherwise.
func FuzzCall(f *testing.F) {
	f.Add("tools/call", "read", []byte(`{"a":1}`), []byte("null"))
	f.Add("m", "", []byte(`{"a":1.0e2,"b":"\u0041"}`), []byte(`{"k":{"x":[]}}`))
	f.Add("\xff", "é", []byte("[]"), []byte(""))
	f.Fuzz(func(t *testing.T, method, target string, arguments, responses []byte) {
		c := &Call{Method: method, Target: target, Arguments: arguments, InputResponses: responses}
		text, err := c.canonical()
		if err != nil {
			return
		}
		again, err := jcs.Canonicalize(text)
		if err != nil || string(again) != string(text) {
			t.Fatalf("%q is not canonical: %q, %v", text, again, err)
		}
		var back struct {
			Arguments, InputResponses json.RawMessage
			Method, Target            string
		}
		if err := json.Unmarshal(text, &back); err != nil || back.Method != method || back.Target != target {
			t.Fatalf("%q says method %q and target %q: %v", text, back.Method, back.Target, err)
		}
	})
}
