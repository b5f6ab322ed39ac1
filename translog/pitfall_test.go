package translog_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/transparency-dev/formats/log"
	fnote "github.com/transparency-dev/formats/note"
	fproof "github.com/transparency-dev/formats/proof"
	"github.com/transparency-dev/formats/witness"
	merkle "github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"

	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/translogtest"
)

// The tests of this file show, for each hole of a library, that the hole is
// there and that translog does not have it. One that stops finding the hole
// says that the library has changed.

func TestPitfallProofUnmarshalIsLenient(t *testing.T) {
	l, _ := grown(t, 11)
	cp := mustCheckpoint(t, l)
	proof, err := l.Prove(t.Context(), cp, 4)
	if err != nil {
		t.Fatal(err)
	}
	text, err := proof.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	valid := string(text)
	hash := strings.Split(valid, "\n")[2]
	for name, lenient := range map[string]string{
		"leading zero in the index":  strings.Replace(valid, "index 4", "index 0004", 1),
		"carriage returns":           strings.ReplaceAll(valid, "\n", "\r\n"),
		"slack bits in a hash":       strings.Replace(valid, hash, slack(hash), 1),
		"no blank line, no note":     "c2sp.org/tlog-proof@v1\nindex 4\n" + hash + "\n",
		"no last newline":            strings.TrimSuffix(valid, "\n"),
		"an extra line without data": strings.Replace(valid, "index 4", "extra \nindex 4", 1),
		"64 hashes":                  strings.Replace(valid, hash, strings.Repeat(hash+"\n", 63)+hash, 1),
	} {
		if err := new(fproof.TLogProof).Unmarshal([]byte(lenient)); err != nil {
			t.Errorf("%s: the library refuses it now: %v", name, err)
		}
		if _, err := translog.ParseProof([]byte(lenient)); translog.CodeOf(err) != translog.CodeProofMalformed {
			t.Errorf("%s: %v, want %s", name, err, translog.CodeProofMalformed)
		}
	}
}

// slack changes a base64 text within the bits that hold nothing.
func slack(encoded string) string {
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	body := strings.TrimRight(encoded, "=")
	last := strings.IndexByte(digits, body[len(body)-1])
	return body[:len(body)-1] + string(digits[last^1]) + encoded[len(body):]
}

func TestPitfallCheckpointUnmarshalIsLenient(t *testing.T) {
	signer, policy := newSigner(t, "log.example/lenient")
	root := "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
	for name, lenient := range map[string]string{
		"leading zero in the size": "log.example/lenient\n007\n" + root + "\n",
		"slack bits in the root":   "log.example/lenient\n7\n" + slack(root) + "\n",
		"a root of three bytes":    "log.example/lenient\n7\nAAAA\n",
		"a root for no entries":    "log.example/lenient\n0\n" + root + "\n",
		"a size of 2^64-1":         "log.example/lenient\n18446744073709551615\n" + root + "\n",
		"an empty extension line":  "log.example/lenient\n7\n" + root + "\n\nx\n",
	} {
		if _, err := new(log.Checkpoint).Unmarshal([]byte(lenient)); err != nil {
			t.Errorf("%s: the library refuses it now: %v", name, err)
		}
		raw, err := note.Sign(&note.Note{Text: lenient}, signer)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := policy.VerifyCheckpoint(raw); translog.CodeOf(err) != translog.CodeCheckpointMalformed {
			t.Errorf("%s: %v, want %s", name, err, translog.CodeCheckpointMalformed)
		}
	}
}

// TestPitfallRepeatedSignature: note.Open looks at the first line of a key and at
// no other, so a line that no key ever signed could stand behind it.
func TestPitfallRepeatedSignature(t *testing.T) {
	l, _ := grown(t, 11)
	w := translogtest.NewWitness("w.example/repeated")
	policy, err := translog.ParsePolicy([]byte("log " + l.VerifierKey() + "\nwitness w " + w.VerifierKey() + "\nquorum w\n"))
	if err != nil {
		t.Fatal(err)
	}
	raw := mustCheckpoint(t, l).Note()
	once := w.Cosign(raw, time.Unix(1770000000, 0))
	logLine := lineOf(t, raw, "log.example/grown")
	later := lineOf(t, w.Cosign(raw, time.Unix(1770000060, 0)), "w.example/repeated")
	for name, test := range map[string]struct {
		line string
		code translog.Code
	}{
		"the log's, the same":       {logLine, ""},
		"the log's, altered":        {alter(logLine), translog.CodeCheckpointSignatureInvalid},
		"the log's, with slack":     {slack(strings.TrimSuffix(logLine, "\n")) + "\n", translog.CodeCheckpointMalformed},
		"the witness's, later":      {later, ""},
		"the witness's, altered":    {alter(later), translog.CodeCosignatureInvalid},
		"the witness's, with slack": {slack(strings.TrimSuffix(later, "\n")) + "\n", translog.CodeCheckpointMalformed},
	} {
		repeated := string(once) + test.line
		if _, err := note.Open([]byte(repeated), note.VerifierList(mustVerifier(t, l.VerifierKey()))); err != nil {
			t.Errorf("%s: the library refuses it now: %v", name, err)
		}
		cp, err := policy.VerifyCheckpoint([]byte(repeated))
		if translog.CodeOf(err) != test.code || (err == nil) != (test.code == "") {
			t.Errorf("%s: %v, want %q", name, err, test.code)
		}
		if err == nil && len(cp.Cosignatures()) != 1 {
			t.Errorf("%s: %d cosignatures of one witness", name, len(cp.Cosignatures()))
		}
	}
}

