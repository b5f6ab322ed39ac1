package evidence

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/touchmark-dev/touchmark/internal/floor"
)

// benchDraft is a decision about a caller with a badge and a call proof of ordinary sizes.
func benchDraft() *Draft {
	d := decisionDraft(Deny, "read_file")
	d.Decision.Caller = Caller{
		Auth: AuthBadge, DID: newTestSigner("agent").did, BadgeID: "550e8400-e29b-41d4-a716-446655440000",
		Issuer: "https://registry.example", Level: "2", Assurance: "1",
	}
	d.Decision.HopID = "018f4e1d-7e5d-4a9f-a9d2-8b6a0f2c9b11"
	d.Badge, d.Proof = strings.Repeat("b", 1100), strings.Repeat("p", 900)
	d.Arguments = []byte(`{"path":"/data/report.txt","limit":4096,"encoding":"utf-8"}`)
	return d
}

// BenchmarkLedgerRecord compares Record with one signature and bare group commit of the same bytes. The ledger has
// no log: what feeding one costs is in the benchmarks of tesseralog.
func BenchmarkLedgerRecord(b *testing.B) { benchLedgerRecord(b, nil) }

func benchLedgerRecord(b *testing.B, vault Vault) {
	ctx := context.Background()
	d := benchDraft()
	for _, writers := range []int{1, 256} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			cfg, _ := ledgerConfig(b)
			cfg.Log, cfg.AllowNoLog, cfg.SegmentBytes, cfg.Vault = nil, true, 0, vault
			l := mustOpenLedger(b, cfg)
			defer mustClose(b, l)
			message, stored := recordSizes(b, l, d)
			commit, err := floor.NewGroupCommit(b.TempDir(), stored)
			if err != nil {
				b.Fatal(err)
			}
			defer commit.Close()
			key, err := floor.NewEd25519(message)
			if err != nil {
				b.Fatal(err)
			}
			c := &contest{
				floor: func() error { key.Sign(); return commit.Commit() },
				ours:  func() error { _, err := l.Record(ctx, d); return err },
				turn:  16 * writers,
			}
			c.run(b, writers)
		})
	}
}

// recordSizes returns how many bytes are signed and how many are stored for a draft.
func recordSizes(b *testing.B, l *Ledger, d *Draft) (message, stored int) {
	b.Helper()
	s := new(slot)
	var err error
	if s.record, s.private, err = d.prepare(false); err == nil {
		err = l.begin(context.Background(), s)
	}
	if err != nil {
		b.Fatal(err)
	}
	return len(s.message), len(s.payload)
}

// BenchmarkLedgerAllocations counts what one record costs besides the disk.
func BenchmarkLedgerAllocations(b *testing.B) { benchLedgerAllocations(b, nil) }

func benchLedgerAllocations(b *testing.B, vault Vault) {
	cfg, _ := ledgerConfig(b)
	cfg.Log, cfg.AllowNoLog, cfg.Vault = nil, true, vault
	onDisk(cfg)
	l := mustOpenLedger(b, cfg)
	d := benchDraft()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := l.Record(context.Background(), d); err != nil {
			b.Fatal(err)
		}
	}
}
