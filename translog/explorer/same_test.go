package explorer_test

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/internal/jcs"
	"github.com/touchmark-dev/touchmark/internal/jwk"
	vectors "github.com/touchmark-dev/touchmark/internal/vectorgen/evidence"
	"github.com/touchmark-dev/touchmark/testvectors"
	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/translogtest"
)

func readDIDVectors(t *testing.T) []*didVector {
	t.Helper()
	names, err := fs.Glob(testvectors.FS, "did/*.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []*didVector
	for _, name := range names {
		data, err := testvectors.FS.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		v := new(didVector)
		if err := json.Unmarshal(data, v); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all = append(all, v)
	}
	return all
}

// ours is what package evidence concludes.
func ours(_ *evidence.VerifiedEntry, err error) conclusion {
	if err == nil {
		return accepted()
	}
	c := rejected(string(evidence.CodeOf(err)))
	var r *evidence.RejectedError
	if errors.As(err, &r) {
		c.Member = r.Member
	}
	return c
}

// TestSameAsGo: page and package agree about every entry in any vector, whatever the vector is about.
func TestSameAsGo(t *testing.T) {
	var questions []question
	var want []conclusion
	for _, v := range readEvidenceVectors(t) {
		for _, text := range v.Entries {
			server := vectorServer
			entry, err := evidence.ParseEntry([]byte(text))
			if err != nil {
				want = append(want, ours(nil, err))
			} else {
				server = entry.Record.Server.String()
				want = append(want, ours(entry.Verify(vectorKeys(t, v))))
			}
			questions = append(questions, question{Op: "signature", Entry: []byte(text), Document: vectorDocument(t, server, v.Keys)})
		}
	}
	compare(t, questions, want)
}

func vectorKeys(t *testing.T, v *vectors.Vector) evidence.Keys {
	t.Helper()
	keys := evidence.Keys{}
	for kid, text := range v.Keys {
		key, err := jwk.ParsePublic(text)
		if err != nil {
			t.Fatal(err)
		}
		keys[kid] = key.Key.(ed25519.PublicKey)
	}
	return keys
}

func compare(t *testing.T, questions []question, want []conclusion) {
	t.Helper()
	for i, a := range ask(t, questions) {
		if a.conclusion() != want[i] {
			t.Errorf("%s\n the page: %v (%s)\n the package: %v", questions[i].Entry, a.conclusion(), a.Reason, want[i])
		}
	}
}

// oddValues take the place of each member in turn. Some are fit for some members.
var oddValues = []any{
	nil, "", true, false, 0, 1, 2, 1.5, 1e15, -1, []any{}, map[string]any{}, "x", "X", "0", "4", "5", "1 badge X - - m", "-", "*",
	"\u202e", "\U000E0041", "a\x00b", "<b>", "é", strings.Repeat("é", 129), strings.Repeat("x", 256), strings.Repeat("x", 257),
	strings.Repeat("x", 1024), strings.Repeat("x", 1025), "sha256:", "sha256:" + strings.Repeat("A", 43), "sha256:" + strings.Repeat("B", 43),
	"sha256:" + strings.Repeat("A", 42) + "E", "sha256:\n" + strings.Repeat("A", 42), "allow", "deny", "require_approval", "unknown", "error", "badge",
	"anonymous", "genesis", "heartbeat", "policy", "octets", "DENY", "did:web:a.example", "did:web:A.example", "did:key:z6Mk", "2026-02-29T00:00:00.000000000Z",
	"2028-02-29T23:59:59.999999999Z", "1969-12-31T23:59:59.000000000Z", "2026-01-01T00:00:60.000000000Z", "2026-01-01T00:00:00Z", "0000-00-00T00:00:00.000000000Z",
	"00f067aa0ba902b7", strings.Repeat("0", 16), strings.Repeat("0", 32), "3dba37bb-0871-4def-b95b-6655128dbe19", "3DBA37BB-0871-4DEF-B95B-6655128DBE19",
}

// TestSameAboutOddMembers changes members of accepted entries, each in one entry of each kind that has it, or leaves it
// out, or adds another, and compares the code and the member that is blamed. What was changed is canonical, and no longer
// signed.
func TestSameAboutOddMembers(t *testing.T) {
	var questions []question
	var want []conclusion
	changed := make(map[string]int)
	for _, v := range readEvidenceVectors(t) {
		if v.Kind != vectors.KindEntry || v.Expect.Verdict != vectors.Accepted {
			continue
		}
		for _, text := range oddEntries(t, v.Entries[0], changed) {
			_, err := evidence.ParseEntry(text)
			questions, want = append(questions, question{Op: "parse", Entry: text}), append(want, ours(nil, err))
		}
	}
	codes := make(map[conclusion]bool)
	for _, c := range want {
		codes[c] = true
	}
	if len(questions) < 4000 || len(codes) < 60 {
		t.Errorf("%d entries, %d conclusions", len(questions), len(codes))
	}
	compare(t, questions, want)
}

func oddEntries(t *testing.T, text string, changed map[string]int) (out [][]byte) {
	t.Helper()
	var entry struct {
		KID    string         `json:"kid"`
		Record map[string]any `json:"record"`
		Sig    string         `json:"sig"`
	}
	if err := json.Unmarshal([]byte(text), &entry); err != nil {
		t.Fatal(err)
	}
	write := func() {
		data, err := jcs.Marshal(&entry)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, data)
	}
	names := []string{"another_member", "Another", "group_01", "rule"}
	for name := range entry.Record {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		place := fmt.Sprint(entry.Record["kind"], " ", name)
		if changed[place]++; changed[place] > 1 {
			continue
		}
		old, had := entry.Record[name]
		delete(entry.Record, name)
		write()
		for _, odd := range oddValues {
			entry.Record[name] = odd
			write()
		}
		if delete(entry.Record, name); had {
			entry.Record[name] = old
		}
	}
	return out
}

