package agent

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/touchmark-dev/touchmark/internal/mcpwire"
	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/tlogclient"
)

// pollInterval is how often a log is asked for a new checkpoint.
const pollInterval = 200 * time.Millisecond

// AwaitReceipt waits until the record that e names is under a checkpoint of the
// log, and returns the proof, verified. It gives up when ctx does.
func AwaitReceipt(ctx context.Context, log *tlogclient.Client, policy *translog.Policy, e *mcpwire.Evidence) (*translog.Proof, error) {
	leaf, err := parseLeaf(e.LeafHash)
	if err != nil {
		return nil, err
	}
	var hint, seen uint64
	for {
		cp, err := log.Checkpoint(ctx)
		if err != nil && translog.CodeOf(err) != "" {
			return nil, err
		}
		if err == nil && cp.Size() > seen {
			proof, err := prove(ctx, log, cp, leaf, hint)
			if err == nil {
				_, err = policy.VerifyLeaf(leaf, proof)
				return proof, err
			}
			if !errors.Is(err, tlogclient.ErrNotFound) {
				return nil, err
			}
			seen, hint = cp.Size(), cp.Size()
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("record %s is not in the log yet (%d entries): %w", e.ID, seen, ctx.Err())
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
