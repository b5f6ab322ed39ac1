package policy

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/touchmark-dev/touchmark/guard"
)

// TestPrivacy: a strict file is not for a server that records what guesses of arguments can be tested against.
func TestPrivacy(t *testing.T) {
	open, strict := mustParse(t, example), mustParse(t, example+"privacy: strict\n")
	if open.StrictPrivacy() || !strict.StrictPrivacy() || open.Version() == strict.Version() {
		t.Error("privacy is lost")
	}
	hashes := &Config{PlainHash: true}
	if p, err := hashes.Parse([]byte(example)); err != nil || p.Version() != open.Version() {
		t.Errorf("a file that does not ask for privacy: %v", err)
	}
	var e *Error
	if _, err := hashes.Parse([]byte("version: 1\nprivacy: strict\nrules: []\n")); !errors.As(err, &e) || e.Line != 2 || e.Column != 10 || !strings.Contains(e.Reason, "plain hash") {
		t.Errorf("a strict file: %v", err)
	}
	for _, value := range []string{"none", "true", "Strict", `""`, "[strict]", "null"} {
		if _, err := Parse([]byte("version: 1\nprivacy: " + value + "\nrules: []\n")); !errors.As(err, &e) || e.Line != 2 || e.Column != 10 {
			t.Errorf("%s: %v", value, err)
		}
	}
}

// TestPrivacyOfWatcher: a file that becomes strict later is refused then, and a watcher that would take it says so before.
func TestPrivacyOfWatcher(t *testing.T) {
	name := filepath.Join(t.TempDir(), "policy.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, hashes := range []bool{false, true} {
		write(example)
		w, err := Watch(&WatchConfig{Path: name, Policy: Config{PlainHash: hashes}, Evidence: new(recorder)})
		if err != nil {
			t.Fatal(err)
		}
		if guard.PrivacyPolicy(w).StrictPrivacy() == hashes {
			t.Errorf("with the plain hash %v: StrictPrivacy is %v", hashes, hashes)
		}
		before := w.Version()
		write(example + "privacy: strict\n")
		if err := w.Reload(t.Context()); (err != nil) != hashes || (w.Version() == before) != hashes {
			t.Errorf("with the plain hash %v: %v", hashes, err)
		}
	}
}
