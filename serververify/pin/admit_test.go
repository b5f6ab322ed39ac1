package pin

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/serververify"
)

// Each refusal names both values, and the command that would end it.
func TestAdmit(t *testing.T) {
	const web, old = "did:web:mcp.example.com", "did:web:old.example.com"
	for _, tt := range []struct {
		name, file string
		code       serververify.Code // "" for admitted
		parts      []string
	}{
		{"pinned", lineOf(web, keyA, "-", "-"), "", nil},
		{"any key", lineOf(web, Any, "-", "-"), "", nil},
		{"not ended yet", lineOf(web, keyA, "-", "2026-09-21T14:13:21Z"), "", nil},
		{"unknown", "# nobody yet\n", serververify.CodePinMissing, []string{"pin add --pins ", " --did " + web + " --key-thumbprint " + keyA + " " + place}},
		{"another key", lineOf(web, keyB, "-", "-"), serververify.CodePinMismatch, []string{keyA, keyB, " rotate ", "--old-key " + keyB + " --new-key " + keyA + " " + place}},
		{"another DID", lineOf(old, keyA, "-", "-"), serververify.CodePinMismatch, []string{web, old, " remove "}},
		{"another DID with any key", lineOf(old, Any, "-", "-"), serververify.CodePinMismatch, []string{web, old}},
		{"without an identity", lineOf("-", "-", "-", "-"), serververify.CodePinMismatch, []string{web, " remove "}},
		{"ended", lineOf(web, keyA, "-", "2026-09-21T14:13:20Z"), serververify.CodePinExpired, []string{"2026-09-21T14:13:20Z", " remove "}},
		{"forgotten", lineOf(web, keyA, "-", "~2026-09-21T14:13:20Z"), serververify.CodePinMissing, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, _ := open(t, tt.file, AllowListOnly)
			err := s.Admit(t.Context(), example())
			if tt.code == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			wantRefusal(t, err, tt.code, tt.parts...)
			if content(t, s) != tt.file {
				t.Error("a refusal changed the file")
			}
		})
	}
}

func TestTrustOnFirstUse(t *testing.T) {
	s, _ := open(t, "", TrustOnFirstUse)
	if err := s.Admit(t.Context(), example()); err != nil {
		t.Fatal(err)
	}
	want := header + place + " did:web:mcp.example.com " + keyA + " 2026-09-21T14:13:20Z 2026-09-21T14:13:20Z - -\n"
	if got := content(t, s); got != want {
		t.Errorf("the file is\n%swant\n%s", got, want)
	}
	wantRefusal(t, s.Admit(t.Context(), server("did:web:mcp.example.com", keyB)), serververify.CodePinMismatch)
	elsewhere := server("did:web:mcp.example.com", keyB)
	elsewhere.Endpoint = "https://mcp.example.com/other"
	wantRefusal(t, s.Admit(t.Context(), elsewhere), serververify.CodePinMismatch, place, keyA, keyB)
	elsewhere.KeyThumbprint = keyA
	if err := s.Admit(t.Context(), elsewhere); err != nil {
		t.Error(err)
	}
	nobody := server("did:web:x.example", "")
	nobody.Endpoint = "https://x.example/"
	if err := s.Admit(t.Context(), nobody); err == nil {
		t.Error("a server without a key was pinned")
	}
}

// A pin of first use that is for a while is made anew after it; one that
// somebody wrote ends there.
func TestEphemeral(t *testing.T) {
	s, c := open(t, "", TrustOnFirstUse)
	s.cfg.FirstUseFor = time.Hour
	if err := s.Admit(t.Context(), example()); err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(content(t, s), " ~2026-09-21T15:13:20Z\n") {
		t.Errorf("the file is\n%s", content(t, s))
	}
	next := server("did:web:mcp.example.com", keyB)
	wantRefusal(t, s.Admit(t.Context(), next), serververify.CodePinMismatch)
	c.now = start.Add(time.Hour)
	if err := s.Admit(t.Context(), next); err != nil {
		t.Fatal(err)
	}
	if pins, _ := s.List(); len(pins) != 1 || pins[0].Key != keyB {
		t.Errorf("the pins are %v", pins)
	}
	s, _ = open(t, lineOf("did:web:mcp.example.com", keyA, "-", "2026-09-02T00:00:00Z"), TrustOnFirstUse)
	wantRefusal(t, s.Admit(t.Context(), example()), serververify.CodePinExpired)
}

// A verification is no write to the disk, but once an hour.
func TestLastSeen(t *testing.T) {
	s, c := open(t, lineOf("did:web:mcp.example.com", keyA, "-", "-"), AllowListOnly)
	for _, tt := range []struct {
		after time.Duration
		want  time.Duration
	}{{0, 0}, {time.Minute, 0}, {59 * time.Minute, 0}, {time.Hour, time.Hour}, {-time.Hour, time.Hour}} {
		c.now = start.Add(tt.after)
		if err := s.Admit(t.Context(), example()); err != nil {
			t.Fatal(err)
		}
		if pins, _ := s.List(); !pins[0].LastSeen.Equal(start.Add(tt.want)) {
			t.Errorf("after %s: last seen %s", tt.after, pins[0].LastSeen)
		}
	}
	dir := strings.TrimSuffix(s.Path(), "known-servers")
	if err := os.Remove(s.Path() + ".lock"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(s.Path()+".lock", 0o700); err != nil { // nothing can be written any more
		t.Fatal(err)
	}
	c.now = start.Add(24 * time.Hour)
	if err := s.Admit(t.Context(), example()); err != nil {
		t.Errorf("%s cannot be written: %v", dir, err)
	}
}

// A server on a pipe says nothing of where it is.
func TestLaunched(t *testing.T) {
	s, _ := open(t, "", TrustOnFirstUse)
	srv := example()
	srv.Endpoint = ""
	if err := s.Admit(t.Context(), srv); err == nil || serververify.CodeOf(err) != "" {
		t.Errorf("got %v", err)
	}
	if err := s.CheckTools(t.Context(), srv, []byte(`[]`)); err == nil || serververify.CodeOf(err) != "" {
		t.Errorf("got %v", err)
	}
	at, err := LaunchEndpoint([]string{"node", "my server.js"})
	if err != nil || at != "stdio:node+my%20server.js" {
		t.Fatalf("%s, %v", at, err)
	}
	p, err := s.At(at)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Admit(t.Context(), srv); err != nil {
		t.Fatal(err)
	}
	srv.KeyThumbprint = keyB
	wantRefusal(t, p.Admit(t.Context(), srv), serververify.CodePinMismatch, "stdio:node+my%20server.js")
	if _, err := s.At("nowhere"); err == nil {
		t.Error("a place that is none")
	}
	if _, err := LaunchEndpoint(nil); err == nil {
		t.Error("a command that is none")
	}
}
