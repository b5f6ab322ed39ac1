// Package did makes the test vectors of spec/did.md: identifiers, URLs,
// documents and addresses.
//
// Keys come from fixed seeds, and the encodings are this package's own, so that
// the package under test does not vouch for itself.
package did

import (
	"fmt"

	"github.com/touchmark-dev/touchmark/internal/vectorgen/vectorkit"
)

// A Vector is one case. It has one input: a DID, one of the URLs, an Address
// with its Policy, or the Document of a DID. Defect says in one phrase what is
// wrong with a refused one.
type Vector struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	Defect      string `json:"defect,omitempty"`

	DID         string  `json:"did,omitempty"`
	DIDURL      string  `json:"did_url,omitempty"`
	WebURL      string  `json:"web_url,omitempty"`
	DocumentURL string  `json:"document_url,omitempty"`
	Address     string  `json:"address,omitempty"`
	Policy      *Policy `json:"policy,omitempty"`
	Document    *string `json:"document,omitempty"` // the text, which need not be JSON
	PadTo       int     `json:"pad_to,omitempty"`   // append spaces to Document up to this many bytes

	Expect Expect `json:"expect"`
}

// A Policy is what addresses are judged by. Port 443 needs no mention.
type Policy struct {
	AllowPorts          []uint16 `json:"allow_ports,omitempty"`
	UnsafeAllowLoopback bool     `json:"unsafe_allow_loopback,omitempty"`
}

// Results.
const (
	Accepted = "accepted"
	Refused  = "refused"
)

// Expect is what must come of it. Members that do not apply are absent.
type Expect struct {
	Result string `json:"result"`
	Reason string `json:"reason,omitempty"` // a part of this module's message, for information

	DID          string   `json:"did,omitempty"`
	Fragment     string   `json:"fragment,omitempty"`
	PublicKey    string   `json:"public_key,omitempty"` // of a did:key, in hexadecimal
	Origin       string   `json:"origin,omitempty"`
	BaseURL      string   `json:"base_url,omitempty"`
	DocumentURL  string   `json:"document_url,omitempty"`
	PathSegments []string `json:"path_segments,omitempty"`

	Methods         []Method `json:"methods,omitempty"`
	Authentication  []string `json:"authentication,omitempty"`
	AssertionMethod []string `json:"assertion_method,omitempty"`
}

// A Method is a verification method that must be read.
type Method struct {
	ID        string `json:"id"`
	Kind      string `json:"kind"`       // Ed25519 or P-256
	PublicKey string `json:"public_key"` // in hexadecimal, a P-256 point compressed
}

// Generate returns the vectors as files of testvectors/did, by file name.
func Generate() (map[string][]byte, error) {
	all := append(identifiers(), urls()...)
	all = append(all, documents()...)
	all = append(all, addresses()...)
	files := make(vectorkit.Files)
	for _, v := range all {
		if refused := v.Expect.Result == Refused; refused != (v.Defect != "") || refused != (v.Expect.Reason != "") {
			return nil, fmt.Errorf("vectorgen/did: vector %q is refused without a defect and a reason, or has them and is not", v.Name)
		}
		if err := files.Add(v.Name, v); err != nil {
			return nil, fmt.Errorf("vector %s: %w", v.Name, err)
		}
	}
	return files, nil
}
