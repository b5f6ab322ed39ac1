// Package grant makes the test vectors of domain validation grants: one file each, and in each at most one defect.
// Call [Generate]; it gives the same bytes on every run, for keys and times are fixed.
package grant

import (
	"encoding/json"
	"fmt"

	"github.com/touchmark-dev/touchmark/internal/vectorgen/vectorkit"
)

// The verdicts of a vector.
const (
	Accepted = "accepted"
	Rejected = "rejected"
)

// A Vector is one file.
type Vector struct {
	Name string `json:"name"`
	// Defect says in what the vector differs from a good one. It is empty for those that are accepted.
	Defect string `json:"defect,omitempty"`

	Grant  string `json:"grant"` // the JWS
	Config Config `json:"config"`
	Expect Expect `json:"expect"`
}

// A Config is what the reader is told.
type Config struct {
	Now    int64  `json:"now"` // Unix seconds
	Skew   int64  `json:"skew"`
	Issuer string `json:"issuer"`
	Keys   []Key  `json:"keys"`
}

// A Key is one of the issuer's.
type Key struct {
	ID  string          `json:"kid"`
	JWK json.RawMessage `json:"jwk"`
}

// An Expect is what a reader has to say.
type Expect struct {
	Verdict string `json:"verdict"`
	Code    string `json:"code,omitempty"`

	// What an accepted grant says.
	ID         string `json:"jti,omitempty"`
	Domain     string `json:"domain,omitempty"`
	Thumbprint string `json:"jkt,omitempty"`
	IssuedAt   int64  `json:"iat,omitempty"`
	ExpiresAt  int64  `json:"exp,omitempty"`
}

// Generate returns the vectors by file name.
func Generate() (map[string][]byte, error) {
	w := newWorld()
	files := make(vectorkit.Files)
	for _, section := range []func(*world) []*draft{accepted, format, signatures, claims, times} {
		for _, d := range section(w) {
			if err := files.Add(d.name, d.vector(w)); err != nil {
				return nil, fmt.Errorf("vector %s: %w", d.name, err)
			}
		}
	}
	return files, nil
}
