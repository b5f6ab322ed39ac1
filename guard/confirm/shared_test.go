package confirm_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/guard/confirm"
	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/translogtest"
)

// TestIndex: in a log of several it is said where the record is, and nothing of it is believed.
func TestIndex(t *testing.T) {
	log := translogtest.NewLog(origin)
	if _, err := log.Append(t.Context(), [][]byte{[]byte("of another"), []byte("the record"), []byte("of a third")}); err != nil {
		t.Fatal(err)
	}
	ack := &evidence.Ack{Sequence: 0, LeafHash: evidence.Hash(translog.LeafHash([]byte("the record")))}
	gone := errors.New("nobody knows")
	for index, want := range map[uint64]translog.Code{0: translog.CodeInclusionInvalid, 1: "", 2: translog.CodeInclusionInvalid} {
		w, err := confirm.Included(&confirm.Config{
			Log: log.Source(), Policy: log.Policy(),
			Index: func(_ context.Context, got *evidence.Ack) (uint64, error) {
				if got.LeafHash != ack.LeafHash {
					t.Errorf("asked about %+v", got)
				}
				return index, nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Confirm(t.Context(), ack); translog.CodeOf(err) != want || (err == nil) != (want == "") {
			t.Errorf("said to be entry %d: %v", index, err)
		}
	}
	for name, c := range map[string]struct {
		index func(context.Context) (uint64, error)
		want  error
	}{
		"unknown": {func(context.Context) (uint64, error) { return 0, gone }, gone},
		"late":    {func(ctx context.Context) (uint64, error) { <-ctx.Done(); return 0, ctx.Err() }, context.DeadlineExceeded},
		"to come": {func(context.Context) (uint64, error) { return 3, nil }, context.DeadlineExceeded},
	} {
		w, err := confirm.Included(&confirm.Config{
			Log: log.Source(), Policy: log.Policy(),
			Index: func(ctx context.Context, _ *evidence.Ack) (uint64, error) { return c.index(ctx) },
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		if err := w.Confirm(ctx, ack); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
		cancel()
	}
}
