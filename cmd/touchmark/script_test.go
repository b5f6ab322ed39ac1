package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/touchmark-dev/touchmark/internal/jwk"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"touchmark": func() { os.Exit(int(run(os.Args))) },
		"upstream":  upstream,
		"client":    plainClient,
		"asker":     asker,
	})
}

// The command as its users run it: testdata has one script for each command.
func TestScripts(t *testing.T) {
	testscript.Run(t, scripts(testscript.Params{Dir: "testdata"}))
}

// scripts completes what says which scripts to run by the commands that they
// have.
func scripts(p testscript.Params) testscript.Params {
	setup := p.Setup
	p.RequireUniqueNames = true
	p.Setup = func(env *testscript.Env) error {
		env.Setenv("GORACE", "atexit_sleep_ms=0") // or each of hundreds of processes ends a second late
		env.Setenv("TOUCHMARK_TTL", "1h")         // for machines that are slow
		if setup != nil {
			return setup(env)
		}
		return nil
	}
	p.Cmds = map[string]func(ts *testscript.TestScript, neg bool, args []string){
		"asks":   asks,
		"awaits": awaits,
		"exits":  exits,
		"mode":   mode,
		"json":   jsonCommand,
		"jwks":   jwks,
		"let":    let,
		"listen": listen,
		"socket": socket,
		"start":  start,
		"front":  front,
		"keep":   keep,
		"fetch":  fetch,
		"tire":   tire,
		"until":  until,
		"hides":  hides,
		"says":   says,
		"older":  older,
		"load":   load,
		"tamper": tamper,

		"records":  records,
		"recorded": recorded,
		"graft":    graft,

		"collector": collector,
		"decider":   decider,
	}
	return p
}

// exits runs touchmark and wants an exit code: exits 3 badge verify ...
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE ARG...")
	}
	ends(ts, args[0], "touchmark", args[1:]...)
}

// ends runs a program and wants an exit code.
func ends(ts *testscript.TestScript, code, program string, args ...string) {
	got := 0
	if err := ts.Exec(program, args...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if strconv.Itoa(got) != code {
		ts.Fatalf("exit code %d, want %s", got, code)
	}
}

// mode wants the permissions of a file: mode 0600 key.jwk.
func mode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: mode OCTAL FILE")
	}
	info, err := os.Stat(ts.MkAbs(args[1]))
	ts.Check(err)
	if got := fmt.Sprintf("%04o", info.Mode().Perm()); got != args[0] {
		ts.Fatalf("%s has mode %s, want %s", args[1], got, args[0])
	}
}

// jsonCommand wants standard output to be one JSON object with exactly these
// members: json verdict level subject.
func jsonCommand(ts *testscript.TestScript, neg bool, args []string) {
	d := json.NewDecoder(strings.NewReader(ts.ReadFile("stdout")))
	var got map[string]any
	ts.Check(d.Decode(&got))
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		ts.Fatalf("more than one value on standard output")
	}
	slices.Sort(args)
	if members := slices.Sorted(maps.Keys(got)); slices.Equal(members, args) == neg {
		ts.Fatalf("members %v, want %v", members, args)
	}
}

// jwks makes the key set of a key: jwks ca.jwk jwks.json.
func jwks(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: jwks KEY FILE")
	}
	key, err := jwk.ParsePrivate([]byte(ts.ReadFile(args[0])))
	ts.Check(err)
	set, err := jwk.MarshalSet([]*jwk.Public{{Key: key.Key.Public(), KeyID: key.KeyID}})
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), set, 0o600))
}

// let sets a variable to what a file says, or to what a regular expression's
// group matches in it: let DID stdout, let ID stdout '"id":"([^"]*)"'.
func let(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 && len(args) != 3 {
		ts.Fatalf("usage: let VAR FILE [REGEXP]")
	}
	text := strings.TrimSpace(ts.ReadFile(args[1]))
	if len(args) == 3 {
		found := regexp.MustCompile(args[2]).FindStringSubmatch(text)
		if len(found) != 2 {
			ts.Fatalf("%q is not in %q", args[2], text)
		}
		text = found[1]
	}
	ts.Setenv(args[0], text)
}

// fetch prints what is at a URL: fetch http://127.0.0.1:8080/metrics. With ! it wants an answer that is no 200.
func fetch(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: fetch URL")
	}
	res, err := http.Get(args[0])
	ts.Check(err)
	defer res.Body.Close()
	_, err = io.Copy(ts.Stdout(), res.Body)
	ts.Check(err)
	if (res.StatusCode != http.StatusOK) != neg {
		ts.Fatalf("status %d", res.StatusCode)
	}
}

// tire fetches what is at a URL until that is refused, with status 429, and sets a variable to how many answers there were
// before: tire URL VAR.
func tire(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: tire URL VAR")
	}
	for n, began := 0, time.Now(); ; n++ {
		res, err := http.Get(args[0])
		ts.Check(err)
		_ = res.Body.Close()
		switch {
		case res.StatusCode == http.StatusTooManyRequests:
			ts.Setenv(args[1], strconv.Itoa(n))
			return
		case res.StatusCode != http.StatusOK:
			ts.Fatalf("status %d", res.StatusCode)
		case time.Since(began) > 2*time.Minute:
			ts.Fatalf("%d answers, and no refusal", n+1)
		}
	}
}

// TestScriptsGoToTheirEnd: `stop` is a command of testscript, after which the rest of a script is not run and nobody hears
// of it.
func TestScriptsGoToTheirEnd(t *testing.T) {
	err := filepath.WalkDir("testdata", func(name string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(name) != ".txtar" {
			return err
		}
		text, err := os.ReadFile(name)
		script, _, _ := strings.Cut(string(text), "\n-- ")
		for i, line := range strings.Split(script, "\n") {
			if command, _, _ := strings.Cut(line, " "); command == "stop" {
				t.Errorf("%s:%d: the script ends here; to end a server: stop-VAR", name, i+1)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
