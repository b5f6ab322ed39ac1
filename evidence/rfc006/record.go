package rfc006

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/strictjson"
)

// A Verdict says what came of reading a record.
type Verdict string

// The verdicts.
const (
	Accepted     Verdict = "accepted"     // it has the published form
	Rejected     Verdict = "rejected"     // it has not, or another record contradicts it
	Undetermined Verdict = "undetermined" // it has, but for something that leaves open what it says
)

// A Code says why. Codes are stable; spec/evidence-index.md section 7 lists them.
type Code string

// Codes of records that are rejected.
const (
	CodeMalformed     Code = "RFC006_MALFORMED"      // no JSON object, a member twice, no UTF-8
	CodeTooLarge      Code = "RFC006_TOO_LARGE"      // more than MaxLineBytes, or too many members
	CodeMemberMissing Code = "RFC006_MEMBER_MISSING" // that the protocol requires
	CodeMemberInvalid Code = "RFC006_MEMBER_INVALID" // not of its form, or against another one
	CodeDuplicate     Code = "RFC006_DUPLICATE"      // the same record again
	CodeConflict      Code = "RFC006_CONFLICT"       // another record with the same id
)

// Codes of what is undetermined.
const (
	CodeAuthLevelForm    Code = "RFC006_AUTH_LEVEL_FORM"   // BADGE, API_KEY or ANONYMOUS, where the protocol has badge, apikey and anonymous
	CodeCallerUnverified Code = "RFC006_CALLER_UNVERIFIED" // a badge that was refused, or an API key, which nothing verifies
	CodePolicyUnnamed    Code = "RFC006_POLICY_UNNAMED"    // an empty policy version
	CodeUnremembered     Code = "RFC006_UNREMEMBERED"      // so many records that it is not known whether this one is new
)

// CodeTimeReversed notes a time before that of the record before. The published tools take the time before they decide,
// and write afterwards: calls that overlap are written out of their order.
const CodeTimeReversed Code = "RFC006_TIME_REVERSED"

// Limits.
const (
	MaxLineBytes = 64 << 10
	maxMembers   = 64
	maxTextBytes = 4096
)

// A Record is what a line says, as far as it could be read.
type Record struct {
	ID            string `json:"id,omitempty"`
	Time          string `json:"timestamp,omitempty"`
	AgentDID      string `json:"capiscio.agent.did,omitempty"`
	BadgeID       string `json:"capiscio.badge.jti,omitempty"`
	AuthLevel     string `json:"capiscio.auth.level,omitempty"` // badge, apikey or anonymous, however it was written
	Target        string `json:"capiscio.target,omitempty"`
	PolicyVersion string `json:"capiscio.policy_version,omitempty"`
	Decision      string `json:"capiscio.decision,omitempty"` // ALLOW or DENY
	DenyReason    string `json:"capiscio.deny_reason,omitempty"`
	ParamsHash    string `json:"capiscio.tool.params_hash,omitempty"`

	Further []string `json:"further,omitempty"` // names of the members that the protocol does not name

	time time.Time
}

// A Result is what came of one line.
type Result struct {
	Line    int // from 1
	Verdict Verdict
	Code    Code    // of a verdict other than Accepted
	Reason  string  // for people
	Notes   []Code  // what else there is to say
	Record  *Record // nil for what is no JSON object
}

// A fault is why a record is rejected.
type fault struct {
	code   Code
	reason string
}

func (f *fault) Error() string { return string(f.code) + ": " + f.reason }

func faultf(code Code, format string, args ...any) *fault {
	return &fault{code, fmt.Sprintf(format, args...)}
}

// parse reads a line. The doubts are codes of what is undetermined.
func parse(line []byte) (r *Record, doubts []Code, err *fault) {
	if len(line) > MaxLineBytes {
		return nil, nil, faultf(CodeTooLarge, "a line of more than %d bytes", MaxLineBytes)
	}
	v, perr := strictjson.Parse(line)
	if perr != nil {
		return nil, nil, faultf(CodeMalformed, "%v", perr)
	}
	if v.Kind() != '{' {
		return nil, nil, faultf(CodeMalformed, "not a JSON object")
	}
	r = new(Record)
	members := map[string]strictjson.Value{}
	for m := v.Members(); m.Next(); {
		if len(members) == maxMembers {
			return r, nil, faultf(CodeTooLarge, "more than %d members", maxMembers)
		}
		members[m.Name] = m.Value
		if !slices.Contains(known, m.Name) {
			r.Further = append(r.Further, m.Name)
		}
	}
	if err := r.read(members); err != nil {
		return r, nil, err
	}
	doubts, err = r.check()
	return r, doubts, err
}

const eventName = "capiscio.tool_invocation"

