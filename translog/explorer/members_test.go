package explorer_test

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	specMember = regexp.MustCompile("(?m)^\\| `([a-z0-9_.]+)`(?: to `([a-z0-9_.]+)`)? \\| ([GDOHCR]+)(?: \\*)? \\|")
	pageMember = regexp.MustCompile(`(?m)^([a-z0-9_.]+) ([GDOHCR]+) [a-zA-Z]+(?:$|` + "`)")
)

// TestMembers: the page has the members of spec/evidence.md section 2, each once, in the order of RFC 8785, and in the kinds
// that the specification says.
func TestMembers(t *testing.T) {
	spec, err := os.ReadFile("../../spec/evidence.md")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("page/members.mjs")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, m := range specMember.FindAllStringSubmatch(string(spec), -1) {
		if m[2] == "" {
			want = append(want, m[1]+" "+m[3])
			continue
		}
		for i := range 16 { // groups
			want = append(want, fmt.Sprintf("%s%02d %s", strings.TrimSuffix(m[1], "00"), i, m[3]))
		}
	}
	slices.Sort(want)
	var got []string
	text := strings.Replace(string(page), "${groups.join(\"\\n\")}\n", groupLines(), 1)
	for _, m := range pageMember.FindAllStringSubmatch(text, -1) {
		got = append(got, m[1]+" "+m[2])
	}
	if len(want) < 80 || !slices.Equal(got, want) {
		t.Errorf("the page has\n%s\nand the specification\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func groupLines() string {
	var b strings.Builder
	for i := range 16 {
		fmt.Fprintf(&b, "group_%02d R group\n", i)
	}
	return b.String()
}
