package pin

import (
	"crypto/ed25519"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/jwk"
)

// What somebody wrote around the pins stays.
func TestEdit(t *testing.T) {
	s, _ := open(t, "\n# mine\n"+lineOf("did:web:mcp.example.com", keyA, "-", "-")+"\t# tail", AllowListOnly)
	if err := s.Add(t.Context(), Pin{Endpoint: "https://B.example:443/?q", DID: did.MustParse("did:web:b.example"), Key: Any}); err != nil {
		t.Fatal(err)
	}
	if err := s.Remove(t.Context(), place+"?x"); err != nil {
		t.Fatal(err)
	}
	want := "\n# mine\n\t# tail\nhttps://b.example/ did:web:b.example any 2026-09-21T14:13:20Z - - -\n"
	if got := content(t, s); got != want {
		t.Errorf("the file is\n%swant\n%s", got, want)
	}
	p, ok, err := s.Find("https://b.example")
	if err != nil || !ok || p.Key != Any {
		t.Errorf("found %v, %v, %v", p, ok, err)
	}
	if _, ok, err := s.Find(place); ok || err != nil {
		t.Errorf("found what was removed: %v", err)
	}
	for name, err := range map[string]error{
		"add twice":       s.Add(t.Context(), p),
		"add no key":      s.Add(t.Context(), Pin{Endpoint: place, DID: p.DID}),
		"add nowhere":     s.Add(t.Context(), Pin{Endpoint: "x", DID: p.DID, Key: Any}),
		"add before 1970": s.Add(t.Context(), Pin{Endpoint: place, DID: p.DID, Key: Any, Expires: time.Unix(-1, 0)}),
		"remove":          s.Remove(t.Context(), place),
		"approve":         s.Approve(t.Context(), "https://b.example", "sha256:"+keyA),
		"approve no pin":  second(s.ApproveTools(t.Context(), place, []byte("[]"))),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if got := content(t, s); got != want {
		t.Errorf("errors changed the file:\n%s", got)
	}
}

func second(_ string, err error) error { return err }

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, path := range map[string]string{
		"no name": "", "malformed": write("a", "x\n", 0o600), "for the group": write("b", "", 0o620), "for all": write("c", "", 0o602), "a directory": dir,
	} {
		if _, err := Open(path, nil); err == nil {
			t.Errorf("%s: opened", name)
		}
	}
	for _, cfg := range []*Config{{Mode: TrustOnFirstUse + 1}, {FirstUseFor: -1}} {
		if _, err := Open(filepath.Join(dir, "d"), cfg); err == nil {
			t.Errorf("opened with %+v", cfg)
		}
	}
	s, err := Open(write("e", "", 0o600), nil)
	if err != nil {
		t.Fatal(err)
	}
	write("e", "not a pin\n", 0o600)
	if err := s.Admit(t.Context(), example()); err == nil || !strings.Contains(err.Error(), "line 1: 3 fields") {
		t.Errorf("a file that broke: %v", err)
	}
	if err := s.Add(t.Context(), Pin{Endpoint: place, DID: example().DID, Key: keyA}); err == nil {
		t.Error("a file that broke was replaced")
	}
}

// Many stores on one file, as many processes have, lose nothing.
func TestTogether(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sub", "known-servers")
	const stores, each = 8, 6
	var group sync.WaitGroup
	for n := range stores {
		s, err := Open(path, &Config{Mode: TrustOnFirstUse})
		if err != nil {
			t.Fatal(err)
		}
		for i := range each {
			group.Go(func() {
				srv := example()
				srv.Endpoint = fmt.Sprintf("https://mcp.example.com/%d", i)
				if n%2 == 0 {
					srv.Endpoint = fmt.Sprintf("https://mcp.example.com/%d/%d", n, i)
				}
				if err := s.Admit(t.Context(), srv); err != nil {
					t.Error(err)
				}
			})
		}
	}
	group.Wait()
	s, err := Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if pins, _ := s.List(); len(pins) != each+stores/2*each {
		t.Errorf("%d pins", len(pins))
	}
}

