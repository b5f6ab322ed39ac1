package httpguard

import (
	"os"
	"strings"
	"testing"
)

// TestSpec: each cause and class of this package stands in the spec.
func TestSpec(t *testing.T) {
	text, err := os.ReadFile("../../spec/guard.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{
		CauseMethod, CauseTarget, CauseUpgrade, CauseQuery, CauseHeader, CauseBody, CauseTooLong,
		classClientError, classServerError, classWrongType, headerEvidence,
	} {
		if !strings.Contains(string(text), "`"+word+"`") {
			t.Errorf("%s is not in the spec", word)
		}
	}
}
