// Package badge makes the test vectors of badges: one file each, and in each at most one defect. Call
// [Generate]; it gives the same bytes on every run, for keys, times and ids are fixed and ES256 signatures are
// deterministic (RFC 6979).
package badge

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
	Token  string `json:"token"`
	Config Config `json:"config"`
	Expect Expect `json:"expect"`
}

// A Config is what the verifier is told and what the world answers it.
type Config struct {
	Now        int64    `json:"now"` // Unix seconds
	Issuers    []string `json:"issuers,omitempty"`
	SelfSigned []string `json:"self_signed,omitempty"`
	AllowES256 []string `json:"allow_es256,omitempty"`
	Audience   []string `json:"audience,omitempty"`

	Compat        bool     `json:"compat,omitempty"`
	CompatIssuers []string `json:"compat_issuers,omitempty"`

	// JWKS are the key sets by issuer. Those of any other issuer cannot be fetched.
	JWKS map[string]json.RawMessage `json:"jwks,omitempty"`

	// Documents are the DID documents by DID. Those of any other DID cannot be fetched. Without Documents no
	// resolver is configured.
	Documents map[string]json.RawMessage `json:"documents,omitempty"`

	// Status is what the source of status answers; without it no source is configured. UnsafeNoStatus and
	// AllowLevel1WithoutStatus are the verifier's options.
	Status                   *Status `json:"status,omitempty"`
	UnsafeNoStatus           bool    `json:"unsafe_no_status,omitempty"`
	AllowLevel1WithoutStatus bool    `json:"allow_level1_without_status,omitempty"`
}

// A Status is how the source of status answers: with a failure, from a signed list, or with these members.
type Status struct {
	Unreachable bool   `json:"unreachable,omitempty"`
	List        string `json:"revocation_list,omitempty"` // verified with the issuer's key set

	Authoritative bool  `json:"authoritative,omitempty"`
	AsOf          int64 `json:"as_of,omitempty"` // Unix seconds; absent means no time
	Revoked       bool  `json:"revoked,omitempty"`
	AgentDisabled bool  `json:"agent_disabled,omitempty"`
	KeyWithdrawn  bool  `json:"key_withdrawn,omitempty"`
}

// An Expect is what a verifier has to say.
type Expect struct {
	Verdict string `json:"verdict"`
	Code    string `json:"code,omitempty"`
	Claim   string `json:"claim,omitempty"`

	// What an accepted badge says.
	BadgeID   string `json:"badge_id,omitempty"`
	Subject   string `json:"subject,omitempty"`
	Level     string `json:"level,omitempty"`
	Assurance string `json:"assurance,omitempty"`

	// What the channel has to show for it.
	Certificate string `json:"x5t#S256,omitempty"`
	SPIFFEID    string `json:"spiffe_id,omitempty"`
	Actor       string `json:"actor,omitempty"`
}

// Generate returns the vectors by file name.
func Generate() (map[string][]byte, error) {
	w := newWorld()
	files := make(vectorkit.Files)
	for _, section := range []func(*world) []*draft{
		accepted, structure, headers, payloads, identity, parties, times, audiences,
		assurances, keys, confirmations, credentials, optional,
		trust, signatures, bindings, statuses, lists, compat,
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
