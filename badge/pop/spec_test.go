package pop_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// The example in spec/call-proof.md is the vector it says it is, and the codes are all there.
func TestSpecification(t *testing.T) {
	spec, err := os.ReadFile("../../spec/call-proof.md")
	if err != nil {
		t.Fatal(err)
	}
	joined := strings.ReplaceAll(string(spec), "\n", "")
	for _, vec := range readVectors(t) {
		if vec.Name == "valid" && !strings.Contains(joined, vec.Proof) {
			t.Error("the example is not the vector valid")
		}
		if code := vec.Expect.Code; code != "" && !strings.Contains(joined, "`"+code+"`") {
			t.Errorf("no code %s", code)
		}
	}
	source, err := os.ReadFile("claims.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, claim := range regexp.MustCompile(`case "([a-z_]+)":`).FindAllSubmatch(source, -1) {
		if !strings.Contains(joined, "`"+string(claim[1])+"`") {
			t.Errorf("no claim %s", claim[1])
		}
	}
}
