//go:build !unix

package durable

import (
	"fmt"
	"io"
	"runtime"
)

// lock refuses: without a lock a second writer could not be kept out.
func lock(name string) (io.Closer, error) {
	return nil, fmt.Errorf("lock %q: exclusive locks are not supported on %s; run the writer on a Unix system", name, runtime.GOOS)
}
