package translogtest

import (
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"
)

// SmallDisk makes a directory a file system of its own, in memory, until the test ends, and returns the func that fills it: see
// Installation.Fill. It is nil where the system does not let the test do so, as it lets nobody but root.
func SmallDisk(t testing.TB, dir string) (fill func(testing.TB) (release func())) {
	t.Helper()
	const roomy = "size=64m"
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, roomy); err != nil {
		t.Logf("no disk of the test's own: %v", err)
		return nil
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
	resize := func(size string) error { return syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, size) }
	return func(t testing.TB) (release func()) {
		t.Helper()
		var err error = syscall.EINVAL
		for began := time.Now(); errors.Is(err, syscall.EINVAL) && time.Since(began) < time.Minute; { // more was written meanwhile
			var used syscall.Statfs_t
			if err := syscall.Statfs(dir, &used); err != nil {
				t.Fatal(err)
			}
			err = resize(fmt.Sprintf("size=%d", (used.Blocks-used.Bfree)*uint64(used.Bsize))) //nolint:gosec // a size
		}
		if err != nil {
			t.Fatalf("resize %s: %v", dir, err)
		}
		return func() {
			if err := resize(roomy); err != nil {
				t.Errorf("resize %s: %v", dir, err)
			}
		}
	}
}
