package main

import (
	"crypto/ed25519"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/touchmark-dev/touchmark/badge"
)

// A badge that is replaced in its file is used from the next request on; what is
// no badge is not.
func TestBadgeFile(t *testing.T) {
	key := ed25519.NewKeyFromSeed([]byte(strings.Repeat("a", ed25519.SeedSize)))
	sign := func() string {
		token, err := badge.SelfSign(key, &badge.Template{TTL: badge.MaxTTL})
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	name := filepath.Join(t.TempDir(), "agent.badge")
	put := func(text string) {
		if err := replaceFile(name, []byte(text+"\n"), modeSecret); err != nil {
			t.Fatal(err)
		}
	}
	first, second := sign(), sign()
	put(first)
	var notes []string
	b := &badgeFile{name: name, note: func(format string, args ...any) { notes = append(notes, fmt.Sprintf(format, args...)) }}
	if err := b.read(newConsole(nil, nil, nil)); err != nil {
		t.Fatal(err)
	}
	want := func(token string, noted int) {
		t.Helper()
		if got, err := b.current(t.Context()); err != nil || got != token || len(notes) != noted {
			t.Errorf("another badge than expected, %v, notes %q", err, notes)
		}
	}
	want(first, 0)
	put(second)
	want(second, 0)
	want(second, 0)
	put("no badge")
	want(second, 1)
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	want(second, 2)
	put(first)
	want(first, 2)
	if text := strings.Join(notes, " "); strings.Contains(text, "eyJ") {
		t.Errorf("a badge is in the notes: %s", text)
	}
}

// Standard input is read once, and what it had is used to the end.
func TestBadgeFromStandardInput(t *testing.T) {
	key := ed25519.NewKeyFromSeed([]byte(strings.Repeat("a", ed25519.SeedSize)))
	token, err := badge.SelfSign(key, &badge.Template{TTL: badge.MaxTTL})
	if err != nil {
		t.Fatal(err)
	}
	b := &badgeFile{name: "-"}
	if err := b.read(newConsole(strings.NewReader(token), nil, nil)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if got, err := b.current(t.Context()); err != nil || got != token {
			t.Errorf("another badge than expected, %v", err)
		}
	}
}
