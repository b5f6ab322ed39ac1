package main

import (
	"strings"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/evidence"
)

// TestRecordLineOfRefusals: the method of a group cannot end its column either.
func TestRecordLineOfRefusals(t *testing.T) {
	at := time.Unix(1790000000, 5e8)
	l := describeRecord(&evidence.Record{Refusals: &evidence.Refusals{
		From: at, To: at.Add(time.Second), Count: 9, Groups: []evidence.RefusalGroup{
			{Count: 7, Auth: evidence.AuthAnonymous, Reason: "TOOL_AUTH_MISSING", Cause: "NO_RULE", Capability: "tool", Method: "tools/call"},
			{Count: 2, Auth: evidence.AuthBadge, Reason: evidence.RefusalOther, Method: `"] 1`},
		},
	}})
	const want = `refusals  9 attempts from 2026-09-21T14:13:20.500Z to 2026-09-21T14:13:21.500Z: ` +
		`["7 anonymous TOOL_AUTH_MISSING NO_RULE tool tools/call" "2 badge OTHER - - \"] 1"]`
	if got := l.text(); !strings.HasSuffix(got, want) {
		t.Errorf("%s, want %s at the end", got, want)
	}
}

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
