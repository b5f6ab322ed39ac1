package main

import (
	"crypto/ed25519"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/jwk"
)

const testIssuer = "https://registry.example"

// A trustTest is a directory with what trust flags name.
type trustTest struct {
	t   *testing.T
	dir string
	ca  *badge.IssuerKey
}

func newTrustTest(t *testing.T) *trustTest {
	key := ed25519.NewKeyFromSeed([]byte(strings.Repeat("c", ed25519.SeedSize)))
	x := &trustTest{t: t, dir: t.TempDir(), ca: &badge.IssuerKey{Issuer: testIssuer, KeyID: "ca-1", Signer: key}}
	set, err := jwk.MarshalSet([]*jwk.Public{{Key: key.Public(), KeyID: "ca-1"}})
	if err != nil {
		t.Fatal(err)
	}
	x.write("jwks.json", string(set))
	list, err := badge.SignRevocationList(x.ca, &badge.RevocationClaims{Issuer: testIssuer, AsOf: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	x.write("list", list)
	x.write("empty", "")
	return x
}

func (x *trustTest) write(name, text string) {
	if err := os.WriteFile(filepath.Join(x.dir, name), []byte(text), 0o600); err != nil {
		x.t.Fatal(err)
	}
}

// verifier makes the verifier that the flags describe; DIR in them is the
// directory.
func (x *trustTest) verifier(flags string) (v *badge.Verifier, err error) {
	con := newConsole(strings.NewReader(""), nil, nil)
	app := &cli.App{
		Flags: trustFlags(), Metadata: map[string]any{consoleKey: con}, DisableSliceFlagSeparator: true,
		ExitErrHandler: func(*cli.Context, error) {},
		Action: func(ctx *cli.Context) error {
			t, err := newTrust(ctx)
			if err != nil {
				return err
			}
			defer t.close()
			v, err = t.badges()
			return err
		},
	}
	args := strings.Fields(strings.ReplaceAll(flags, "DIR", x.dir))
	err = app.RunContext(x.t.Context(), append([]string{"test"}, args...))
	return v, err
}

func TestTrustFlags(t *testing.T) {
	x := newTrustTest(t)
	const self = "--trust-self-signed did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK"
	const issuer = "--issuer " + testIssuer + "=DIR/jwks.json"
	for _, c := range []struct {
		flags string
		exit  exitCode
		hint  string
	}{
		{"", exitUsage, "--issuer or --trust-self-signed"},
		{self, exitOK, ""},
		{"--trust-self-signed did:web:a.example", exitUsage, ""},
		{"--trust-self-signed nonsense", exitUsage, ""},
		{issuer, exitUsage, "--revocations FILE"},
		{issuer + " --unsafe-no-status", exitOK, ""},
		{issuer + " --revocations DIR/list", exitOK, ""},
		{issuer + " --revocations DIR/list --unsafe-no-status", exitOK, ""},
		{issuer + " --revocations DIR/empty", exitUsage, ""},
		{issuer + " --revocations DIR/missing", exitUndetermined, ""},
		{issuer + " --revocations DIR", exitUsage, ""},
		{self + " " + issuer + " --revocations DIR/list", exitOK, ""},
		{"--issuer " + testIssuer + "=DIR/empty --unsafe-no-status", exitUsage, "JSON Web Key Set"},
		{"--issuer " + testIssuer + "=DIR/missing --unsafe-no-status", exitUndetermined, "JSON Web Key Set"},
		{"--issuer " + testIssuer + "=DIR --unsafe-no-status", exitUsage, ""},
		{"--issuer " + testIssuer + " --issuer https://other.example=DIR/missing --unsafe-no-status", exitUndetermined, ""},
		{"--issuer " + testIssuer + " --unsafe-no-status", exitOK, ""},
		{"--issuer " + testIssuer, exitOK, ""},
		{"--issuer http://registry.example", exitUsage, ""},
		{"--issuer " + testIssuer + "/path", exitUsage, ""},
		{self + " --ca-file DIR/empty", exitUsage, ""},
		{self + " --ca-file DIR/missing", exitUndetermined, ""},
		{self + " --did-document DIR/empty", exitUsage, ""},
		{self + " --did-document DIR/jwks.json", exitUsage, ""},
		{self + " --did-document DIR/missing", exitUndetermined, ""},
	} {
		_, err := x.verifier(c.flags)
		if got := codeOf(err); got != c.exit {
			t.Errorf("%s: exit code %d, want %d: %v", c.flags, got, c.exit, err)
		}
		if steps := strings.Join(nextSteps(err), " "); !strings.Contains(steps, c.hint) {
			t.Errorf("%s: %q does not say %q", c.flags, steps, c.hint)
		}
	}
}

// A list that was given is heeded, whatever else was said of revocations.
func TestTrustHeedsRevocations(t *testing.T) {
	x := newTrustTest(t)
	agent := ed25519.NewKeyFromSeed([]byte(strings.Repeat("a", ed25519.SeedSize)))
	template := &badge.Template{
		Subject: did.MustParse("did:web:agent.example"), SubjectKey: agent.Public(), Level: badge.LevelDomain, Domain: "agent.example",
		ID: "3f2b7a4e-9c1d-4e7a-8b55-0d6f1a2c3e4f",
	}
	token, err := badge.Issue(x.ca, template)
	if err != nil {
		t.Fatal(err)
	}
	revoked, err := badge.SignRevocationList(x.ca, &badge.RevocationClaims{
		Issuer: testIssuer, AsOf: time.Now(), Revoked: []string{template.ID},
	})
	if err != nil {
		t.Fatal(err)
	}
	x.write("revoked", revoked)
	const issuer = "--issuer " + testIssuer + "=DIR/jwks.json"
	for flags, want := range map[string]badge.Code{
		issuer + " --unsafe-no-status":                                         "",
		issuer + " --revocations DIR/list":                                     "",
		issuer + " --revocations DIR/revoked":                                  badge.CodeRevoked,
		issuer + " --revocations DIR/revoked --unsafe-no-status":               badge.CodeRevoked,
		"--issuer https://other.example=DIR/jwks.json" + " --unsafe-no-status": badge.CodeIssuerUntrusted,
	} {
		v, err := x.verifier(flags)
		if err != nil {
			t.Fatalf("%s: %v", flags, err)
		}
		if _, err := v.Verify(t.Context(), token); badge.CodeOf(err) != want {
			t.Errorf("%s: %v, want %q", flags, err, want)
		}
	}
}
