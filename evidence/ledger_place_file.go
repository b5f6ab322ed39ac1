package evidence

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/touchmark-dev/touchmark/internal/durable"
	"github.com/touchmark-dev/touchmark/translog"
)

const (
	// placeFile is the file in the journal's directory that says what is in a shared log (spec/journal.md section 6.2).
	placeFile = "log-place"
	placeLine = "touchmark/log-place/v1"
	// secretFile is the file there with what is secret about the identities of records in a shared log: in hexadecimal.
	secretFile  = "log-secret"
	secretBytes = 32
)

// A place says that the first records of a stream are in the tree of a checkpoint, and none of the others is.
type place struct {
	stream     StreamID
	records    uint64
	checkpoint *translog.Checkpoint
}

// readPlace reads the place that a ledger kept; nil if it has kept none.
func readPlace(cfg *LedgerConfig) (*place, error) {
	name := filepath.Join(cfg.Dir, placeFile)
	text, err := durable.ReadFile(cfg.fs, name, translog.MaxCheckpointBytes+1<<10)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // as documented
	}
	if err != nil {
		return nil, fmt.Errorf("evidence: read the place in the log: %w", err)
	}
	p, err := parsePlace(text, cfg.Shared.Policy())
	if err != nil {
		return nil, fmt.Errorf("evidence: %q: %w", name, err)
	}
	return p, nil
}

// readSecret reads the secret of a journal; nil if there is none, and nothing is kept about a shared log.
func readSecret(cfg *LedgerConfig, kept *place) ([]byte, error) {
	name := filepath.Join(cfg.Dir, secretFile)
	text, err := durable.ReadFile(cfg.fs, name, 2*secretBytes+1)
	switch {
	case errors.Is(err, fs.ErrNotExist) && kept == nil:
		return nil, nil
	case errors.Is(err, fs.ErrNotExist):
		return nil, unavailable(CodeLogDiverged, err, "%s is there, and %s, which was made before it, is not: the journal is put together from copies; put it back, or begin a new journal",
			placeFile, secretFile)
	case err != nil:
		return nil, fmt.Errorf("evidence: read the secret of the identities in the log: %w", err)
	}
	secret, err := hex.DecodeString(strings.TrimSuffix(string(text), "\n"))
	if err != nil || len(secret) != secretBytes {
		return nil, fmt.Errorf("evidence: %q does not hold %d bytes in hexadecimal", name, secretBytes)
	}
	return secret, nil
}

// makeSecret makes the secret of a journal that has none.
func makeSecret(cfg *LedgerConfig) ([]byte, error) {
	secret := make([]byte, secretBytes)
	rand.Read(secret) //nolint:errcheck // never fails, see crypto/rand
	if err := durable.WriteFile(cfg.fs, filepath.Join(cfg.Dir, secretFile), fmt.Appendf(nil, "%x\n", secret)); err != nil {
		return nil, fmt.Errorf("evidence: keep the secret of the identities in the log: %w", err)
	}
	return secret, nil
}

func parsePlace(text []byte, policy *translog.Policy) (*place, error) {
	head, note, ok := bytes.Cut(text, []byte("\n\n"))
	lines := strings.Split(string(head), "\n")
	if !ok || len(lines) != 3 || lines[0] != placeLine {
		return nil, errors.New("not the place of a stream in a log")
	}
	stream, isStream := strings.CutPrefix(lines[1], "stream ")
	records, isRecords := strings.CutPrefix(lines[2], "records ")
	n, err := strconv.ParseUint(records, 10, 64)
	if !isStream || !isRecords || err != nil || n == 0 || strconv.FormatUint(n, 10) != records {
		return nil, errors.New("want the lines stream and records")
	}
	p := &place{records: n}
	if p.stream, err = ParseStreamID(stream); err != nil {
		return nil, err
	}
	if p.checkpoint, err = policy.VerifyCheckpoint(note); err != nil {
		return nil, fmt.Errorf("the checkpoint is not one of this log: %w", err)
	}
	return p, nil
}

func (p *place) write(cfg *LedgerConfig) error {
	text := fmt.Appendf(nil, "%s\nstream %s\nrecords %d\n\n%s", placeLine, p.stream, p.records, p.checkpoint.Note())
	return durable.WriteFile(cfg.fs, filepath.Join(cfg.Dir, placeFile), text)
}
