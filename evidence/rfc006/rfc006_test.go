package rfc006

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// line is a record as the protocol has it, with some of its members replaced; an empty value removes one.
func line(edits ...string) string {
	members := []string{
		`"event.name"`, `"capiscio.tool_invocation"`, `"capiscio.agent.did"`, `"did:web:agents.example:ada"`,
		`"capiscio.badge.jti"`, `"0b5c1f9e-6d3a-4c57-9f0e-2a8d4b7c6e10"`, `"capiscio.auth.level"`, `"badge"`, `"capiscio.target"`, `"read_file"`,
		`"capiscio.policy_version"`, `"v1"`, `"capiscio.decision"`, `"ALLOW"`,
		`"capiscio.tool.params_hash"`, `"sha256:RBNvo1WzZ4oRRq0W9-hknpT7T8If536DEMBg9hyq_4o"`,
	}
	for i := 0; i+1 < len(edits); i += 2 {
		name := `"` + edits[i] + `"`
		at := slices.Index(members, name)
		switch {
		case at < 0:
			members = append(members, name, edits[i+1])
		case edits[i+1] == "":
			members = slices.Delete(members, at, at+2)
		default:
			members[at+1] = edits[i+1]
		}
	}
	var parts []string
	for i := 0; i+1 < len(members); i += 2 {
		parts = append(parts, members[i]+":"+members[i+1])
	}
	return "{" + strings.Join(parts, ",") + "}"
}

func read(t testing.TB, text string) (all []*Result) {
	t.Helper()
	r := NewReader(strings.NewReader(text))
	for {
		got, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, got)
	}
}

