package evidence

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/jcs"
)

// testSigner is a server with a did:key, made from a seed.
type testSigner struct {
	did  did.DID
	kid  string
	key  ed25519.PrivateKey
	keys Keys
}

func newTestSigner(seed string) *testSigner {
	sum := sha256.Sum256([]byte(seed))
	key := ed25519.NewKeyFromSeed(sum[:])
	pub := key.Public().(ed25519.PublicKey)
	d := did.FromKey(pub)
	return &testSigner{d, d.KeyURL(), key, Keys{d.KeyURL(): pub}}
}

func (s *testSigner) header(seq uint64) Header {
	h := Header{
		ID:       "0b9a6f5e-6c1d-4e0a-9d0e-3f6c7d1b2a34",
		Stream:   StreamID{1, 2, 3},
		Epoch:    1,
		Sequence: seq,
		Time:     time.Date(2026, 11, 3, 12, 30, 45, 500000000, time.UTC).Add(time.Duration(seq) * time.Second),
		Server:   s.did,
	}
	if seq > 0 {
		h.Previous = Hash{9, byte(seq)}
	}
	return h
}

// fullDraft fills every field that a guard may set.
func fullDraft() *Draft {
	shown, withheld, retries, hosts := uint64(3), uint64(0), uint64(0), ""
	return &Draft{
		Decision: &Decision{
			Caller: Caller{
				Auth:      AuthBadge,
				DID:       did.MustParse("did:web:agents.example:ada"),
				BadgeID:   "6d0c1b8e-55c1-4b0e-8d57-0b7a3c4d5e6f",
				Issuer:    "https://ca.example",
				Level:     "2",
				Assurance: "1",
			},
			Channel: Channel{Scheme: "spiffe", Subject: "spiffe://agents.example/ada", Certificate: Hash{6}},
			Actor:   "automation", Tenant: "tenant", Claimed: Claimed{Actor: "human", Policy: "none", Mode: "observe", Approval: "yes"},
			Method: "tools/call", Capability: "tool", Target: "read_file",
			Kind: Deny, Rule: "deny-writes", PolicyVersion: "sha256:" + strings.Repeat("A", 43), MinLevel: "3",
			DenyReason: "TOOL_TRUST_INSUFFICIENT", DenyCause: "LEVEL_TOO_LOW", Shadow: true, BearerUnsafe: true,
			ShadowRule: "new-deny", ShadowKind: Deny, ShadowReason: "TOOL_POLICY_DENIED",
			Constraints: Constraints{
				MaxRuntimeSec: 30, MaxRetries: &retries, MaxResultBytes: 1, RatePerMinute: 2, MaxConcurrent: 3,
				IncludedWithinSec: 4, CosignedWithinSec: 5, NetworkAllowlist: &hosts,
			},
			RequestID: `"7"`, TxnID: "018f4e1d-7e5d-7a9f-a9d2-8b6a0f2c9b11",
			HopID: "550e8400-e29b-41d4-a716-446655440000", ParentHopHash: Hash{5}, TraceID: "0af7651916cd43dd8448eb211c80319c",
			SpanID:    "b7ad6b7169203331",
			Transport: "http", Shown: &shown, Withheld: &withheld,
		},
		Arguments:      json.RawMessage(`{"path":"/etc/passwd","pin":1234}`),
		InputResponses: json.RawMessage(`{"approval":{"action":"accept"}}`),
		Badge:          "eyJ.badge.sig",
		Proof:          "eyJ.proof.sig",
	}
}

// fullRefusals has as many groups as there can be, not in their order.
func fullRefusals() *Refusals {
	r := &Refusals{From: time.Unix(1790000000, 1), To: time.Unix(1790000000, 2), BearerUnsafe: true}
	for n := range uint64(MaxRefusalGroups) {
		r.Groups = append(r.Groups, RefusalGroup{
			Count: 1 + n, Auth: AuthAnonymous, Reason: "TOOL_AUTH_MISSING", Cause: "NO_RULE", Capability: "tool",
			Method: fmt.Sprintf("tools/call %02d", MaxRefusalGroups-n),
		})
	}
	r.Groups[3] = RefusalGroup{Count: 1e12, Auth: AuthBadge, Reason: RefusalOther, Method: RefusalAnyMethod}
	return r
}

func mustPrepare(t testing.TB, d *Draft, h Header) *Record {
	t.Helper()
	r, _, err := d.prepare(true)
	if err != nil {
		t.Fatal(err)
	}
	r.Header = h
	return r
}

