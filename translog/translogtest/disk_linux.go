package translogtest

import (
	"fmt"
	"syscall"
	"testing"
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
	resize := func(t testing.TB, size string) {
		if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, size); err != nil {
			t.Errorf("resize %s: %v", dir, err)
		}
	}
	return func(t testing.TB) (release func()) {
		t.Helper()
		var used syscall.Statfs_t
		if err := syscall.Statfs(dir, &used); err != nil {
			t.Fatal(err)
		}
		resize(t, fmt.Sprintf("size=%d", (used.Blocks-used.Bfree)*uint64(used.Bsize))) //nolint:gosec // a size
		return func() { resize(t, roomy) }
	}
}
