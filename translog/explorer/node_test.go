package explorer_test

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/touchmark-dev/touchmark/internal/peers"
)

// A question is what testdata/judge.mjs is asked.
type question struct {
	Op         string `json:"op"`
	Entry      []byte `json:"entry,omitempty"`
	Proof      []byte `json:"proof,omitempty"`
	Policy     []byte `json:"policy,omitempty"`
	Document   []byte `json:"document,omitempty"`
	Checkpoint []byte `json:"checkpoint,omitempty"`
	Text       string `json:"text,omitempty"`       // a DID, a DID URL, a verifier key
	NoEd25519  string `json:"no_ed25519,omitempty"` // from here on: how the WebCrypto of the browser is wanting
}

// An answer is what it says.
type answer struct {
	Verdict, Code, Member, Reason string
	Record, Leaf                  string // hashes of an accepted entry, hexadecimal
	Unknown                       []string
	Form                          string // of the log that has an entry
	Refused                       string // why a DID or a document is refused
	Methods                       []struct{ ID, Kind, Key string }
}

// ask puts all questions to one node.
func ask(t *testing.T, questions []question) []answer {
	t.Helper()
	in, err := json.Marshal(questions)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), peers.Node(t), "--no-warnings", filepath.Join("testdata", "judge.mjs"))
	cmd.Stdin = bytes.NewReader(in)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("node: %v\n%s", err, stderr.Bytes())
	}
	var answers []answer
	if err := json.Unmarshal(out, &answers); err != nil || len(answers) != len(questions) {
		t.Fatalf("%d answers to %d questions: %v", len(answers), len(questions), err)
	}
	return answers
}

// A conclusion is what two verifiers must agree on.
type conclusion struct{ Verdict, Code, Member string }

func (a *answer) conclusion() conclusion { return conclusion{a.Verdict, a.Code, a.Member} }

func accepted() conclusion { return conclusion{Verdict: "accepted"} }

func rejected(code string) conclusion { return conclusion{"rejected", code, ""} }
