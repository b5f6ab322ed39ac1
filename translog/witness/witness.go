package witness

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sync"
	"time"

	"github.com/touchmark-dev/touchmark/internal/durable"
	"github.com/touchmark-dev/touchmark/translog"
)

// A Config describes a witness. Dir, Key and Logs are needed.
type Config struct {
	// Dir is where [Create] made the state. Never restore it from a backup.
	Dir string

	// Key signs.
	Key *Key

	// Logs are the logs whose checkpoints are cosigned; its witnesses and its
	// quorum are not looked at.
	Logs *translog.Policy

	// OnMisbehavior, if not nil, is told of a checkpoint that a log has signed and
	// that contradicts what was cosigned: a fork. The error keeps both
	// checkpoints, which is evidence against the log. It is called one at a time.
	OnMisbehavior func(*translog.RejectedError)

	// Time is the clock; nil means time.Now.
	Time func() time.Time
}

// A Witness cosigns checkpoints. It is safe for concurrent use. Serve it with
// timeouts: it is an [http.Handler].
type Witness struct {
	cfg      Config
	unlock   io.Closer
	inFlight chan struct{}

	mu      sync.Mutex // held from the comparison of sizes until the state is durable
	state   *stateFile
	trusted map[string]*translog.Checkpoint
	broken  error // what is on the disk is not known any more
}

// Open opens the witness whose state is in cfg.Dir. One process at a time can.
func Open(cfg *Config) (*Witness, error) {
	if cfg == nil || cfg.Dir == "" || cfg.Key == nil || cfg.Logs == nil {
		return nil, errors.New("witness: Dir, Key and Logs are needed")
	}
	w := &Witness{cfg: *cfg, inFlight: make(chan struct{}, maxInFlight)}
	w.cfg.Logs = cfg.Logs.LogsOnly()
	if w.cfg.Time == nil {
		w.cfg.Time = time.Now
	}
	lock, err := durable.OS{}.Lock(filepath.Join(cfg.Dir, lockName))
	if err != nil {
		return nil, fmt.Errorf("witness: %w", err)
	}
	w.unlock = lock
	if w.state, w.trusted, err = readState(cfg.Dir, cfg.Key, w.cfg.Logs); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return w, nil
}

// Close ends the witness. Requests that come later are refused.
func (w *Witness) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if errors.Is(w.broken, errClosed) {
		return nil
	}
	w.broken = errClosed
	return w.unlock.Close()
}

var errClosed = errors.New("witness: closed")

// A ConflictError says that a witness has cosigned another size than the one a
// request begins with.
type ConflictError struct{ Size uint64 }

func (e *ConflictError) Error() string {
	return fmt.Sprintf("witness: the last checkpoint that was cosigned has the size %d", e.Size)
}

// errInvalid reports a request that no log makes.
var errInvalid = errors.New("witness: the old size is larger than the checkpoint's")

// Cosign does what a request asks for and returns the signature line. The error
// is a [*ConflictError], a [*translog.RejectedError], or says why it could not be
// done (spec/witness.md section 3).
func (w *Witness) Cosign(r *Request) ([]byte, error) {
	cp, err := w.cfg.Logs.VerifyCheckpoint(r.Checkpoint)
	if err != nil {
		return nil, err
	}
	if r.Old > cp.Size() {
		return nil, errInvalid
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.broken != nil {
		return nil, w.broken
	}
	last := w.trusted[cp.Origin()]
	if known := sizeOf(last); r.Old != known {
		return nil, &ConflictError{known}
	}
	if err := w.check(last, cp, r.Proof); err != nil {
		return nil, err
	}
	line, err := w.cfg.Key.cosign(textOf(cp), w.cfg.Time())
	if err != nil {
		return nil, err
	}
	if last == nil || last.Tree() != cp.Tree() {
		if err := w.remember(cp); err != nil {
			return nil, err
		}
	}
	return line, nil
}

// check asks whether cp continues what was cosigned.
func (w *Witness) check(last, cp *translog.Checkpoint, proof [][32]byte) error {
	if sizeOf(last) == 0 {
		if len(proof) > 0 {
			return &translog.RejectedError{
				Code: translog.CodeConsistencyInvalid, Reason: "hashes come with the first checkpoint", Checkpoint: cp.Note(), Proof: proof,
			}
		}
		return nil
	}
	err := translog.VerifyConsistency(last, cp, proof)
	var rejected *translog.RejectedError
	if errors.As(err, &rejected) && rejected.Code == translog.CodeForked && w.cfg.OnMisbehavior != nil {
		w.cfg.OnMisbehavior(rejected)
	}
	return err
}

// remember makes cp the last checkpoint of its log, before anybody sees the
// signature.
func (w *Witness) remember(cp *translog.Checkpoint) error {
	origin, before := cp.Origin(), w.state.Logs[cp.Origin()]
	w.state.Logs[origin] = string(cp.Note())
	if err := w.state.write(w.cfg.Dir); err != nil {
		// The file may hold either by now: the next start will tell.
		w.state.Logs[origin] = before
		w.broken = fmt.Errorf("witness: state: %w", err)
		return w.broken
	}
	w.trusted[origin] = cp
	return nil
}

func sizeOf(cp *translog.Checkpoint) uint64 {
	if cp == nil {
		return 0
	}
	return cp.Size()
}

// textOf returns what is signed of a checkpoint that was verified.
func textOf(cp *translog.Checkpoint) string {
	text, _, _ := bytes.Cut(cp.Note(), []byte("\n\n"))
	return string(text) + "\n"
}
