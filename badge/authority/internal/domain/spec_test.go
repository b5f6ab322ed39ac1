package domain

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// The example in spec/domain-validation.md is a grant that holds, the table has every code and no other, and what it
// says is told is told.
func TestSpecification(t *testing.T) {
	data, err := os.ReadFile("../../../../spec/domain-validation.md")
	if err != nil {
		t.Fatal(err)
	}
	spec := string(data)

	template := testTemplate()
	template.Thumbprint = thumbprint(t, key(7))
	grant, err := SignGrant(testSigner(), template)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{grant, URL(testDomain, testToken), Content(testToken, template.Thumbprint)} {
		if !strings.Contains(strings.ReplaceAll(spec, "\n", ""), want) {
			t.Errorf("the example has no %s", want)
		}
	}

	source, err := os.ReadFile("errors.go")
	if err != nil {
		t.Fatal(err)
	}
	codes := map[string]bool{"GRANT_REVOKED": true} // the caller's, who has the storage
	for _, m := range regexp.MustCompile(`Code = "([A-Z_]+)"`).FindAllStringSubmatch(string(source), -1) {
		codes[m[1]] = true
	}
	rows := regexp.MustCompile("(?m)^\\| `([A-Z_]+)` \\| (?:`([A-Z_]+)` )?\\|.*\\|$").FindAllStringSubmatch(spec, -1)
	for _, row := range rows {
		code, told := row[1], row[2]
		if !codes[code] {
			t.Errorf("the table has %s, the code has not, or it is there twice", code)
		}
		delete(codes, code)
		if told == "" {
			told = code
		}
		if wire := Code(code).Wire(); wire != told {
			t.Errorf("%s is told as %s, the table says %s", code, wire, told)
		}
	}
	for code := range codes {
		t.Errorf("the table has no %s", code)
	}
	for _, tld := range reservedTLDs {
		if !strings.Contains(spec, "`"+tld+"`") {
			t.Errorf("section 2 has no %s", tld)
		}
	}
}
