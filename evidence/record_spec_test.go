package evidence

import (
	"bytes"
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"testing"

	"github.com/touchmark-dev/touchmark/testvectors"
)

// letters are those by which spec/evidence.md says in which kinds of record a member stands.
func (k kinds) letters() (text string) {
	for i, letter := range "GDOHCR" {
		if k&(1<<i) != 0 {
			text += string(letter)
		}
	}
	return text
}

// spec/evidence.md names every member with the kinds it stands in, and no member that there is not, every
// code, and shows the vectors that it says it shows.
func TestSpecificationIsComplete(t *testing.T) {
	spec, err := os.ReadFile("../spec/evidence.md")
	if err != nil {
		t.Fatal(err)
	}
	var listed, want []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z][a-z0-9_.]*)` \\| ([GDOHCR]+)( \\*)? \\|").FindAllSubmatch(spec, -1) {
		listed = append(listed, string(row[1])+" "+string(row[2]))
	}
	for _, row := range regexp.MustCompile("(?m)^\\| `group_00` to `group_([0-9]+)` \\| R \\|").FindAllSubmatch(spec, -1) {
		for n := range MaxRefusalGroups {
			if name := groupName(n); name <= "group_"+string(row[1]) {
				listed = append(listed, name+" R")
			}
		}
	}
	slices.Sort(listed)
	for _, m := range members {
		want = append(want, m.name+" "+m.in.letters())
	}
	slices.Sort(want)
	if !slices.Equal(listed, want) {
		t.Errorf("the tables of spec/evidence.md list\n%q\nthe code knows\n%q", listed, want)
	}
	source, err := os.ReadFile("errors.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, code := range regexp.MustCompile(`"(EVIDENCE_[A-Z_]+)"`).FindAllSubmatch(source, -1) {
		if !bytes.Contains(spec, append([]byte("`"), append(code[1], '`')...)) {
			t.Errorf("spec/evidence.md does not have the code %s", code[1])
		}
	}
	joined := bytes.ReplaceAll(spec, []byte("\n"), nil)
	for _, name := range []string{"valid-allowed", "disclosure-valid"} {
		text, err := testvectors.FS.ReadFile("evidence/" + name + ".json")
		if err != nil {
			t.Fatal(err)
		}
		var vec struct {
			Entries    []string
			Disclosure string
		}
		if err := json.Unmarshal(text, &vec); err != nil {
			t.Fatal(err)
		}
		example := vec.Disclosure
		if example == "" {
			example = vec.Entries[0]
		}
		if !bytes.Contains(joined, []byte(example)) {
			t.Errorf("the example is not the vector %s", name)
		}
	}
}
