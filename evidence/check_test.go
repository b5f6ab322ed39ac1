package evidence

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/did"
)

// Each rule refuses a record that breaks it, and names the member.
func TestRecordRules(t *testing.T) {
	big := uint64(maxNumber + 1)
	long := strings.Repeat("x", 257)
	tests := []struct {
		name   string
		kind   Kind
		change func(*Record)
		member string
	}{
		{"two kinds", KindDecision, func(r *Record) { r.Genesis = new(Genesis) }, "seq"},
		{"two kinds beside", KindOutcome, func(r *Record) { r.Change = new(Change) }, "kind"},
		{"id", KindHeartbeat, func(r *Record) { r.ID = "1" }, "id"},
		{"id of version 1", KindHeartbeat, func(r *Record) { r.ID = "0b9a6f5e-6c1d-1e0a-9d0e-3f6c7d1b2a34" }, "id"},
		{"id in upper case", KindHeartbeat, func(r *Record) { r.ID = strings.ToUpper(r.ID) }, "id"},
		{"stream", KindHeartbeat, func(r *Record) { r.Stream = StreamID{} }, "stream"},
		{"epoch", KindHeartbeat, func(r *Record) { r.Epoch = 0 }, "epoch"},
		{"huge epoch", KindHeartbeat, func(r *Record) { r.Epoch = big }, "epoch"},
		{"huge number", KindHeartbeat, func(r *Record) { r.Sequence = big }, "seq"},
		{"number 0", KindHeartbeat, func(r *Record) { r.Sequence = 0 }, "seq"},
		{"genesis later", KindGenesis, func(r *Record) { r.Sequence = 1 }, "seq"},
		{"genesis with a predecessor", KindGenesis, func(r *Record) { r.Previous = Hash{1} }, "prev"},
		{"no predecessor", KindHeartbeat, func(r *Record) { r.Previous = Hash{} }, "prev"},
		{"no time", KindHeartbeat, func(r *Record) { r.Time = time.Time{} }, "time"},
		{"time before", KindHeartbeat, func(r *Record) { r.Time = time.Unix(-1, 0) }, "time"},
		{"time after", KindHeartbeat, func(r *Record) { r.Time = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) }, "time"},
		{"no server", KindHeartbeat, func(r *Record) { r.Server = did.DID{} }, "server"},
		{"unknown that is known", KindHeartbeat, func(r *Record) { r.Unknown = []Member{{"id", `"x"`}} }, "id"},
		{"unknown twice", KindHeartbeat, func(r *Record) { r.Unknown = []Member{{"x", "1"}, {"x", "1"}} }, "x"},
		{"unknown out of order", KindHeartbeat, func(r *Record) { r.Unknown = []Member{{"y", "1"}, {"x", "1"}} }, "x"},
		{"log origin", KindGenesis, func(r *Record) { r.Genesis.LogOrigin = long }, "log_origin"},
		{"software", KindGenesis, func(r *Record) { r.Genesis.Software = "a\nb" }, "software"},

		{"no auth level", KindDecision, func(r *Record) { r.Decision.Caller.Auth = "" }, "capiscio.auth.level"},
		{"badge without DID", KindDecision, func(r *Record) { r.Decision.Caller.DID = did.DID{} }, "capiscio.agent.did"},
		{"badge without id", KindDecision, func(r *Record) { r.Decision.Caller.BadgeID = "" }, "capiscio.badge.jti"},
		{"badge without issuer", KindDecision, func(r *Record) { r.Decision.Caller.Issuer = "" }, "caller_issuer"},
		{"badge without level", KindDecision, func(r *Record) { r.Decision.Caller.Level = "" }, "caller_level"},
		{"level 5", KindDecision, func(r *Record) { r.Decision.Caller.Level = "5" }, "caller_level"},
		{"badge without assurance", KindDecision, func(r *Record) { r.Decision.Caller.Assurance = "" }, "caller_ial"},
		{"badge without its hash", KindDecision, func(r *Record) { r.Decision.BadgeHash = Hash{} }, "badge_hash"},

		{"no decision", KindDecision, func(r *Record) { r.Decision.Kind = "" }, "decision_kind"},
		{"unknown decision", KindDecision, func(r *Record) { r.Decision.Kind = "observe" }, "decision_kind"},
		{"rule", KindDecision, func(r *Record) { r.Decision.Rule = "a\x00" }, "rule"},
		{"no policy", KindDecision, func(r *Record) { r.Decision.PolicyVersion = "" }, "capiscio.policy_version"},
		{"asked for level", KindDecision, func(r *Record) { r.Decision.MinLevel = "2.5" }, "min_level"},
		{"denied without reason", KindDecision, func(r *Record) { r.Decision.DenyReason = "" }, "capiscio.deny_reason"},
		{"allowed with reason", KindDecision, func(r *Record) { r.Decision.Kind = AllowWithConstraints }, "capiscio.deny_reason"},
		{"reason in prose", KindDecision, func(r *Record) { r.Decision.DenyReason = "the path /etc" }, "capiscio.deny_reason"},
		{"cause in prose", KindDecision, func(r *Record) { r.Decision.DenyCause = "because" }, "deny_cause"},
		{"cause without reason", KindDecision, func(r *Record) { r.Decision.Kind, r.Decision.DenyReason = Allow, "" }, "deny_cause"},

		{"no method", KindDecision, func(r *Record) { r.Decision.Method = "" }, "method"},
		{"long method", KindDecision, func(r *Record) { r.Decision.Method = long }, "method"},
		{"capability", KindDecision, func(r *Record) { r.Decision.Capability = "a tool" }, "capability"},
		{"target", KindDecision, func(r *Record) { r.Decision.Target = "sha256:x" }, "capiscio.target"},
		{"request id", KindDecision, func(r *Record) { r.Decision.RequestID = long }, "request_id"},
		{"transaction", KindDecision, func(r *Record) { r.Decision.TxnID = long }, "capiscio.txn_id"},
		{"hop", KindDecision, func(r *Record) { r.Decision.HopID = long }, "capiscio.hop.hop_id"},
		{"hop without proof", KindDecision, func(r *Record) { r.Decision.ProofHash = Hash{} }, "capiscio.hop.hop_id"},
		{"parent without hop", KindDecision, func(r *Record) { r.Decision.HopID = "" }, "capiscio.hop.parent_hash"},
		{"trace", KindDecision, func(r *Record) { r.Decision.TraceID = long }, "trace_id"},
		{"transport", KindDecision, func(r *Record) { r.Decision.Transport = "-" }, "transport"},
		{"span in upper case", KindDecision, func(r *Record) { r.Decision.SpanID = "B7AD6B7169203331" }, "span_id"},
		{"short span", KindDecision, func(r *Record) { r.Decision.SpanID = "b7ad" }, "span_id"},
		{"zero span", KindDecision, func(r *Record) { r.Decision.SpanID = strings.Repeat("0", 16) }, "span_id"},
		{"span without trace", KindDecision, func(r *Record) { r.Decision.TraceID = "" }, "span_id"},
		{"actor", KindDecision, func(r *Record) { r.Decision.Actor = "robot" }, "actor"},
		{"claimed actor", KindDecision, func(r *Record) { r.Decision.Claimed.Actor = long }, "claimed_actor"},
		{"claimed policy", KindDecision, func(r *Record) { r.Decision.Claimed.Policy = long }, "claimed_policy"},
		{"claimed mode", KindDecision, func(r *Record) { r.Decision.Claimed.Mode = long }, "claimed_mode"},
		{"claimed approval", KindDecision, func(r *Record) { r.Decision.Claimed.Approval = long }, "claimed_approval"},
		{"tried decision", KindDecision, func(r *Record) { r.Decision.ShadowKind = "observe" }, "shadow_kind"},
		{"tried without a rule", KindDecision, func(r *Record) { r.Decision.ShadowRule = "" }, "shadow_rule"},
		{"tried without a decision", KindDecision, func(r *Record) { r.Decision.ShadowKind = "" }, "shadow_rule"},
		{"tried rule", KindDecision, func(r *Record) { r.Decision.ShadowRule = long }, "shadow_rule"},
		{"tried denial without reason", KindDecision, func(r *Record) { r.Decision.ShadowReason = "" }, "shadow_reason"},
		{"tried allowing with reason", KindDecision, func(r *Record) { r.Decision.ShadowKind = Allow }, "shadow_reason"},
		{"tried reason in prose", KindDecision, func(r *Record) { r.Decision.ShadowReason = "no" }, "shadow_reason"},
		{"constraints of nothing", KindDecision, func(r *Record) { r.Decision.Kind, r.Decision.DenyReason, r.Decision.DenyCause = Allow, "", "" }, "decision_kind"},
		{"huge runtime", KindDecision, func(r *Record) { r.Decision.Constraints.MaxRuntimeSec = big }, "constraint_max_runtime_sec"},
		{"huge retries", KindDecision, func(r *Record) { r.Decision.Constraints.MaxRetries = &big }, "constraint_max_retries"},
		{"huge result allowed", KindDecision, func(r *Record) { r.Decision.Constraints.MaxResultBytes = big }, "constraint_max_result_bytes"},
		{"huge rate", KindDecision, func(r *Record) { r.Decision.Constraints.RatePerMinute = big }, "constraint_rate_per_minute"},
		{"huge wait", KindDecision, func(r *Record) { r.Decision.Constraints.IncludedWithinSec = big }, "constraint_included_within_sec"},
		{"huge wait for witnesses", KindDecision, func(r *Record) { r.Decision.Constraints.CosignedWithinSec = big }, "constraint_cosigned_within_sec"},
		{"huge concurrency", KindDecision, func(r *Record) { r.Decision.Constraints.MaxConcurrent = big }, "constraint_max_concurrent"},
		{"hosts", KindDecision, func(r *Record) { hosts := strings.Repeat("h", 1025); r.Decision.Constraints.NetworkAllowlist = &hosts }, "constraint_network_allowlist"},
		{"half a count", KindDecision, func(r *Record) { r.Decision.Shown = nil }, "list_shown"},
		{"huge shown", KindDecision, func(r *Record) { r.Decision.Shown = &big }, "list_shown"},
		{"huge withheld", KindDecision, func(r *Record) { r.Decision.Withheld = &big }, "list_withheld"},
		{"no commitment", KindDecision, func(r *Record) { r.Decision.ParamsCommitment = Hash{} }, "params_commitment"},
		{"form", KindDecision, func(r *Record) { r.Decision.ParamsForm = "" }, "params_form"},
		{"plain hash of octets", KindDecision, func(r *Record) { r.Decision.ParamsForm = ParamsOctets }, "capiscio.tool.params_hash"},

		{"no outcome", KindOutcome, func(r *Record) { r.Outcome.Status = "" }, "outcome"},
		{"outcome of nothing", KindOutcome, func(r *Record) { r.Outcome.DecisionID = "" }, "decision_id"},
		{"outcome of genesis", KindOutcome, func(r *Record) { r.Outcome.DecisionSequence = 0 }, "decision_seq"},
		{"outcome of itself", KindOutcome, func(r *Record) { r.Outcome.DecisionSequence = 2 }, "decision_seq"},
		{"error without class", KindOutcome, func(r *Record) { r.Outcome.ErrorClass = "" }, "error_class"},
		{"class without error", KindOutcome, func(r *Record) { r.Outcome.Status = OutcomeOK }, "error_class"},
		{"class in prose", KindOutcome, func(r *Record) { r.Outcome.ErrorClass = "no such file" }, "error_class"},
		{"negative duration", KindOutcome, func(r *Record) { r.Outcome.Duration = -1 }, "duration_ns"},
		{"huge duration", KindOutcome, func(r *Record) { r.Outcome.Duration = maxNumber + 1 }, "duration_ns"},
		{"unknown with duration", KindOutcome, unknownOutcome, "duration_ns"},
		{"unknown with result", KindOutcome, func(r *Record) { unknownOutcome(r); r.Outcome.Duration = 0 }, "result_commitment"},
		{"huge result", KindOutcome, func(r *Record) { r.Outcome.ResultSize = big }, "result_size"},
		{"size of nothing", KindOutcome, func(r *Record) { r.Outcome.ResultCommitment = Hash{} }, "result_size"},

		{"change of nothing", KindChange, func(r *Record) { r.Change.Subject = "weather" }, "change"},
		{"change to no policy", KindChange, func(r *Record) { r.Change.PolicyVersion = "" }, "capiscio.policy_version"},
		{"change enforcer", KindChange, func(r *Record) { r.Change.EgressEnforcedBy = long }, "egress_enforced_by"},
		{"change from", KindChange, func(r *Record) { r.Change.PreviousPolicyVersion = long }, "previous_policy_version"},
	}
	s := newTestSigner("server")
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := everyRecord(t, s)[test.kind]
			test.change(r)
			_, err := r.Message()
			var rejected *RejectedError
			if !errors.As(err, &rejected) || rejected.Code != CodeRecordInvalid || rejected.Member != test.member {
				t.Fatalf("got %v, want %s for member %q", err, CodeRecordInvalid, test.member)
			}
			if _, err := Sign(r, s.kid, s.key); err == nil {
				t.Fatal("signed")
			}
		})
	}
}