// known are the members that the protocol names, and those with which the published tools name and date a record.
var known = []string{
	"event.name", "capiscio.agent.did", "capiscio.badge.jti", "capiscio.auth.level", "capiscio.target", "capiscio.policy_version",
	"capiscio.decision", "capiscio.tool.params_hash", "capiscio.deny_reason", "id", "timestamp",
}

func (r *Record) read(members map[string]strictjson.Value) *fault {
	var event string
	for _, m := range []struct {
		name     string
		to       *string
		required bool
	}{
		{"event.name", &event, true},
		{"capiscio.agent.did", &r.AgentDID, true},
		{"capiscio.badge.jti", &r.BadgeID, false},
		{"capiscio.auth.level", &r.AuthLevel, true},
		{"capiscio.target", &r.Target, true},
		{"capiscio.policy_version", &r.PolicyVersion, true},
		{"capiscio.decision", &r.Decision, true},
		{"capiscio.tool.params_hash", &r.ParamsHash, false},
		{"capiscio.deny_reason", &r.DenyReason, false},
		{"id", &r.ID, false},
		{"timestamp", &r.Time, false},
	} {
		v, ok := members[m.name]
		if !ok && m.required {
			return faultf(CodeMemberMissing, "no %s", m.name)
		}
		if !ok {
			continue
		}
		if *m.to, ok = v.Text(); !ok {
			return faultf(CodeMemberInvalid, "%s is not a string", m.name)
		}
		if len(*m.to) > maxTextBytes || !utf8.ValidString(*m.to) {
			return faultf(CodeMemberInvalid, "%s has more than %d bytes", m.name, maxTextBytes)
		}
	}
	if event != eventName {
		return faultf(CodeMemberInvalid, "event.name is %.80q, want %q", event, eventName)
	}
	return nil
}

// levels are the values of capiscio.auth.level, by what the published tools write.
var levels = map[string]string{"BADGE": "badge", "API_KEY": "apikey", "ANONYMOUS": "anonymous"}

func (r *Record) check() (doubts []Code, err *fault) {
	if level, ok := levels[r.AuthLevel]; ok {
		r.AuthLevel = level
		doubts = append(doubts, CodeAuthLevelForm)
	}
	if err := r.checkForm(); err != nil {
		return nil, err
	}
	switch {
	case r.AuthLevel == "apikey", r.AuthLevel == "badge" && r.AgentDID == "":
		doubts = append(doubts, CodeCallerUnverified)
	}
	if r.PolicyVersion == "" {
		doubts = append(doubts, CodePolicyUnnamed)
	}
	return doubts, nil
}

func (r *Record) checkForm() *fault {
	denied := r.Decision == "DENY"
	switch {
	case r.AuthLevel != "badge" && r.AuthLevel != "apikey" && r.AuthLevel != "anonymous":
		return faultf(CodeMemberInvalid, "capiscio.auth.level is %.40q, want badge, apikey or anonymous", r.AuthLevel)
	case !denied && r.Decision != "ALLOW":
		return faultf(CodeMemberInvalid, "capiscio.decision is %.40q, want ALLOW or DENY", r.Decision)
	case denied != (r.DenyReason != ""):
		return faultf(CodeMemberInvalid, "capiscio.deny_reason is there exactly for DENY")
	case r.Target == "":
		return faultf(CodeMemberInvalid, "capiscio.target is empty")
	case r.AuthLevel == "anonymous" && (r.AgentDID != "" || r.BadgeID != ""):
		return faultf(CodeMemberInvalid, "an anonymous caller with a DID or a badge")
	case r.AuthLevel == "badge" && !denied && (r.AgentDID == "" || r.BadgeID == ""):
		return faultf(CodeMemberInvalid, "a badge let somebody in, and it is not said whose or which")
	case r.ParamsHash != "" && !isHash(r.ParamsHash):
		return faultf(CodeMemberInvalid, "capiscio.tool.params_hash is not sha256: and 43 characters of base64url")
	}
	if r.AgentDID != "" && r.AuthLevel == "badge" {
		if _, err := did.Parse(r.AgentDID); err != nil {
			return faultf(CodeMemberInvalid, "capiscio.agent.did: %v", err)
		}
	}
	if r.Time == "" {
		return nil
	}
	t, err := time.Parse(time.RFC3339Nano, r.Time)
	if err != nil {
		return faultf(CodeMemberInvalid, "timestamp %.80q is not RFC 3339", r.Time)
	}
	r.time = t
	return nil
}

func isHash(s string) bool {
	text, ok := strings.CutPrefix(s, "sha256:")
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	return ok && err == nil && len(raw) == 32 && !strings.ContainsAny(text, "\r\n")
}
