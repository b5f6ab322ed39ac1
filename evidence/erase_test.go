package evidence

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"testing"
)

// token is one of a form that nobody would verify.
func token(claims string, args ...any) string {
	return "e30." + base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, claims, args...)) + ".c2ln"
}

// TestEraseSubjectOfRefused: tokens of a caller whose badge was refused go with the others, as far as they open.
func TestEraseSubjectOfRefused(t *testing.T) {
	subject, another := newTestSigner("agent").did, newTestSigner("another").did
	for _, sealed := range []bool{false, true} {
		cfg, log := ledgerConfig(t)
		var opener Vault
		if sealed {
			opener = new(dummyVault)
			cfg.Vault = opener
		}
		l := mustOpenLedger(t, cfg)
		record := func(badge, proof string) uint64 {
			d := decisionDraft(Deny, "read")
			d.Badge, d.Proof = badge, proof
			return mustRecord(t, l, d).Sequence
		}
		beside := func(hop, proof string) uint64 { // the accepted badge of another
			d := decisionDraft(Deny, "read")
			d.Decision.Caller = Caller{Auth: AuthBadge, DID: another, BadgeID: "550e8400-e29b-41d4-a716-446655440000",
				Issuer: "https://registry.example", Level: "2", Assurance: "1"}
			d.Badge, d.Proof, d.Decision.HopID = token(`{"sub":%q}`, another), proof, hop
			return mustRecord(t, l, d).Sequence
		}
		meant := map[uint64]bool{beside("", token(`{"iss":%q}`, subject)): true}
		beside("", token(`{"iss":%q}`, another))
		beside("", "")
		beside("a hop", token(`{"iss":%q}`, subject)) // nobody would have believed it
		for _, d := range [][2]string{
			{token(`{"sub":%q,"iss":"did:web:ca"}`, subject)},
			{token(`{"sub":%q}`, subject) + "=", token(`{"iss":%q}`, another)},
			{token(`{"sub":%q}`, another), token(`{"iss":%q}`, subject)},
			{"", token(`{"iss":%q}`, subject)},
			{token(`{"sub":%q,"Sub":"x"}`, subject)}, {token(`{"sub":"x","sub":%q}`, subject)}, {token(`{"sub":[%q]}`, subject)},
			{token(`{"sub":%q}`, subject) + ".x"}, {token("{\"sub\":%q} \x00", subject)}, {subject.String()},
			{"e30." + base64.StdEncoding.EncodeToString(fmt.Appendf(nil, `{"x":"??>>~~","sub":%q}`, subject)) + ".c2ln"},
		} {
			meant[record(d[0], d[1])] = true
		}
		for _, d := range [][2]string{
			{token(`{"sub":%q,"iss":%q}`, another, subject)}, {"", token(`{"sub":%q}`, subject)}, {token(`{"Sub":%q}`, subject)}, {"a.b.c", "..."}, {},
		} {
			record(d[0], d[1])
		}
		mustClose(t, l)
		tokens, noToken := 17, 1 // records with one that was refused, and with what is none
		if sealed {
			out, err := Erase(context.Background(), cfg.Dir, &Erasure{Subject: subject})
			if err != nil || out.Records != 0 || out.Unread != tokens {
				t.Errorf("without a vault: %+v, %v", out, err)
			}
		}
		out, err := Erase(context.Background(), cfg.Dir, &Erasure{Subject: subject, Vault: opener})
		if err != nil || out.Records != len(meant) || out.Unread != 0 || out.NoToken != noToken {
			t.Fatalf("%+v, %v; %d records are meant", out, err, len(meant))
		}
		for r, err := range ReadJournal(cfg.Dir, 0) {
			if err != nil {
				t.Fatal(err)
			}
			_, err := r.OpenPrivate(opener)
			if erased := errors.Is(err, ErrPrivateErased); erased != meant[r.Sequence] || !erased && err != nil {
				t.Errorf("record %d: %v", r.Sequence, err)
			}
		}
		if out, err := Erase(context.Background(), cfg.Dir, &Erasure{Subject: subject, Vault: opener}); err != nil || out.Records != 0 || out.Unread != 0 || out.NoToken != noToken {
			t.Errorf("again: %+v, %v", out, err)
		}
		checkStream(t, cfg, log)
	}
}
