package client_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/badgetest"
	"github.com/touchmark-dev/touchmark/badge/badgetest/authoritytest"
	"github.com/touchmark-dev/touchmark/badge/client"
	"github.com/touchmark-dev/touchmark/internal/durable"
	"github.com/touchmark-dev/touchmark/internal/safehttp"
)

func TestSyncFile(t *testing.T) {
	f, m := newForger(t), newMirror(t)
	clk := &clock{now: time.Unix(1e9, 0)}
	file := filepath.Join(t.TempDir(), "list.jwt")
	open := func(keys badge.KeySource) *client.RevocationSync {
		t.Helper()
		return newSync(t, &client.SyncConfig{
			Issuer: badgetest.Issuer, Keys: keys, Mirrors: []string{m.URL("")}, File: file,
			UnsafeAllowLoopback: true, RootCAs: m.Roots, Timeout: time.Minute, Time: clk.Now,
		})
	}
	s := open(f.keys)
	cfg := client.SyncConfig{Issuer: badgetest.Issuer, Keys: f.keys, File: file}
	if _, err := client.NewRevocationSync(&cfg); !errors.Is(err, durable.ErrLocked) {
		t.Errorf("a second one for the file: %v", err)
	}
	one := f.list(t, clk.now, badge.RevocationClaims{Revoked: []string{idA}})
	two := f.list(t, clk.now.Add(time.Second), badge.RevocationClaims{Revoked: []string{idA, idB}})
	contains := func(want string) {
		t.Helper()
		text, err := os.ReadFile(file)
		info, serr := os.Stat(file)
		if err != nil || serr != nil || string(text) != want || info.Mode() != 0o600 {
			t.Errorf("%v, %v, %d bytes", err, serr, len(text))
		}
	}
	m.set(500, "")
	if err := s.Sync(t.Context()); err == nil {
		t.Error("no error")
	}
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file of no list: %v", err)
	}
	m.set(200, one)
	mustSync(t, s)
	contains(one)

	// What cannot be written is used, reported, and written later.
	if err := os.MkdirAll(filepath.Join(file+".tmp", "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	m.set(200, two)
	for range 2 {
		if err := s.Sync(t.Context()); err == nil || !strings.Contains(err.Error(), "could not be written") {
			t.Error(err)
		}
	}
	if _, to := s.List().Cursor(); to != 2 {
		t.Errorf("%d revocations", to)
	}
	contains(one)
	if err := os.RemoveAll(file + ".tmp"); err != nil {
		t.Fatal(err)
	}
	mustSync(t, s)
	contains(two)
	s.Close()

	// After a restart the file counts, and there is no way back behind it.
	s = open(f.keys)
	m.set(200, one)
	var history *client.HistoryError
	if err := s.Sync(t.Context()); !errors.As(err, &history) || history.Old != two {
		t.Errorf("a step back: %v", err)
	}
	got, err := s.Status(t.Context(), badge.StatusQuery{Issuer: badgetest.Issuer, BadgeID: idB})
	if err != nil || !got.Revoked {
		t.Errorf("%+v, %v", got, err)
	}
	contains(two)
	s.Close()

	// A list whose key has left the set is too old to be used.
	stranger := newForger(t)
	stranger.ca.Rotate("ca-2")
	s = open(badge.StaticKeys{badgetest.Issuer: stranger.ca.Keys()[1:]})
	next := stranger.list(t, clk.now, badge.RevocationClaims{})
	m.set(200, next)
	mustSync(t, s)
	contains(next)
	s.Close()

	// A file that was tampered with stops everything, and stays as it is.
	for name, text := range map[string]string{
		"empty": "", "cut": next[:len(next)-1], "changed": one, "long": strings.Repeat("x", badge.MaxRevocationListBytes+2),
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		s = open(stranger.keys) // in which ca-1 is another key
		m.set(200, stranger.list(t, clk.now, badge.RevocationClaims{}))
		for range 2 {
			if err := s.Sync(t.Context()); err == nil {
				t.Errorf("%s: accepted", name)
			}
		}
		if s.List() != nil {
			t.Errorf("%s: used", name)
		}
		contains(text)
		s.Close()
	}
}

func TestSyncRun(t *testing.T) {
	f, m := newForger(t), newMirror(t)
	clk := &clock{now: time.Unix(1e9, 0)}
	timers := make(chan timer)
	var mu sync.Mutex
	var lists, failures int
	s := newSync(t, &client.SyncConfig{
		Issuer: badgetest.Issuer, Keys: f.keys, Mirrors: []string{m.URL("")}, Interval: 10 * time.Second,
		UnsafeAllowLoopback: true, RootCAs: m.Roots, Timeout: time.Minute, Time: clk.Now,
		After: func(d time.Duration) <-chan time.Time {
			c := make(chan time.Time, 1)
			go func() { timers <- timer{d, c} }()
			return c
		},
		OnList: func(*badge.RevocationList) {
			mu.Lock()
			defer mu.Unlock()
			lists++
		},
		OnError: func(error, time.Duration) {
			mu.Lock()
			defer mu.Unlock()
			failures++
		},
	})
	m.set(500, "")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Run(ctx)
	}()
	for _, least := range []time.Duration{500, 1000, 2000, 4000, 5000, 5000} {
		tm := <-timers
		if least *= time.Millisecond; tm.wait < least || tm.wait > 2*least || tm.wait > 10*time.Second {
			t.Errorf("a wait of %v after a failure, want %v or more", tm.wait, least)
		}
		tm.fire <- clk.Now()
	}
	tm := <-timers
	for i := range 4 {
		m.set(200, f.list(t, clk.now.Add(time.Duration(i/2)*time.Second), badge.RevocationClaims{}))
		tm.fire <- clk.Now()
		tm = <-timers
		if tm.wait < 9*time.Second || tm.wait > 10*time.Second {
			t.Errorf("a wait of %v", tm.wait)
		}
	}
	cancel()
	<-done
	mu.Lock()
	defer mu.Unlock()
	if lists != 2 || failures != 7 {
		t.Errorf("told of %d lists and %d failures", lists, failures)
	}
	// Close ends it too.
	s.Close()
	s.Run(t.Context())
}

