//go:build unix

package logbench

import (
	"runtime"
	"syscall"
)

// peakMemory returns the largest resident size that this process has had, in bytes, 0 if that is not known.
func peakMemory() uint64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil || usage.Maxrss < 0 {
		return 0
	}
	unit := uint64(1024)
	if runtime.GOOS == "darwin" || runtime.GOOS == "ios" {
		unit = 1
	}
	return uint64(usage.Maxrss) * unit //nolint:gosec,unconvert // not negative; int32 on some systems
}
