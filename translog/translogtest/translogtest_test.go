package translogtest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/translogtest"
)

func TestEngine(t *testing.T) {
	translogtest.TestEngine(t, func(*testing.T) translogtest.Engine {
		return translogtest.NewLog("log.example/memory")
	})
}

func TestBeforeAppend(t *testing.T) {
	l := translogtest.NewLog("log.example/memory")
	full := errors.New("disk full")
	l.BeforeAppend(func(uint64, [][]byte) error { return full })
	if _, err := l.Append(t.Context(), [][]byte{{1}}); !errors.Is(err, full) {
		t.Errorf("Append = %v, want %v", err, full)
	}
	l.BeforeAppend(nil)
	if first, err := l.Append(t.Context(), [][]byte{{1}}); first != 0 || err != nil {
		t.Errorf("Append = %d, %v after the fault was lifted", first, err)
	}
}

func TestForkIsDetected(t *testing.T) {
	l := translogtest.NewLog("log.example/memory")
	if _, err := l.Append(t.Context(), [][]byte{[]byte("common")}); err != nil {
		t.Fatal(err)
	}
	fork := l.Fork()
	var cps []*translog.Checkpoint
	for i, side := range []*translogtest.Log{l, fork} {
		if _, err := side.Append(t.Context(), [][]byte{fmt.Append(nil, "side ", i)}); err != nil {
			t.Fatal(err)
		}
		raw, err := side.Checkpoint(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		// The fork is signed with the same key: only comparison finds it.
		cp, err := l.Policy().VerifyCheckpoint(raw.Note())
		if err != nil {
			t.Fatal(err)
		}
		cps = append(cps, cp)
	}
	if err := translog.VerifyConsistency(cps[0], cps[1], nil); translog.CodeOf(err) != translog.CodeForked {
		t.Errorf("VerifyConsistency = %v, want %s", err, translog.CodeForked)
	}
}

func Example() {
	log := translogtest.NewLog("log.example/calls")
	ctx := context.Background()
	first, _ := log.Append(ctx, [][]byte{[]byte("hello")})
	cp, _ := log.AwaitPublished(ctx, first)
	proof, _ := log.Prove(ctx, cp, first)
	in, err := log.Policy().Verify([]byte("hello"), proof)
	fmt.Println(in.Index(), in.Checkpoint().Size(), err)
	// Output: 0 1 <nil>
}
