package registry

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/touchmark-dev/touchmark/serververify"
)

// The example of the specification is a list, and what it says of types and
// codes is ours.
func TestSpecification(t *testing.T) {
	data, err := os.ReadFile("../../spec/registry.md")
	if err != nil {
		t.Fatal(err)
	}
	spec := string(data)
	_, example, _ := strings.Cut(spec, "    {\"exp\"")
	example, _, _ = strings.Cut("{\"exp\""+example, "\n\n")
	if _, err := ParsePayload([]byte(example)); err != nil {
		t.Errorf("the example: %v", err)
	}
	for _, part := range []string{"`" + Type + "`", "4,194,304 bytes", "10,000 entries", "1,000 values", "256 bytes"} {
		if !strings.Contains(spec, part) {
			t.Errorf("the specification lacks %s", part)
		}
	}
	for _, code := range regexp.MustCompile("`(SERVER_[A-Z_]+)`").FindAllStringSubmatch(spec, -1) {
		if c := serververify.Code(code[1]); c != serververify.CodeNotRegistered && c != serververify.CodeNotAllowed {
			t.Errorf("%s is no code of a registry", c)
		}
	}
}
