package evidence

import (
	"errors"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/internal/durable/durabletest"
)

// TestJournalFullDisk lets the disk be full from the second segment on. What has space is kept, what has none is
// refused before it has a place, nothing is poisoned, and the journal goes on when there is space again.
func TestJournalFullDisk(t *testing.T) {
	disk := durabletest.NewDisk(crashDir)
	var clock atomic.Int64
	cfg := smallJournal(disk, crashDir)
	cfg.now = func() time.Time { return time.Unix(clock.Load(), 0) }
	j := mustOpenJournal(t, cfg)
	disk.SetFault(func(op durabletest.Op) error {
		if op.Kind == durabletest.OpTruncate && strings.HasSuffix(op.Name, tempName) {
			return syscall.ENOSPC
		}
		return nil
	})
	space := loneSpace(3000)
	kept := uint64(0)
	for appendOne(j, payloadFor(kept)) == nil {
		kept++
	}
	if _, err := j.tryReserve(space, 0); !errors.Is(err, syscall.ENOSPC) || !errors.As(err, new(*noSpaceError)) {
		t.Fatalf("after %d payloads: %v", kept, err)
	}
	if kept == 0 {
		t.Fatal("nothing was kept")
	}
	disk.SetFault(nil)
	if _, err := j.tryReserve(space, 0); err == nil {
		t.Error("space was found without a second attempt to make some")
	}
	clock.Add(2)
	for range 20 {
		if err := appendOne(j, payloadFor(kept)); err != nil {
			t.Fatal(err)
		}
		kept++
	}
	if err := j.close(); err != nil {
		t.Fatal(err)
	}
	if count, err := contents(disk); err != nil || count != kept {
		t.Errorf("%d payloads, %v; %d were kept", count, err, kept)
	}
	for _, name := range disk.Names(crashDir) {
		if filepath.Ext(name) == ".tmp" {
			t.Errorf("%s was left behind", name)
		}
	}
}

// TestJournalKeepsSpaceBack: with no further segment to be had, a caller that must leave space is refused before
// one that need not.
func TestJournalKeepsSpaceBack(t *testing.T) {
	disk := durabletest.NewDisk(crashDir)
	cfg := smallJournal(disk, crashDir)
	cfg.now = func() time.Time { return time.Unix(1_800_000_000, 0) } // it is not time for a second attempt
	j := mustOpenJournal(t, cfg)
	defer j.close()
	disk.SetFault(func(op durabletest.Op) error {
		if op.Kind == durabletest.OpTruncate {
			return syscall.ENOSPC
		}
		return nil
	})
	for full := false; !full; {
		wait, err := j.tryReserve(blockBytes, 2*blockBytes)
		if wait != nil {
			<-wait
		}
		full = err != nil
	}
	for i := range 2 {
		if wait, err := j.tryReserve(blockBytes, 0); wait != nil || err != nil {
			t.Errorf("block %d that was kept back: %v", i, err)
		}
	}
	if _, err := j.tryReserve(blockBytes, 0); err == nil {
		t.Error("more was reserved than there is")
	}
	j.release(blockBytes)
	if wait, err := j.tryReserve(blockBytes, 0); wait != nil || err != nil {
		t.Errorf("a block that was given back: %v", err)
	}
}

// TestJournalSurvivesPanics lets the file system panic at each operation in turn: nobody is left waiting.
func TestJournalSurvivesPanics(t *testing.T) {
	for n := 1; ; n++ {
		disk := durabletest.NewDisk(crashDir)
		j := mustOpenJournal(t, smallJournal(disk, crashDir))
		left := n
		disk.SetFault(func(durabletest.Op) error {
			if left--; left == 0 {
				panic("the file system")
			}
			return nil
		})
		acked := uint64(0)
		for acked < 30 && appendOne(j, payloadFor(acked)) == nil {
			acked++
		}
		disk.SetFault(nil)
		_ = j.close()
		if count, err := contents(disk); err != nil || count < acked {
			t.Fatalf("panic at operation %d: %d payloads, %v; %d were acknowledged", n, count, err, acked)
		}
		if left > 0 {
			return // there were not that many operations
		}
	}
}
