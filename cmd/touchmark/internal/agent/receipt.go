package agent

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/tlogclient"
)

// pollInterval is how often a log is asked for a new checkpoint.
const pollInterval = 200 * time.Millisecond

// AwaitReceipt waits until the record of a call, which the answer r names, is
// under a checkpoint of the log, and returns the proof. It verifies the proof, and
// that the entry is the server's record of this very call. Where the log holds
// digests, the entry is the one that the answer has. It gives up when ctx does.
func (s *Session) AwaitReceipt(ctx context.Context, log *tlogclient.Client, policy *translog.Policy, r *Result) (*translog.Proof, error) {
	leaf, err := parseLeaf(r.Evidence.LeafHash)
	if err != nil {
		return nil, err
	}
	keys, err := keysOf(ctx, s.resolver, r.call.server)
	if err != nil {
		return nil, err
	}
	in, proof, err := awaitLeaf(ctx, log, policy, leaf, r.Evidence.ID)
	if err != nil {
		return nil, err
	}
	stored, err := log.Entry(ctx, in.Checkpoint(), in.Index())
	if err != nil {
		return nil, err
	}
	entry := stored
	if _, digest := evidence.ParseDigest(stored); digest {
		entry = []byte(r.Evidence.Entry)
		if err := evidence.FormDigest.VerifyLeaf(entry, stored); err != nil {
			return nil, fmt.Errorf("the log holds a digest, and the answer not the record that has it: %w", err)
		}
	}
	if err := r.call.checkRecord(entry, r.Evidence, keys, in.Checkpoint().Origin()); err != nil {
		return nil, err
	}
	return proof, nil
}

func awaitLeaf(ctx context.Context, log *tlogclient.Client, policy *translog.Policy, leaf [32]byte, id string) (*translog.Inclusion, *translog.Proof, error) {
	var hint, seen uint64
	for {
		cp, err := log.Checkpoint(ctx)
		if err != nil && translog.CodeOf(err) != "" {
			return nil, nil, err
		}
		if err == nil && cp.Size() > seen {
			proof, err := prove(ctx, log, cp, leaf, hint)
			if err == nil {
				in, err := policy.VerifyLeaf(leaf, proof)
				return in, proof, err
			}
			if !errors.Is(err, tlogclient.ErrNotFound) {
				return nil, nil, err
			}
			seen, hint = cp.Size(), cp.Size()
		}
		select {
		case <-ctx.Done():
			return nil, nil, fmt.Errorf("record %.80q is not in the log yet (%d entries): %w", id, seen, ctx.Err())
		case <-time.After(pollInterval):
		}
	}
}

func prove(ctx context.Context, log *tlogclient.Client, cp *translog.Checkpoint, leaf [32]byte, hint uint64) (*translog.Proof, error) {
	index, err := log.Find(ctx, cp, leaf, hint)
	if err != nil {
		return nil, err
	}
	return log.Prove(ctx, cp, index, leaf)
}

func parseLeaf(text string) (leaf [32]byte, err error) {
	raw, ok := strings.CutPrefix(text, "sha256:")
	b, err := base64.RawURLEncoding.Strict().DecodeString(raw)
	if !ok || err != nil || len(b) != len(leaf) {
		return leaf, fmt.Errorf("the server names a leaf hash that is none: %.100q", text)
	}
	return [32]byte(b), nil
}
