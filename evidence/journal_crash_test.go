package evidence

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"testing"

	"github.com/touchmark-dev/touchmark/internal/durable/durabletest"
)

// soak reports whether tests run with the full counts of `make soak`.
func soak() bool { return os.Getenv("TOUCHMARK_SOAK") == "1" }

// sampling is how many crashes are tried: some in each run, many more in a soak.
func sampling(seed uint64) durabletest.Sampling {
	if soak() {
		return durabletest.Sampling{Seed: seed, Singles: 48, Random: 8}
	}
	return durabletest.Sampling{Seed: seed, Singles: 3, Random: 2}
}

// nestedEvery is of how many recoveries one is itself cut short.
func nestedEvery() int {
	if soak() {
		return 41
	}
	return 301
}

const crashDir = "/evidence"

// An acknowledgement is what a caller was told, noted outside the disk.
type acknowledgement struct {
	ops   int    // operations that had been done when it came
	count uint64 // payloads that were acknowledged then
}

// crashRun is a journal on a disk in memory, and what it acknowledged.
type crashRun struct {
	testing.TB
	disk *durabletest.Disk
	acks []acknowledgement
}

// acknowledged returns how many payloads were acknowledged before operation at.
func (c *crashRun) acknowledged(at int) (count uint64) {
	for _, a := range c.acks {
		if a.ops <= at {
			count = a.count
		}
	}
	return count
}

func (c *crashRun) open() *journal {
	c.Helper()
	return mustOpenJournal(c, smallJournal(c.disk, crashDir))
}

// appendBatches appends n batches of 1 to 5 payloads each, with one commit for each.
func (c *crashRun) appendBatches(j *journal, n int) {
	c.Helper()
	for i := range n {
		var payloads [][]byte
		for k := range 1 + (i*7)%5 {
			payloads = append(payloads, payloadFor(j.next+uint64(k)))
		}
		commit, err := j.append(0, payloads...)
		if err != nil {
			c.Fatal(err)
		}
		if <-commit.done; commit.err != nil {
			c.Fatal(commit.err)
		}
		c.acks = append(c.acks, acknowledgement{c.disk.Len(), commit.first + uint64(len(payloads))})
	}
}

// recovered opens the journal after a crash, and checks that what was
// acknowledged is there, in order, and nothing that was not appended.
func recovered(t testing.TB, disk *durabletest.Disk, acked uint64) (uint64, error) {
	j, err := openJournal(smallJournal(disk, crashDir))
	if err != nil {
		return 0, err
	}
	defer j.close()
	count, err := contents(disk)
	if err != nil {
		return 0, err
	}
	if count != j.next || count < acked {
		return 0, fmt.Errorf("%d payloads are there and the next gets index %d; %d were acknowledged", count, j.next, acked)
	}
	// And it can go on.
	c, err := j.append(0, payloadFor(j.next))
	if err != nil {
		return 0, err
	}
	<-c.done
	return count, c.err
}

// contents reads a journal and returns how many payloads it holds.
func contents(disk *durabletest.Disk) (uint64, error) {
	r, err := openJournalReader(disk, crashDir, 0)
	if err != nil {
		return 0, err
	}
	defer r.close()
	for {
		index, p, err := r.next()
		if errors.Is(err, io.EOF) {
			return r.index, nil
		}
		if err != nil {
			return 0, err
		}
		if !bytes.Equal(p, payloadFor(index)) {
			return 0, fmt.Errorf("payload %d is not the one that was appended", index)
		}
	}
}

// TestJournalCrashes replays every prefix of the operations of a journal that
// opens, appends, changes segments, closes and opens again. At each it lets the
// power fail in every way that durabletest knows, and recovers. Some of the
// recoveries are cut short in the same ways.
func TestJournalCrashes(t *testing.T) {
	t.Parallel()
	c := &crashRun{TB: t, disk: durabletest.NewDisk(crashDir)}
	j := c.open()
	c.appendBatches(j, 14)
	if err := j.close(); err != nil {
		t.Fatal(err)
	}
	j = c.open()
	c.appendBatches(j, 3)
	j.poison(errors.New("stopped by the test")) // as after a kill: no seal
	_ = j.close()
	j = c.open()
	c.appendBatches(j, 2)
	if err := j.close(); err != nil {
		t.Fatal(err)
	}
	crashes, nested := 0, 0
	c.disk.Crashes(0, sampling(1), func(crash *durabletest.Crash) bool {
		crashes++
		acked := c.acknowledged(crash.At)
		count, err := recovered(t, crash.Disk, acked)
		if err != nil {
			t.Errorf("%v: %v", crash, err)
			return false
		}
		if crashes%nestedEvery() != 0 {
			return true
		}
		crash.Disk.Crashes(0, sampling(uint64(crashes)), func(second *durabletest.Crash) bool {
			nested++
			want := acked
			if second.At == crash.Disk.Len() {
				want = count + 1
			}
			if _, err := recovered(t, second.Disk, want); err != nil {
				t.Errorf("%v, and again %v: %v", crash, second, err)
				return false
			}
			return true
		})
		return !t.Failed()
	})
	t.Logf("%d operations, %d crashes, %d crashes of recoveries", c.disk.Len(), crashes, nested)
}

