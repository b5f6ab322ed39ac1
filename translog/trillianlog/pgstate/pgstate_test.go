package pgstate_test

import (
	"errors"
	"io/fs"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/trillianlog"
	"github.com/touchmark-dev/touchmark/translog/trillianlog/pgstate"
	"github.com/touchmark-dev/touchmark/translog/trillianlog/trilliantest"
)

func open(t *testing.T, url, origin string) *pgstate.State {
	t.Helper()
	s, err := pgstate.Open(url, origin)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close(t.Context()) })
	return s
}

func kept(t *testing.T, s *pgstate.State, want string) {
	t.Helper()
	if note, err := s.Read(t.Context()); err != nil || string(note) != want {
		t.Errorf("kept %q, %v, want %q", note, err, want)
	}
}

func TestState(t *testing.T) {
	url := trilliantest.Empty(t)
	a, b, other := open(t, url, "log.example/a"), open(t, url, "log.example/a"), open(t, url, "log.example/other")
	if note, err := a.Begin(t.Context(), []byte("0")); err != nil || string(note) != "0" {
		t.Fatalf("began with %q: %v", note, err)
	}
	if note, err := b.Begin(t.Context(), []byte("else")); err != nil || string(note) != "0" {
		t.Errorf("began again with %q: %v", note, err)
	}
	if _, err := other.Read(t.Context()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a log that was not begun: %v", err)
	}
	if err := a.Swap(t.Context(), 0, []byte("0"), []byte("1")); !errors.Is(err, trillianlog.ErrNotElected) {
		t.Errorf("before the first term: %v", err)
	}
	kept(t, b, "0")

	claim(t, a, "a", 1, true)
	claim(t, a, "a", 1, true)
	claim(t, b, "b", 0, false)
	swap := func(s *pgstate.State, term uint64, older, newer string, want error) {
		t.Helper()
		if err := s.Swap(t.Context(), term, []byte(older), []byte(newer)); !errors.Is(err, want) {
			t.Errorf("swap in term %d: %v, want %v", term, err, want)
		}
	}
	swap(a, 1, "0", "2", nil)
	swap(a, 1, "1", "3", trillianlog.ErrNotElected)
	swap(b, 2, "2", "3", trillianlog.ErrNotElected)
	if err := b.Release(t.Context(), 2); err != nil {
		t.Error(err)
	}
	claim(t, b, "b", 0, false)
	if err := a.Release(t.Context(), 1); err != nil {
		t.Error(err)
	}
	claim(t, b, "b", 2, true)
	swap(a, 1, "2", "3", trillianlog.ErrNotElected)
	swap(b, 2, "2", "3", nil)
	kept(t, a, "3")

	// A lease that has ended is anybody's, and still its holder's until somebody claims it.
	if _, _, err := b.Claim(t.Context(), "b", 0); err != nil {
		t.Fatal(err)
	}
	swap(b, 2, "3", "4", nil)
	claim(t, b, "b", 2, true)
	if _, _, err := b.Claim(t.Context(), "b", 0); err != nil {
		t.Fatal(err)
	}
	claim(t, a, "a", 3, true)
	swap(b, 2, "4", "5", trillianlog.ErrNotElected)
	kept(t, a, "4")
}

