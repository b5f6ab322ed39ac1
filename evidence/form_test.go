package evidence

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/translogtest"
)

// TestDigestLeaf: the leaf is what spec/evidence.md section 3.1 says, written out here once more.
func TestDigestLeaf(t *testing.T) {
	entry := []byte(`{"kid":"…"}`)
	sum := sha256.Sum256(entry)
	want := append([]byte("touchmark/evidence-digest/v1\n"), sum[:]...)
	leaf := FormDigest.Leaf(entry)
	if !bytes.Equal(leaf, want) || FormDigest.LeafHash(entry) != translog.LeafHash(want) || DigestLeafHash(sum) != translog.LeafHash(want) {
		t.Errorf("leaf %q, want %q", leaf, want)
	}
	if !bytes.Equal(FormRecord.Leaf(entry), entry) || FormRecord.LeafHash(entry) != translog.LeafHash(entry) {
		t.Error("the leaf of a whole record is not the record")
	}
	if digest, ok := ParseDigest(leaf); !ok || digest != sum {
		t.Errorf("read back: %v %v", digest, ok)
	}
	for _, form := range []LogForm{FormRecord, FormDigest} {
		if got, err := FormOf(entry, form.LeafHash(entry)); err != nil || got != form {
			t.Errorf("%s is found to be %s, %v", form, got, err)
		}
		if got, err := ParseLogForm(form.String()); err != nil || got != form {
			t.Errorf("%s is read as %s, %v", form, got, err)
		}
	}
	if _, err := FormOf(entry, Hash{1}); CodeOf(err) != CodeLeafMismatch {
		t.Errorf("a leaf of nothing: %v", err)
	}
	if _, err := ParseLogForm(""); err == nil {
		t.Error("no form is a form")
	}
}

// FuzzParseDigest: no leaf is one of both forms.
func FuzzParseDigest(f *testing.F) {
	f.Add(FormDigest.Leaf([]byte("entry")))
	f.Add([]byte(`{"kid":"x","record":{},"sig":""}`))
	f.Fuzz(func(t *testing.T, leaf []byte) {
		digest, ok := ParseDigest(leaf)
		if record, hash := FormRecord.CheckLeaf(leaf), FormDigest.CheckLeaf(leaf); (record == nil) == (hash == nil) || ok != (hash == nil) {
			t.Fatalf("of records: %v, of digests: %v", record, hash)
		}
		if !ok {
			return
		}
		if DigestLeafHash(digest) != translog.LeafHash(leaf) {
			t.Fatal("another leaf has this digest")
		}
		if _, err := ParseEntry(leaf); err == nil {
			t.Fatal("a digest is an entry")
		}
	})
}

func digestConfig(t testing.TB) (*LedgerConfig, *translogtest.Log) {
	cfg, log := ledgerConfig(t)
	cfg.LogForm, cfg.Promise = FormDigest, true
	return cfg, log
}

// TestLedgerShipsDigests: the log has the digest of each entry and nothing else, and what the ledger hands out is about it.
func TestLedgerShipsDigests(t *testing.T) {
	ctx := context.Background()
	cfg, log := digestConfig(t)
	l := mustOpenLedger(t, cfg)
	ack := mustRecord(t, l, decisionDraft(Deny, "write"))
	recordMany(t, l, 300)
	if err := l.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	l.mu.Lock()
	left := l.backlog.bytes
	l.mu.Unlock()
	if left != 0 {
		t.Errorf("%d bytes are counted as not in the log, which has everything", left)
	}
	mustClose(t, l)
	for again := range 2 { // and goes on after a restart
		n := uint64(0)
		for r, err := range ReadJournal(cfg.Dir, 0) {
			if err != nil {
				t.Fatal(err)
			}
			leaf, err := log.Entry(ctx, n)
			if err != nil || FormDigest.VerifyLeaf(r.Entry, leaf) != nil {
				t.Fatalf("leaf %d: %q, %v", n, leaf, err)
			}
			if r.Sequence == ack.Sequence && !bytes.Equal(ack.Entry, r.Entry) {
				t.Error("the entry that was handed out is another than the journal's")
			}
			if e, err := ParseEntry(r.Entry); err != nil || n == 0 && e.Record.Genesis.LogForm != FormDigest {
				t.Fatalf("the genesis record does not say the form: %v", err)
			}
			n++
		}
		if size, _ := log.Size(ctx); size != n {
			t.Errorf("the log has %d leaves, the journal %d records", size, n)
		}
		if again == 0 {
			l = mustOpenLedger(t, cfg)
			recordMany(t, l, 10)
			mustClose(t, l)
		}
	}
	checkDigestReceipt(t, log, ack)
}