// everyRecord returns one record of each kind, as full as can be.
func everyRecord(t testing.TB, s *testSigner) map[Kind]*Record {
	with := func(seq uint64, d *Draft) *Record { return mustPrepare(t, d, s.header(seq)) }
	return map[Kind]*Record{
		KindGenesis:  {Header: s.header(0), Genesis: &Genesis{LogOrigin: "log.example/touchmark", LogForm: FormDigest, Software: "touchmark test"}},
		KindDecision: with(1, fullDraft()),
		KindOutcome: with(2, &Draft{Outcome: &Outcome{
			DecisionID: "6d0c1b8e-55c1-4b0e-8d57-0b7a3c4d5e6f", DecisionSequence: 1,
			Status: OutcomeError, ErrorClass: "tool_error", Duration: 1500 * time.Microsecond,
		}, Result: []byte("{}")}),
		KindHeartbeat: {Header: s.header(3)},
		KindChange: with(4, &Draft{Change: &Change{
			Subject: ChangePolicy, PolicyVersion: "b", PreviousPolicyVersion: "a", Shadow: true, BearerUnsafe: true,
			EgressEnforcedBy: "firewall",
		}}),
		KindRefusals: with(5, &Draft{Refusals: fullRefusals()}),
	}
}

func TestEncodingIsCanonical(t *testing.T) {
	for kind, r := range everyRecord(t, newTestSigner("server")) {
		m, err := r.Message()
		if err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		canonical, err := jcs.Canonicalize(m.Record())
		if err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		if !bytes.Equal(canonical, m.Record()) {
			t.Errorf("%s: the encoder wrote\n%s\nand RFC 8785 asks for\n%s", kind, m.Record(), canonical)
		}
		back, err := parseRecord(string(m.Record()))
		if err != nil {
			t.Fatalf("%s: %v\n%s", kind, err, m.Record())
		}
		if got := appendRecord(nil, back); !bytes.Equal(got, m.Record()) {
			t.Errorf("%s: read and written again:\n%s\nwas\n%s", kind, got, m.Record())
		}
	}
}

func TestStringsAreCanonical(t *testing.T) {
	var all []string
	for r := rune(0); r < 0x500; r++ {
		all = append(all, string(r), "a"+string(r)+"b")
	}
	all = append(all, "\u2028", "\U0001F600", "\ue000", `\"`, "")
	for _, s := range all {
		got := appendString(nil, s)
		want, err := jcs.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%q: wrote %s, RFC 8785 asks for %s", s, got, want)
		}
	}
}

// The full records have every member: none is untested, and all have their place in the order.
func TestEveryMemberIsWritten(t *testing.T) {
	var all bytes.Buffer
	for _, r := range everyRecord(t, newTestSigner("server")) {
		all.Write(appendRecord(nil, r))
	}
	for i, m := range members {
		if i > 0 && members[i-1].name >= m.name {
			t.Errorf("%q is out of order", m.name)
		}
		if !strings.Contains(all.String(), `"`+m.name+`":`) {
			t.Errorf("no test record has the member %q", m.name)
		}
	}
}

var hashTexts = regexp.MustCompile(`sha256:[A-Za-z0-9_-]{43}`)

func TestRecordsHoldNoParameter(t *testing.T) {
	d := fullDraft()
	r := mustPrepare(t, d, newTestSigner("server").header(1))
	text := hashTexts.ReplaceAllString(string(appendRecord(nil, r)), "") // any short text may be in one by chance
	for _, secret := range []string{"passwd", "path", "pin", "1234", "accept", `"approval"`, d.Badge, d.Proof} {
		if strings.Contains(text, secret) {
			t.Errorf("the record holds %q:\n%s", secret, text)
		}
	}
}

func BenchmarkRecord(b *testing.B) {
	s := newTestSigner("server")
	b.Run("draft", func(b *testing.B) {
		d := fullDraft()
		b.ReportAllocs()
		for b.Loop() {
			if _, _, err := d.prepare(false); err != nil {
				b.Fatal(err)
			}
		}
	})
	r := mustPrepare(b, fullDraft(), s.header(1))
	b.Run("message+hash", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			m, err := r.Message()
			if err != nil {
				b.Fatal(err)
			}
			_ = m.Hash()
		}
	})
	m, _ := r.Message()
	b.Run("jcs", func(b *testing.B) { // what encoding directly is compared with
		b.ReportAllocs()
		for b.Loop() {
			if _, err := jcs.Canonicalize(m.Record()); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("seal", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := m.Seal(s.kid, s.key); err != nil {
				b.Fatal(err)
			}
		}
	})
	entry, _ := m.Seal(s.kid, s.key)
	b.Run("parse", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := ParseEntry(entry); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("sign-floor", func(b *testing.B) {
		for b.Loop() {
			ed25519.Sign(s.key, m)
		}
	})
}
