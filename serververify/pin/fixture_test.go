package pin

import (
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/serververify"
)

const place = "https://mcp.example.com/mcp"

var (
	start = time.Date(2026, 9, 21, 14, 13, 20, 0, time.UTC)
	keyA  = thumbprint("A")
	keyB  = thumbprint("B")
)

func thumbprint(c string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(strings.Repeat(c, 32)))
}

// server is one that was verified.
func server(d, key string) *serververify.Server {
	return &serververify.Server{
		State: serververify.StateVerified, DID: did.MustParse(d), Level: badge.LevelDomain,
		Endpoint: place, BadgeID: "5d0c2a6e-9b1f-4e3a-8c7d-1f2e3d4c5b6a", KeyThumbprint: key,
	}
}

func example() *serververify.Server { return server("did:web:mcp.example.com", keyA) }

// A clock stands still until a test moves it.
type clock struct{ now time.Time }

func (c *clock) time() time.Time { return c.now }

// open returns a store in a new file with this text, and its clock.
func open(t *testing.T, text string, mode Mode) (*Store, *clock) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "known-servers")
	if text != "" {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := &clock{start}
	s, err := Open(path, &Config{Mode: mode, Time: c.time})
	if err != nil {
		t.Fatal(err)
	}
	return s, c
}

func lineOf(d, key, tools, expires string) string {
	return strings.Join([]string{place, d, key, "2026-09-01T00:00:00Z", "-", tools, expires}, " ") + "\n"
}

func content(t *testing.T, s *Store) string {
	t.Helper()
	data, err := os.ReadFile(s.Path())
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func wantRefusal(t *testing.T, err error, code serververify.Code, parts ...string) {
	t.Helper()
	var refused *serververify.UntrustedError
	if !errors.As(err, &refused) || refused.Code != code {
		t.Fatalf("got %v, want %s", err, code)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q lacks %q", err, part)
		}
	}
}
