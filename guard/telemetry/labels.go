package telemetry

import (
	"strings"
	"unicode/utf8"

	"github.com/touchmark-dev/touchmark/badge/pop"
	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/guard"
)

// The values of labels are words of these lists, and this one for everything else: a caller can move no bound.
const (
	other       = "other"
	otherMethod = "_OTHER" // as the semantic conventions have it
)

const kindRequireApproval = evidence.RequireApproval

func word(list []string, s string) string {
	for _, w := range list {
		if w == s {
			return w
		}
	}
	return other
}

var decisionWords = []string{
	string(evidence.Allow), string(evidence.Deny), string(evidence.AllowWithConstraints), string(evidence.RequireApproval),
}

var capabilityWords = []string{
	string(guard.KindTool), string(guard.KindResource), string(guard.KindPrompt), string(guard.KindTemplate),
	string(guard.KindTask), string(guard.KindMethod), "http", "function",
}

// classWords are the classes of outcomes: the guard's, and those of its adapters (spec/guard.md sections 8 and 10).
var classWords = []string{
	guard.ClassError, "tool_error", "protocol_error", guard.ClassPanic, guard.ClassExit, guard.ClassCancelled,
	guard.ClassTimeout, guard.ClassAbandoned, guard.ClassResultTooLarge, guard.ClassNotIncluded, guard.ClassNotCosigned, "upstream_error", "upstream_malformed", "upstream_gone",
}

var codeWords = wordsOfCodes(
	guard.CodePolicyDenied, guard.CodeAuthMissing, guard.CodeTrustInsufficient, guard.CodeNotFound, guard.CodeChannelMismatch,
	guard.CodeBadgeInvalid, guard.CodeBadgeRevoked, guard.CodeIssuerUntrusted, guard.CodeApprovalRequired,
	guard.CodeRequestMalformed, guard.CodeRequestRejected, guard.CodeMethodDenied, guard.CodeConstraintExceeded,
	guard.CodeIdentityUndetermined, guard.CodePolicyIndeterminate, guard.CodeEvidenceUnavailable, guard.CodeGuardFailed,
	guard.CodeConstraintIndeterminate, guard.CodeEvidenceUnconfirmed,
	guard.Code(pop.CodeMissing), guard.Code(pop.CodeMalformed), guard.Code(pop.CodeClaimsInvalid), guard.Code(pop.CodeTxnMismatch),
	guard.Code(pop.CodeBadgeMismatch), guard.Code(pop.CodeSignatureInvalid), guard.Code(pop.CodeNotYetValid), guard.Code(pop.CodeExpired),
	guard.Code(pop.CodeServerMismatch), guard.Code(pop.CodeTargetMismatch), guard.Code(pop.CodeParamsMismatch),
	guard.Code(pop.CodeReplayed), guard.Code(pop.CodeReplayStoreFull),
)

func wordsOfCodes(list ...guard.Code) map[guard.Code]string {
	out := make(map[guard.Code]string, len(list)+1)
	out[""] = ""
	for _, c := range list {
		out[c] = string(c)
	}
	return out
}

func codeWord(c guard.Code) string {
	if w, ok := codeWords[c]; ok {
		return w
	}
	return other
}

func verbWord(v guard.Verb) string {
	switch v {
	case guard.Discover:
		return "discover"
	case guard.Invoke:
		return "invoke"
	}
	return other
}

func classWord(class string) string {
	if class == "" {
		return ""
	}
	return word(classWords, class)
}

// methodWord is a method of the table of spec/guard.md, and [otherMethod] for every other.
func methodWord(method string) string {
	if m := guard.MethodNamed(method); m.Class != guard.OtherMethod {
		return m.Name
	}
	return otherMethod
}

// refusedWord says of a refusal whether it is a verdict.
func refusedWord(c guard.Code) string {
	if (&guard.Refusal{Code: c}).Undetermined() {
		return "undetermined"
	}
	return "denied"
}

// maxTextBytes is the length of the longest text of a caller that is exported.
const maxTextBytes = 256

// bounded is what is exported of a text of a caller: valid, short, and without secrets.
func bounded(s string) string {
	if len(s) > maxTextBytes*4 { // what a secret is cut off from is no longer seen to be one
		s = s[:maxTextBytes*4]
	}
	return short(Redact(s))
}

// short is what is exported of a text of ours or of the operator: codes, ids, the names of rules.
func short(s string) string {
	if len(s) > maxTextBytes {
		s = s[:maxTextBytes]
	}
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\uFFFD")
	}
	return s
}

// boundedURI is what is exported of a URI: nothing behind the path, where tokens stand.
func boundedURI(s string) string {
	if i := strings.IndexAny(s, "?#"); i >= 0 {
		s = s[:i]
	}
	return bounded(s)
}
