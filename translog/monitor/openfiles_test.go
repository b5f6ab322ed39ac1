package monitor

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/touchmark-dev/touchmark/internal/durable"
)

// A countingFS knows how many of its files are open.
type countingFS struct {
	durable.FS
	open, most int
	fail       error // of Close
}

type countedFile struct {
	durable.File
	fs *countingFS
}

func (c *countingFS) Open(name string, flag int) (durable.File, error) {
	f, err := c.FS.Open(name, flag)
	if err != nil {
		return nil, err
	}
	c.open++
	c.most = max(c.most, c.open)
	return &countedFile{f, c}, nil
}

func (f *countedFile) Close() error {
	f.fs.open--
	return errors.Join(f.File.Close(), f.fs.fail)
}

func number(i, j int) []byte { return fmt.Appendf(nil, "%08d", 1000*i+j) }

// TestFewFilesAreOpen: with many more files than may be open, what was put is read, before it is flushed and afterwards,
// and from files that were opened anew.
func TestFewFilesAreOpen(t *testing.T) {
	const files, frames, most = 40, 3, 4
	dir := t.TempDir()
	fs := &countingFS{FS: durable.OS{}}
	pool := &openFiles{fs: fs, max: most}
	var all []*hashFile
	for i := range files {
		h, err := openHashFile(pool, filepath.Join(dir, fmt.Sprint(i)), 8, 0)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, h)
	}
	check := func(when string) {
		t.Helper()
		for j := range frames {
			for i, h := range all {
				if got, err := h.get(uint64(j)); err != nil || !bytes.Equal(got, number(i, j)) {
					t.Fatalf("%s: frame %d of file %d is %q, %v", when, j, i, got, err)
				}
			}
		}
	}
	for j := range frames {
		for i, h := range all {
			h.put(number(i, j))
		}
	}
	check("before")
	for _, h := range all {
		if err := h.flush(); err != nil {
			t.Fatal(err)
		}
	}
	check("after")
	for _, h := range all { // nothing is new
		if err := h.flush(); err != nil {
			t.Fatal(err)
		}
	}
	for i, h := range all {
		n := 0
		if err := h.each(func(j uint64, frame []byte) {
			if n++; !bytes.Equal(frame, number(i, int(j))) {
				t.Errorf("frame %d of file %d is %q", j, i, frame)
			}
		}); err != nil || n != frames {
			t.Errorf("file %d: %d frames, %v", i, n, err)
		}
	}
	if fs.most > most {
		t.Errorf("%d files were open at a time", fs.most)
	}
	for _, h := range all {
		if err := h.close(); err != nil {
			t.Fatal(err)
		}
	}
	if fs.open != 0 || pool.used.Len() != 0 {
		t.Errorf("%d files are open, %d are listed", fs.open, pool.used.Len())
	}
	again, err := openHashFile(pool, filepath.Join(dir, "7"), 8, frames)
	if err != nil {
		t.Fatal(err)
	}
	defer again.close()
	if got, err := again.get(2); err != nil || !bytes.Equal(got, number(7, 2)) {
		t.Errorf("%q, %v", got, err)
	}
}

// TestAFileThatCannotBeOpened: that is an error of who wanted it, and costs the others nothing.
func TestAFileThatCannotBeOpened(t *testing.T) {
	dir := t.TempDir()
	fs := &countingFS{FS: durable.OS{}}
	pool := &openFiles{fs: fs, max: 1}
	one, err := openHashFile(pool, filepath.Join(dir, "one"), 8, 0)
	if err != nil {
		t.Fatal(err)
	}
	one.put(number(1, 1))
	if err := one.flush(); err != nil {
		t.Fatal(err)
	}
	if _, err := openHashFile(pool, filepath.Join(dir, "nowhere", "two"), 8, 0); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if got, err := one.get(0); err != nil || !bytes.Equal(got, number(1, 1)) {
		t.Errorf("%q, %v", got, err)
	}
	fs.fail = errors.New("no space")
	if _, err := openHashFile(pool, filepath.Join(dir, "two"), 8, 0); !errors.Is(err, fs.fail) {
		t.Errorf("a file that could not be closed: %v", err)
	}
}
