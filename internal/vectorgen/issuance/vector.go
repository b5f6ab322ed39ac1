// Package issuance makes the test vectors of issuance proofs: one file each, and in each at most one defect. Call
// [Generate]; it gives the same bytes on every run, for keys, times and ids are fixed and ES256 signatures are
// deterministic (RFC 6979).
package issuance

import (
	"encoding/json"
	"fmt"

	"github.com/touchmark-dev/touchmark/internal/vectorgen/vectorkit"
)

// The verdicts of a vector.
const (
	Accepted     = "accepted"
	Rejected     = "rejected"
	Undetermined = "undetermined"
)

// A Vector is one file.
type Vector struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	// Defect says in what the vector differs from a good one. It is empty for those that are accepted.
	Defect string `json:"defect,omitempty"`

	Proof     string    `json:"proof_jws"` // the JWS that the agent sent
	Challenge Challenge `json:"challenge"` // as the authority stored it
	Route     string    `json:"route"`     // the DID in the path of the request

	// Document is what the subject's DID document is, as text, because it may be such that a JSON reader alters or
	// refuses it; absent for a did:key. Unreachable says that it could not be had.
	Document    *string `json:"document"`
	Unreachable bool    `json:"document_unreachable,omitempty"`

	Config Config `json:"config"`
	Expect Expect `json:"expect"`
}

// A Challenge is what the authority stored. Times are in Unix seconds.
type Challenge struct {
	ID        string `json:"challenge_id"`
	Nonce     string `json:"nonce"`
	Subject   string `json:"did"`
	Audience  string `json:"proof_aud"`
	URI       string `json:"htu"`
	Method    string `json:"htm"`
	CreatedAt int64  `json:"created_at"`
	ExpiresAt int64  `json:"challenge_expires_at"`
}

// A Config is what the verifier is told.
type Config struct {
	Now  int64 `json:"now"`  // Unix seconds
	Skew int64 `json:"skew"` // seconds
}

// An Expect is what a verifier has to say.
type Expect struct {
	Verdict string `json:"verdict"`
	Code    string `json:"code,omitempty"`
	Step    int    `json:"step,omitempty"` // of RFC-003 section 5.2.2

	// What an accepted proof says.
	ID    string          `json:"jti,omitempty"`
	KeyID string          `json:"kid,omitempty"`
	Key   json.RawMessage `json:"key,omitempty"` // JWK
}

// Generate returns the vectors by file name.
func Generate() (map[string][]byte, error) {
	w := newWorld()
	files := make(vectorkit.Files)
	for _, section := range []func(*world) []*draft{
		accepted, format, missing, kinds, forms, bindings, times, documents, keys, signatures,
	} {
		for _, d := range section(w) {
			if err := files.Add(d.name, d.vector()); err != nil {
				return nil, fmt.Errorf("vector %s: %w", d.name, err)
			}
		}
	}
	return files, nil
}
