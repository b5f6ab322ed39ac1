package serververify

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/touchmark-dev/touchmark/internal/mcpwire"
	"github.com/touchmark-dev/touchmark/internal/strictjson"
)

// maxDiscoveryBytes bounds a discovery document.
const maxDiscoveryBytes = 64 << 10

// A discoveryDocument is the published discovery document. Level and time are
// for people; nothing is decided by them.
type discoveryDocument struct {
	DID       string `json:"server_did"`
	Badge     string `json:"server_badge,omitempty"`
	Level     string `json:"trust_level,omitempty"`
	UpdatedAt string `json:"updated_at"`
}

// parseDiscovery returns the DID and the badge that a discovery document
// names. Other members are ignored, whatever they hold.
func parseDiscovery(data []byte) (didText, badge string, err error) {
	if len(data) > maxDiscoveryBytes {
		return "", "", fmt.Errorf("more than %d bytes", maxDiscoveryBytes)
	}
	var doc struct {
		DID   string `json:"server_did"`
		Badge string `json:"server_badge"`
	}
	if err := strictjson.Unmarshal(data, &doc); err != nil {
		return "", "", err
	}
	return doc.DID, doc.Badge, nil
}

func (d *discoveryDocument) marshal() []byte {
	data, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		panic("serververify: internal error: a document of strings does not marshal")
	}
	return append(data, '\n')
}

// An answer is what came back for the challenge over HTTP.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// temporary reports a status that says nothing about who the server is.
func (a *answer) temporary() bool {
	return a.status >= 500 || a.status == http.StatusTooManyRequests || a.status == http.StatusRequestTimeout
}

// disclosure returns what the answer says about the server. In its error the
// state is left to the caller.
func (a *answer) disclosure() (Disclosure, *UntrustedError) {
	var d Disclosure
	for _, f := range []struct {
		name string
		to   *string
		code Code
	}{
		{mcpwire.HeaderServerDID, &d.DID, CodeDIDMismatch},
		{mcpwire.HeaderServerBadge, &d.Badge, CodeBadgeInvalid},
		{mcpwire.HeaderServerProof, &d.Proof, CodePoPFailed},
	} {
		s, _, err := mcpwire.Single(a.header, f.name)
		if err != nil {
			return d, &UntrustedError{Code: f.code, Reason: err.Error()}
		}
		*f.to = s
	}
	if a.status != http.StatusOK {
		return d, &UntrustedError{Code: CodeIdentityMissing, Reason: fmt.Sprintf("status %d for the discovery document", a.status)}
	}
	docDID, docBadge, err := parseDiscovery(a.body)
	if err != nil {
		return d, &UntrustedError{Code: CodeIdentityMissing, Reason: "the discovery document cannot be read: " + err.Error()}
	}
	if docDID != "" && d.DID != "" && docDID != d.DID {
		return d, &UntrustedError{Code: CodeDIDMismatch, Reason: fmt.Sprintf("the discovery document names %.200q, the response %.200q", docDID, d.DID)}
	}
	if d.DID == "" {
		d.DID = docDID
	}
	if d.Badge == "" {
		d.Badge = docBadge
	}
	return d, nil
}