// After a mark nothing is claimed or swapped, by whoever has the term, before it is taken away.
func TestHalt(t *testing.T) {
	url := trilliantest.Empty(t)
	a, b, other := open(t, url, "log.example/a"), open(t, url, "log.example/a"), open(t, url, "log.example/other")
	for _, s := range []*pgstate.State{a, other} {
		if _, err := s.Begin(t.Context(), []byte("0")); err != nil {
			t.Fatal(err)
		}
	}
	marked := func(want string) {
		t.Helper()
		if mark, err := a.Halted(t.Context()); err != nil || string(mark) != want || (mark == nil) != (want == "") {
			t.Errorf("mark %q, %v, want %q", mark, err, want)
		}
	}
	claim(t, a, "a", 1, true)
	marked("")
	halt := func(older []byte, mark string, done bool) {
		t.Helper()
		if err := b.Halt(t.Context(), older, []byte(mark)); (err == nil) != done {
			t.Errorf("mark %q in the place of %q: %v", mark, older, err)
		}
	}
	halt([]byte("none"), "mark", false)
	halt([]byte{}, "mark", false)
	halt(nil, "first", true)
	halt(nil, "a second one", false)
	halt([]byte("another"), "a second one", false)
	marked("first")
	halt([]byte("first"), "mark", true)
	marked("mark")
	for _, candidate := range []string{"a", "b"} {
		if _, elected, err := a.Claim(t.Context(), candidate, time.Hour); elected || !errors.Is(err, trillianlog.ErrHalted) {
			t.Errorf("%s claims: %t, %v", candidate, elected, err)
		}
	}
	if err := a.Swap(t.Context(), 1, []byte("0"), []byte("1")); !errors.Is(err, trillianlog.ErrHalted) {
		t.Errorf("swapped: %v", err)
	}
	kept(t, b, "0")
	claim(t, other, "a", 1, true)
	if err := b.Resume(t.Context(), []byte("a second one"), []byte("0"), []byte("3")); err == nil {
		t.Error("another mark was taken away")
	}
	if err := b.Resume(t.Context(), []byte("mark"), []byte("1"), []byte("3")); err == nil {
		t.Error("another checkpoint was replaced")
	}
	marked("mark")
	kept(t, a, "0")
	if err := b.Resume(t.Context(), []byte("mark"), []byte("0"), []byte("3")); err != nil {
		t.Error(err)
	}
	marked("")
	kept(t, a, "3")
	if err := a.Swap(t.Context(), 1, []byte("3"), []byte("4")); err != nil {
		t.Error(err)
	}
	claim(t, a, "a", 1, true)

	none := open(t, url, "log.example/none")
	if err := none.Halt(t.Context(), nil, []byte("mark")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a log that was not begun: %v", err)
	}
	claim(t, none, "a", 0, false)
}

// A table that an earlier version made gets the column of the marks.
func TestEarlierTable(t *testing.T) {
	url := trilliantest.Empty(t)
	s := open(t, url, "log.example/a")
	if _, err := s.Begin(t.Context(), []byte("0")); err != nil {
		t.Fatal(err)
	}
	trilliantest.Exec(t, url, "ALTER TABLE touchmark_signed DROP COLUMN halt")
	claim(t, open(t, url, "log.example/a"), "a", 1, true)
	kept(t, s, "0")
}

// A server that takes no changes, as a standby, is not asked for what was signed last.
func TestStandby(t *testing.T) {
	url := trilliantest.Empty(t)
	if _, err := open(t, url, "log.example/a").Begin(t.Context(), []byte("0")); err != nil {
		t.Fatal(err)
	}
	s := open(t, url+"&default_transaction_read_only=on", "log.example/a")
	if note, err := s.Read(t.Context()); err == nil || errors.Is(err, fs.ErrNotExist) || translog.CodeOf(err) != "" {
		t.Errorf("read %q: %v", note, err)
	}
}

func claim(t *testing.T, s *pgstate.State, candidate string, term uint64, elected bool) {
	t.Helper()
	got, ok, err := s.Claim(t.Context(), candidate, time.Hour)
	if err != nil || got != term || ok != elected {
		t.Errorf("%s claims: term %d, elected %t, %v, want %d, %t", candidate, got, ok, err, term, elected)
	}
}

func TestRefused(t *testing.T) {
	if _, err := pgstate.Open("postgresql://x:y@:bad", "log.example/a"); err == nil {
		t.Error("no URL: opened")
	}
	if _, err := pgstate.Open("postgresql://x@127.0.0.1/y", ""); err == nil {
		t.Error("no origin: opened")
	}
	s := open(t, "postgresql://x@127.0.0.1:1/y?connect_timeout=2", "log.example/a")
	if _, err := s.Read(t.Context()); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nobody there: %v", err)
	}
	if _, elected, err := s.Claim(t.Context(), "a", time.Hour); err == nil || elected {
		t.Errorf("nobody there: elected %t, %v", elected, err)
	}
}
