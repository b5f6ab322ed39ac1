package logbench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/touchmark-dev/touchmark/translog"
)

// proofs is how many entries are proven at the end of a stage.
const proofs = 500

// prove times proofs of random entries, as a server makes them for whoever asks, and their verification.
func (w *world) prove(ctx context.Context, s *Stage) error {
	cp, err := w.log.Checkpoint(ctx)
	if err != nil {
		return err
	}
	var proving, verifying sample
	for range proofs {
		index := rand.Uint64N(cp.Size()) //nolint:gosec // no secret
		entry, err := w.log.Entry(ctx, index)
		if err != nil {
			return err
		}
		began := time.Now()
		proof, err := w.log.Prove(ctx, cp, index)
		if err != nil {
			return err
		}
		proving.add(time.Since(began))
		text, err := proof.MarshalText()
		if err != nil {
			return err
		}
		took, err := verify(w.log.Policy(), entry, text)
		if err != nil {
			return err
		}
		verifying.add(took)
	}
	s.Proof, s.Verification = proving.quantiles(), verifying.quantiles()
	return nil
}

// verify does what `touchmark log verify` does with the contents of its files.
func verify(policy *translog.Policy, entry, text []byte) (time.Duration, error) {
	began := time.Now()
	proof, err := translog.ParseProof(text)
	if err != nil {
		return 0, err
	}
	_, err = policy.Verify(entry, proof)
	return time.Since(began), err
}

// written returns how many bytes the files below a directory have, up to the last in each that is not zero: what is
// reserved and not yet written does not count. Files that go meanwhile do not either.
func written(dir string) (sum int64, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			var n int64
			n, err = writtenIn(path)
			sum += n
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	return sum, err
}

func writtenIn(path string) (int64, error) {
	f, err := os.Open(path) //nolint:gosec // made by this process
	if err != nil {
		return 0, err
	}
	defer f.Close() //nolint:errcheck // read only
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, err
	}
	for block := make([]byte, 1<<20); end > 0; {
		block = block[:min(end, int64(len(block)))]
		if _, err := f.ReadAt(block, end-int64(len(block))); err != nil && !errors.Is(err, io.EOF) {
			return 0, fmt.Errorf("%s: %w", path, err)
		}
		end -= int64(len(block))
		if used := len(bytes.TrimRight(block, "\x00")); used > 0 {
			return end + int64(used), nil
		}
	}
	return 0, nil
}
