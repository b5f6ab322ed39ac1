package evidence_test

import (
	"context"
	"syscall"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/badge/badgetest"
	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/guardtest"
	"github.com/touchmark-dev/touchmark/internal/durable/durabletest"
)

// guarded is a guard whose ledger is on a disk in memory.
type guarded struct {
	*testing.T
	guard  *guard.Guard
	ledger *evidence.Ledger
	disk   *durabletest.Disk
}

func newGuarded(t *testing.T, durableOutcomes bool) *guarded {
	t.Helper()
	server := badgetest.NewAgent(t)
	cfg := &evidence.LedgerConfig{
		Server: server.DID, Key: server.Key, KeyID: server.DID.KeyURL(), AllowNoLog: true, SegmentBytes: 1 << 20,
	}
	w := &guarded{T: t, disk: evidence.OnDisk(cfg)}
	var err error
	if w.ledger, err = evidence.Open(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	w.guard, err = guard.New(&guard.Config{
		Policy: guard.UnsafeAllowAll{}, Evidence: w.ledger, DurableOutcomes: durableOutcomes,
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// call makes one call, and does this while it runs.
func (w *guarded) call(during func()) <-chan error {
	answer := make(chan error, 1)
	go func() {
		_, err := guard.Do(context.Background(), w.guard, guardtest.Call("read", "{}"), func(context.Context) (string, error) {
			during()
			return "a", nil
		})
		answer <- err
	}()
	return answer
}

func (w *guarded) wait(answer <-chan error) error {
	w.Helper()
	select {
	case err := <-answer:
		return err
	case <-time.After(time.Minute):
		w.Fatal("no answer")
		return nil
	}
}

// TestAnswersWaitForOutcomes: an answer does not wait until its outcome is durable, unless it is told to.
func TestAnswersWaitForOutcomes(t *testing.T) {
	for _, durable := range []bool{false, true} {
		w := newGuarded(t, durable)
		arm, release, held := evidence.HoldSync(w.disk)
		answer := w.call(arm)
		<-held // the sync of the outcome has begun
		if durable {
			select {
			case err := <-answer:
				t.Errorf("answered before the outcome was durable: %v", err)
			case <-time.After(50 * time.Millisecond):
			}
			release()
		}
		if err := w.wait(answer); err != nil {
			t.Error(err)
		}
		if !durable {
			release()
		}
		if err := w.ledger.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// TestLostOutcomeStopsTheNext: when the disk loses an outcome, the call that it belongs to may have been answered, and
// no other call runs.
func TestLostOutcomeStopsTheNext(t *testing.T) {
	for _, durable := range []bool{false, true} {
		w := newGuarded(t, durable)
		err := w.wait(w.call(func() {
			w.disk.SetFault(func(op durabletest.Op) error {
				if op.Kind == durabletest.OpWrite || op.Kind == durabletest.OpSync {
					return syscall.EIO
				}
				return nil
			})
		}))
		if lost := guard.RefusalOf(err).Code == guard.CodeEvidenceUnavailable; lost != durable {
			t.Errorf("durable outcomes %v: %v", durable, err)
		}
		err = w.wait(w.call(func() { t.Error("the next call ran") }))
		if guard.RefusalOf(err).Code != guard.CodeEvidenceUnavailable {
			t.Errorf("the next call: %v", err)
		}
		if err := w.ledger.Close(t.Context()); evidence.CodeOf(err) != evidence.CodeJournalFailed {
			t.Errorf("Close: %v", err)
		}
	}
}