func unknownOutcome(r *Record) { r.Outcome.Status, r.Outcome.ErrorClass = OutcomeUnknown, "" }

// What is just within the limits is written, and read again.
func TestRecordLimits(t *testing.T) {
	s := newTestSigner("server")
	most := uint64(maxNumber)
	for name, test := range map[string]struct {
		kind   Kind
		change func(*Record)
	}{
		"epoch":    {KindHeartbeat, func(r *Record) { r.Epoch = most }},
		"number":   {KindHeartbeat, func(r *Record) { r.Sequence = most }},
		"first":    {KindHeartbeat, func(r *Record) { r.Time = time.Unix(0, 0) }},
		"last":     {KindHeartbeat, func(r *Record) { r.Time = time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC) }},
		"list":     {KindDecision, func(r *Record) { r.Decision.Shown, r.Decision.Withheld = &most, &most }},
		"duration": {KindOutcome, func(r *Record) { r.Outcome.Duration = maxNumber }},
		"result":   {KindOutcome, func(r *Record) { r.Outcome.ResultSize = most }},
		"target":   {KindDecision, func(r *Record) { r.Decision.Target = strings.Repeat("t", maxTarget) }},
		"text":     {KindDecision, func(r *Record) { r.Decision.Method = strings.Repeat("m", maxText) }},
		"code":     {KindDecision, func(r *Record) { r.Decision.DenyReason = strings.Repeat("Z", maxToken) }},
		"unknown":  {KindHeartbeat, func(r *Record) { r.Unknown = []Member{{strings.Repeat("z", maxToken), "999999999999999"}} }},
	} {
		r := everyRecord(t, s)[test.kind]
		test.change(r)
		v := mustVerify(t, mustSign(t, r, s), s.keys)
		if again := mustSign(t, v.Record(), s); string(again) != string(v.Bytes()) {
			t.Errorf("%s: read and signed again:\n%s\nwas\n%s", name, again, v.Bytes())
		}
	}
}

