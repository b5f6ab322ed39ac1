package monitor

import (
	"container/list"
	"errors"
	"fmt"
	"os"

	"github.com/touchmark-dev/touchmark/internal/durable"
)

// maxOpenFiles is how many files of streams are open at a time: a log may have thousands of streams, and a process
// not as many descriptors.
const maxOpenFiles = 256

// openFiles are the files that are open, the one used last in front. What is written to a file is synced before another
// one is used, so that closing one loses nothing.
type openFiles struct {
	fs   durable.FS
	max  int
	used list.List // of *hashFile
}

// use returns the file of h, which it opens if it is not open, and closes those for which there is no room. It is the
// caller's until use is called again.
func (o *openFiles) use(h *hashFile) (durable.File, error) {
	if h.file != nil {
		o.used.MoveToFront(h.place)
		return h.file, nil
	}
	var errs []error
	for o.used.Len() >= o.max {
		errs = append(errs, o.close(o.used.Back().Value.(*hashFile)))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("monitor: %w", err)
	}
	f, err := o.fs.Open(h.name, os.O_RDWR|os.O_CREATE)
	if err != nil {
		return nil, fmt.Errorf("monitor: %w", err)
	}
	h.file, h.place = f, o.used.PushFront(h)
	return f, nil
}

// close closes the file of h, if it is open.
func (o *openFiles) close(h *hashFile) error {
	if h.file == nil {
		return nil
	}
	err := h.file.Close()
	o.used.Remove(h.place)
	h.file, h.place, h.window = nil, nil, nil
	return err
}
