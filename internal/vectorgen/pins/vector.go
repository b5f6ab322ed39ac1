// Package pins makes the test vectors of known servers: files, servers that are
// compared with them, lists of tools, and statements about new keys. Each file
// has at most one defect. Call [Generate]; it gives the same bytes on every run.
package pins

import (
	"fmt"

	"github.com/touchmark-dev/touchmark/internal/vectorgen/vectorkit"
)

// The verdicts, and the kinds, of a vector.
const (
	Accepted = "accepted"
	Rejected = "rejected"

	Parse    = "parse"
	Admit    = "admit"
	Tools    = "tools"
	Rotation = "rotation"
)

// A Vector is one file.
type Vector struct {
	Name   string `json:"name"`
	Kind   string `json:"kind"`
	Defect string `json:"defect,omitempty"` // empty for those that are accepted

	File     string `json:"file,omitempty"` // of known servers
	Now      string `json:"now,omitempty"`
	FirstUse bool   `json:"first_use,omitempty"`

	// Server is what was verified, of an admit.
	Server *Server `json:"server,omitempty"`

	// Approved and Offered are the texts of two lists of tools.
	Approved string `json:"approved,omitempty"`
	Offered  string `json:"offered,omitempty"`

	// Statement is about the keys of the file's one pin, of a rotation.
	Statement string `json:"statement,omitempty"`
	OldKey    string `json:"old_key,omitempty"`
	NewKey    string `json:"new_key,omitempty"`

	Expect Expect `json:"expect"`
}

// A Server is one that was verified.
type Server struct {
	Endpoint string `json:"endpoint"`
	DID      string `json:"did"`
	Key      string `json:"key"` // thumbprint
}

// An Expect is what a client has to say.
type Expect struct {
	Verdict string `json:"verdict"`
	Code    string `json:"code,omitempty"`

	Pins int `json:"pins,omitempty"` // in the file, of a parse
	Line int `json:"line,omitempty"` // at fault

	File string `json:"file,omitempty"` // afterwards, of an admit that changes it

	ApprovedDigest string `json:"approved_digest,omitempty"`
	OfferedDigest  string `json:"offered_digest,omitempty"`
}

// Generate returns the vectors by file name.
func Generate() (map[string][]byte, error) {
	files := make(vectorkit.Files)
	for _, section := range []func() []*Vector{parse, admit, tools, rotation} {
		for _, v := range section() {
			if err := files.Add(v.Name, v); err != nil {
				return nil, fmt.Errorf("vector %s: %w", v.Name, err)
			}
		}
	}
	return files, nil
}