// Published behaviour: any string that is presented is recorded as an API key caller. Here a record says of a
// caller what was verified: a badge with all that belongs to it, or nobody.
func TestKnownFault13AnyStringIsAnAPIKey(t *testing.T) {
	s := newTestSigner("server")
	for _, level := range []AuthLevel{"apikey", "API_KEY", "oauth", "Badge", "verified"} {
		r := everyRecord(t, s)[KindDecision]
		r.Decision.Caller = Caller{Auth: level}
		if _, err := r.Message(); CodeOf(err) != CodeRecordInvalid {
			t.Errorf("auth level %q: %v", level, err)
		}
		text := strings.Replace(string(appendRecord(nil, everyRecord(t, s)[KindDecision])),
			`"capiscio.auth.level":"badge"`, `"capiscio.auth.level":"`+string(level)+`"`, 1)
		if _, err := parseRecord(text); CodeOf(err) != CodeRecordInvalid {
			t.Errorf("reading auth level %q: %v", level, err)
		}
	}

	// A caller that presented something which did not verify is anonymous, and nothing it claimed is recorded.
	d := fullDraft()
	d.Badge = "sk-any-string"
	d.Decision.Caller = Caller{Auth: AuthAnonymous}
	d.Decision.DenyReason, d.Decision.DenyCause = "TOOL_BADGE_INVALID", "BADGE_MALFORMED"
	text, err := mustPrepare(t, d, s.header(1)).Message()
	if err != nil {
		t.Fatal(err)
	}
	if got := string(text); strings.Contains(got, "sk-any") || strings.Contains(got, "agent.did") || !strings.Contains(got, `"badge_hash"`) {
		t.Errorf("recorded %s", got)
	}
	for name, change := range map[string]func(*Caller){
		"DID":       func(c *Caller) { c.DID = did.MustParse("did:web:agents.example") },
		"badge id":  func(c *Caller) { c.BadgeID = "6d0c1b8e-55c1-4b0e-8d57-0b7a3c4d5e6f" },
		"issuer":    func(c *Caller) { c.Issuer = "https://ca.example" },
		"level":     func(c *Caller) { c.Level = "4" },
		"assurance": func(c *Caller) { c.Assurance = "1" },
	} {
		r := mustPrepare(t, d, s.header(1))
		change(&r.Decision.Caller)
		if _, err := r.Message(); CodeOf(err) != CodeRecordInvalid {
			t.Errorf("an anonymous caller with a %s: %v", name, err)
		}
	}
}

