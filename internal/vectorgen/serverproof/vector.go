// Package serverproof makes the test vectors of server identity: what a server
// disclosed in answer to a challenge, and what a client has to make of it. Each
// file has at most one defect. Call [Generate]; it gives the same bytes on
// every run.
package serverproof

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
	// Defect says in what the vector differs from a good one. It is empty for
	// those that are accepted.
	Defect string `json:"defect,omitempty"`
	Client Client `json:"client"`
	Trust  Trust  `json:"trust"`
	Answer Answer `json:"answer"`
	Expect Expect `json:"expect"`
}

// A Client is what the client knows by itself.
type Client struct {
	Now      int64  `json:"now"`                // Unix seconds
	Skew     int64  `json:"skew"`               // seconds
	Endpoint string `json:"endpoint,omitempty"` // absent for stdio
	Nonce    string `json:"nonce"`
	Exporter string `json:"exporter,omitempty"` // of its connection; absent for stdio and when there is none
	MinLevel string `json:"min_level"`
	Pin      string `json:"pin,omitempty"` // the DID that it verified before

	// Bindings are those that it takes; absent for tls-exporter, unix-peer,
	// stdio-launch and stdio.
	Bindings []string `json:"bindings,omitempty"`

	CertificateSPKI string   `json:"certificate_spki,omitempty"` // SHA-256 of the server certificate's key
	Process         *Process `json:"process,omitempty"`          // itself, over a unix socket
	Launch          string   `json:"launch,omitempty"`           // the secret that it gave to the process
	CheckPublished  bool     `json:"check_published,omitempty"`  // it looks at the published proof
}

// A Process is a client on a unix socket, as the kernels of both sides see it.
type Process struct {
	PID int    `json:"pid"`
	UID uint32 `json:"uid"`
}

// Trust is whom the client trusts, and what the world answers it.
type Trust struct {
	Issuers    []string `json:"issuers,omitempty"`
	SelfSigned []string `json:"self_signed,omitempty"`

	// JWKS are the key sets by issuer, Documents the DID documents by DID.
	// Others cannot be fetched.
	JWKS      map[string]json.RawMessage `json:"jwks,omitempty"`
	Documents map[string]json.RawMessage `json:"documents,omitempty"`

	Revoked           []string `json:"revoked,omitempty"`  // badge ids
	Disabled          []string `json:"disabled,omitempty"` // DIDs
	StatusUnreachable bool     `json:"status_unreachable,omitempty"`
}

// An Answer is what came back: a response to the GET of the discovery document,
// or for stdio the members of the result's _meta.
type Answer struct {
	Status  int                 `json:"status,omitempty"`
	Headers map[string][]string `json:"headers,omitempty"`
	Body    string              `json:"body,omitempty"`

	Meta map[string]string `json:"meta,omitempty"`
}

// An Expect is what a client has to say.
type Expect struct {
	Verdict    string `json:"verdict"`
	State      string `json:"state,omitempty"`
	Code       string `json:"code,omitempty"`
	DID        string `json:"did,omitempty"`
	Level      string `json:"level,omitempty"`
	Binding    string `json:"binding,omitempty"`
	BadgeValid bool   `json:"badge_valid,omitempty"`
	KeyID      string `json:"key_id,omitempty"` // absent where there is one key

	PublishedProof string `json:"published_proof,omitempty"`
}

// Generate returns the vectors by file name.
func Generate() (map[string][]byte, error) {
	w, err := newWorld()
	if err != nil {
		return nil, err
	}
	files := make(vectorkit.Files)
	for _, section := range []func(*world) []*draft{accepted, identity, place, badges, proofs, claims, times, documents, stdio, bindings, everywhere, rotations, published} {
		for _, d := range section(w) {
			v, err := d.vector()
			var text json.RawMessage
			if err == nil {
				text, err = json.Marshal(v) // the published files escape what HTML reads as markup
			}
			if err == nil {
				err = files.Add(v.Name, text)
			}
			if err != nil {
				return nil, fmt.Errorf("vector %s: %w", d.name, err)
			}
		}
	}
	return files, nil
}
