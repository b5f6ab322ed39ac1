package badge_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/internal/jws"
)

// TestSpecExample: the badge that spec/badge.md shows is the vector that it says it is, and its text says what
// the specification shows beside it.
func TestSpecExample(t *testing.T) {
	text, err := os.ReadFile("../spec/badge.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(text), "```")
	token := strings.ReplaceAll(strings.TrimSpace(blocks[1]), "\n", "")
	for _, vec := range readVectors(t) {
		if vec.Name == "valid-level-2" && vec.Token != token {
			t.Errorf("the example is\n%s\nand the vector\n%s", token, vec.Token)
		}
	}
	m, err := jws.Parse(token)
	if err != nil {
		t.Fatal(err)
	}
	var shown, signed map[string]any
	if err := json.Unmarshal([]byte(strings.TrimPrefix(blocks[5], "json")), &shown); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(m.Payload, &signed); err != nil {
		t.Fatal(err)
	}
	a, err := json.Marshal(shown)
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(signed)
	if err != nil || string(a) != string(b) {
		t.Errorf("the specification shows\n%s\nand the badge says\n%s", a, b)
	}
}

// TestSpecNames: every code and every limit that the code has is in the specification.
func TestSpecNames(t *testing.T) {
	text, err := os.ReadFile("../spec/badge.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, code := range []badge.Code{
		badge.CodeMalformed, badge.CodeSignatureInvalid, badge.CodeExpired, badge.CodeNotYetValid,
		badge.CodeIssuerUntrusted, badge.CodeAudienceMismatch, badge.CodeRevoked, badge.CodeClaimsInvalid,
		badge.CodeAgentDisabled, badge.CodeRevocationCheckFailed, badge.CodeDIDResolutionFailed, badge.CodeKeyFetchFailed,
	} {
		if !strings.Contains(string(text), "`"+string(code)+"`") {
			t.Errorf("%s is not in spec/badge.md", code)
		}
	}
}
