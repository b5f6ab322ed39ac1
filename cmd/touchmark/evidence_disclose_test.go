package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/badge/badgetest"
	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/evidence/vault"
)

// sealedCall records a call of two days ago in a journal whose private parts are in a vault, with the parameters.
func sealedCall(t *testing.T, dir string) (id string, keys evidence.Keys) {
	t.Helper()
	master, err := vault.NewMasterKey()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "master"), master, 0o600); err != nil {
		t.Fatal(err)
	}
	server := badgetest.NewAgent(t)
	l, err := evidence.Open(t.Context(), &evidence.LedgerConfig{
		Dir: filepath.Join(dir, "journal"), Server: server.DID, Key: server.Key, KeyID: server.DID.KeyURL(), AllowNoLog: true,
		Vault: openVaultAt(t, dir), KeepParameters: true, Time: func() time.Time { return time.Now().Add(-2 * vault.Period) },
	})
	if err != nil {
		t.Fatal(err)
	}
	ack, err := l.Record(t.Context(), &evidence.Draft{
		Decision: &evidence.Decision{
			Caller: evidence.Caller{Auth: evidence.AuthAnonymous}, Method: "tools/call", Capability: "tool", Target: "pay",
			Kind: evidence.Deny, DenyReason: "TOOL_POLICY_DENIED", PolicyVersion: "none",
		},
		Arguments: json.RawMessage(`{"amount":12,"pin":"none of yours"}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	public, err := server.DID.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return ack.ID, evidence.Keys{server.DID.KeyURL(): public}
}

func openVaultAt(t *testing.T, dir string) *vault.Vault {
	t.Helper()
	master, err := os.ReadFile(filepath.Join(dir, "master"))
	if err != nil {
		t.Fatal(err)
	}
	wrapper, err := vault.ParseMasterKey(master)
	if err != nil {
		t.Fatal(err)
	}
	v, err := vault.Open(&vault.Config{Dir: filepath.Join(dir, "vault"), Wrapper: wrapper})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestShownLineOfNames: a name, or parameters as they were sent, cannot pass for lines that are not theirs.
func TestShownLineOfNames(t *testing.T) {
	l := &shownLine{
		Server: "did:web:a.example", Record: &recordLine{}, Shown: []shownValue{{Pointer: "/arguments/a\nentry 1 of 2 in b", Value: json.RawMessage("1")}},
		Parameters: &shownAll{"{\n\"a\":1}", "x\nentry 1 of 2 in b"},
	}
	want := []string{`"/arguments/a\nentry 1 of 2 in b" is 1`, `all arguments: {"a":1}`, `all input responses: "x\nentry 1 of 2 in b"`, "not shown: that the record is in a log"}
	if got := strings.Split(l.text(), "\n")[2:]; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestDiscloseFromVault: what was kept is disclosed with the vault alone, and not any more when its key was destroyed.
func TestDiscloseFromVault(t *testing.T) {
	dir := t.TempDir()
	id, keys := sealedCall(t, dir)
	at := func(name string) string { return filepath.Join(dir, name) }
	disclose := func(out string, more ...string) exitCode {
		return run(append([]string{"touchmark", "evidence", "disclose", "--evidence", at("journal"), "--pointer", "/arguments/amount", "--out", at(out), id}, more...))
	}
	sealed := []string{"--vault", at("vault"), "--vault-key", at("master")}
	for name, test := range map[string]struct {
		want exitCode
		more []string
	}{
		"no vault":      {exitUndetermined, nil},
		"no key":        {exitUndetermined, sealed[:2]},
		"another vault": {exitUndetermined, []string{"--vault", at("nowhere"), "--vault-key", at("master")}},
		"no master key": {exitUsage, []string{"--vault", at("vault"), "--vault-key", at("vault")}},
	} {
		if got := disclose("none", test.more...); got != test.want || exists(at("none")) || exists(at("nowhere")) {
			t.Errorf("%s: exit code %d, want %d", name, got, test.want)
		}
	}
	if got := disclose("shown", sealed...); got != exitOK {
		t.Fatalf("exit code %d", got)
	}
	text, err := os.ReadFile(at("shown"))
	if err != nil || strings.Contains(string(text), "none of yours") {
		t.Errorf("%s, %v", text, err)
	}
	x, err := evidence.ParseExhibit(text)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := x.Verify(keys); err != nil || string(x.Disclosures[0].Value) != "12" {
		t.Errorf("%s: %v", text, err)
	}
	if gone, err := openVaultAt(t, dir).EraseBefore(time.Now()); err != nil || len(gone) == 0 {
		t.Fatalf("%d keys destroyed, %v", len(gone), err)
	}
	if got := disclose("none", sealed...); got != exitUndetermined || exists(at("none")) {
		t.Errorf("after the key was destroyed: exit code %d", got)
	}
	if _, err := x.Verify(keys); err != nil {
		t.Errorf("what was disclosed before: %v", err)
	}
}
