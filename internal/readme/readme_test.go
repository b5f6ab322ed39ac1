package readme

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// Every Go block of README.md is a region of example_test.go, which compiles;
// and every region is shown.
func TestBlocksCompile(t *testing.T) {
	regions := regionsOf(t, read(t, "example_test.go"))
	shown := map[string]bool{}
	blocks := regexp.MustCompile("(?s)<!-- region ([a-z]+) -->\n```go\n(.*?)```").FindAllStringSubmatch(read(t, "../../README.md"), -1)
	for _, block := range blocks {
		name, code := block[1], block[2]
		shown[name] = true
		if code != regions[name] {
			t.Errorf("README.md shows for %s\n%s\nand the code is\n%s", name, code, regions[name])
		}
	}
	if n := strings.Count(read(t, "../../README.md"), "```go"); n != len(blocks) {
		t.Errorf("README.md has %d blocks of Go, and %d of them name a region", n, len(blocks))
	}
	for name := range regions {
		if !shown[name] {
			t.Errorf("region %s is not in README.md", name)
		}
	}
}

// Every relative link of the documents leads to a file.
func TestLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:]+)\)`)
	for _, name := range []string{"README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"} {
		for _, m := range link.FindAllStringSubmatch(read(t, "../../"+name), -1) {
			if _, err := os.Stat("../../" + m[1]); err != nil {
				t.Errorf("%s links to %s: %v", name, m[1], err)
			}
		}
	}
}

// regionsOf returns the text between "// #region NAME" and "// #endregion",
// one tab of indentation taken off.
func regionsOf(t *testing.T, source string) map[string]string {
	t.Helper()
	regions := map[string]string{}
	for _, m := range regexp.MustCompile(`(?s)\t// #region ([a-z]+)\n(.*?)\t// #endregion`).FindAllStringSubmatch(source, -1) {
		var code strings.Builder
		for line := range strings.Lines(m[2]) {
			code.WriteString(strings.TrimPrefix(line, "\t"))
		}
		regions[m[1]] = code.String()
	}
	if len(regions) == 0 {
		t.Fatal("no regions")
	}
	return regions
}

func read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
