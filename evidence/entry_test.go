package evidence

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/touchmark-dev/touchmark/internal/jcs"
	"github.com/touchmark-dev/touchmark/translog"
)

func mustSign(t testing.TB, r *Record, s *testSigner) []byte {
	t.Helper()
	entry, err := Sign(r, s.kid, s.key)
	if err != nil {
		t.Fatal(err)
	}
	return entry
}

func mustVerify(t testing.TB, entry []byte, keys Keys) *VerifiedEntry {
	t.Helper()
	e, err := ParseEntry(entry)
	if err != nil {
		t.Fatal(err)
	}
	v, err := e.Verify(keys)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// signRaw signs a record's text as it is, whether or not it is one.
func signRaw(s *testSigner, kid, record string) []byte {
	sig := ed25519.Sign(s.key, []byte(contextLine+record))
	return appendEntry(nil, kid, []byte(record), sig)
}

func TestEntry(t *testing.T) {
	s := newTestSigner("server")
	for kind, r := range everyRecord(t, s) {
		entry := mustSign(t, r, s)
		canonical, err := jcs.Canonicalize(entry)
		if err != nil || !bytes.Equal(canonical, entry) {
			t.Fatalf("%s: the entry is not canonical: %v\n%s", kind, err, entry)
		}
		v := mustVerify(t, entry, s.keys)
		if v.Record().Kind() != kind || v.KeyID() != s.kid || !bytes.Equal(v.Bytes(), entry) {
			t.Errorf("%s: read as %s of %q", kind, v.Record().Kind(), v.KeyID())
		}
		if v.LeafHash(FormRecord) != Hash(translog.LeafHash(entry)) {
			t.Errorf("%s: leaf hash %s", kind, v.LeafHash(FormRecord))
		}
		if m, _ := r.Message(); v.RecordHash() != m.Hash() {
			t.Errorf("%s: record hash %s, want %s", kind, v.RecordHash(), m.Hash())
		}
		if !v.Record().Time.Equal(r.Time) || v.Record().ID != r.ID || v.Record().Server != r.Server {
			t.Errorf("%s: header %+v, want %+v", kind, v.Record().Header, r.Header)
		}
	}
}

func TestEntryRefused(t *testing.T) {
	s, other := newTestSigner("server"), newTestSigner("other")
	record := string(appendRecord(nil, everyRecord(t, s)[KindHeartbeat]))
	good := string(signRaw(s, s.kid, record))
	swap := func(old, text string) string { return strings.Replace(record, old, text, 1) }
	signed := func(record string) string { return string(signRaw(s, s.kid, record)) }
	edit := func(old, text string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("no %q in %s", old, good)
		}
		return strings.Replace(good, old, text, 1)
	}
	tests := []struct {
		name, entry string
		code        Code
	}{
		{"good", good, ""},
		{"empty", "", CodeMalformed},
		{"not JSON", "record", CodeMalformed},
		{"an array", "[" + good + "]", CodeMalformed},
		{"text after", good + " ", CodeMalformed},
		{"space", edit(`,"record"`, `, "record"`), CodeMalformed},
		{"other order", `{"record":` + record + edit(`,"record":`+record, "")[1:], CodeMalformed},
		{"further member", edit(`,"sig"`, `,"s":1,"sig"`), CodeMalformed},
		{"no kid", edit(`"kid":"`+s.kid+`",`, ""), CodeMalformed},
		{"kid a number", edit(`"kid":"`+s.kid+`"`, `"kid":1`), CodeMalformed},
		{"kid twice", edit(`{"kid"`, `{"kid":"`+s.kid+`","kid"`), CodeMalformed},
		{"short signature", edit(`"}`, `"}`)[:len(good)-3] + `"}`, CodeMalformed},
		{"signature with unused bits", good[:len(good)-3] + `_"}`, CodeMalformed},
		{"signature with padding", good[:len(good)-3] + `="}`, CodeMalformed},
		{"escape", edit(`"heartbeat"`, `"h\u0065artbeat"`), CodeMalformed},
		{"too large", `{"kid":"` + strings.Repeat("x", MaxEntryBytes), CodeTooLarge},
		{"as large as can be", strings.Repeat(" ", MaxEntryBytes-2) + "{}", CodeMalformed},
		{"record a string", signed(`"x"`), CodeMalformed},
		{"record empty", signed(`{}`), CodeVersionUnknown},
		{"version 2", signed(swap(`"v":1`, `"v":2`)), CodeVersionUnknown},
		{"version a string", signed(swap(`"v":1`, `"v":"1"`)), CodeVersionUnknown},
		{"another kind", signed(swap(`"heartbeat"`, `"approval"`)), CodeKindUnknown},
		{"no kind", signed(swap(`"kind":"heartbeat",`, ``)), CodeKindUnknown},
		{"kid of another server", string(signRaw(s, other.kid, record)), CodeKeyMismatch},
		{"kid without fragment", string(signRaw(s, s.did.String(), record)), CodeKeyMismatch},
		{"kid no DID", string(signRaw(s, "key-1", record)), CodeKeyMismatch},
		{"record in another order", signed(swap(`"seq":3,`, "")[:1] + `"seq":3,` + swap(`"seq":3,`, "")[1:]), CodeMalformed},
		{"record with space", signed(swap(`"v":1`, ` "v":1`)), CodeMalformed},
		{"member twice", signed(swap(`"v":1`, `"v":1,"v":1`)), CodeMalformed},
		{"number with fraction", signed(swap(`"seq":3`, `"seq":3.0`)), CodeRecordInvalid},
		{"number as text", signed(swap(`"seq":3`, `"seq":"3"`)), CodeRecordInvalid},
		{"negative number", signed(swap(`"seq":3`, `"seq":-3`)), CodeRecordInvalid},
		{"number of 16 digits", signed(swap(`"seq":3`, `"seq":1000000000000000`)), CodeRecordInvalid},
		{"null", signed(swap(`"seq":3`, `"seq":null`)), CodeRecordInvalid},
		{"false", signed(swap(`"server"`, `"shadow_copy":false,"server"`)), CodeRecordInvalid},
		{"member of another kind", signed(swap(`"seq":3,`, `"rule":"x","seq":3,`)), CodeRecordInvalid},
		{"flag of another kind", signed(swap(`"stream"`, `"shadow":true,"stream"`)), CodeRecordInvalid},
		{"member missing", signed(swap(`"seq":3,`, "")), CodeRecordInvalid},
		{"time of another form", signed(swap(`.500000000Z`, `.5Z`)), CodeRecordInvalid},
		{"time with offset", signed(swap(`.500000000Z`, `.500000000+00:00`)), CodeRecordInvalid},
		{"hash of another form", signed(swap(`"prev":"sha256:`, `"prev":"sha512:`)), CodeRecordInvalid},
		{"stream in upper case", signed(swap(`"stream":"010203`, `"stream":"0A0203`)), CodeRecordInvalid},
		{"server no DID", signed(swap(s.did.String(), "https://server.example")), CodeRecordInvalid},
		{"unknown object", signed(swap(`"v":1`, `"v":1,"w":{}`)), CodeRecordInvalid},
		{"unknown fraction", signed(swap(`"v":1`, `"v":1,"w":1.5`)), CodeRecordInvalid},
		{"unknown null", signed(swap(`"v":1`, `"v":1,"w":null`)), CodeRecordInvalid},
		{"unknown in upper case", signed(swap(`{"epoch"`, `{"W":1,"epoch"`)), CodeRecordInvalid},
		{"unknown without a name", signed(swap(`{"epoch"`, `{"":1,"epoch"`)), CodeRecordInvalid},
		{"unknown beginning with a digit", signed(swap(`{"epoch"`, `{"1":1,"epoch"`)), CodeRecordInvalid},
		{"unknown beginning with a brace", signed(swap(`"v":1`, `"v":1,"{":1`)), CodeRecordInvalid},
		{"unknown with a long name", signed(swap(`"v":1`, `"v":1,"`+strings.Repeat("z", 65)+`":1`)), CodeRecordInvalid},
		{"unknown with a sign", signed(swap(`"v":1`, `"v":1,"w-w":1`)), CodeRecordInvalid},
		{"unknown out of order", signed(swap(`"v":1`, `"a":1,"v":1`)), CodeMalformed},
		{"unknown escaped", signed(swap(`"v":1`, `"v":1,"w":"\u0041"`)), CodeMalformed},
		{"33 unknown", signed(swap(`}`, unknownMembers(33)+`}`)), CodeRecordInvalid},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			e, err := ParseEntry([]byte(test.entry))
			if CodeOf(err) != test.code || (err == nil) != (e != nil) {
				t.Fatalf("got %v, want %q", err, test.code)
			}
		})
	}
}

