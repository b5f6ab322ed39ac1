package client_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/badgetest/authoritytest"
	"github.com/touchmark-dev/touchmark/badge/client"
)

// Fresh is what a service is ready by: a list that counts, in its file.
func TestFresh(t *testing.T) {
	file := filepath.Join(t.TempDir(), "list")
	x := newSphere(t, func(_ *sphere, cfg *client.SyncConfig) { cfg.File = file })
	if err := x.sync.Fresh(); !errors.Is(err, client.ErrNoList) {
		t.Errorf("no list: %v", err)
	}
	mustSync(t, x.sync)
	if err := x.sync.Fresh(); err != nil {
		t.Error(err)
	}
	x.Break(authoritytest.Fault{Path: authoritytest.PathRevocationList, Unreachable: true})
	x.Advance(badge.MaxStatusAge + 2*time.Second)
	if err := x.sync.Sync(t.Context()); err == nil {
		t.Error("synced with nobody")
	}
	var stale *client.StaleError
	if err := x.sync.Fresh(); !errors.As(err, &stale) || stale.Age <= badge.MaxStatusAge {
		t.Errorf("an old list: %v", err)
	}
	x.Break(authoritytest.Fault{})
	mustSync(t, x.sync)
	if err := x.sync.Fresh(); err != nil {
		t.Error(err)
	}
	// A list that is in use, and could not be written.
	if err := os.MkdirAll(filepath.Join(file+".tmp", "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	x.later()
	if err := x.sync.Sync(t.Context()); err == nil || x.sync.Fresh() == nil {
		t.Errorf("a list that is not in its file: %v", err)
	}
}
