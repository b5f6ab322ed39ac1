//go:build !unix

package logbench

// peakMemory is not known here.
func peakMemory() uint64 { return 0 }
