package evidence

// findSealer gets what seals the private part of a record. While the vault has no key, outcomes and what the ledger
// writes by itself are sealed under the last one that it had, unless that was destroyed: they must not be lost for that.
func (l *Ledger) findSealer(s *slot) (err error) {
	if l.cfg.Vault == nil {
		return nil
	}
	defer func() {
		if p := recover(); p != nil {
			err = unavailable(CodeVaultFailed, panicked(p), "the vault panicked: %v", p)
		}
	}()
	s.sealer, err = l.cfg.Vault.Sealer(l.cfg.Time())
	last := l.sealer.Load()
	switch {
	case err == nil:
		if last == nil || *last != s.sealer {
			l.sealer.Store(&s.sealer)
		}
	case last != nil && (s.settles || s.record.Outcome != nil):
		s.sealer = *last
	default:
		return unavailable(CodeVaultFailed, err, "no key to seal the private part with: %v", err)
	}
	return nil
}

// appendPrivate appends the private part as it is stored.
func (l *Ledger) appendPrivate(b []byte, s *slot) ([]byte, error) {
	if s.sealer == nil {
		return s.private.AppendBinary(b)
	}
	start := len(b)
	b, err := s.private.AppendBinary(append(b, zeroes[:SealedPrefix]...))
	if err != nil {
		return nil, err
	}
	return s.sealer.Seal(b, start, &l.journal.id, s.record.Sequence), nil
}