func TestText(t *testing.T) {
	hash := Hash{1}.String()
	for _, test := range []struct {
		in    string
		plain bool
	}{
		{"", true}, {"read_file", true}, {"datei-für-Ümläute 日本 😀", true}, {strings.Repeat("x", 256), true},
		{strings.Repeat("x", 257), false}, {"a\nb", false}, {"a\x7f", false}, {"a\x00", false}, {"\x80", false}, {"\xff", false}, {"a\xc3", false},
		{"\u0085", false}, {"a\u202eb", false}, {"\u200b", false}, {"\ufeff", false}, {"\u2066", false}, {"\U000e0041", false},
		{"\u061c", false}, {"é\x01", false}, {"\u00a0", true}, {"\u2030", true}, {hash, false}, {"sha256:", false}, {"sha512:", true},
	} {
		got := recordText(test.in, maxText)
		if plain := got == test.in; plain != test.plain {
			t.Errorf("%q: recorded as %q", test.in, got)
		}
		if !textAllowed(got, maxText) {
			t.Errorf("%q: recorded as %q, which a reader refuses", test.in, got)
		}
		if again := recordText(got, maxText); !test.plain && again == got {
			t.Errorf("%q: its hash can be passed off as the text itself", test.in)
		}
		if test.plain != textAllowed(test.in, maxText) && test.in != hash {
			t.Errorf("%q: a reader takes it for plain text", test.in)
		}
	}
}

