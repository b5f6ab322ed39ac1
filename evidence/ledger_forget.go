package evidence

import (
	"context"
	"errors"
	"time"
)

// A Forgetter is a Vault that can destroy its keys. [LedgerConfig.PrivateRetention] needs one.
type Forgetter interface {
	Vault
	// Forget destroys the keys of what was sealed before a time. It returns how many keys are destroyed by then, at any
	// time and by anybody: when that changes there is something to erase. With an error it returns so too, and has
	// destroyed those that it could.
	Forget(before time.Time) (destroyed int, err error)
	// Erased returns a function that reports whether a private part was sealed under a key that was destroyed.
	Erased() (func(sealed []byte) bool, error)
}

// forgetPeriod is by what private parts in clear are erased, as those that are sealed are by the days of their keys:
// not with a journal to go through every minute.
const forgetPeriod = 24 * time.Hour

// A forgetting erases the private parts that are due. Only one goroutine uses it.
type forgetting struct {
	ledger *Ledger
	vault  Forgetter

	// What was so when the journal had last been gone through to its end.
	done  bool
	keys  int       // that were destroyed
	clear time.Time // of the oldest record whose private part is in clear; zero: there is none
}

// run destroys the keys that are due, and erases from the journal what is of no use without them, and what is due of
// what was recorded in clear, when there was no vault.
func (f *forgetting) run(ctx context.Context) error {
	l := f.ledger
	before := l.cfg.Time().Add(-l.cfg.PrivateRetention)
	keys, stuck := f.vault.Forget(before)
	day := before.Truncate(forgetPeriod)
	if f.done && keys == f.keys && (f.clear.IsZero() || !f.clear.Before(day)) {
		return stuck
	}
	gone, err := f.vault.Erased()
	if err != nil {
		return errors.Join(stuck, err)
	}
	l.dropSealer(gone)
	inClear, err := l.erase(ctx, day, gone)
	if err != nil {
		return errors.Join(stuck, err) // and all of it is due again
	}
	f.done, f.keys, f.clear = true, keys, inClear
	return stuck
}

// erase erases private parts in clear of records before a time, and those whose key is gone. It returns the time of the
// oldest record whose private part is left in clear. The last segment it leaves alone: that is of this ledger, which has a
// vault, so that nothing in it is in clear.
func (l *Ledger) erase(ctx context.Context, before time.Time, gone func(sealed []byte) bool) (inClear time.Time, err error) {
	l.house.Lock()
	defer l.house.Unlock()
	_, err = l.journal.compact(ctx, func(_ uint64, payload []byte) ([]byte, error) {
		f, err := parseFrame(payload)
		if err != nil || len(f.private) == 0 {
			return payload, err
		}
		switch f.private[0] {
		case privateSealed:
			if gone(f.private) {
				return f.withoutPrivate(), nil
			}
		case privateClear:
			if f.time.Before(before) {
				return f.withoutPrivate(), nil
			}
			if inClear.IsZero() || f.time.Before(inClear) {
				inClear = f.time
			}
		}
		return payload, nil
	})
	return inClear, err
}

// dropSealer lets go of the last sealer when its key was destroyed. Which key that is, what it seals says.
func (l *Ledger) dropSealer(gone func(sealed []byte) bool) {
	last := l.sealer.Load()
	if last == nil {
		return
	}
	sealed := (*last).Seal(make([]byte, SealedPrefix, SealedBytes+sealScratch), 0, &l.journal.id, 0)
	if gone(sealed) {
		l.sealer.CompareAndSwap(last, nil)
	}
}
