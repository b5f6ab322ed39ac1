package evidence

import (
	"path/filepath"

	"github.com/touchmark-dev/touchmark/internal/durable"
)

// drop removes the segments before the one that the head names. What the head says is durable before any file goes, so
// that a crash leaves a journal that begins where it did, or where the head says; files that are left over are removed
// by the next writer.
func (j *journal) drop(head *JournalHead) error {
	text, err := head.MarshalText()
	if err != nil {
		return err
	}
	if err := new(JournalHead).UnmarshalText(text); err != nil {
		return err // readers would not take it
	}
	if err := durable.WriteFile(j.cfg.fs, filepath.Join(j.cfg.dir, headName), text); err != nil {
		return err
	}
	list, err := listSegments(j.cfg.fs, j.cfg.dir)
	if err != nil {
		return err
	}
	freed, err := sizes(j.cfg.fs, j.cfg.dir, list.left)
	if err != nil {
		return err
	}
	if err := removeAll(j.cfg.fs, j.cfg.dir, list.left); err != nil {
		return err
	}
	j.free(freed)
	return nil
}

// free notes that segments have become smaller.
func (j *journal) free(bytes int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.closed -= bytes
	j.announce()
}

// removeAll removes files of a directory, for good.
func removeAll(fsys durable.FS, dir string, names []string) error {
	if len(names) == 0 {
		return nil
	}
	for _, name := range names {
		if err := remove(fsys, filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return fsys.SyncDir(dir)
}