func checkDigestReceipt(t *testing.T, log *translogtest.Log, ack *Ack) {
	t.Helper()
	ctx := context.Background()
	cp, err := log.Checkpoint(ctx)
	if err != nil {
		t.Fatal(err)
	}
	receipt, err := log.Prove(ctx, cp, ack.Sequence)
	if err != nil {
		t.Fatal(err)
	}
	if in, form, err := VerifyReceipt(log.Policy(), ack.Entry, receipt); err != nil || form != FormDigest || in.LeafHash() != ack.LeafHash {
		t.Errorf("the receipt: %v %v", form, err)
	}
	if _, err := FormDigest.VerifyReceipt(log.Policy(), ack.Entry, receipt); err != nil {
		t.Errorf("the receipt, of digests: %v", err)
	}
	if in, err := FormRecord.VerifyReceipt(log.Policy(), ack.Entry, receipt); CodeOf(err) != CodeLogForm || in != nil {
		t.Errorf("a reader that was told of whole records: %v", err)
	}
	altered := bytes.Replace(ack.Entry, []byte("write"), []byte("wrote"), 1)
	if in, _, err := VerifyReceipt(log.Policy(), altered, receipt); translog.CodeOf(err) != translog.CodeInclusionInvalid || in != nil {
		t.Errorf("another record: %v", err)
	}
	promise, err := VerifyPromise(ack.Promise, newTestSigner("ledger").keys)
	if err != nil || promise.Promise().LeafHash != ack.LeafHash {
		t.Errorf("the promise: %v", err)
	}
}

// TestRefusesOtherForm: a ledger that is told another form than that of its journal or its log does not begin, and the log
// stays as it is.
func TestRefusesOtherForm(t *testing.T) {
	ctx := context.Background()
	for _, form := range []LogForm{FormRecord, FormDigest} {
		other := FormDigest
		if form == FormDigest {
			other = FormRecord
		}
		t.Run("a log of "+form.String(), func(t *testing.T) {
			cfg, log := ledgerConfig(t)
			cfg.LogForm = form
			l := mustOpenLedger(t, cfg)
			recordMany(t, l, 20)
			mustClose(t, l)
			cfg.LogForm = other
			openFails(t, "told "+other.String(), cfg, CodeLogForm)
			if size, _ := log.Size(ctx); size != 21 {
				t.Errorf("the log has %d leaves", size)
			}
		})
		t.Run("an empty log, a journal for "+form.String(), func(t *testing.T) {
			cfg, log := ledgerConfig(t)
			cfg.LogForm = form
			log.BeforeAppend(func(uint64, [][]byte) error { return errors.New("down") })
			l := mustOpenLedger(t, cfg)
			recordMany(t, l, 2)
			ended, cancel := context.WithCancel(ctx)
			cancel()
			_ = l.Close(ended) // the log is down
			log.BeforeAppend(nil)
			cfg.LogForm = other
			openFails(t, "told "+other.String(), cfg, CodeLogForm)
			if size, _ := log.Size(ctx); size != 0 {
				t.Errorf("the log has %d leaves", size)
			}
		})
	}
}

// TestRefusesMixedLog: one leaf of the other form among the last ones of a log is not passed over.
func TestRefusesMixedLog(t *testing.T) {
	cfg, log := digestConfig(t)
	l := mustOpenLedger(t, cfg)
	recordMany(t, l, 3)
	mustClose(t, l)
	mixed := translogtest.NewLog("log.example/test")
	size, _ := log.Size(context.Background())
	for r, err := range ReadJournal(cfg.Dir, 0) {
		if err != nil {
			t.Fatal(err)
		}
		leaf := FormDigest.Leaf(r.Entry)
		if r.Sequence == size-1 {
			leaf = r.Entry
		}
		if _, err := mixed.Append(context.Background(), [][]byte{leaf}); err != nil {
			t.Fatal(err)
		}
	}
	cfg.Log = mixed
	if err := os.Remove(filepath.Join(cfg.Dir, checkpointName)); err != nil {
		t.Fatal(err)
	}
	openFails(t, "a log of both forms", cfg, CodeLogForm)
}

func TestLedgerConfigForm(t *testing.T) {
	cfg, _ := ledgerConfig(t)
	cfg.LogForm = "hash"
	if _, err := Open(context.Background(), cfg); err == nil || !strings.Contains(err.Error(), "LogForm") {
		t.Errorf("a form that there is not: %v", err)
	}
	cfg.LogForm, cfg.Log, cfg.AllowNoLog = FormDigest, nil, true
	if _, err := Open(context.Background(), cfg); err == nil || !strings.Contains(err.Error(), "LogForm") {
		t.Errorf("the form of no log: %v", err)
	}
}
