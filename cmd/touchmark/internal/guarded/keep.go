package guarded

import (
	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/internal/durable"
)

// keep says what a ledger is to keep, and for how long.
func (cfg *Config) keep(lc *evidence.LedgerConfig) (err error) {
	lc.KeepParameters, lc.MaxJournalBytes = cfg.KeepParameters, cfg.MaxJournalBytes
	lc.Retention, lc.PrivateRetention = cfg.Retention, cfg.PrivateRetention
	lc.AllowRecordLoss = cfg.AllowRecordLoss
	if cfg.Logger != nil {
		lc.Notice = func(err error) { cfg.Logger.Warn("evidence", "error", err) }
	}
	if cfg.Vault == nil {
		return nil
	}
	// First the journal: nobody wants the keys of one that cannot be.
	if err := durable.MkdirAll(durable.OS{}, lc.Dir); err != nil {
		return err
	}
	lc.Vault, err = cfg.Vault()
	return err
}
