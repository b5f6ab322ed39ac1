package explorer_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/translog/explorer"
	"github.com/touchmark-dev/touchmark/translog/translogtest"
)

// digested puts the record of a world into a log of digests, in the place of its own log.
func (w *world) digested(t *testing.T) {
	t.Helper()
	l := translogtest.NewLog("log.example/digests")
	leaves := [][]byte{evidence.FormDigest.Leaf([]byte("before")), evidence.FormDigest.Leaf(w.entry), evidence.FormDigest.Leaf([]byte("after"))}
	if _, err := l.Append(t.Context(), leaves); err != nil {
		t.Fatal(err)
	}
	cp, err := l.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	proof, err := l.Prove(t.Context(), cp, 1)
	if err != nil {
		t.Fatal(err)
	}
	w.proof, w.vkey = proofText(t, proof), l.VerifierKey()
	w.policy = []byte("log " + w.vkey + "\nquorum none\n")
}

// TestDigests: the page takes the receipt of a record whose digest the log has, says so, and takes no other.
func TestDigests(t *testing.T) {
	whole, w := newWorld(t, "reads", true, ""), newWorld(t, "reads", true, "")
	w.digested(t)
	leaf := evidence.FormDigest.Leaf(w.entry)
	twice := evidence.FormDigest.Leaf(leaf)
	log := func(entry []byte, from *world) question {
		return question{Op: "log", Entry: entry, Proof: from.proof, Policy: from.policy}
	}
	cases := []struct {
		name string
		q    question
		want conclusion
		form string
	}{
		{"the record", log(w.entry, w), accepted(), "digest"},
		{"its leaf, as if it were the record", log(leaf, w), accepted(), "record"},
		{"the digest of its leaf", log(twice, w), rejected("LOG_INCLUSION_INVALID"), ""},
		{"another record", log([]byte(strings.Replace(string(w.entry), "reads", "write", 1)), w), rejected("LOG_INCLUSION_INVALID"), ""},
		{"the digest, in a log of records", log(leaf, whole), rejected("LOG_INCLUSION_INVALID"), ""},
		{"the record, in a log of records", log(whole.entry, whole), accepted(), "record"},
		{"the receipt of another log", question{Op: "log", Entry: w.entry, Proof: w.proof, Policy: whole.policy}, rejected("LOG_ORIGIN_UNKNOWN"), ""},
		{"all of it", question{Op: "examine", Entry: w.entry, Proof: w.proof, Policy: w.policy, Document: w.document}, accepted(), ""},
		{"a digest is no record", question{Op: "examine", Entry: leaf, Proof: w.proof, Policy: w.policy, Document: w.document}, rejected("EVIDENCE_MALFORMED"), ""},
	}
	var questions []question
	for _, c := range cases {
		questions = append(questions, c.q)
	}
	for i, a := range ask(t, questions) {
		if c := cases[i]; a.conclusion() != c.want || a.Form != c.form {
			t.Errorf("%s: %+v, want %v %q", c.name, a, c.want, c.form)
		}
	}
}

// TestBrowserDigest: the page says what is in the log.
func TestBrowserDigest(t *testing.T) {
	w := newWorld(t, "reads", true, "")
	w.digested(t)
	p := openTab(t)
	page := filepath.Join(t.TempDir(), "verify.html")
	if err := os.WriteFile(page, explorer.Page(), 0o600); err != nil {
		t.Fatal(err)
	}
	p.navigate("file://" + page)
	for field, text := range map[string][]byte{"entry": w.entry, "proof": w.proof, "policy": w.policy, "document": w.document} {
		p.paste(field, text)
	}
	s := p.verify()
	if s.Verdict != "accepted" || !strings.Contains(s.Shown[0], "a tree of 3 entries, of which number 1 is the digest of this record") {
		t.Errorf("%+v", s)
	}
}
