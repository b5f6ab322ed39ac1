// Package registry makes the test vectors of lists of approved servers. Each
// file has at most one defect. Call [Generate]; it gives the same bytes on every
// run.
package registry

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
	Name   string `json:"name"`
	Defect string `json:"defect,omitempty"` // empty for those that are accepted

	List   string          `json:"list"` // the JWS
	Now    int64           `json:"now"`  // Unix seconds
	Keys   json.RawMessage `json:"keys"` // a key set
	Issuer string          `json:"issuer,omitempty"`
	State  *State          `json:"state,omitempty"` // the newest list seen

	// Server is asked about when the list holds, and Tool then.
	Environment string  `json:"environment"`
	Server      *Server `json:"server,omitempty"`
	Tool        string  `json:"tool,omitempty"`

	Expect Expect `json:"expect"`
}

// A State is the newest list that was seen.
type State struct {
	Digest string `json:"digest"`
	Issuer string `json:"iss"`
	Serial uint64 `json:"serial"`
}

// A Server is one that was verified.
type Server struct {
	Endpoint string `json:"endpoint"`
	DID      string `json:"did"`
	Key      string `json:"key"`
	Version  string `json:"version,omitempty"`
}

// An Expect is what a client has to say. Step is the section of
// spec/registry.md by which it refuses.
type Expect struct {
	Verdict string `json:"verdict"`
	Code    string `json:"code,omitempty"` // absent where the list does not hold
	Step    string `json:"step,omitempty"`
}

// Generate returns the vectors by file name.
func Generate() (map[string][]byte, error) {
	files := make(vectorkit.Files)
	for _, section := range []func() []*draft{accepted, format, entries, newest, servers} {
		for _, d := range section() {
			if err := files.Add(d.name, d.vector()); err != nil {
				return nil, fmt.Errorf("vector %s: %w", d.name, err)
			}
		}
	}
	return files, nil
}
