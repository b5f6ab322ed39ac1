package pin

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/touchmark-dev/touchmark/serververify"
)

// The example of the specification is a file, and what it says of types and
// codes is ours.
func TestSpecification(t *testing.T) {
	data, err := os.ReadFile("../../spec/pins.md")
	if err != nil {
		t.Fatal(err)
	}
	spec := string(data)
	var example []string
	for line := range strings.Lines(spec) {
		if text, ok := strings.CutPrefix(line, "    "); ok {
			example = append(example, text)
		}
	}
	pins, err := Parse([]byte(strings.Join(example, "")))
	if err != nil || len(pins) != 1 || !strings.HasPrefix(strings.Join(example, ""), header) {
		t.Errorf("the example has %d pins, %v", len(pins), err)
	}
	for _, part := range []string{"`" + RotationType + "`", "1,048,576 bytes", "4,096 bytes", "10,000 objects", "8 MiB", "last 16", "7,776,000"} {
		if !strings.Contains(spec, part) {
			t.Errorf("the specification lacks %s", part)
		}
	}
	ours := []serververify.Code{serververify.CodePinMissing, serververify.CodePinMismatch, serververify.CodePinExpired, serververify.CodeToolsChanged}
	for _, code := range ours {
		if !strings.Contains(spec, "`"+string(code)+"`") {
			t.Errorf("the specification lacks %s", code)
		}
	}
	for _, code := range regexp.MustCompile("`(SERVER_[A-Z_]+)`").FindAllStringSubmatch(spec, -1) {
		found := false
		for _, c := range ours {
			found = found || string(c) == code[1]
		}
		if !found {
			t.Errorf("%s is no code of pins", code[1])
		}
	}
}
