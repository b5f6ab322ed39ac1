package monitor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/translog"
)

// ErrPromises says that a monitor waits for as many promises as it can.
var ErrPromises = fmt.Errorf("monitor: %d promises wait already; add this one when some are settled", MaxPromises)

// AddPromise gives the monitor a promise (evidence.Promise, a compact JWS) whose keeping it checks from the next look
// on. The error is a *evidence.RejectedError for what is no promise by one of the keys about this log.
func (m *Monitor) AddPromise(token string) error {
	v, err := evidence.VerifyPromise(token, m.cfg.Keys)
	if err != nil {
		return err
	}
	if origin := v.Promise().LogOrigin; origin != m.origin {
		return &evidence.RejectedError{Code: evidence.CodePromiseMismatch, Reason: fmt.Sprintf("about the log %q, this is %q", origin, m.origin)}
	}
	if len(m.state.Promises) >= MaxPromises {
		return ErrPromises
	}
	m.state.Promises = append(m.state.Promises, token)
	return nil
}

// checkPromises settles the promises whose record has come, or whose deadline has passed.
func (m *Monitor) checkPromises(ctx context.Context, cp *translog.Checkpoint) error {
	waiting := make([]string, 0, len(m.state.Promises))
	var errs []error
	digests, err := m.promisedDigests()
	if err != nil {
		return err
	}
	for _, token := range m.state.Promises {
		settled, err := m.checkPromise(ctx, cp, token, digests)
		if !settled {
			waiting = append(waiting, token)
		}
		errs = append(errs, err)
	}
	m.state.Promises = waiting
	return errors.Join(errs...)
}

// promisedDigests returns those leaves of a log of digests that were promised, wherever they are.
func (m *Monitor) promisedDigests() (map[[32]byte]uint64, error) {
	if !m.digests() {
		return nil, nil
	}
	leaves := make(map[[32]byte][]int)
	for _, token := range m.state.Promises {
		if v, err := evidence.VerifyPromise(token, m.cfg.Keys); err == nil && m.seen[short(v.Promise().LeafHash)] {
			leaves[v.Promise().LeafHash] = nil
		}
	}
	return m.places(leaves)
}

func (m *Monitor) checkPromise(ctx context.Context, cp *translog.Checkpoint, token string, digests map[[32]byte]uint64) (settled bool, err error) {
	v, err := evidence.VerifyPromise(token, m.cfg.Keys)
	if err != nil {
		return true, fmt.Errorf("monitor: a promise that was good is not any more: were keys taken away? %w", err)
	}
	p := v.Promise()
	if s := m.streams[p.Stream]; s != nil && p.Sequence < s.Next {
		_, index, there, err := s.at(p.Sequence)
		if err != nil {
			return false, err
		}
		if there {
			err := m.keptPromise(ctx, cp, token, &p, index)
			return err == nil, err // what could not be told is told at the next look
		}
	}
	if _, ok := digests[p.LeafHash]; ok {
		return true, nil // its record is not at hand
	}
	if m.state.ReadTo.After(p.Deadline) { // what is in the log behind that was not read
		f := m.fault(CodePromiseBroken, "record %d was promised for %s, and is not in the log", p.Sequence, p.Deadline.Format(time.RFC3339)).
			says("the log of checkpoint does not hold the entry, after the deadline").
			add(filePromise, []byte(token)).add(fileCheckpoint, cp.Note())
		f.Stream, f.Sequence = p.Stream.String(), at(p.Sequence)
		err := m.tell(ctx, nil, f)
		return err == nil, err
	}
	return false, nil
}

// keptPromise compares the entry that is at the place of a promise.
func (m *Monitor) keptPromise(ctx context.Context, cp *translog.Checkpoint, token string, p *evidence.Promise, index uint64) error {
	leaf, err := m.leaves.get(index)
	if err != nil || evidence.Hash(leaf) == p.LeafHash {
		return err
	}
	f := m.fault(Code(evidence.CodePromiseMismatch), "another record %d is in the log than was promised", p.Sequence).add(filePromise, []byte(token))
	f.Stream, f.Sequence, f.Index = p.Stream.String(), at(p.Sequence), at(index)
	return m.tell(ctx, cp, f)
}
