package badge_test

import (
	"crypto"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/badgetest"
	"github.com/touchmark-dev/touchmark/internal/jws"
)

// resign signs the badge in token again with its text changed, as an issuer without our checks would.
func resign(t testing.TB, token string, key crypto.Signer, pairs ...string) string {
	t.Helper()
	m, err := jws.Parse(token)
	if err != nil {
		t.Fatal(err)
	}
	text := string(m.Payload)
	for i := 0; i < len(pairs); i += 2 {
		if strings.Count(text, pairs[i]) != 1 {
			t.Fatalf("%s does not stand once in %s", pairs[i], text)
		}
		text = strings.Replace(text, pairs[i], pairs[i+1], 1)
	}
	out, err := jws.Sign(jws.Header{Typ: m.Typ, Kid: m.Kid}, []byte(text), key)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func wantCode(t testing.TB, err error, want badge.Code) {
	t.Helper()
	if badge.CodeOf(err) != want {
		t.Errorf("got %v, want code %q", err, want)
	}
}

// Published code trusts every issuer when its list is empty, and fetches the key set of an issuer before it
// looks at the list.
func TestKnownFault03EmptyListTrustsNobody(t *testing.T) {
	ca := badgetest.New(t)
	agent := badgetest.NewWebAgent(t, "did:web:agents.example:ada")
	token := ca.Issue(agent, badge.LevelExtended)

	cfg := ca.Config()
	cfg.Issuers = nil
	if _, err := badge.NewVerifier(cfg); err == nil {
		t.Error("a verifier that trusts nobody was made")
	}
	cfg = ca.Config()
	cfg.Issuers = []string{"https://another.example"}
	v, err := badge.NewVerifier(cfg)
	if err != nil {
		t.Fatal(err)
	}
	_, err = v.Verify(t.Context(), token)
	wantCode(t, err, badge.CodeIssuerUntrusted)
	if n := ca.Asked(badgetest.Issuer); n != 0 {
		t.Errorf("the keys of an unlisted issuer were asked for %d times", n)
	}
}

func TestKnownFault03UnlistedIssuerIsNotFetched(t *testing.T) {
	ca := badgetest.New(t)
	const attacker = "https://169.254.169.254"
	token := resign(t, ca.Issue(badgetest.NewWebAgent(t, "did:web:agents.example:ada"), badge.LevelDomain),
		badgetest.NewKey(t), badgetest.Issuer, attacker)
	_, err := ca.Verifier().Verify(t.Context(), token)
	wantCode(t, err, badge.CodeIssuerUntrusted)
	if n := ca.Asked(attacker); n != 0 {
		t.Errorf("the keys of an unlisted issuer were asked for %d times", n)
	}
}

// Published code does not look at the audience.
func TestKnownFault06AudienceIsChecked(t *testing.T) {
	ca := badgetest.New(t)
	const elsewhere, here = "https://other.example", "https://mcp.example.com"
	token := ca.Issue(badgetest.NewWebAgent(t, "did:web:agents.example:ada"), badge.LevelDomain,
		func(tmpl *badge.Template) { tmpl.Audience = []string{elsewhere} })
	for _, names := range [][]string{{here}, {elsewhere + "/"}, {"https://other.example.com"}, nil} {
		cfg := ca.Config()
		cfg.Audience = names
		v, err := badge.NewVerifier(cfg)
		if err != nil {
			t.Fatal(err)
		}
		_, err = v.Verify(t.Context(), token)
		wantCode(t, err, badge.CodeAudienceMismatch)
	}
	cfg := ca.Config()
	cfg.Audience = []string{here, elsewhere}
	v, err := badge.NewVerifier(cfg)
	if err != nil {
		t.Fatal(err)
	}
	_, err = v.Verify(t.Context(), token)
	wantCode(t, err, "")
}

// Published code reads {"level":"1","Level":"4"} as level 4.
func TestKnownFault07CaseInsensitiveDuplicateLevel(t *testing.T) {
	ca := badgetest.New(t)
	token := ca.Issue(badgetest.NewWebAgent(t, "did:web:agents.example:ada"), badge.LevelRegistered)
	v := ca.Verifier()
	for _, second := range []string{`"level":"1","Level":"4"`, `"Level":"4","level":"1"`, `"LEVEL":"4","level":"1"`} {
		b, err := v.Verify(t.Context(), resign(t, token, ca.Key.Signer, `"level":"1"`, second))
		if err != nil || b.Level() != badge.LevelRegistered {
			t.Errorf("%s: level %v, %v, want level 1", second, b, err)
		}
	}
	for _, second := range []string{`"level":"1","level":"4"`, `"level":"4","level":"1"`, `"level":"1","l\u0065vel":"4"`} {
		_, err := v.Verify(t.Context(), resign(t, token, ca.Key.Signer, `"level":"1"`, second))
		wantCode(t, err, badge.CodeMalformed)
	}
	_, err := v.Verify(t.Context(), resign(t, token, ca.Key.Signer, `"level":"1"`, `"Level":"4"`))
	wantCode(t, err, badge.CodeClaimsInvalid)
}

// Published code looks at the first key of a set only.
func TestKnownFault08RotationKeepsWorking(t *testing.T) {
	ca := badgetest.New(t)
	agent := badgetest.NewWebAgent(t, "did:web:agents.example:ada")
	before := ca.Issue(agent, badge.LevelDomain)
	ca.Rotate("ca-2")
	after := ca.Issue(agent, badge.LevelDomain)
	v := ca.Verifier()
	for name, token := range map[string]string{"old key": before, "new key": after} {
		if _, err := v.Verify(t.Context(), token); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Published code reports an unreachable status service as a revocation, and skips the check in a mode that it
// does not know.
func TestKnownFault09UnreachableStatusIsNoVerdict(t *testing.T) {
	ca := badgetest.New(t)
	v := ca.Verifier()
	down := errors.New("connection refused")
	for level := badge.LevelRegistered; level <= badge.LevelExtended; level++ {
		token := ca.Issue(badgetest.NewWebAgent(t, "did:web:agents.example:ada"), level)
		for _, status := range []badgetest.Status{{Err: down}, {Empty: true}, {AsOf: time.Now().Add(-301 * time.Second)}} {
			ca.SetStatus(status)
			b, err := v.Verify(t.Context(), token)
			wantCode(t, err, badge.CodeRevocationCheckFailed)
			var undetermined *badge.UndeterminedError
			var rejected *badge.RejectedError
			if b != nil || !errors.As(err, &undetermined) || errors.As(err, &rejected) {
				t.Errorf("level %v, %+v: got %v, %v", level, status, b, err)
			}
			if status.Err != nil && !errors.Is(err, down) {
				t.Errorf("the cause is lost: %v", err)
			}
		}
	}
	ca.SetStatus(badgetest.Status{})
	token := ca.Issue(badgetest.NewWebAgent(t, "did:web:agents.example:ada"), badge.LevelRegistered)
	u, err := badge.Inspect(token)
	if err != nil {
		t.Fatal(err)
	}
	ca.Revoke(u.BadgeID)
	_, err = v.Verify(t.Context(), token)
	wantCode(t, err, badge.CodeRevoked)
}

// TestMangled: no part of a good badge, and no badge with one byte changed, verifies.
func TestMangled(t *testing.T) {
	ca := badgetest.New(t)
	v := ca.Verifier()
	token := ca.Issue(badgetest.NewWebAgent(t, "did:web:agents.example:ada"), badge.LevelDomain)
	if _, err := v.Verify(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	check := func(text string) {
		t.Helper()
		b, err := v.Verify(t.Context(), text)
		var rejected *badge.RejectedError
		if b != nil || !errors.As(err, &rejected) {
			t.Errorf("%s: %v, %v", text, b, err)
		}
	}
	for i := range token {
		check(token[:i] + token[i+1:])
		check(token[:i] + string(token[i]+1) + token[i+1:])
		for _, extra := range []string{"\n", " ", "=", ".", "A", "\x00"} {
			check(token[:i] + extra + token[i:])
		}
	}
	step := 1
	if raceEnabled {
		step = 11 // the race detector finds nothing in the rest, and is slow
	}
	for i := range token {
		for j := i; j <= len(token); j += step {
			if j-i < len(token) {
				check(token[i:j])
			}
		}
	}
	for range 2 {
		if _, err := v.Verify(t.Context(), token); err != nil {
			t.Errorf("the badge itself: %v", err)
		}
	}
}

// TestEveryBitIsSigned changes every bit of the payload and of the header.
func TestEveryBitIsSigned(t *testing.T) {
	ca := badgetest.New(t)
	v := ca.Verifier()
	token := ca.Issue(badgetest.NewWebAgent(t, "did:web:agents.example:ada"), badge.LevelDomain)
	parts := strings.Split(token, ".")
	for part := range 2 {
		raw, err := base64.RawURLEncoding.DecodeString(parts[part])
		if err != nil {
			t.Fatal(err)
		}
		for bit := range len(raw) * 8 {
			raw[bit/8] ^= 1 << (bit % 8)
			changed := append([]string(nil), parts...)
			changed[part] = base64.RawURLEncoding.EncodeToString(raw)
			if _, err := v.Verify(t.Context(), strings.Join(changed, ".")); err == nil {
				t.Errorf("part %d, bit %d: accepted %s", part, bit, raw)
			}
			raw[bit/8] ^= 1 << (bit % 8)
		}
	}
}
