package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"touchmark": func() { os.Exit(int(run(os.Args))) }})
}

// The command as its users run it: testdata has one script for each command.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                "testdata",
		RequireUniqueNames: true,
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits": exits,
			"mode":  mode,
			"json":  jsonCommand,
		},
	})
}

// exits runs touchmark and wants an exit code: exits 3 badge verify ...
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE ARG...")
	}
	got := 0
	if err := ts.Exec("touchmark", args[1:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if strconv.Itoa(got) != args[0] {
		ts.Fatalf("exit code %d, want %s", got, args[0])
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
