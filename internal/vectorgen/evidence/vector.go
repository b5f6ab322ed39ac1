// Package evidence makes the test vectors of evidence: entries, chains, disclosures and promises, one file
// each, and in each at most one defect. Call [Generate]; it gives the same bytes on every run, for keys, times,
// ids and salts are fixed.
package evidence

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

// The kinds of vector: what is to be checked.
const (
	KindEntry      = "entry"      // the one entry, by itself
	KindChain      = "chain"      // the entries, as a stream
	KindDisclosure = "disclosure" // the disclosure, against the entry
	KindParams     = "params"     // salt and parameters, against the entry
	KindResult     = "result"     // salt and result, against the entry
	KindLeaf       = "leaf"       // the leaf, against the entry and the form that the reader was told
	KindPromise    = "promise"    // the promise, by itself, and against the entry if there is one
)

// A Vector is one file.
type Vector struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	// Defect says in what the vector differs from a good one. It is empty for those that are accepted.
	Defect string `json:"defect,omitempty"`

	Kind    string                     `json:"kind"`
	Entries []string                   `json:"entries,omitempty"` // as text, byte for byte
	Keys    map[string]json.RawMessage `json:"keys"`              // JWKs of the server by kid

	// Tolerance, in milliseconds, and AllowPartial are what the check of a chain is told.
	Tolerance    int64 `json:"tolerance_ms,omitempty"`
	AllowPartial bool  `json:"allow_partial,omitempty"`

	Leaf    string `json:"leaf,omitempty"`     // unpadded base64url
	LogForm string `json:"log_form,omitempty"` // "record" or "digest"

	Disclosure string   `json:"disclosure,omitempty"` // JSON as text
	Promise    string   `json:"promise,omitempty"`    // compact JWS
	Opening    *Opening `json:"opening,omitempty"`

	Expect Expect `json:"expect"`
}

// An Opening is what a commitment is opened with. Values are JSON as text; absent ones are null.
type Opening struct {
	Salt           string  `json:"salt"` // unpadded base64url
	Arguments      *string `json:"arguments"`
	InputResponses *string `json:"input_responses"`
	Result         *string `json:"result"`
}

// An Expect is what a reader has to say.
type Expect struct {
	Verdict string `json:"verdict"`
	Code    string `json:"code,omitempty"`
	Member  string `json:"member,omitempty"` // of a record, where one is to blame

	// What accepted entries hash to.
	LeafHashes   []string `json:"leaf_hashes,omitempty"`
	RecordHashes []string `json:"record_hashes,omitempty"`
	// Open are the decisions of an accepted chain whose outcome is to come.
	Open []uint64 `json:"open,omitempty"`
	// Unknown are the members of an accepted entry that version 1 does not know.
	Unknown []string `json:"unknown,omitempty"`
}

// Generate returns the vectors by file name.
func Generate() (map[string][]byte, error) {
	w := newWorld()
	files := make(vectorkit.Files)
	for _, section := range []func(*world) []*Vector{
		accepted, entries, records, callers, decisions, refusals, outcomes, keys, chains, disclosures, openings, leaves, promises,
	} {
		for _, v := range section(w) {
			if err := files.Add(v.Name, v); err != nil {
				return nil, fmt.Errorf("vector %s: %w", v.Name, err)
			}
		}
	}
	return files, nil
}
