package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/touchmark-dev/touchmark/cmd/touchmark/internal/logs"
	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/trillianlog/trilliantest"
)

// The scripts in which a log is made, and the tour, with every one of those logs in a Trillian on PostgreSQL.
// log-watch is left out: its attacks put back the directory of an embedded log. Tampering with Trillian is in
// internal/campaign.
func TestScriptsOnTrillian(t *testing.T) {
	address := trilliantest.Start(t, trilliantest.PostgreSQL(t)).Address
	var files []string
	for _, name := range []string{
		"call-command", "call-url", "evidence-disclose", "evidence-retain", "gateway", "gateway-cosigned", "home",
		"log", "log-digest", "log-page", "log-serve", "log-witness", "stranger", "tour",
	} {
		files = append(files, filepath.Join("testdata", name+".txtar"))
	}
	testscript.Run(t, scripts(testscript.Params{Files: files, Setup: func(env *testscript.Env) error {
		env.Setenv("TOUCHMARK_TRILLIAN", address)
		return nil
	}}))
}

func TestTrillianScripts(t *testing.T) {
	address, state := trilliantest.Start(t, trilliantest.PostgreSQL(t)).Address, trilliantest.Empty(t)
	testscript.Run(t, scripts(testscript.Params{Dir: "testdata/trillian", Setup: func(env *testscript.Env) error {
		env.Setenv("TRILLIAN", address)
		env.Setenv("STATE", state)
		return fillLog(t.Context(), filepath.Join(env.WorkDir, "log"), 3000)
	}}))
}

// fillLog makes an embedded log with entries in it.
func fillLog(ctx context.Context, dir string, n int) error {
	skey, vkey, err := translog.GenerateKey("log.example.com/first")
	if err != nil {
		return err
	}
	signer, err := translog.ParseSigner(skey)
	if err != nil {
		return err
	}
	if err := os.WriteFile(dir+".policy", []byte("log "+vkey+"\nquorum none\n"), modePublic); err != nil {
		return err
	}
	if err := os.WriteFile(dir+".key", []byte(skey), modeSecret); err != nil {
		return err
	}
	p := &logs.Place{Dir: dir}
	if err := p.Create(ctx, signer); err != nil {
		return err
	}
	log, err := p.Open(ctx, signer, &logs.Options{})
	if err != nil {
		return err
	}
	entries := make([][]byte, n)
	for i := range entries {
		entries[i] = fmt.Appendf(nil, "entry %d", i)
	}
	if _, err := log.Append(ctx, entries); err != nil {
		return err
	}
	return log.Close(ctx)
}