// TestRecords: one defect or doubt in each.
func TestRecords(t *testing.T) {
	anonymous := []string{"capiscio.agent.did", `""`, "capiscio.badge.jti", "", "capiscio.auth.level", `"anonymous"`}
	denied := []string{"capiscio.decision", `"DENY"`, "capiscio.deny_reason", `"TOOL_POLICY_DENIED"`}
	for name, c := range map[string]struct {
		line    string
		verdict Verdict
		code    Code
	}{
		"a badge":                {line(), Accepted, ""},
		"anonymous":              {line(anonymous...), Accepted, ""},
		"denied":                 {line(denied...), Accepted, ""},
		"dated":                  {line("id", `"a"`, "timestamp", `"2026-05-06T14:49:51.123456789Z"`, "trust_level", "2", "server_origin", `"https://x"`), Accepted, ""},
		"with a further member":  {line("anything", `{"a":[1]}`), Accepted, ""},
		"published words":        {line("capiscio.auth.level", `"BADGE"`), Undetermined, CodeAuthLevelForm},
		"published anonymous":    {line(append(anonymous[:4:4], "capiscio.auth.level", `"ANONYMOUS"`)...), Undetermined, CodeAuthLevelForm},
		"an API key":             {line(append(anonymous[:4:4], "capiscio.auth.level", `"apikey"`)...), Undetermined, CodeCallerUnverified},
		"a badge that failed":    {line(append(denied, "capiscio.agent.did", `""`, "capiscio.badge.jti", "")...), Undetermined, CodeCallerUnverified},
		"no policy":              {line("capiscio.policy_version", `""`), Undetermined, CodePolicyUnnamed},
		"not JSON":               {`{"event.name"`, Rejected, CodeMalformed},
		"an array":               {`[]`, Rejected, CodeMalformed},
		"a member twice":         {strings.Replace(line(), "{", `{"capiscio.target":"x",`, 1), Rejected, CodeMalformed},
		"not UTF-8":              {line("capiscio.target", "\"a\xff\""), Rejected, CodeMalformed},
		"another event":          {line("event.name", `"capiscio.hop_verified"`), Rejected, CodeMemberInvalid},
		"no event":               {line("event.name", ""), Rejected, CodeMemberMissing},
		"no agent":               {line("capiscio.agent.did", ""), Rejected, CodeMemberMissing},
		"no level":               {line("capiscio.auth.level", ""), Rejected, CodeMemberMissing},
		"no target":              {line("capiscio.target", ""), Rejected, CodeMemberMissing},
		"no policy version":      {line("capiscio.policy_version", ""), Rejected, CodeMemberMissing},
		"no decision":            {line("capiscio.decision", ""), Rejected, CodeMemberMissing},
		"an empty target":        {line("capiscio.target", `""`), Rejected, CodeMemberInvalid},
		"a number":               {line("capiscio.target", "7"), Rejected, CodeMemberInvalid},
		"a long text":            {line("capiscio.target", `"`+strings.Repeat("t", maxTextBytes+1)+`"`), Rejected, CodeMemberInvalid},
		"another level":          {line("capiscio.auth.level", `"oauth"`), Rejected, CodeMemberInvalid},
		"no answer":              {line("capiscio.decision", `"UNSPECIFIED"`), Rejected, CodeMemberInvalid},
		"denied without reason":  {line("capiscio.decision", `"DENY"`), Rejected, CodeMemberInvalid},
		"allowed with a reason":  {line("capiscio.deny_reason", `"X"`), Rejected, CodeMemberInvalid},
		"nobody with a DID":      {line("capiscio.auth.level", `"anonymous"`), Rejected, CodeMemberInvalid},
		"let in without a DID":   {line("capiscio.agent.did", `""`), Rejected, CodeMemberInvalid},
		"let in without a badge": {line("capiscio.badge.jti", ""), Rejected, CodeMemberInvalid},
		"not a DID":              {line("capiscio.agent.did", `"ada"`), Rejected, CodeMemberInvalid},
		"a hash in hex":          {line("capiscio.tool.params_hash", `"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"`), Rejected, CodeMemberInvalid},
		"a bare hash":            {line("capiscio.tool.params_hash", `"RBNvo1WzZ4oRRq0W9-hknpT7T8If536DEMBg9hyq_4o"`), Rejected, CodeMemberInvalid},
		"a time of day":          {line("timestamp", `"14:49"`), Rejected, CodeMemberInvalid},
	} {
		got := read(t, c.line+"\n")
		if len(got) != 1 || got[0].Verdict != c.verdict || got[0].Code != c.code || (got[0].Reason == "") != (c.verdict == Accepted) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// TestLines: duplicates, conflicts, order, lengths, and where each stands.
func TestLines(t *testing.T) {
	at := func(id, second string) string {
		return line("id", `"`+id+`"`, "timestamp", `"2026-05-06T14:49:`+second+`Z"`)
	}
	many := make([]string, 0, 2*maxMembers)
	for i := range maxMembers {
		many = append(many, fmt.Sprintf("m%d", i), "1")
	}
	text := strings.Join([]string{
		at("a", "01"), "", at("b", "03"), at("a", "01"), at("b", "04"), at("c", "02"), line(), line(),
		strings.Repeat("x", MaxLineBytes+10), strings.Repeat("y", 5*MaxLineBytes), line(many...), at("d", "09"),
	}, "\r\n")
	want := []struct {
		line    int
		verdict Verdict
		code    Code
	}{
		{1, Accepted, ""}, {3, Accepted, ""}, {4, Rejected, CodeDuplicate}, {5, Rejected, CodeConflict}, {6, Accepted, ""},
		{7, Accepted, ""}, {8, Rejected, CodeDuplicate}, {9, Rejected, CodeTooLarge}, {10, Rejected, CodeTooLarge}, {11, Rejected, CodeTooLarge},
		{12, Accepted, ""},
	}
	got := read(t, text)
	if len(got) != len(want) {
		t.Fatalf("%d results", len(got))
	}
	for i, w := range want {
		if g := got[i]; g.Line != w.line || g.Verdict != w.verdict || g.Code != w.code {
			t.Errorf("%+v, want %+v", g, w)
		}
	}
	if !slices.Equal(got[4].Notes, []Code{CodeTimeReversed}) {
		t.Errorf("a time that goes back: %+v", got[4])
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestSourceFails(t *testing.T) {
	if _, err := NewReader(io.MultiReader(strings.NewReader(line()), failing{})).Next(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%v", err)
	}
}

// TestUnremembered: what cannot be remembered is no reason to call it new.
func TestUnremembered(t *testing.T) {
	r := NewReader(strings.NewReader(line()))
	r.most = 0
	got, err := r.Next()
	if err != nil || got.Verdict != Undetermined || got.Code != CodeUnremembered {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestSpecification: every code stands in the specification.
func TestSpecification(t *testing.T) {
	spec, err := os.ReadFile("../../spec/evidence-index.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("record.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, code := range regexp.MustCompile(`"(RFC006_[A-Z_]+)"`).FindAllSubmatch(source, -1) {
		if !bytes.Contains(spec, append([]byte("`"), append(code[1], '`')...)) {
			t.Errorf("no %s", code[1])
		}
	}
}

// FuzzReader: every line that is not empty has one verdict, and a reason unless it is accepted.
func FuzzReader(f *testing.F) {
	f.Add([]byte(line() + "\n" + line("capiscio.auth.level", `"BADGE"`)))
	f.Add([]byte("{}\n\n[]\r\n\"\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		lines := 0
		for _, l := range bytes.Split(data, []byte("\n")) {
			if len(bytes.TrimRight(l, " \t\r\n")) > 0 || len(l) > MaxLineBytes {
				lines++
			}
		}
		r := NewReader(bytes.NewReader(data))
		for n := 0; ; n++ {
			got, err := r.Next()
			if err != nil {
				if !errors.Is(err, io.EOF) || n != lines {
					t.Fatalf("%d results of %d lines, %v", n, lines, err)
				}
				return
			}
			if (got.Verdict == Accepted) != (got.Code == "" && got.Reason == "") {
				t.Fatalf("%+v", got)
			}
		}
	})
}
