// Package callproof makes the test vectors of call proofs: one file each, and in each at most one defect. Call
// [Generate]; it gives the same bytes on every run, for keys, times, ids and salts are fixed and ES256
// signatures are deterministic (RFC 6979).
package callproof

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
	Name        string `json:"name"`
	Description string `json:"description"`
	// Defect says in what the vector differs from a good one. It is empty for those that are accepted.
	Defect string `json:"defect,omitempty"`

	Proof string `json:"proof"`  // the JWS that the caller sent; empty if it sent none
	TxnID string `json:"txn_id"` // that the caller sent beside it
	Call  Call   `json:"call"`   // what the server is going to execute
	Badge Badge  `json:"badge"`  // what it verified before

	Config Config `json:"config"`
	Expect Expect `json:"expect"`
}

// A Call is what is executed. Arguments and InputResponses are JSON as text, because they may be such that a
// JSON reader alters or refuses them; absent ones are null.
type Call struct {
	Method         string  `json:"method"`
	Target         string  `json:"target"`
	Arguments      *string `json:"arguments"`
	InputResponses *string `json:"input_responses"`

	// HTTPMethod and HTTPURI are given where the call is not one of MCP.
	HTTPMethod string `json:"http_method,omitempty"`
	HTTPURI    string `json:"http_uri,omitempty"`
}

// A Badge is the part of a verified badge that matters.
type Badge struct {
	ID      string          `json:"jti"`
	Subject string          `json:"sub"`
	Expires int64           `json:"exp"` // Unix seconds
	Key     json.RawMessage `json:"key"` // JWK
}

// A Config is what the verifier is told.
type Config struct {
	Now       int64    `json:"now"`     // Unix seconds
	Started   int64    `json:"started"` // Unix seconds: when the replay store began to remember
	Server    string   `json:"server"`
	Audiences []string `json:"audiences,omitempty"`
	Skew      int64    `json:"skew"`   // seconds
	Window    int64    `json:"window"` // seconds

	// Used are the hop ids of proofs by the badge's key that were accepted before.
	Used []string `json:"used,omitempty"`
	// StoreFull says that the replay store has no room for another proof.
	StoreFull bool `json:"store_full,omitempty"`
}

// An Expect is what a verifier has to say.
type Expect struct {
	Verdict string `json:"verdict"`
	Code    string `json:"code,omitempty"`
	Claim   string `json:"claim,omitempty"`

	// What an accepted proof says.
	HopID         string `json:"hop_id,omitempty"`
	ParentHopHash string `json:"parent_hop_hash,omitempty"`
	CallHash      string `json:"call_hash,omitempty"`
	// HopHash is how a later hop names this one.
	HopHash string `json:"hop_hash,omitempty"`
}

// Generate returns the vectors by file name.
func Generate() (map[string][]byte, error) {
	w := newWorld()
	files := make(vectorkit.Files)
	for _, section := range []func(*world) []*draft{
		accepted, format, missing, kinds, forms, windows, bindings, signatures, times, calls, replays,
	} {
		for _, d := range section(w) {
			v, err := d.vector()
			if err == nil {
				err = files.Add(v.Name, v)
			}
			if err != nil {
				return nil, fmt.Errorf("vector %s: %w", d.name, err)
			}
		}
	}
	return files, nil
}
