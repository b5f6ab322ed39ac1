package evidence

import (
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestJournalSpecification: spec/journal.md lists the codes of a ledger, and the numbers it gives are those in force.
func TestJournalSpecification(t *testing.T) {
	raw, err := os.ReadFile("../spec/journal.md")
	if err != nil {
		t.Fatal(err)
	}
	spec := string(raw)
	var listed []string
	for _, m := range regexp.MustCompile("(?m)^\\| `(EVIDENCE_[A-Z_]+)`").FindAllStringSubmatch(spec, -1) {
		listed = append(listed, m[1])
	}
	var codes []string
	for _, code := range []Code{
		CodeClosed, CodeJournalFailed, CodeDiskFull, CodeJournalFull, CodeBacklogFull, CodeLogDiverged, CodeLogForm, CodeLogFailed,
		CodeOpenCallsFull, CodeSigningFailed, CodeVaultFailed, CodeCanceled,
	} {
		codes = append(codes, string(code))
	}
	if !slices.Equal(listed, codes) {
		t.Errorf("section 8 lists %q, want %q", listed, codes)
	}
	for constant, text := range map[int]string{
		blockBytes:          "A *block* is 4096 bytes",
		maxFramePayload:     "length of the payload, at most 114,688",
		maxBatchBytes >> 20: "it is at most 4 MiB long",
		tailEntries:         "one of the last 256",
		DefaultBacklog:      "100,000",
		DefaultOpenCalls:    "65,536",
	} {
		digits := strings.ReplaceAll(text, ",", "")
		if !strings.Contains(spec, text) || !regexp.MustCompile(`\b`+strconv.Itoa(constant)+`\b`).MatchString(digits) {
			t.Errorf("the specification does not say %q, or it is not %d", text, constant)
		}
	}
}