// lineOf returns the signature line of this name.
func lineOf(t *testing.T, raw []byte, name string) string {
	t.Helper()
	for line := range strings.Lines(string(raw)) {
		if strings.HasPrefix(line, "\u2014 "+name+" ") {
			return line
		}
	}
	t.Fatalf("no line of %q in\n%s", name, raw)
	return ""
}

// alter changes the first digit of a signature line's signature, behind the key ID.
func alter(line string) string {
	i := strings.LastIndexByte(line, ' ') + 40
	if line[i] == 'A' {
		return line[:i] + "B" + line[i+1:]
	}
	return line[:i] + "A" + line[i+1:]
}

func mustVerifier(t *testing.T, vkey string) note.Verifier {
	t.Helper()
	v, err := note.NewVerifier(vkey)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestPitfallControlCharacters: a signed note may hold the control characters from
// U+007F on, and anybody may add a line of an unknown key, whose name a terminal
// would then obey.
func TestPitfallControlCharacters(t *testing.T) {
	l, _ := grown(t, 11)
	raw := string(mustCheckpoint(t, l).Note())
	for name, bad := range map[string]string{
		"in a name":  raw + "\u2014 \u009b2J AAAAAAAA\n",
		"a delete":   raw + "\u2014 \u007f AAAAAAAA\n",
		"in a label": raw + "\u2014 x\u0090y AAAAAAAA\n",
	} {
		if _, err := note.Open([]byte(bad), note.VerifierList(mustVerifier(t, l.VerifierKey()))); err != nil {
			t.Errorf("%s: the library refuses it now: %v", name, err)
		}
		if _, err := l.Policy().VerifyCheckpoint([]byte(bad)); translog.CodeOf(err) != translog.CodeCheckpointMalformed {
			t.Errorf("%s: %v, want %s", name, err, translog.CodeCheckpointMalformed)
		}
	}
}

func TestPitfallConsistencyFromSizeZero(t *testing.T) {
	anything := bytes.Repeat([]byte{0xaa}, 32)
	if err := merkle.VerifyConsistency(rfc6962.DefaultHasher, 0, 7, nil, anything, anything); err != nil {
		t.Errorf("the library refuses it now: %v", err)
	}
	older, newer := translog.Tree{Root: [32]byte(anything)}, translog.Tree{Size: 7, Root: [32]byte(anything)}
	if err := translog.CheckConsistency(older, newer, nil); translog.CodeOf(err) != translog.CodeConsistencyInvalid {
		t.Errorf("CheckConsistency from size 0 = %v, want %s", err, translog.CodeConsistencyInvalid)
	}
	// Two empty trees with two roots are no better.
	if err := translog.CheckConsistency(older, translog.Tree{}, nil); translog.CodeOf(err) != translog.CodeConsistencyInvalid {
		t.Errorf("CheckConsistency of two empty trees = %v, want %s", err, translog.CodeConsistencyInvalid)
	}
}

func TestPitfallWitnessKeyIDIsNotCompared(t *testing.T) {
	w := translogtest.NewWitness("w.example")
	name, rest, _ := strings.Cut(w.VerifierKey(), "+")
	for what, vkey := range map[string]string{
		"a wrong key ID": name + "+00000000" + rest[8:],
		"a log's key":    translogtest.NewLog("w.example").VerifierKey(),
	} {
		if _, err := fnote.NewVerifierForCosignatureV1(vkey); err != nil {
			t.Errorf("%s: the library refuses it now: %v", what, err)
		}
		policy := "log " + translogtest.NewLog("log.example").VerifierKey() + "\nwitness w " + vkey + "\nquorum w\n"
		if _, err := translog.ParsePolicy([]byte(policy)); translog.CodeOf(err) != translog.CodePolicyMalformed {
			t.Errorf("%s: %v, want %s", what, err, translog.CodePolicyMalformed)
		}
	}
}

func TestPitfallPolicyParserIsLenient(t *testing.T) {
	logLine := "log " + translogtest.NewLog("log.example").VerifierKey() + "\n"
	w := "witness w " + translogtest.NewWitness("w.example").VerifierKey() + " https://w.example\n"
	x := "witness x " + translogtest.NewWitness("x.example").VerifierKey() + " https://x.example\n"
	for name, lenient := range map[string]string{
		"a threshold of zero":       logLine + w + "group g 0 w\nquorum g\n",
		"the last quorum wins":      logLine + w + "quorum w\nquorum none\n",
		"one witness, two names":    logLine + w + strings.Replace(w, "witness w", "witness v", 1) + "group g 2 w v\nquorum g\n",
		"one member counted twice":  logLine + w + x + "group g 2 w w\nquorum g\n",
		"a log line of nonsense":    "log of wood\n" + w + "quorum w\n",
		"a threshold of many zeros": logLine + w + "group g 0001 w\nquorum g\n",
	} {
		if _, err := witness.ParsePolicy([]byte(lenient)); err != nil {
			t.Errorf("%s: the library refuses it now: %v", name, err)
		}
		if _, err := translog.ParsePolicy([]byte(lenient)); translog.CodeOf(err) != translog.CodePolicyMalformed {
			t.Errorf("%s: %v, want %s", name, err, translog.CodePolicyMalformed)
		}
	}
}

// TestPolicyRefusals are those that the vectors reach through another line.
func TestPolicyRefusals(t *testing.T) {
	logLine := "log " + translogtest.NewLog("log.example").VerifierKey() + "\n"
	w := "witness w " + translogtest.NewWitness("w.example").VerifierKey()
	for name, policy := range map[string]string{
		"nothing":                     "",
		"only comments":               "# none\n",
		"a witness of a bad URL":      logLine + w + " w.example\nquorum none\n",
		"a group of a taken name":     logLine + w + "\ngroup w all w\nquorum w\n",
		"a group of the name none":    logLine + w + "\ngroup none all w\nquorum w\n",
		"a member of the name none":   logLine + w + "\ngroup g any w none\nquorum g\n",
		"a group that holds itself":   logLine + w + "\ngroup g all w g\nquorum g\n",
		"a log with a third argument": strings.TrimSpace(logLine) + " https://log.example more\nquorum none\n",
		"a delete character":          logLine + "quorum none\n# \x7f\n",
	} {
		if _, err := translog.ParsePolicy([]byte(policy)); translog.CodeOf(err) != translog.CodePolicyMalformed {
			t.Errorf("%s: %v, want %s", name, err, translog.CodePolicyMalformed)
		}
	}
}

// TestQuorumAgreesWithFormats compares our evaluation of groups with the
// library's, over random policies and random cosigners.
func TestQuorumAgreesWithFormats(t *testing.T) {
	l, _ := grown(t, 3)
	raw := mustCheckpoint(t, l).Note()
	rng := rand.New(rand.NewPCG(1, 2))
	met := 0
	for range 200 {
		witnesses, text := randomPolicy(rng, l.VerifierKey())
		policy, err := translog.ParsePolicy([]byte(text))
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		reference, err := witness.ParsePolicy([]byte(text))
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		cosigned := raw
		for _, w := range witnesses {
			if rng.IntN(2) == 0 {
				cosigned = w.Cosign(cosigned, time.Unix(1770000000, 0))
			}
		}
		_, err = policy.VerifyCheckpoint(cosigned)
		if err != nil && translog.CodeOf(err) != translog.CodeWitnessQuorum {
			t.Fatal(err)
		}
		if want := reference.Satisfied(cosigned); (err == nil) != want {
			t.Fatalf("%v, the library says %t, for\n%s%s", err, want, text, cosigned)
		}
		if err == nil {
			met++
		}
	}
	if met == 0 || met == 200 {
		t.Errorf("the quorum was met %d times of 200: the test compares nothing", met)
	}
}

func randomPolicy(rng *rand.Rand, logKey string) ([]*translogtest.Witness, string) {
	var witnesses []*translogtest.Witness
	var free []string
	text := "log " + logKey + "\n"
	for i := range 2 + rng.IntN(4) {
		name := fmt.Sprint("w", i)
		w := translogtest.NewWitness(name + ".example")
		u := url.URL{Scheme: "https", Host: name + ".example"}
		text += fmt.Sprintf("witness %s %s %s\n", name, w.VerifierKey(), u.String())
		witnesses, free = append(witnesses, w), append(free, name)
	}
	for i := 0; len(free) > 1; i++ {
		n := 2 + rng.IntN(len(free)-1)
		name := fmt.Sprint("g", i)
		text += fmt.Sprintf("group %s %d %s\n", name, 1+rng.IntN(n), strings.Join(free[:n], " "))
		free = append(free[n:], name)
	}
	return witnesses, text + "quorum " + free[0] + "\n"
}
