package explorer_test

import (
	"bytes"
	"encoding/base64"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/internal/jcs"
	"github.com/touchmark-dev/touchmark/translog"
)

// TestSameAboutEveryByte leaves out, repeats and replaces each byte of a policy, of a receipt and of an entry in turn. Page
// and packages say the same, so that neither reads an encoding that the other does not.
func TestSameAboutEveryByte(t *testing.T) {
	all := readLogVectors(t)
	v := all[slices.IndexFunc(all, func(v *logVector) bool { return v.Name == "inclusion-cosigned" })]
	var questions []question
	var want []conclusion
	for _, text := range nextTo([]byte(v.Policy + "# \xff \xc3\xa9\n")) {
		questions = append(questions, question{Op: "policy", Policy: text})
		_, err := translog.ParsePolicy(text)
		want = append(want, oursOfLog(err))
	}
	policy, err := translog.ParsePolicy([]byte(v.Policy))
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range nextTo([]byte(v.Proof)) {
		questions = append(questions, question{Op: "log", Policy: []byte(v.Policy), Entry: []byte(v.Entry), Proof: text})
		proof, err := translog.ParseProof(text)
		if err == nil {
			_, err = policy.Verify([]byte(v.Entry), proof)
		}
		want = append(want, oursOfLog(err))
	}
	var notCanonical []question
	for _, text := range nextTo(newWorld(t, "é", true, "").entry) {
		q := question{Op: "parse", Entry: text}
		_, err := evidence.ParseEntry(text)
		if canonical, notJSON := jcs.Canonicalize(text); notJSON == nil && !bytes.Equal(canonical, text) {
			if err == nil {
				t.Errorf("accepted: %s", text)
			}
			notCanonical = append(notCanonical, q) // which code it has is left open where another rule is broken, too
			continue
		}
		questions, want = append(questions, q), append(want, ours(nil, err))
	}
	compare(t, questions, want)
	for i, a := range ask(t, notCanonical) {
		if a.Verdict != "rejected" {
			t.Errorf("%s: %+v", notCanonical[i].Entry, a)
		}
	}
}

// nextTo returns texts that differ from text in one place. What a byte is replaced with goes through a list of bytes that
// mean something to one parser or another.
func nextTo(text []byte) (out [][]byte) {
	const others = "\n \r\t0=+A/_-\"\\{\x00\x7f\x85\xa0\xc3\xff,:1#"
	for i := range text {
		out = append(out,
			slices.Delete(slices.Clone(text), i, i+1),
			slices.Insert(slices.Clone(text), i, text[i]),
			slices.Replace(slices.Clone(text), i, i+1, others[i%len(others)]),
			slices.Replace(slices.Clone(text), i, i+1, others[(i*7+3)%len(others)]),
		)
	}
	return out
}

func oursOfLog(err error) conclusion {
	if err == nil {
		return accepted()
	}
	return rejected(string(translog.CodeOf(err)))
}

// TestSecondSignature: adding the order of the group to S gives a second signature that lax verifiers accept.
func TestSecondSignature(t *testing.T) {
	w := newWorld(t, "reads", true, "")
	before, sig, _ := strings.Cut(strings.TrimSuffix(string(w.entry), `"}`), `"sig":"`)
	raw, err := base64.RawURLEncoding.DecodeString(sig)
	if err != nil {
		t.Fatal(err)
	}
	order, _ := new(big.Int).SetString("1000000000000000000000000000000014def9dea2f79cd65812631a5cf5d3ed", 16)
	s := slices.Clone(raw[32:])
	slices.Reverse(s)
	new(big.Int).Add(new(big.Int).SetBytes(s), order).FillBytes(s)
	slices.Reverse(s)
	entry := before + `"sig":"` + base64.RawURLEncoding.EncodeToString(append(raw[:32:32], s...)) + `"}`
	compare(t, []question{
		{Op: "signature", Entry: w.entry, Document: w.document},
		{Op: "signature", Entry: []byte(entry), Document: w.document},
	}, []conclusion{accepted(), rejected("EVIDENCE_SIGNATURE_INVALID")})
}
