package main

import (
	"context"
	"errors"
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/evidence/vault"
)

// recorded makes a journal with a call of some days ago, and its vault as a gateway does, and sets VAR to a time when that
// day was over: recorded JOURNAL IDENTITY DAYS VAR, and with --clear a journal from before there were vaults.
func recorded(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 4 && (len(args) != 5 || args[4] != "--clear") {
		ts.Fatalf("usage: recorded JOURNAL IDENTITY DAYS VAR [--clear]")
	}
	ctx := context.Background()
	dir := ts.MkAbs(args[0])
	days, err := strconv.Atoi(args[2])
	ts.Check(err)
	at := time.Now().UTC().AddDate(0, 0, -days) // in UTC all days are as long
	ts.Setenv(args[3], at.AddDate(0, 0, 1).Format(time.RFC3339))
	id, err := readIdentity(newConsole(nil, io.Discard, io.Discard), ts.MkAbs(args[1]))
	ts.Check(err)
	cfg := &evidence.LedgerConfig{
		Dir: dir, Server: id.DID, Key: id.Key, KeyID: id.KeyID, AllowNoLog: true, Time: func() time.Time { return at },
	}
	if len(args) == 4 {
		cfg.Vault, err = makeVault(dir+vaultSuffix, filepath.Join(dir+vaultSuffix, masterKeyName), false)
		cfg.KeepParameters = true
		ts.Check(err)
	}
	ledger, err := evidence.Open(ctx, cfg)
	ts.Check(err)
	_, err = ledger.Record(ctx, &evidence.Draft{
		Decision: &evidence.Decision{
			Caller: evidence.Caller{Auth: evidence.AuthAnonymous}, Method: "tools/call", Capability: "tool", Target: "read_note",
			Kind: evidence.Deny, DenyReason: "TOOL_POLICY_DENIED", PolicyVersion: "v1",
		},
		Arguments: []byte(`{"name":"one"}`),
	})
	ts.Check(err)
	ts.Check(ledger.Close(ctx))
}

// awaits runs touchmark again and again until it ends with a code, and says something on standard error: awaits CODE REGEXP
// ARG... . Before that, it may say something else with that code.
func awaits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: awaits CODE REGEXP ARG...")
	}
	want := regexp.MustCompile(args[1])
	for began := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		err := ts.Exec("touchmark", args[2:]...)
		var exit *exec.ExitError
		if errors.As(err, &exit) && strconv.Itoa(exit.ExitCode()) == args[0] && want.MatchString(ts.ReadFile("stderr")) {
			return
		}
		if time.Since(began) > 2*time.Minute {
			ts.Fatalf("for two minutes not exit code %s and %q: %v", args[0], args[1], err)
		}
	}
}

// TestOneVault: gateways that begin at once make one vault. What one of them seals, the others open.
func TestOneVault(t *testing.T) {
	const gateways = 8
	for range 5 {
		dir := filepath.Join(t.TempDir(), "vault")
		vaults := make([]*vault.Vault, gateways)
		var all sync.WaitGroup
		for i := range vaults {
			all.Go(func() {
				v, err := makeVault(dir, filepath.Join(dir, masterKeyName), false)
				if err != nil {
					t.Error(err)
				}
				vaults[i] = v
			})
		}
		all.Wait()
		if t.Failed() {
			return
		}
		journal := evidence.JournalID{1}
		for i, v := range vaults {
			sealer, err := v.Sealer(time.Now())
			if err != nil {
				t.Fatal(err)
			}
			sealed := sealer.Seal(append(make([]byte, evidence.SealedPrefix), "a salt"...), 0, &journal, 1)
			for k, other := range vaults {
				if plain, err := other.Open(journal, 1, sealed); err != nil || string(plain) != "a salt" {
					t.Fatalf("what gateway %d sealed opens for gateway %d as %q, %v", i, k, plain, err)
				}
			}
		}
	}
}
