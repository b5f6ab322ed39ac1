package evidence

import (
	"errors"
	"io/fs"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/internal/durable"
	"github.com/touchmark-dev/touchmark/internal/durable/durabletest"
)

// A readFaults is a disk of which one read fails, as the first to come or later, like one for which no file could be opened.
type readFaults struct {
	*durabletest.Disk
	left atomic.Int64
}

func (d *readFaults) fail(name string) error {
	if d.left.Add(-1) == 0 {
		return &fs.PathError{Op: "read", Path: name, Err: syscall.EMFILE}
	}
	return nil
}

func (d *readFaults) Open(name string, flag int) (durable.File, error) {
	if err := d.fail(name); err != nil {
		return nil, err
	}
	f, err := d.Disk.Open(name, flag)
	return &faultyFile{File: f, disk: d, name: name}, err
}

func (d *readFaults) ReadDir(name string) ([]string, error) {
	if err := d.fail(name); err != nil {
		return nil, err
	}
	return d.Disk.ReadDir(name)
}

type faultyFile struct {
	durable.File
	disk *readFaults
	name string
}

func (f *faultyFile) ReadAt(b []byte, off int64) (int, error) {
	if err := f.disk.fail(f.name); err != nil {
		return 0, err
	}
	return f.File.ReadAt(b, off)
}

// copyDisk returns a disk with the files of a directory of another.
func copyDisk(t testing.TB, from *durabletest.Disk, dir string) *durabletest.Disk {
	t.Helper()
	to := durabletest.NewDisk(dir)
	for _, name := range from.Names(dir) {
		name = filepath.Join(dir, name)
		b, err := durable.ReadFile(from, name, 1<<30)
		if err == nil {
			err = durable.WriteFile(to, name, b)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return to
}

// TestLedgerRetentionReadFaults fails each read in turn. Nothing is removed then or at the next attempt that would not have
// been removed without the fault, and what is due goes at the next attempt.
func TestLedgerRetentionReadFaults(t *testing.T) {
	t.Parallel()
	clock := new(settableClock)
	cfg, log := ledgerConfig(t)
	disk := onDisk(cfg)
	cfg.Time, cfg.BacklogAge = clock.now, 1000*time.Hour
	l := mustOpenLedger(t, cfg)
	began := clock.now()
	recordLarge(t, l, 60)
	clock.ahead.Store(int64(2 * time.Hour))
	recordMany(t, l, 300)
	mustClose(t, l)
	// attempt lets the nth read of a pass fail, if there is one, and makes a second pass.
	attempt := func(n int, before time.Time) (hit bool, first uint64) {
		t.Helper()
		faults := &readFaults{Disk: copyDisk(t, disk, crashDir)}
		j, err := openJournal(journalConfig{fs: faults, dir: crashDir, segmentBytes: cfg.SegmentBytes})
		if err != nil {
			t.Fatal(err)
		}
		defer j.close()
		limit, err := removable(j)
		if err != nil {
			t.Fatal(err)
		}
		r := &retention{journal: j, log: log, local: new(sync.Mutex)}
		faults.left.Store(int64(n))
		out, err := r.run(t.Context(), before, limit)
		hit = faults.left.Swap(0) <= 0
		if hit != errors.Is(err, syscall.EMFILE) || hit && out != nil && out.Records != 0 {
			t.Errorf("read %d: removed %+v, %v", n, out, err)
		}
		if out, err = r.run(t.Context(), before, limit); err != nil {
			t.Fatalf("read %d: again: %v", n, err)
		}
		for s, err := range readJournal(faults, crashDir, 0) {
			if err != nil || s.Sequence < out.First {
				t.Fatalf("read %d: record %d, %v; it begins with %d", n, s.Sequence, err, out.First)
			}
		}
		return hit, out.First
	}
	for _, before := range []time.Time{began.Add(-time.Hour), began.Add(time.Hour)} {
		_, want := attempt(1<<30, before)
		if due := before.After(began); due != (want > 0) || want > 61 {
			t.Fatalf("the journal begins with %d without a fault", want)
		}
		n, step := 1, 1
		if want > 0 && !soak() {
			step = 5 // these take longer
		}
		for ; !t.Failed(); n += step {
			hit, first := attempt(n, before)
			if first != want {
				t.Errorf("read %d: the journal begins with %d, want %d", n, first, want)
			}
			if !hit {
				break
			}
		}
		t.Logf("%d reads", n-1)
	}
}
