package trillianlog

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/internal/signing"
)

// CodeHalted is the code of a log for which nothing is signed before an operator has looked (spec/receipt.md section 7.2).
const CodeHalted translog.Code = "LOG_HALTED"

// ErrHalted is the error of a State that has a mark which says that nothing is to be signed.
var ErrHalted = errors.New("trillianlog: nothing is signed for this log before somebody has looked")

var errOtherMark = errors.New("trillianlog: another mark is there, or none")

const maxHalt = 8 * translog.MaxCheckpointBytes // a checkpoint in JSON, and a reason

// A Halt is the mark in a [State] that ends signing for a log.
type Halt struct {
	ID    string    `json:"-"` // of this mark, for [Resume]
	Since time.Time `json:"since"`
	// Code and Reason are the verdict of the publisher that left the mark. Code is empty if the mark cannot be read.
	Code   translog.Code `json:"code"`
	Reason string        `json:"reason"`
	// Checkpoint is the newest that this publisher knew to have been signed, or another one that ended later.
	Checkpoint string `json:"checkpoint"`
}

func parseHalt(mark []byte) *Halt {
	h := &Halt{}
	if err := json.Unmarshal(mark, h); err != nil {
		h = &Halt{Reason: fmt.Sprintf("the mark cannot be read: %v", err)}
	}
	sum := sha256.Sum256(mark)
	h.ID = hex.EncodeToString(sum[:8])
	return h
}

// Err is the refusal to sign.
func (h *Halt) Err() error {
	return &translog.RejectedError{
		Code:       CodeHalted,
		Reason:     fmt.Sprintf("nothing is signed since %s (halt %s): %s: %s", h.Since.Format(time.RFC3339), h.ID, h.Code, h.Reason),
		Checkpoint: []byte(h.Checkpoint),
	}
}

// Halted returns the mark that ends signing for a log that several append to, or nil if there is none. Of cfg it needs State,
// or StatePath.
func Halted(ctx context.Context, cfg *Config) (*Halt, error) {
	mark, err := cfg.stateOf().Halted(ctx)
	if err != nil || mark == nil {
		return nil, err
	}
	return parseHalt(mark), nil
}

// Resume takes away the mark of this ID, so that publishers sign again: what continues the larger one of the checkpoint in the
// state and that of the mark, which is in the state then. The error is a translog.RejectedError where these are two trees of
// one size: then a fork was signed. Somebody must have looked before: what the database has lost is to be there again, and a
// publisher that knows less than others is not to be the first. Of cfg it needs Signer, and State or StatePath.
func Resume(ctx context.Context, cfg *Config, id string) error {
	state := cfg.stateOf()
	mark, err := state.Halted(ctx)
	switch {
	case err != nil:
		return err
	case mark == nil:
		return errors.New("trillianlog: signing for this log was not ended")
	}
	h := parseHalt(mark)
	if h.ID != id {
		return fmt.Errorf("trillianlog: halt %q is not the one that is there: %w", id, h.Err())
	}
	kept, err := state.Read(ctx)
	if err != nil {
		return err
	}
	newest, err := h.newest(cfg.Signer, kept)
	if err != nil {
		return err
	}
	return state.Resume(ctx, mark, kept, newest)
}

// newest returns the larger of the checkpoint that the state has, and that of the mark, if it has one.
func (h *Halt) newest(signer *translog.Signer, kept []byte) ([]byte, error) {
	if h.Checkpoint == "" {
		return kept, nil
	}
	policy, err := signing.Policy(signer)
	if err != nil {
		return nil, err
	}
	marked, err := policy.VerifyCheckpoint([]byte(h.Checkpoint))
	if err != nil {
		return nil, fmt.Errorf("trillianlog: the mark is not this log's: %w", err)
	}
	cp, err := policy.VerifyCheckpoint(kept)
	switch {
	case err != nil:
		return nil, fmt.Errorf("trillianlog: the state is not this log's: %w", err)
	case cp.Size() < marked.Size():
		return marked.Note(), nil
	case cp.Size() == marked.Size() && cp.Root() != marked.Root():
		return nil, &translog.RejectedError{
			Code: translog.CodeForked, Reason: fmt.Sprintf("two trees of %d entries were signed: that of the state and that of the mark", cp.Size()),
			Older: marked.Note(), Checkpoint: cp.Note(),
		}
	}
	return kept, nil
}

// halts reports whether an error says that the database or the state has lost or changed what was signed.
func halts(err error) bool {
	switch translog.CodeOf(err) {
	case translog.CodeRolledBack, translog.CodeForked, translog.CodeConsistencyInvalid:
		return true
	}
	return false
}

// halt leaves a mark in the state about a verdict for which halts is true, so that nobody signs who knows less; into one
// that is there already goes what this candidate knows better. It tries until ctx ends, once in any case.
func (p *Publisher) halt(ctx context.Context, verdict error) error {
	for {
		err := p.leave(ctx, verdict)
		if err == nil {
			return nil
		}
		err = fmt.Errorf("trillianlog: state: signing cannot be ended for all: %w", err)
		p.cfg.Notice(err)
		select {
		case <-ctx.Done():
			return err
		case <-time.After(p.cfg.CheckpointInterval):
		}
	}
}

func (p *Publisher) leave(ctx context.Context, verdict error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.cfg.Timeout)
	defer cancel()
	older, err := p.state.Halted(ctx)
	if err != nil {
		return err
	}
	var h *Halt
	if older == nil {
		if !halts(verdict) {
			return nil // it was taken away meanwhile
		}
		var rejected *translog.RejectedError
		errors.As(verdict, &rejected)
		h = &Halt{Since: time.Now().UTC().Truncate(time.Second), Code: rejected.Code, Reason: rejected.Reason}
	} else {
		h = parseHalt(older)
		kept, err := p.state.Read(ctx)
		if err != nil {
			return err
		}
		if p.known == nil || p.known.Size() <= max(p.sizeOf([]byte(h.Checkpoint)), p.sizeOf(kept)) {
			return nil
		}
	}
	if p.known != nil {
		h.Checkpoint = string(p.known.Note())
	}
	mark, err := json.Marshal(h)
	if err != nil {
		return err
	}
	return p.state.Halt(ctx, older, mark)
}

// sizeOf returns the size of a checkpoint of the log, and 0 of anything else.
func (p *Publisher) sizeOf(note []byte) uint64 {
	cp, err := p.policy.VerifyCheckpoint(note)
	if err != nil {
		return 0
	}
	return cp.Size()
}

// halted is err, or the refusal that says why if the state has a mark.
func (p *Publisher) halted(ctx context.Context, err error) error {
	if !errors.Is(err, ErrHalted) {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.cfg.Timeout)
	defer cancel()
	h := &Halt{Reason: "the mark could not be read"}
	if mark, err := p.state.Halted(ctx); err == nil && mark != nil {
		h = parseHalt(mark)
	}
	return h.Err()
}
