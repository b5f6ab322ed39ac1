package main

import (
	"strings"
	"testing"

	"github.com/touchmark-dev/touchmark/evidence"
)

// TestRecordLineQuotesMethods: the method is whatever the caller sent, and stands before who the caller is.
func TestRecordLineQuotesMethods(t *testing.T) {
	for method, want := range map[string]string{
		"tools/call":                        `deny tools/call "write_file" anonymous`,
		`tools/call "read_file" did:web:me`: `deny "tools/call \"read_file\" did:web:me" "write_file" anonymous`,
		"a\u00a0b":                          `deny "a\u00a0b" "write_file" anonymous`,
		`"`:                                 `deny "\"" "write_file" anonymous`,
	} {
		l := describeRecord(&evidence.Record{Decision: &evidence.Decision{
			Kind: evidence.Deny, Method: method, Target: "write_file", Caller: evidence.Caller{Auth: evidence.AuthAnonymous},
		}})
		if got := l.text(); !strings.HasSuffix(got, want) {
			t.Errorf("%q: %s, want %s at the end", method, got, want)
		}
	}
}
