package workload_test

import (
	"os"
	"strings"
	"testing"

	"github.com/touchmark-dev/touchmark/serververify/workload"
)

// TestSpec: the rule file that spec/workload.md shows is one, and the names and limits of the code are in it.
func TestSpec(t *testing.T) {
	text, err := os.ReadFile("../../spec/workload.md")
	if err != nil {
		t.Fatal(err)
	}
	_, example, _ := strings.Cut(string(text), "```yaml\n")
	example, _, _ = strings.Cut(example, "```")
	if _, err := workload.ParseRules([]byte(example)); err != nil {
		t.Errorf("the example: %v", err)
	}
	for _, name := range []string{
		workload.SchemeX509, workload.SchemeSPIFFE, workload.SchemeJWTSVID, workload.SchemeUnix,
		string(workload.Human), string(workload.SupervisedAI), string(workload.Automation), string(workload.ServiceAccount),
		"spiffe_id", "spiffe_id_prefix", "trust_domain", "jwt_svid: true", "dns", "uri", "email", "certificate", "uid", "gid",
	} {
		if !strings.Contains(string(text), "`"+name+"`") {
			t.Errorf("%s is not in spec/workload.md", name)
		}
	}
	if workload.MaxTokenBytes != 16384 || workload.MaxRuleBytes != 256<<10 || workload.MaxRules != 4096 {
		t.Error("the limits are not those of spec/workload.md")
	}
}
