package explorer_test

import (
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/touchmark-dev/touchmark/evidence"
	vectors "github.com/touchmark-dev/touchmark/internal/vectorgen/evidence"
	"github.com/touchmark-dev/touchmark/internal/vectorgen/vectortest"
)

type logVector struct {
	Name       string   `json:"name"`
	Kind       string   `json:"kind"`
	Comment    string   `json:"comment"`
	Defect     string   `json:"defect"`
	Code       string   `json:"code"`
	Policy     string   `json:"policy"`
	Checkpoint string   `json:"checkpoint"`
	Entry      string   `json:"entry"`
	Proof      string   `json:"proof"`
	Older      string   `json:"older"`
	Newer      string   `json:"newer"`
	Hashes     [][]byte `json:"hashes"`
	Roots      [][]byte `json:"roots"`
}

// TestLogVectors asks about every vector of testvectors/log. The page looks at one checkpoint and computes no trees, so
// that of two classes it can judge a part or nothing: of consistency, that both checkpoints are accepted, and not the
// proof between them; of roots, nothing. TestEveryPlace takes their place.
func TestLogVectors(t *testing.T) {
	var questions []question
	var names []string
	var want []conclusion
	add := func(name, code string, q question) {
		c := accepted()
		if code != "" {
			c = rejected(code)
		}
		questions, names, want = append(questions, q), append(names, name), append(want, c)
	}
	for _, v := range readLogVectors(t) {
		policy := []byte(v.Policy)
		switch v.Kind {
		case "policy":
			add(v.Name, v.Code, question{Op: "policy", Policy: policy})
		case "checkpoint":
			add(v.Name, v.Code, question{Op: "checkpoint", Policy: policy, Checkpoint: []byte(v.Checkpoint)})
		case "proof":
			add(v.Name, v.Code, question{Op: "proof", Proof: []byte(v.Proof)})
		case "inclusion":
			add(v.Name, v.Code, question{Op: "log", Policy: policy, Entry: []byte(v.Entry), Proof: []byte(v.Proof)})
		case "consistency":
			add(v.Name, "", question{Op: "checkpoint", Policy: policy, Checkpoint: []byte(v.Older)})
			add(v.Name, "", question{Op: "checkpoint", Policy: policy, Checkpoint: []byte(v.Newer)})
		case "roots":
		default:
			t.Errorf("%s: unknown kind %q", v.Name, v.Kind)
		}
	}
	for i, a := range ask(t, questions) {
		if a.conclusion() != want[i] {
			t.Errorf("%s: %+v, want %v", names[i], a, want[i])
		}
	}
}

func readLogVectors(t *testing.T) []*logVector {
	return vectortest.Read(t, "log", 90, func(v *logVector) string { return v.Name })
}

func readEvidenceVectors(t *testing.T) []*vectors.Vector {
	return vectortest.Read(t, "evidence", 200, func(v *vectors.Vector) string { return v.Name })
}

const vectorServer = "did:web:mcp.example.com"

// vectorDocument is the DID document with the keys of a vector that are the server's.
func vectorDocument(t *testing.T, server string, keys map[string]json.RawMessage) []byte {
	t.Helper()
	methods := []any{}
	for kid, key := range keys {
		if strings.HasPrefix(kid, server+"#") {
			methods = append(methods, map[string]any{"id": kid, "type": "JsonWebKey2020", "controller": server, "publicKeyJwk": key})
		}
	}
	text, err := json.Marshal(map[string]any{"id": server, "verificationMethod": methods})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestEvidenceVectors asks about every vector of testvectors/evidence of the kind entry, and compares hashes and the
// members that are not known. The page verifies one entry by itself: it has no streams (chain), and nothing that the
// log does not have (disclosure, params, result, promise). TestSameAsGo takes the entries of those.
func TestEvidenceVectors(t *testing.T) {
	var questions []question
	var entries []*vectors.Vector
	for _, v := range readEvidenceVectors(t) {
		if v.Kind == vectors.KindEntry {
			entries = append(entries, v)
			questions = append(questions, question{Op: "signature", Entry: []byte(v.Entries[0]), Document: vectorDocument(t, vectorServer, v.Keys)})
		}
	}
	if len(entries) < 150 {
		t.Errorf("%d vectors of single entries", len(entries))
	}
	for i, a := range ask(t, questions) {
		v := entries[i]
		if want := (conclusion{v.Expect.Verdict, v.Expect.Code, v.Expect.Member}); a.conclusion() != want {
			t.Errorf("%s: %+v, want %v", v.Name, a, want)
			continue
		}
		if v.Expect.Verdict != vectors.Accepted {
			continue
		}
		if a.Record != hexOf(t, v.Expect.RecordHashes[0]) || a.Leaf != hexOf(t, v.Expect.LeafHashes[0]) || !slices.Equal(a.Unknown, v.Expect.Unknown) {
			t.Errorf("%s: %+v, want %+v", v.Name, a, v.Expect)
		}
	}
}

type didVector struct {
	Name, Description, Defect string
	DID                       string
	DIDURL                    string  `json:"did_url"`
	WebURL                    string  `json:"web_url"`
	DocumentURL               string  `json:"document_url"`
	Address                   string  `json:"address"`
	Document                  *string `json:"document"`
	PadTo                     int     `json:"pad_to"`
	Policy                    any     `json:"policy"`
	Expect                    struct {
		Result  string
		Methods []struct{ ID, Kind, PublicKey string }
	}
}

// TestDIDVectors asks about the vectors of testvectors/did that are DIDs, DID URLs and documents. The page resolves
// nothing, so that URLs and addresses do not concern it.
func TestDIDVectors(t *testing.T) {
	var questions []question
	var asked []*didVector
	for _, v := range readDIDVectors(t) {
		q := question{Op: "did", Text: v.DID}
		switch {
		case v.Document != nil:
			q.Op, q.Document = "document", []byte(*v.Document+strings.Repeat(" ", max(0, v.PadTo-len(*v.Document))))
		case v.DIDURL != "":
			q.Op, q.Text = "did_url", v.DIDURL
		case v.WebURL != "" || v.DocumentURL != "" || v.Address != "":
			continue
		}
		questions, asked = append(questions, q), append(asked, v)
	}
	if len(asked) < 80 {
		t.Errorf("%d vectors of DIDs and documents", len(asked))
	}
	for i, a := range ask(t, questions) {
		v := asked[i]
		if a.Verdict != "accepted" || (a.Refused != "") != (v.Expect.Result == "refused") {
			t.Errorf("%s: %+v, want %s", v.Name, a, v.Expect.Result)
			continue
		}
		var got, want []string
		for _, m := range a.Methods {
			got = append(got, m.ID+" "+m.Kind)
		}
		for _, m := range v.Expect.Methods {
			want = append(want, m.ID+" "+strings.ToLower(strings.ReplaceAll(m.Kind, "-", "")))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: methods %q, want %q", v.Name, got, want)
		}
	}
}

func hexOf(t *testing.T, hash string) string {
	t.Helper()
	h, err := evidence.ParseHash(hash)
	if err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(h[:])
}