// A link to the file stays one.
func TestLink(t *testing.T) {
	s, _ := open(t, "", TrustOnFirstUse)
	if err := s.Admit(t.Context(), example()); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(s.Path(), link); err != nil {
		t.Fatal(err)
	}
	linked, err := Open(link, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := linked.Remove(t.Context(), place); err != nil {
		t.Fatal(err)
	}
	if pins, _ := s.List(); len(pins) != 0 {
		t.Errorf("the link was replaced, and not the file: %v", pins)
	}
}

func TestRotate(t *testing.T) {
	d := did.MustParse("did:web:mcp.example.com")
	old, next, other := key(1), key(2), key(3)
	sign := func(k ed25519.PrivateKey, d did.DID, n ed25519.PrivateKey, at time.Time) string {
		token, err := SignRotation(k, d, n.Public(), at)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	good := sign(old, d, next, start)
	for _, tt := range []struct {
		name      string
		r         Rotation
		statement string // of the error; "" for none
	}{
		{"by hand", Rotation{place, thumb(old), thumb(next), ""}, ""},
		{"by hand, to any", Rotation{place, thumb(old), Any, ""}, ""},
		{"by statement", Rotation{place, thumb(old), thumb(next), good}, ""},
		{"of another pin", Rotation{place, thumb(other), thumb(next), ""}, "not pinned with the key"},
		{"to the same", Rotation{place, thumb(old), thumb(old), ""}, "is the old one"},
		{"to nothing", Rotation{place, thumb(old), "", ""}, "neither the RFC 7638 thumbprint"},
		{"no pin", Rotation{"https://other.example", thumb(old), thumb(next), ""}, "has no pin"},
		{"signed by another", Rotation{place, thumb(old), thumb(next), sign(other, d, next, start)}, "not with the pinned one"},
		{"signature of another", Rotation{place, thumb(old), thumb(next), good[:len(good)-8] + "AAAAAAAA"}, "does not verify"},
		{"about another", Rotation{place, thumb(old), thumb(next), sign(old, did.MustParse("did:web:x.example"), next, start)}, "kid"},
		{"of another key", Rotation{place, thumb(old), thumb(other), good}, "it names the new key"},
		{"to any by statement", Rotation{place, thumb(old), Any, good}, "it names the new key"},
		{"expired", Rotation{place, thumb(old), thumb(next), sign(old, d, next, start.Add(-RotationLifetime))}, "has expired"},
		{"not made yet", Rotation{place, thumb(old), thumb(next), sign(old, d, next, start.Add(2*time.Minute))}, "times cannot be"},
		{"no token", Rotation{place, thumb(old), thumb(next), "x"}, "statement"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := lineOf(d.String(), thumb(old), "-", "-")
			s, _ := open(t, before, AllowListOnly)
			err := s.Rotate(t.Context(), &tt.r)
			if tt.statement != "" {
				if err == nil || !strings.Contains(err.Error(), tt.statement) || content(t, s) != before {
					t.Errorf("got %v", err)
				}
				return
			}
			pins, _ := s.List()
			if err != nil || pins[0].Key != tt.r.NewKey || !strings.HasPrefix(content(t, s), "# 2026-09-21T14:13:20Z: key "+thumb(old)+" replaced ") {
				t.Errorf("got %v\n%s", err, content(t, s))
			}
		})
	}
}

func key(n byte) ed25519.PrivateKey {
	seed := make([]byte, ed25519.SeedSize)
	seed[0] = n
	return ed25519.NewKeyFromSeed(seed)
}

func thumb(k ed25519.PrivateKey) string {
	text, err := jwk.Thumbprint(k.Public())
	if err != nil {
		panic(err)
	}
	return text
}