func TestSyncConfigRefused(t *testing.T) {
	keys := badge.StaticKeys{}
	for name, cfg := range map[string]*client.SyncConfig{
		"nil":             nil,
		"no issuer":       {Keys: keys},
		"http":            {Issuer: "http://a.example", Keys: keys},
		"no keys":         {Issuer: "https://a.example"},
		"too often":       {Issuer: "https://a.example", Keys: keys, Interval: time.Millisecond},
		"negative":        {Issuer: "https://a.example", Keys: keys, Interval: -1},
		"too rarely":      {Issuer: "https://a.example", Keys: keys, Interval: client.MaxSyncInterval + 1},
		"timeout":         {Issuer: "https://a.example", Keys: keys, Timeout: -1},
		"no such place":   {Issuer: "https://a.example", Keys: keys, File: filepath.Join(t.TempDir(), "none", "x")},
		"mirror http":     {Issuer: "https://a.example", Keys: keys, Mirrors: []string{"http://m.example"}},
		"mirror slash":    {Issuer: "https://a.example", Keys: keys, Mirrors: []string{"https://m.example/"}},
		"mirror end":      {Issuer: "https://a.example", Keys: keys, Mirrors: []string{"https://m.example/a/"}},
		"mirror dots":     {Issuer: "https://a.example", Keys: keys, Mirrors: []string{"https://m.example/a/../b"}},
		"mirror escape":   {Issuer: "https://a.example", Keys: keys, Mirrors: []string{"https://m.example/a%2fb"}},
		"mirror query":    {Issuer: "https://a.example", Keys: keys, Mirrors: []string{"https://m.example?x"}},
		"mirror query 2":  {Issuer: "https://a.example", Keys: keys, Mirrors: []string{"https://m.example/a?x=/a"}},
		"mirror fragment": {Issuer: "https://a.example", Keys: keys, Mirrors: []string{"https://m.example/a#b"}},
		"mirror userinfo": {Issuer: "https://a.example", Keys: keys, Mirrors: []string{"https://u@m.example"}},
		"mirror empty":    {Issuer: "https://a.example", Keys: keys, Mirrors: []string{""}},
		"mirror no URL":   {Issuer: "https://a.example", Keys: keys, Mirrors: []string{"://"}},
	} {
		if s, err := client.NewRevocationSync(cfg); err == nil {
			s.Close()
			t.Errorf("%s: accepted", name)
		}
	}
	// Loopback takes the option that says so.
	a := authoritytest.New(t)
	cfg := syncConfig(a, a.Client())
	cfg.UnsafeAllowLoopback = false
	var addr *safehttp.AddrError
	if err := newSync(t, cfg).Sync(t.Context()); !errors.As(err, &addr) {
		t.Errorf("loopback: %v", err)
	}
}
