package registry

import (
	"crypto"
	"crypto/ed25519"
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

var (
	start = time.Date(2026, 9, 21, 14, 13, 20, 0, time.UTC)
	web   = did.MustParse("did:web:mcp.example.com")
	keyA  = base64.RawURLEncoding.EncodeToString([]byte(strings.Repeat("A", 32)))
	keyB  = base64.RawURLEncoding.EncodeToString([]byte(strings.Repeat("B", 32)))
)

func key(n byte) ed25519.PrivateKey {
	seed := make([]byte, ed25519.SeedSize)
	seed[0] = n
	return ed25519.NewKeyFromSeed(seed)
}

func keys() []crypto.PublicKey { return []crypto.PublicKey{key(9).Public(), key(1).Public()} }

func entryOf() Entry {
	return Entry{
		DID: web, Owner: "files team", Endpoints: []string{"https://mcp.example.com/mcp"}, Keys: []string{keyA},
		Versions: []string{"1.2.0"}, Tools: []string{"read_file"}, ValidFrom: start.Add(-time.Hour), ValidUntil: start.Add(48 * time.Hour),
	}
}

func document(serial uint64, entries ...Entry) *Document {
	if len(entries) == 0 {
		entries = []Entry{entryOf()}
	}
	return &Document{Issuer: "example", Serial: serial, IssuedAt: start, Expires: start.Add(24 * time.Hour), Servers: entries}
}

func sign(t *testing.T, d *Document) string {
	t.Helper()
	token, err := Sign(key(1), d)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func server() *serververify.Server {
	return &serververify.Server{
		State: serververify.StateVerified, DID: web, Level: badge.LevelDomain, Endpoint: "https://MCP.example.com/mcp?x", KeyThumbprint: keyA,
	}
}

// A clock stands still until a test moves it.
type clock struct{ now time.Time }

func (c *clock) time() time.Time { return c.now }

// open returns a registry over a file with this list.
func open(t *testing.T, d *Document, edits ...func(*Config)) (*Registry, string, *clock) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "registry.jws")
	put(t, path, sign(t, d))
	c := &clock{start}
	cfg := &Config{Path: path, Keys: keys(), Time: c.time}
	for _, edit := range edits {
		edit(cfg)
	}
	r, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r, path, c
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func wantRefusal(t *testing.T, err error, code serververify.Code, part string) {
	t.Helper()
	var refused *serververify.UntrustedError
	if !errors.As(err, &refused) || refused.Code != code || !strings.Contains(err.Error(), part) {
		t.Errorf("got %v, want %s with %q", err, code, part)
	}
}
