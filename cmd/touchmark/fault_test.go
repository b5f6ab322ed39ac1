package main

import (
	"bytes"
	"encoding/json"
	"io"
	"path/filepath"
	"testing"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/touchmark-dev/touchmark/badge"
)

// issueSelfSigned runs badge issue, and returns what the badge says.
func issueSelfSigned(t *testing.T, args ...string) *badge.Unverified {
	t.Helper()
	key := filepath.Join(t.TempDir(), "agent.jwk")
	var out, told bytes.Buffer
	if code := command(t.Context(), io.Discard, &told, "key", "new", "--out", key); code != exitOK {
		t.Fatal(told.String())
	}
	if code := command(t.Context(), &out, &told, append([]string{"badge", "issue", "--self-sign", "--key", key}, args...)...); code != exitOK {
		t.Fatal(told.String())
	}
	u, err := badge.Inspect(string(bytes.TrimSpace(out.Bytes())))
	if err != nil || u.Problem != nil {
		t.Fatal(err, u.Problem)
	}
	return u
}

// The published command issues badges with "ial":"" and without typ and kid.
func TestKnownFault22IssuedBadgesAreComplete(t *testing.T) {
	u := issueSelfSigned(t)
	var claims map[string]json.RawMessage
	if err := json.Unmarshal(u.Payload, &claims); err != nil {
		t.Fatal(err)
	}
	if u.Type != "JWT" || u.KeyID != u.Subject.KeyURL() || string(claims["ial"]) != `"0"` || len(claims["key"]) == 0 {
		t.Errorf("typ %q, kid %q, ial %s, key %s", u.Type, u.KeyID, claims["ial"], claims["key"])
	}
}

// The published commands share variables for their flags: the default of the one
// that was declared last holds for all.
func TestKnownFault23FlagsAreNotShared(t *testing.T) {
	owner := map[cli.Flag]string{}
	walk(newApp(newConsole(nil, io.Discard, io.Discard)).Commands, nil, func(c *cli.Command, path []string) {
		for _, f := range c.Flags {
			if other, ok := owner[f]; ok {
				t.Errorf("--%s of %q is that of %q", f.Names()[0], path, other)
			}
			owner[f] = c.Name
		}
	})
	if len(owner) < 100 {
		t.Errorf("%d flags", len(owner))
	}
	// Two runs in one process leave nothing to each other.
	long, plain := issueSelfSigned(t, "--ttl", "10m", "--aud", "https://a.example"), issueSelfSigned(t)
	if long.ExpiresAt.Sub(long.IssuedAt) != 10*time.Minute || plain.ExpiresAt.Sub(plain.IssuedAt) != badge.DefaultTTL || len(plain.Audience) > 0 {
		t.Errorf("%v, then %v for %q", long.ExpiresAt.Sub(long.IssuedAt), plain.ExpiresAt.Sub(plain.IssuedAt), plain.Audience)
	}
}

// The published command takes the environment's word over a flag that was given,
// if its value is the default; and ends the process from within.
func TestKnownFault24GivenFlagsStand(t *testing.T) {
	t.Setenv("TOUCHMARK_TTL", "10m")
	if u := issueSelfSigned(t); u.ExpiresAt.Sub(u.IssuedAt) != 10*time.Minute {
		t.Errorf("the environment alone: %v", u.ExpiresAt.Sub(u.IssuedAt))
	}
	if u := issueSelfSigned(t, "--ttl", badge.DefaultTTL.String()); u.ExpiresAt.Sub(u.IssuedAt) != badge.DefaultTTL {
		t.Errorf("a flag with its default: %v", u.ExpiresAt.Sub(u.IssuedAt))
	}
	var told bytes.Buffer
	if code := command(t.Context(), io.Discard, &told, "badge", "verify", filepath.Join(t.TempDir(), "none")); code == exitOK || told.Len() == 0 {
		t.Errorf("exit code %d", code) // and this process is still there to see it
	}
}
