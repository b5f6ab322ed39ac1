package durabletest

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/touchmark-dev/touchmark/internal/durable"
)

var everything = Sampling{Seed: 1, Singles: 1000, Random: 20}

// read returns the content of a file, and "-" when it is missing.
func read(t *testing.T, d *Disk, name string) string {
	t.Helper()
	data, err := durable.ReadFile(d, name, 1<<20)
	if errors.Is(err, fs.ErrNotExist) {
		return "-"
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestWriteFileSurvivesCrashes: whenever the power fails, the file has all of the old content or all of the new,
// and all of the new once WriteFile has returned.
func TestWriteFileSurvivesCrashes(t *testing.T) {
	d := NewDisk("/d")
	old, replacement := strings.Repeat("old", 600), strings.Repeat("new!", 700)
	if err := durable.WriteFile(d, "/d/f", []byte(old)); err != nil {
		t.Fatal(err)
	}
	before := d.Len()
	if err := durable.WriteFile(d, "/d/f", []byte(replacement)); err != nil {
		t.Fatal(err)
	}
	crashes, olds := 0, 0
	d.Crashes(before, everything, func(c *Crash) bool {
		crashes++
		switch got := read(t, c.Disk, "/d/f"); {
		case got == replacement:
		case got == old && c.At < d.Len():
			olds++
		default:
			t.Fatalf("%v: %d bytes that are neither", c, len(got))
		}
		return true
	})
	if crashes < 20 || olds == 0 {
		t.Errorf("%d crashes, %d with the old content", crashes, olds)
	}
}

// TestCrashesLoseWhatWasNotSynced: the disk is as bad as it is said to be. For each way to forget a sync there is
// a crash that shows it.
func TestCrashesLoseWhatWasNotSynced(t *testing.T) {
	content := bytes.Repeat([]byte("x"), 3*SectorBytes)
	for _, test := range []struct {
		name          string
		sync, syncDir bool
		lost          map[string]bool // what is seen at the end, in some crash
	}{
		{"nothing synced", false, false, map[string]bool{"no file": true, "empty": true, "torn": true, "whole": true}},
		{"only the file synced", true, false, map[string]bool{"no file": true, "whole": true}},
		{"only the directory synced", false, true, map[string]bool{"empty": true, "torn": true, "whole": true}},
		{"both synced", true, true, map[string]bool{"whole": true}},
	} {
		d := NewDisk("/d")
		f, err := d.Open("/d/f", os.O_RDWR|os.O_CREATE)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt(content, 0); err != nil {
			t.Fatal(err)
		}
		if test.sync {
			err = f.Sync()
		}
		if test.syncDir {
			err = errors.Join(err, d.SyncDir("/d"))
		}
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		d.Crashes(d.Len(), everything, func(c *Crash) bool {
			switch got := read(t, c.Disk, "/d/f"); {
			case got == "-":
				seen["no file"] = true
			case got == "":
				seen["empty"] = true
			case got == string(content):
				seen["whole"] = true
			default:
				seen["torn"] = true
			}
			return true
		})
		for _, what := range []string{"no file", "empty", "torn", "whole"} {
			if seen[what] != test.lost[what] {
				t.Errorf("%s: %q seen %v, want %v", test.name, what, seen[what], test.lost[what])
			}
		}
	}
}

// TestFailedSyncLosesForGood: after a sync that failed, a second one succeeds and saves nothing, as on Linux.
func TestFailedSyncLosesForGood(t *testing.T) {
	d := NewDisk("/d")
	f, err := d.Open("/d/f", os.O_RDWR|os.O_CREATE)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Sync(), d.SyncDir("/d")); err != nil {
		t.Fatal(err)
	}
	d.SetFault(func(op Op) error {
		if op.Kind == OpSync {
			return syscall.EIO
		}
		return nil
	})
	if _, err := f.WriteAt([]byte("lost"), 0); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
	d.SetFault(nil)
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	if got := read(t, d, "/d/f"); got != "lost" {
		t.Errorf("before the power fails: %q", got)
	}
	lost := false
	d.Crashes(d.Len(), everything, func(c *Crash) bool {
		lost = lost || read(t, c.Disk, "/d/f") == ""
		return true
	})
	if !lost {
		t.Error("the data survived every crash")
	}
}

func TestShortWrite(t *testing.T) {
	d := NewDisk("/d")
	f, err := d.Open("/d/f", os.O_RDWR|os.O_CREATE)
	if err != nil {
		t.Fatal(err)
	}
	d.SetFault(func(op Op) error { return &ShortWrite{N: 2, Err: syscall.ENOSPC} })
	if n, err := f.WriteAt([]byte("four"), 0); n != 2 || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("%d, %v", n, err)
	}
	d.SetFault(nil)
	if got := read(t, d, "/d/f"); got != "fo" {
		t.Errorf("%q", got)
	}
}

