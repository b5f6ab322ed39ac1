package durable

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func TestWriteFileReplaces(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	if err := MkdirAll(OS{}, dir); err != nil {
		t.Fatal(err)
	}
	if err := MkdirAll(OS{}, dir); err != nil {
		t.Errorf("a second time: %v", err)
	}
	name := filepath.Join(dir, "state")
	for _, content := range []string{"first", "second, longer", ""} {
		if err := WriteFile(OS{}, name, []byte(content)); err != nil {
			t.Fatal(err)
		}
		got, err := ReadFile(OS{}, name, 100)
		if err != nil || string(got) != content {
			t.Errorf("%q, %v, want %q", got, err, content)
		}
	}
	for path, want := range map[string]fs.FileMode{name: 0o600, dir: 0o700, filepath.Dir(dir): 0o700} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: mode %v, %v, want %v", path, info.Mode(), err, want)
		}
	}
	if names, err := (OS{}).ReadDir(dir); err != nil || len(names) != 1 {
		t.Errorf("left in the directory: %q, %v", names, err)
	}
}

func TestWriteFileReplacesLeftover(t *testing.T) {
	name := filepath.Join(t.TempDir(), "state")
	if err := os.WriteFile(name+tempSuffix, []byte("of a writer that died, and longer"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(OS{}, name, []byte("new")); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(name)
	if err != nil || info.Size() != 3 || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}

func TestReadFileRefusesLargeFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "large")
	if err := os.WriteFile(name, make([]byte, 101), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadFile(OS{}, name, 100); err == nil {
		t.Error("101 bytes were read with a limit of 100")
	}
	if _, err := ReadFile(OS{}, name+"x", 100); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
}

func TestReserveReadsAsZeroes(t *testing.T) {
	for name, reserve := range map[string]func(f *os.File, size int64) error{"system": reserve, "zeroes": writeZeroes} {
		f, err := os.OpenFile(filepath.Join(t.TempDir(), "f"), os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte("kept"), 0); err != nil {
			t.Fatal(err)
		}
		const size = 3<<20 + 17
		if err := reserve(f, size); err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(f)
		if err != nil || len(data) != size || string(data[:4]) != "kept" {
			t.Fatalf("%s: %d bytes, %v", name, len(data), err)
		}
		for i, b := range data[4:] {
			if b != 0 {
				t.Fatalf("%s: byte %d is %d", name, i+4, b)
			}
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLock(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "lock")
	l, err := (OS{}).Lock(name)
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(name, link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{name, link} {
		if _, err := (OS{}).Lock(path); !errors.Is(err, ErrLocked) {
			t.Errorf("%s, in this process: %v", path, err)
		}
	}
	if out, err := lockElsewhere(t, name); err == nil {
		t.Errorf("another process got the lock: %s", out)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Errorf("closing again: %v", err)
	}
	if out, err := lockElsewhere(t, name); err != nil {
		t.Errorf("another process, after it was released: %v: %s", err, out)
	}
	again, err := (OS{}).Lock(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}

// lockElsewhere runs TestLockHelper in another process.
func lockElsewhere(t *testing.T, name string) (string, error) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestLockHelper$", "-test.count=1")
	cmd.Env = append(os.Environ(), "TOUCHMARK_TEST_LOCK="+name)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// TestLockHelper is the other process of TestLock; by itself it tests nothing.
func TestLockHelper(t *testing.T) {
	name := os.Getenv("TOUCHMARK_TEST_LOCK")
	if name == "" {
		return
	}
	l, err := (OS{}).Lock(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}
