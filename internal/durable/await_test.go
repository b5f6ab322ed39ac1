package durable

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"
)

func TestAwaitLock(t *testing.T) {
	name := filepath.Join(t.TempDir(), "lock")
	held, err := AwaitLock(t.Context(), OS{}, name)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := AwaitLock(ctx, OS{}, name); !errors.Is(err, ErrLocked) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	time.AfterFunc(20*time.Millisecond, func() { held.Close() })
	again, err := AwaitLock(t.Context(), OS{}, name)
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
	if _, err := AwaitLock(t.Context(), OS{}, filepath.Join(name, "x")); err == nil || errors.Is(err, ErrLocked) {
		t.Errorf("got %v", err)
	}
}