// TestEveryPlace: each entry of each tree of up to 20 is found where it is, and not with a hash or an index that is
// another.
func TestEveryPlace(t *testing.T) {
	l := translogtest.NewLog("log.example/places")
	policy := []byte("log " + l.VerifierKey() + "\nquorum none\n")
	var questions []question
	var want []conclusion
	for size := range uint64(20) {
		if _, err := l.Append(t.Context(), [][]byte{fmt.Appendf(nil, "entry %d", size)}); err != nil {
			t.Fatal(err)
		}
		cp, err := l.Checkpoint(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for index := range size + 1 {
			entry := fmt.Appendf(nil, "entry %d", index)
			proof, err := l.Prove(t.Context(), cp, index)
			if err != nil {
				t.Fatal(err)
			}
			add := func(c conclusion) {
				questions, want = append(questions, question{Op: "log", Entry: entry, Proof: proofText(t, proof), Policy: policy}), append(want, c)
			}
			add(accepted())
			if proof.Index++; size > 0 {
				add(rejected("LOG_INCLUSION_INVALID"))
			}
			proof.Index = index
			for i := range proof.Hashes {
				proof.Hashes[i][31] ^= 1
				add(rejected("LOG_INCLUSION_INVALID"))
				proof.Hashes[i][31] ^= 1
			}
			proof.Hashes = append(proof.Hashes, [32]byte{1})
			add(rejected("LOG_INCLUSION_INVALID"))
		}
	}
	compare(t, questions, want)
}

func proofText(t *testing.T, p *translog.Proof) []byte {
	t.Helper()
	text, err := p.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestExamine: both checks together.
func TestExamine(t *testing.T) {
	web, key := newWorld(t, "reads", true, ""), newWorld(t, "reads", false, "")
	all := func(w *world) question {
		return question{Op: "examine", Entry: w.entry, Proof: w.proof, Policy: w.policy, Document: w.document}
	}
	with := func(change func(*question)) question {
		q := all(web)
		change(&q)
		return q
	}
	undetermined := conclusion{Verdict: "undetermined"}
	altered := []byte(strings.Replace(string(web.entry), `"rule":"reads"`, `"rule":"write"`, 1))
	flipped := []byte(strings.Replace(string(web.document), `"id":"did:web:mcp.example.com"`, `"id":"did:web:other.example"`, 1))
	cases := []struct {
		q    question
		want conclusion
	}{
		{all(web), accepted()},
		{all(key), accepted()},
		{with(func(q *question) { q.Op, q.Policy, q.Text = "key", nil, web.vkey }), accepted()},
		{with(func(q *question) { q.Entry = altered }), rejected("LOG_INCLUSION_INVALID")},
		{with(func(q *question) { q.Entry = append(slices.Clone(web.entry), '\n') }), rejected("LOG_INCLUSION_INVALID")},
		{with(func(q *question) { q.Entry, q.Proof = altered, nil }), rejected("EVIDENCE_SIGNATURE_INVALID")},
		{with(func(q *question) { q.Policy = key.policy }), rejected("LOG_CHECKPOINT_SIGNATURE_INVALID")},
		{with(func(q *question) { q.Document = flipped }), rejected("REFUSED")},
		{with(func(q *question) { q.Document = []byte{0} }), rejected("REFUSED")},
		{with(func(q *question) { q.Document = nil }), undetermined},
		{with(func(q *question) { q.Proof = nil }), undetermined},
		{with(func(q *question) { q.Policy = nil }), undetermined},
		{question{Op: "examine"}, undetermined},
		{with(func(q *question) { q.Entry = []byte("before") }), rejected("LOG_INCLUSION_INVALID")},
	}
	var questions []question
	var want []conclusion
	for _, c := range cases {
		questions, want = append(questions, c.q), append(want, c.want)
	}
	compare(t, questions, want)
}

// TestWithoutEd25519: what a browser cannot check is neither accepted nor rejected; what it can still refuse it refuses.
func TestWithoutEd25519(t *testing.T) {
	w := newWorld(t, "reads", true, "")
	for _, how := range []string{"no Ed25519", "yes to all", "no subtle"} {
		q := question{Op: "examine", Entry: w.entry, Proof: w.proof, Policy: w.policy, Document: w.document, NoEd25519: how}
		malformed := q
		malformed.Entry, malformed.NoEd25519 = []byte("{}"), ""
		compare(t, []question{q, malformed}, []conclusion{{Verdict: "undetermined"}, rejected("EVIDENCE_MALFORMED")})
	}
}