// TestJournalFailedSync fails each sync in turn. The journal must refuse from
// then on without another operation on the file, and what was acknowledged
// must survive both a restart, which sees the pages that never reached the
// disk, and a power failure after that restart.
func TestJournalFailedSync(t *testing.T) {
	t.Parallel()
	testFaults(t, func(n int) func(op durabletest.Op) error {
		return func(op durabletest.Op) error {
			if op.Kind != durabletest.OpSync && op.Kind != durabletest.OpSyncDir {
				return nil
			}
			if n--; n == 0 {
				return syscall.EIO
			}
			return nil
		}
	})
}

// TestJournalFailedWrite fails each write in turn, some after a part of it.
func TestJournalFailedWrite(t *testing.T) {
	t.Parallel()
	testFaults(t, func(n int) func(op durabletest.Op) error {
		part := n * 331
		return func(op durabletest.Op) error {
			if op.Kind != durabletest.OpWrite {
				return nil
			}
			if n--; n == 0 {
				return &durabletest.ShortWrite{N: part % (len(op.Data) + 1), Err: syscall.EIO}
			}
			return nil
		}
	})
}

// testFaults runs a journal with the fault that the nth call of fault makes, for each n until it has no effect.
func testFaults(t *testing.T, fault func(n int) func(op durabletest.Op) error) {
	for n := 1; ; n++ {
		c := &crashRun{TB: t, disk: durabletest.NewDisk(crashDir)}
		c.disk.SetFault(fault(n))
		failed := c.appendUntilFailure(12)
		c.disk.SetFault(nil)
		restarted := c.disk.Len()
		j, err := openJournal(smallJournal(c.disk, crashDir))
		if err != nil {
			t.Fatalf("fault %d: restart: %v", n, err)
		}
		if acked := c.acknowledged(restarted); j.next < acked {
			t.Fatalf("fault %d: after the restart there are %d payloads, %d were acknowledged", n, j.next, acked)
		}
		c.appendBatches(j, 2)
		if err := j.close(); err != nil {
			t.Fatal(err)
		}
		c.disk.Crashes(restarted, sampling(uint64(n)), func(crash *durabletest.Crash) bool {
			if _, err := recovered(t, crash.Disk, c.acknowledged(crash.At)); err != nil {
				t.Errorf("fault %d, %v: %v", n, crash, err)
			}
			return !t.Failed()
		})
		if !failed || t.Failed() {
			t.Logf("%d faults", n-1)
			return
		}
	}
}

// appendUntilFailure opens a journal and appends until something fails, which
// it reports. Then it checks that the journal refuses and leaves the disk alone.
func (c *crashRun) appendUntilFailure(n int) (failed bool) {
	c.Helper()
	j, err := openJournal(smallJournal(c.disk, crashDir))
	if err != nil {
		return true
	}
	for i := range n {
		payloads := [][]byte{payloadFor(j.next), payloadFor(j.next + 1)}[:1+i%2]
		commit, err := j.append(0, payloads...)
		if err != nil {
			c.Fatalf("a journal that has not failed refuses: %v", err)
		}
		if <-commit.done; commit.err != nil {
			c.checkPoisoned(j)
			return true
		}
		c.acks = append(c.acks, acknowledgement{c.disk.Len(), commit.first + uint64(len(payloads))})
	}
	return j.close() != nil
}

func (c *crashRun) checkPoisoned(j *journal) {
	c.Helper()
	<-j.done
	before := c.disk.Len()
	if _, err := j.append(0, []byte("more")); err == nil {
		c.Error("a poisoned journal takes more")
	}
	if _, err := j.tryReserve(1, 0); err == nil {
		c.Error("a poisoned journal reserves space")
	}
	if err := j.close(); err == nil {
		c.Error("closing a poisoned journal reports nothing")
	}
	c.disk.SetFault(nil)
	for _, op := range c.disk.Ops()[before:] {
		if op.Kind != durabletest.OpRemove {
			c.Errorf("a poisoned journal does %s %q", op.Kind, op.Name)
		}
	}
}
