package evidence

import (
	"fmt"
	"strings"

	"github.com/touchmark-dev/touchmark/evidence"
)

func accepted(w *world) []*Vector {
	one := func(name, description string, r *evidence.Record) *Vector {
		return w.vector(KindEntry, w.entry(r)).accept(name, description)
	}
	unknown := w.outcome(2, w.allowed(1))
	unknown.Outcome = &evidence.Outcome{DecisionID: unknown.Outcome.DecisionID, DecisionSequence: 1, Status: evidence.OutcomeUnknown}
	failed := w.outcome(2, w.allowed(1))
	failed.Outcome.Status, failed.Outcome.ErrorClass = evidence.OutcomeError, "tool_error"
	asked := w.outcome(2, w.allowed(1))
	asked.Outcome.Status = evidence.OutcomeInputRequired
	approval := w.allowed(1)
	approval.Decision.Kind, approval.Decision.DenyReason = evidence.RequireApproval, "APPROVAL_REQUIRED"
	text := w.allowed(1)
	text.Decision.Target, text.Decision.RequestID = "datei \"ä\\\" 日本 😀", "sha256:"+strings.Repeat("A", 43)
	none := ""
	constrained := w.allowed(1)
	constrained.Decision.Kind = evidence.AllowWithConstraints
	constrained.Decision.Constraints = evidence.Constraints{MaxRuntimeSec: 5, NetworkAllowlist: &none}
	tried := w.allowed(1)
	tried.Decision.ShadowRule, tried.Decision.ShadowKind, tried.Decision.ShadowReason = "new", evidence.Deny, "TOOL_POLICY_DENIED"
	most := w.refusals(1)
	most.Refusals.Groups, most.Refusals.Count = nil, 0
	for n := range uint64(evidence.MaxRefusalGroups) {
		g := evidence.RefusalGroup{Count: n + 1, Auth: evidence.AuthAnonymous, Reason: fmt.Sprintf("R%02d", n), Method: "tools/call"}
		most.Refusals.Groups = append(most.Refusals.Groups, g)
		most.Refusals.Count += g.Count
	}
	later := with(with(with(record(w.heartbeat(1)), "a_new_one", "é\"\n"), "x.count", 17), "zz", true)
	return []*Vector{
		one("valid-genesis", "the first record of a stream", w.genesis()),
		one("valid-genesis-digest", "the first record of a stream whose log holds digests", w.digested()),
		one("valid-anonymous", "an anonymous caller was allowed", w.anonymous(1)),
		one("valid-allowed", "a badge caller with a call proof was allowed", w.allowed(1)),
		one("valid-denied", "a denied call with every member that a decision can have", w.denied(1)),
		one("valid-approval", "an approval was asked for, which is a DENY on the wire", approval),
		one("valid-text", "text that needs escapes, and a text that was replaced by its hash", text),
		one("valid-outcome", "a call that ended well", w.outcome(2, w.allowed(1))),
		one("valid-outcome-error", "a call that ended with an error", failed),
		one("valid-outcome-input-required", "a call that was answered with a question", asked),
		one("valid-outcome-unknown", "the server stopped before it could tell", unknown),
		one("valid-constraints", "allowed under constraints, one of which is no network at all", constrained),
		one("valid-trial", "allowed, and a rule that is tried out would have denied", tried),
		one("valid-refusals", "1034 attempts were refused and not written down one by one", w.refusals(1)),
		one("valid-refusals-most", "as many groups as there may be", most),
		one("valid-heartbeat", "nothing happened", w.heartbeat(1)),
		one("valid-change", "another policy from here on", w.change(1)),
		w.vector(KindEntry, w.sign(later)).accept("valid-unknown-members", "members that version 1 does not know are kept"),
	}
}