// TestDiskIsLikeTheSystem does the same to a Disk and to a directory of the system.
func TestDiskIsLikeTheSystem(t *testing.T) {
	disk := script(t, NewDisk("/d"), "/d")
	system := script(t, durable.OS{}, t.TempDir())
	for i := range disk {
		if disk[i] != system[i] {
			t.Errorf("step %d: %q in memory, %q on the system", i, disk[i], system[i])
		}
	}
}

func script(t *testing.T, fsys durable.FS, dir string) (results []string) {
	t.Helper()
	at := func(name string) string { return filepath.Join(dir, name) }
	note := func(err error) {
		word := "ok"
		for _, known := range []error{fs.ErrNotExist, fs.ErrExist, fs.ErrClosed, durable.ErrLocked} {
			if errors.Is(err, known) {
				word = known.Error()
				err = nil
			}
		}
		if err != nil {
			word = "other"
		}
		results = append(results, word)
	}
	list := func() {
		names, err := fsys.ReadDir(dir)
		note(err)
		results = append(results, strings.Join(names, " "))
	}
	_, err := fsys.Open(at("a"), os.O_RDONLY)
	note(err)
	_, err = fsys.Open(at("no/a"), os.O_RDWR|os.O_CREATE)
	note(err)
	f, err := fsys.Open(at("a"), os.O_RDWR|os.O_CREATE|os.O_EXCL)
	note(err)
	_, err = fsys.Open(at("a"), os.O_RDWR|os.O_CREATE|os.O_EXCL)
	note(err)
	_, err = f.WriteAt([]byte("hello"), 3)
	note(err)
	note(f.Truncate(6))
	note(f.Reserve(10))
	note(f.Reserve(2))
	size, err := f.Size()
	note(err)
	buf := make([]byte, 20)
	n, err := f.ReadAt(buf, 1)
	note(err)
	results = append(results, string(buf[:n]), string(rune('0'+size)))
	_, err = f.ReadAt(buf, 100)
	note(err)
	note(f.Sync())
	note(fsys.Rename(at("a"), at("b")))
	note(fsys.Rename(at("a"), at("c")))
	list()
	r, err := fsys.Open(at("b"), os.O_RDONLY)
	note(err)
	_, err = r.WriteAt([]byte("x"), 0)
	note(err)
	note(fsys.Remove(at("b")))
	note(fsys.Remove(at("b")))
	n, err = r.ReadAt(buf[:4], 0)
	note(err)
	results = append(results, string(buf[:n]))
	note(fsys.Mkdir(at("sub")))
	note(fsys.Mkdir(at("sub")))
	note(fsys.Mkdir(at("no/sub")))
	note(fsys.SyncDir(dir))
	note(fsys.SyncDir(at("no")))
	list()
	l, err := fsys.Lock(at("lock"))
	note(err)
	_, err = fsys.Lock(at("lock"))
	note(err)
	note(l.Close())
	l, err = fsys.Lock(at("lock"))
	note(err)
	note(l.Close())
	note(f.Close())
	note(f.Close())
	return results
}
