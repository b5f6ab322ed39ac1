package evidence

import (
	"testing"

	"github.com/touchmark-dev/touchmark/internal/durable/durabletest"
)

// OnDisk moves a ledger to a disk in memory.
func OnDisk(cfg *LedgerConfig) *durabletest.Disk { return onDisk(cfg) }

// HoldSync is holdSync.
func HoldSync(disk *durabletest.Disk) (arm, release func(), held <-chan struct{}) {
	return holdSync(disk)
}

// BenchLedgerRecord is BenchmarkLedgerRecord with a vault.
func BenchLedgerRecord(b *testing.B, vault Vault) { benchLedgerRecord(b, vault) }

// BenchLedgerAllocations is BenchmarkLedgerAllocations with a vault.
func BenchLedgerAllocations(b *testing.B, vault Vault) { benchLedgerAllocations(b, vault) }
