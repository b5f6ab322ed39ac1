package evidence

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func mustOpenPrivate(t testing.TB, r *StoredRecord, vault Vault) *Private {
	t.Helper()
	p, err := r.OpenPrivate(vault)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// A dummyVault seals by turning bits around, and says for which record.
type dummyVault struct {
	failing atomic.Bool
	panics  bool
}

func (v *dummyVault) Sealer(time.Time) (Sealer, error) {
	if v.panics {
		panic("the vault")
	}
	if v.failing.Load() {
		return nil, errors.New("no key today")
	}
	return v, nil
}

func (*dummyVault) Seal(b []byte, start int, journal *JournalID, seq uint64) []byte {
	b[start] = privateSealed
	binary.LittleEndian.PutUint64(b[start+1:], seq)
	copy(b[start+9:], journal[:])
	for i := start + SealedPrefix; i < len(b); i++ {
		b[i] ^= 0xff
	}
	return append(b, make([]byte, SealedBytes-SealedPrefix)...)
}

func (*dummyVault) Open(journal JournalID, seq uint64, sealed []byte) ([]byte, error) {
	if binary.LittleEndian.Uint64(sealed[1:]) != seq || JournalID(sealed[9:25]) != journal {
		return nil, errors.New("of another record")
	}
	out := bytes.Clone(sealed[SealedPrefix : len(sealed)-SealedBytes+SealedPrefix])
	for i := range out {
		out[i] ^= 0xff
	}
	return out, nil
}

func TestLedgerSealsPrivateParts(t *testing.T) {
	cfg, log := ledgerConfig(t)
	v := new(dummyVault)
	cfg.Vault, cfg.KeepParameters = v, true
	l := mustOpenLedger(t, cfg)
	d := decisionDraft(Allow, "read")
	d.Badge, d.Proof, d.InputResponses = "the badge", "the proof", []byte(`{"answer":1}`)
	ack := mustRecord(t, l, d)
	large := decisionDraft(Deny, "read")
	large.Arguments = []byte(`{"a":"` + strings.Repeat("x", MaxKeptBytes) + `"}`)
	largeAck := mustRecord(t, l, large)
	mustRecord(t, l, outcomeDraft(ack))
	mustClose(t, l)
	checkStream(t, cfg, log)
	for r, err := range ReadJournal(cfg.Dir, 0) {
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.OpenPrivate(nil); !errors.Is(err, ErrPrivateSealed) {
			t.Errorf("record %d opens without a vault: %v", r.Sequence, err)
		}
		p := mustOpenPrivate(t, r, v)
		switch r.Sequence {
		case ack.Sequence:
			want := Private{Salt: p.Salt, Badge: "the badge", Proof: "the proof", Arguments: `{"path":"/a"}`, InputResponses: `{"answer":1}`}
			if *p != want || p.Salt == (Salt{}) {
				t.Errorf("got %v", p.Arguments)
			}
		case largeAck.Sequence:
			if p.Arguments != "" {
				t.Error("parameters are kept that are too large")
			}
		}
	}
}

func TestLedgerKeepsNoParametersInClear(t *testing.T) {
	cfg, _ := ledgerConfig(t)
	cfg.KeepParameters = true
	if _, err := Open(context.Background(), cfg); err == nil || !strings.Contains(err.Error(), "Vault") {
		t.Errorf("got %v", err)
	}
}

// TestLedgerVaultFails: without a key nothing is decided, outcomes and what the ledger writes by itself go on, and a
// journal whose keys are gone opens.
func TestLedgerVaultFails(t *testing.T) {
	cfg, log := ledgerConfig(t)
	v := new(dummyVault)
	cfg.Vault = v
	l := mustOpenLedger(t, cfg)
	ack := mustRecord(t, l, decisionDraft(Allow, "read"))
	mustRecord(t, l, decisionDraft(Allow, "left open"))
	v.failing.Store(true)
	_, err := l.Record(context.Background(), decisionDraft(Deny, "read"))
	wantUnavailable(t, "a decision", err, CodeVaultFailed)
	mustRecord(t, l, outcomeDraft(ack))
	mustClose(t, l)
	if records := checkStream(t, cfg, log); len(records) != 5 {
		t.Errorf("%d records", len(records))
	}
	_, err = Open(context.Background(), cfg)
	wantUnavailable(t, "opening without a key", err, CodeVaultFailed)
	cfg.Vault = &dummyVault{panics: true}
	_, err = Open(context.Background(), cfg)
	wantUnavailable(t, "opening with a vault that panics", err, CodeVaultFailed)
	cfg.Vault = nil
	l = mustOpenLedger(t, cfg)
	mustRecord(t, l, decisionDraft(Deny, "read"))
	mustClose(t, l)
	checkStream(t, cfg, log)
}

// A greedyVault may add more than there is space for.
type greedyVault struct {
	dummyVault
	greedy atomic.Bool
}

func (v *greedyVault) Sealer(time.Time) (Sealer, error) { return v, nil }

func (v *greedyVault) Seal(b []byte, start int, journal *JournalID, seq uint64) []byte {
	b = v.dummyVault.Seal(b, start, journal, seq)
	if v.greedy.Load() {
		b = append(b, make([]byte, maxFramePayload)...)
	}
	return b
}

// TestLedgerVaultIsGreedy: a record that a vault makes too large is refused, and those that follow have their places.
func TestLedgerVaultIsGreedy(t *testing.T) {
	cfg, log := ledgerConfig(t)
	v := new(greedyVault)
	cfg.Vault = v
	l := mustOpenLedger(t, cfg)
	open := mustRecord(t, l, decisionDraft(Allow, "read"))
	v.greedy.Store(true)
	_, err := l.Record(context.Background(), decisionDraft(Allow, "read"))
	wantUnavailable(t, "a record that is too large", err, CodeSigningFailed)
	v.greedy.Store(false)
	mustRecord(t, l, outcomeDraft(open))
	mustClose(t, l)
	mustClose(t, mustOpenLedger(t, cfg))
	if records := checkStream(t, cfg, log); len(records) != 4 {
		t.Errorf("%d records", len(records))
	}
}
