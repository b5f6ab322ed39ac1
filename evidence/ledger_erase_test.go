package evidence

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/touchmark-dev/touchmark/did"
)

// TestErase: private parts of single records and of a caller go, from every file; the rest is as it was.
func TestErase(t *testing.T) {
	caller := newTestSigner("agent").did
	for _, sealed := range []bool{false, true} {
		cfg, log := ledgerConfig(t)
		vault := new(dummyVault)
		var opener Vault
		if sealed {
			cfg.Vault, opener = vault, vault
		}
		l := mustOpenLedger(t, cfg)
		record := func(kind DecisionKind, of did.DID) (*Ack, string) {
			d := decisionDraft(kind, "read")
			if !of.IsZero() {
				d.Decision.Caller = Caller{Auth: AuthBadge, DID: of, BadgeID: "550e8400-e29b-41d4-a716-446655440000",
					Issuer: "https://registry.example", Level: "2", Assurance: "1"}
			}
			d.Badge = "badge " + rand.Text()
			return mustRecord(t, l, d), d.Badge
		}
		var gone, kept []string
		meant := map[uint64]bool{}
		byID, badge := record(Allow, did.DID{})
		gone = append(gone, badge)
		meant[byID.Sequence] = true
		meant[mustRecord(t, l, outcomeDraft(byID)).Sequence] = true
		for i := range 60 {
			of := newTestSigner("another").did
			if i%3 == 0 {
				of = caller
			}
			ack, badge := record(Allow, of)
			out := mustRecord(t, l, outcomeDraft(ack))
			if of == caller {
				gone = append(gone, badge)
				meant[ack.Sequence], meant[out.Sequence] = true, true
			} else {
				kept = append(kept, badge)
			}
		}
		mustClose(t, l)
		before := checkStream(t, cfg, log)
		const nobody = "00000000-0000-4000-8000-000000000000"
		out, err := Erase(context.Background(), cfg.Dir, &Erasure{IDs: []string{byID.ID, nobody}, Subject: caller})
		if err != nil || out.Records != len(meant) || out.Bytes < 0 || len(out.Missing) != 1 || out.Missing[0] != nobody {
			t.Fatalf("%+v, %v; %d records are meant", out, err, len(meant))
		}
		if again, err := Erase(context.Background(), cfg.Dir, &Erasure{IDs: []string{byID.ID}, Subject: caller}); err != nil || again.Records != 0 {
			t.Errorf("again: %+v, %v", again, err)
		}
		if after := checkStream(t, cfg, log); len(after) != len(before) {
			t.Errorf("%d records, %d before", len(after), len(before))
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
		if !sealed {
			checkFiles(t, cfg.Dir, gone, kept)
		}
		l = mustOpenLedger(t, cfg)
		mustRecord(t, l, decisionDraft(Deny, "write"))
		mustClose(t, l)
		checkStream(t, cfg, log)
	}
}

// checkFiles looks into every file of a directory.
func checkFiles(t testing.TB, dir string, gone, kept []string) {
	t.Helper()
	var all []byte
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(name)
		all = append(all, b...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range gone {
		if bytes.Contains(all, []byte(s)) {
			t.Error("what was erased is in a file")
		}
	}
	for _, s := range kept {
		if !bytes.Contains(all, []byte(s)) {
			t.Error("what was not to be erased is in no file")
		}
	}
}

func TestEraseRefuses(t *testing.T) {
	dir := t.TempDir()
	if _, err := Erase(context.Background(), dir, &Erasure{IDs: []string{"x"}}); err == nil {
		t.Error("an id that is none is accepted")
	}
	if _, err := Erase(context.Background(), dir, &Erasure{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an empty directory: %v", err)
	}
	if names, _ := os.ReadDir(dir); len(names) != 0 {
		t.Errorf("%v was made", names)
	}
	if _, err := Retain(context.Background(), &RetainConfig{Dir: dir}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an empty directory: %v", err)
	}
	cfg, _ := ledgerConfig(t)
	l := mustOpenLedger(t, cfg)
	if _, err := Erase(context.Background(), cfg.Dir, &Erasure{}); err == nil {
		t.Error("a journal that is open is changed")
	}
	mustClose(t, l)
}