func TestTokens(t *testing.T) {
	for text, want := range map[string]bool{
		"tool": true, "a": true, "z": true, "A": true, "Z": true, "aZ": true, "tool_error": true, "x.y-z": true, strings.Repeat("a", 64): true,
		"": false, "a b": false, "1a": false, "é": false, strings.Repeat("a", 65): false, "a/b": false,
	} {
		if isToken(text) != want {
			t.Errorf("isToken(%q) is %v", text, !want)
		}
	}
	for text, want := range map[string]bool{
		"TOOL_X": true, "A1": true, "ZZ": true, strings.Repeat("A", 64): true, "": false, "a": false, "A-B": false, "1": false, "_A": false, strings.Repeat("A", 65): false,
	} {
		if isCode(text) != want {
			t.Errorf("isCode(%q) is %v", text, !want)
		}
	}
	for c := range 256 {
		if level := string([]byte{byte(c)}); isLevel(level) != strings.Contains("01234", level) {
			t.Errorf("isLevel(%q) is %v", level, isLevel(level))
		}
	}
	for range 100 {
		if id := newRecordID(); !isUUID4(id) {
			t.Fatalf("%q is not a UUID of version 4", id)
		}
	}
}

func TestHashAndStreamText(t *testing.T) {
	hash := Hash{1, 0xff}
	var back Hash
	text, _ := hash.MarshalText()
	if err := back.UnmarshalText(text); err != nil || back != hash || string(text) != hash.String() {
		t.Errorf("%s: read back as %s, %v", text, back, err)
	}
	for _, bad := range []string{"", "sha256:", hash.String() + "=", hash.String()[1:], hash.String()[:49] + "B", hash.String()[:49] + "\n", "SHA256:" + hash.String()[7:]} {
		if _, err := ParseHash(bad); err == nil {
			t.Errorf("hash %q: accepted", bad)
		}
	}
	id := NewStreamID()
	var again StreamID
	text, _ = id.MarshalText()
	if err := again.UnmarshalText(text); err != nil || again != id || string(text) != id.String() {
		t.Errorf("%s: read back as %s, %v", text, again, err)
	}
	for _, bad := range []string{"", id.String()[1:], id.String() + "00", strings.Repeat("0", 32), strings.Repeat("G0", 16), strings.Repeat("A0", 16)} {
		if _, err := ParseStreamID(bad); err == nil {
			t.Errorf("stream %q: accepted", bad)
		}
	}
}