// entries are texts around a record that nothing is wrong with.
func entries(w *world) []*Vector {
	good := w.entry(w.heartbeat(1))
	bad := func(name, defect, entry string) *Vector {
		return w.vector(KindEntry, entry).reject(name, evidence.CodeMalformed, "", defect)
	}
	text := record(w.heartbeat(1))
	return []*Vector{
		bad("entry-not-json", "the entry is not JSON", "entry"),
		bad("entry-array", "the entry is an array", "["+good+"]"),
		bad("entry-space", "white space in the entry", edit(good, `,"record"`, `, "record"`)),
		bad("entry-newline", "a line break after the entry", good+"\n"),
		bad("entry-further-member", "a fourth member", edit(good, `,"sig"`, `,"seq":1,"sig"`)),
		bad("entry-member-twice", "kid is given twice", edit(good, `"kid"`, `"kid":"`+keyID+`","kid"`)),
		bad("entry-no-kid", "kid is missing", edit(good, `"kid":"`+keyID+`",`, "")),
		bad("entry-sig-short", "a signature of 63 bytes", good[:len(good)-4]+`"}`),
		bad("entry-sig-unused-bits", "the signature has bits that no byte uses", good[:len(good)-3]+`_"}`),
		w.vector(KindEntry, edit(good, keyID, keyID+strings.Repeat("x", 60<<10))).
			reject("entry-too-large", evidence.CodeTooLarge, "", "more than 61440 bytes"),
		w.bad("record-array", evidence.CodeMalformed, "", "the record is an array", "["+text+"]"),
		w.bad("record-order", evidence.CodeMalformed, "", "members are out of order", edit(edit(text, `,"v":1`, ``), `{`, `{"v":1,`)),
		w.bad("record-escape", evidence.CodeMalformed, "", "an escape that is not needed", edit(text, `"heartbeat"`, `"heart\u0062eat"`)),
		w.bad("record-member-twice", evidence.CodeMalformed, "", "seq is given twice", edit(text, `"seq":1`, `"seq":1,"seq":1`)),
		w.bad("record-version", evidence.CodeVersionUnknown, "", "a record of version 2", with(text, "v", 2)),
		w.bad("record-kind", evidence.CodeKindUnknown, "", "a kind that version 1 does not know", with(text, "kind", "approval")),
	}
}

// records are texts with one thing wrong in the header, or in what is true of all kinds.
func records(w *world) []*Vector {
	beat, genesis, change := record(w.heartbeat(1)), record(w.genesis()), record(w.change(1))
	invalid := func(name, text, member string, value any, defect string) *Vector {
		return w.bad(name, evidence.CodeRecordInvalid, member, defect, with(text, member, value))
	}
	var all []*Vector
	for _, member := range []string{"epoch", "id", "prev", "seq", "server", "stream", "time"} {
		all = append(all, invalid(member+"-missing", beat, member, nil, member+" is missing"))
	}
	many := beat
	for i := range 33 {
		many = with(many, fmt.Sprintf("x%d", i), 1)
	}
	return append(all,
		invalid("id-not-uuid4", beat, "id", "0b5c1f9e-6d3a-1c57-9f0e-2a8d4b7c6e10", "id is a UUID of version 1"),
		invalid("epoch-zero", beat, "epoch", 0, "epoch is 0"),
		invalid("seq-text", beat, "seq", "1", "seq is a string"),
		invalid("seq-zero", beat, "seq", 0, "seq is 0 in a heartbeat"),
		invalid("seq-genesis", genesis, "seq", 1, "seq is 1 in the genesis record"),
		invalid("prev-genesis", genesis, "prev", policy, "the genesis record has a predecessor"),
		invalid("prev-hex", beat, "prev", "sha256:"+strings.Repeat("0", 64), "prev is in hexadecimal"),
		invalid("time-seconds", beat, "time", "2026-09-21T14:13:21Z", "time has no nanoseconds"),
		invalid("time-offset", beat, "time", "2026-09-21T14:13:21.500000000+00:00", "time has an offset"),
		invalid("stream-upper-case", beat, "stream", strings.Repeat("AB", 16), "stream is in upper case"),
		invalid("stream-zero", beat, "stream", strings.Repeat("0", 32), "stream is the zero stream"),
		invalid("server-url", beat, "server", "https://mcp.example.com", "server is not a DID"),
		invalid("member-of-other-kind", beat, "rule", "reads", "a heartbeat has a rule"),
		w.bad("unknown-null", evidence.CodeRecordInvalid, "w", "an unknown member is null", edit(beat, `"v":1`, `"v":1,"w":null`)),
		invalid("unknown-object", beat, "w", map[string]any{}, "an unknown member is an object"),
		invalid("unknown-fraction", beat, "w", 1.5, "an unknown member is a fraction"),
		invalid("unknown-name", beat, "W", 1, "an unknown member has a name in upper case"),
		w.bad("unknown-many", evidence.CodeRecordInvalid, "x9", "33 unknown members", many),
		invalid("genesis-log-form", genesis, "log_form", "record", "log_form is written where it is to be left out"),
		invalid("genesis-origin-control", genesis, "log_origin", "log\nexample", "log_origin has a line break"),
		invalid("change-subject", change, "change", "weather", "a change of something else"),
		invalid("change-policy-missing", change, "capiscio.policy_version", nil, "a change without the policy that holds from here on"),
		invalid("change-flag-false", change, "shadow", false, "a flag that is false instead of absent"),
	)
}
