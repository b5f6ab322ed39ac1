package evidence_test

import (
	"testing"

	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/evidence/vault"
)

func newVault(t testing.TB) *vault.Vault {
	t.Helper()
	key, err := vault.NewMasterKey()
	if err != nil {
		t.Fatal(err)
	}
	w, err := vault.ParseMasterKey(key)
	if err != nil {
		t.Fatal(err)
	}
	v, err := vault.Open(&vault.Config{Dir: t.TempDir(), Wrapper: w})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// BenchmarkLedgerRecordSealed is BenchmarkLedgerRecord with private parts that are sealed.
func BenchmarkLedgerRecordSealed(b *testing.B) { evidence.BenchLedgerRecord(b, newVault(b)) }

func BenchmarkLedgerAllocationsSealed(b *testing.B) { evidence.BenchLedgerAllocations(b, newVault(b)) }