func unknownMembers(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(`,"w` + strings.Repeat("x", i) + `":1`)
	}
	return b.String()
}

// Later versions may add members. They are kept, reported, and covered by the signature.
func TestUnknownMembers(t *testing.T) {
	s := newTestSigner("server")
	record := string(appendRecord(nil, everyRecord(t, s)[KindDecision]))
	record = strings.Replace(record, `"actor"`, `"a.new_one":"x\"é","actor"`, 1)
	record = strings.Replace(record, `"badge_hash"`, `"b2":17,"badge_hash"`, 1)
	record = strings.Replace(record, `"v":1`, `"v":1,"z":true`, 1)
	entry := signRaw(s, s.kid, record)
	v := mustVerify(t, entry, s.keys)
	want := []Member{{"a.new_one", `"x\"é"`}, {"b2", "17"}, {"z", "true"}}
	got := v.Record().Unknown
	if len(got) != len(want) || got[0] != want[0] || got[1] != want[1] || got[2] != want[2] {
		t.Errorf("got %v, want %v", got, want)
	}
	if again := mustSign(t, v.Record(), s); !bytes.Equal(again, entry) {
		t.Errorf("read and signed again:\n%s\nwas\n%s", again, entry)
	}
}

// A record says each thing once: members that follow from others cannot say something else.
func TestContradictions(t *testing.T) {
	s := newTestSigner("server")
	record := string(appendRecord(nil, everyRecord(t, s)[KindDecision]))
	for old, text := range map[string]string{
		`"capiscio.decision":"DENY"`:               `"capiscio.decision":"ALLOW"`,
		`"capiscio.decision":"DENY",`:              ``,
		`"event.name":"capiscio.tool_invocation"`:  `"event.name":"capiscio.other"`,
		`"event.name":"capiscio.tool_invocation",`: ``,
		`"shadow":true`:                            `"shadow":false`,
		`"rule":"deny-writes"`:                     `"rule":""`,
		`"list_withheld":0,`:                       ``,
		`"decision_kind":"deny"`:                   `"decision_kind":"allow"`,
	} {
		changed := strings.Replace(record, old, text, 1)
		if changed == record {
			t.Fatalf("no %s in %s", old, record)
		}
		if _, err := parseRecord(changed); CodeOf(err) != CodeRecordInvalid {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestVerifyRefused(t *testing.T) {
	s, other := newTestSigner("server"), newTestSigner("other")
	r := everyRecord(t, s)[KindDecision]
	e, err := ParseEntry(mustSign(t, r, s))
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		keys Keys
		code Code
	}{
		"no keys":     {nil, CodeKeyUnknown},
		"other keys":  {other.keys, CodeKeyUnknown},
		"no real key": {Keys{s.kid: nil}, CodeKeyUnknown},
		"other key":   {Keys{s.kid: other.keys[other.kid]}, CodeSignatureInvalid},
	} {
		if v, err := e.Verify(test.keys); CodeOf(err) != test.code || v != nil {
			t.Errorf("%s: %v, want %s", name, err, test.code)
		}
	}
	// A signature over the record without the context line, or under another, is not one over an entry.
	record := appendRecord(nil, r)
	for _, message := range []string{string(record), "touchmark/evidence/v2\n" + string(record)} {
		entry := appendEntry(nil, s.kid, record, ed25519.Sign(s.key, []byte(message)))
		if e, err = ParseEntry(entry); err != nil {
			t.Fatal(err)
		}
		if _, err := e.Verify(s.keys); CodeOf(err) != CodeSignatureInvalid {
			t.Errorf("signed %.30q: %v", message, err)
		}
	}
}

// Every changed byte of an entry is noticed.
func TestEntryMangled(t *testing.T) {
	s := newTestSigner("server")
	entry := mustSign(t, everyRecord(t, s)[KindOutcome], s)
	for i := range entry {
		for _, flip := range []byte{1, 0x20, 0x80} {
			mangled := bytes.Clone(entry)
			mangled[i] ^= flip
			e, err := ParseEntry(mangled)
			if err == nil {
				_, err = e.Verify(s.keys)
			}
			if CodeOf(err) == "" {
				t.Fatalf("byte %d changed to %q: %v", i, mangled[i], err)
			}
		}
	}
}

// The worst that a caller can send fits an entry, and what the server itself makes too large is refused.
func TestEntrySize(t *testing.T) {
	s := newTestSigner("server")
	d := fullDraft()
	hostile := strings.Repeat(`"\`, 512)
	d.Decision.Target = hostile
	hosts := hostile
	d.Decision.Constraints.NetworkAllowlist = &hosts
	claimed := d.Decision.Claimed.texts()
	for _, text := range append(claimed[:], &d.Decision.ShadowRule, &d.Decision.Method, &d.Decision.RequestID, &d.Decision.TxnID, &d.Decision.HopID, &d.Decision.TraceID, &d.Decision.Rule, &d.Decision.PolicyVersion) {
		*text = hostile[:maxText]
	}
	d.Arguments = []byte(`{"x":"` + strings.Repeat("x", 1<<20) + `"}`)
	d.Badge, d.Proof = strings.Repeat("b", 1<<20), strings.Repeat("p", 1<<20)
	entry := mustSign(t, mustPrepare(t, d, s.header(1)), s)
	if len(entry) > MaxEntryBytes/4 {
		t.Errorf("entry of %d bytes", len(entry))
	}
	m, err := everyRecord(t, s)[KindHeartbeat].Message()
	if err != nil {
		t.Fatal(err)
	}
	frame := len(appendEntry(nil, "", m.Record(), make([]byte, ed25519.SignatureSize)))
	if entry, err := m.Seal(strings.Repeat("k", MaxEntryBytes-frame), s.key); err != nil || len(entry) != MaxEntryBytes {
		t.Errorf("the largest entry: %d bytes, %v", len(entry), err)
	}
	if _, err := m.Seal(strings.Repeat("k", MaxEntryBytes-frame+1), s.key); CodeOf(err) != CodeTooLarge {
		t.Errorf("large entry: %v", err)
	}
}

// A badSigner is a key on a device that does not do its work.
type badSigner struct {
	ed25519.PrivateKey
	err error
}

func (b badSigner) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return []byte("short"), b.err
}

func TestSealRefused(t *testing.T) {
	s := newTestSigner("server")
	m, err := everyRecord(t, s)[KindHeartbeat].Message()
	if err != nil {
		t.Fatal(err)
	}
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Seal(s.kid, p256); err == nil {
		t.Error("sealed with P-256")
	}
	if _, err := m.Seal(s.kid, badSigner{s.key, nil}); err == nil {
		t.Error("sealed with a short signature")
	}
	want := errors.New("token removed")
	if _, err := m.Seal(s.kid, badSigner{s.key, want}); !errors.Is(err, want) {
		t.Errorf("got %v", err)
	}
}
